package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"trireme/adapter"
	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
)

// TestEveryHostHasLostRows: each host has lost documents of other buckets than the others,
// with damaged files, so none is healthy. They heal from one another, and everything is
// there again.
func TestEveryHostHasLostRows(t *testing.T) {
	c := newTrio(t)
	c.start(0, 1, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	const documents = 90
	client := c.client(0)
	for n := range documents {
		if err := client.Initialize(ctx, "s", fmt.Sprint(n), first(n)); err != nil {
			t.Fatal(err)
		}
	}
	l := c.hosts[0].layout()
	eventually(t, "every host has every document", func() bool {
		for i := range c.hosts {
			for n := range documents {
				if _, err := c.hosts[i].store.Get(contract.Key{Space: "s", Key: fmt.Sprint(n)}); err != nil {
					return false
				}
			}
		}
		return true
	})
	c.stop(0, 1, 2)
	for i := range c.cfgs {
		var lost []contract.Key
		for n := i; n < documents; n += len(c.cfgs) {
			lost = append(lost, contract.Key{Space: "s", Key: fmt.Sprint(n)})
		}
		loseRows(t, filepath.Join(c.cfgs[i].Data, "store"), &l, lost)
	}
	c.start(0, 1, 2)
	eventually(t, "every host has healed", func() bool {
		for _, h := range c.hosts {
			if len(h.store.Incomplete(everywhere)) > 0 || slices.ContainsFunc(h.members(), func(s *stripe) bool { return s.sickness() != "" }) {
				return false
			}
		}
		return true
	})
	client = c.client(1)
	for n := range documents {
		d, err := client.Get(ctx, "s", fmt.Sprint(n))
		if want := fmt.Sprintf(`{"n":%d}`, n); err != nil || d.Patch != want {
			t.Errorf("document %d: %q, %v; want %q", n, d.Patch, err, want)
		}
		for i, h := range c.hosts {
			if _, err := h.store.Get(contract.Key{Space: "s", Key: fmt.Sprint(n)}); err != nil {
				t.Errorf("document %d on host %d: %v", n, i+1, err)
			}
		}
	}
	if err := client.Patch(ctx, "s", "1", []adapter.Update{{SeqBegin: 2, SeqEnd: 2, Redo: `{"n":-1}`, Undo: `{}`, UpdateType: "Internal"}}); err != nil {
		t.Errorf("a change afterwards: %v", err)
	}
}

var everywhere = []buckets.Range{{First: 0, Last: layout.Buckets - 1}}

// loseRows takes documents out of a store that nobody has open, and has it know that
// their buckets have lost rows, and not which.
func loseRows(t *testing.T, dir string, l *layout.Layout, lost []contract.Key) {
	t.Helper()
	s, err := buckets.Open(dir, buckets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	incomplete := map[layout.Bucket]bool{}
	for _, k := range lost {
		b := layout.BucketOf(k.Space, k.Key)
		incomplete[b] = true
		of, _ := l.StripeOf(b)
		r, err := s.Replica(of.Name, of.Birth)
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.Moment()
		if err != nil {
			t.Fatal(err)
		}
		d, err := m.Document(k)
		m.Close()
		if err != nil {
			t.Fatal(err)
		}
		if gone, err := r.Drop(k, d.Digest); err != nil || !gone {
			t.Fatalf("drop %v: %v, %v", k, gone, err)
		}
	}
	// Marks that cannot be read stand for all buckets.
	if err := errors.Join(s.Close(), os.WriteFile(filepath.Join(dir, "incomplete"), []byte("rubbish"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if s, err = buckets.Open(dir, buckets.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Quarantine(t.Context()); err != nil { // puts the lists right
		t.Fatal(err)
	}
	for _, of := range l.Stripes {
		r, err := s.Replica(of.Name, of.Birth)
		if err != nil {
			t.Fatal(err)
		}
		var whole []layout.Bucket
		for b := range layout.Bucket(layout.Buckets) {
			if carries, ok := l.StripeOf(b); ok && carries.Name == of.Name && !incomplete[b] {
				whole = append(whole, b)
			}
		}
		if left, err := r.ClearIncomplete(r.Compare(r.Survey(nil).Position), whole...); err != nil || len(left) > 0 {
			t.Fatalf("left %v: %v", left, err)
		}
	}
	if got := s.Incomplete(everywhere); len(got) != len(incomplete) {
		t.Fatalf("%d buckets are incomplete, not %d", len(got), len(incomplete))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
