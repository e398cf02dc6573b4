package adapter

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"trireme/adapter/internal/hint"
	"trireme/internal/contract"
	"trireme/internal/layout"
)

// Against a table of what was learned last.
func TestWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, twin := &ways{}, map[int]layout.PartitionID{}
		bucket := rapid.IntRange(0, layout.Buckets-1)
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			first := bucket.Draw(t, "first")
			p := layout.Partition{
				ID:    layout.PartitionID(rapid.IntRange(0, 3).Draw(t, "id")),
				First: layout.Bucket(first), Last: layout.Bucket(rapid.IntRange(first, min(first+20, layout.Buckets-1)).Draw(t, "last")),
			}
			if rapid.Bool().Draw(t, "learn") {
				w.learn(nats.Header{hint.Header: {hint.Format(p)}})
				for b := int(p.First); b <= int(p.Last); b++ {
					twin[b] = p.ID
				}
			} else if id, known := twin[first]; known {
				w.forget(layout.Bucket(first), id)
				alike := func(b int) bool { at, known := twin[b]; return known && at == id }
				for b := first - 1; alike(b); b-- {
					delete(twin, b)
				}
				for b := first; alike(b); b++ {
					delete(twin, b)
				}
			}
			for b := range layout.Buckets {
				id, ok := w.to(layout.Bucket(b))
				if want, known := twin[b]; ok != known || ok && id != want {
					t.Fatalf("bucket %d is in %v, %v; want %v, %v", b, id, ok, want, known)
				}
			}
		}
	})
}

func TestForget(t *testing.T) {
	w := &ways{}
	for _, p := range []layout.Partition{{ID: 1, First: 0, Last: 9}, {ID: 2, First: 10, Last: 19}, {ID: 1, First: 20, Last: 29}} {
		w.learn(nats.Header{hint.Header: {hint.Format(p)}})
	}
	w.forget(15, 2)
	w.forget(layout.Buckets-1, 1)
	for b, want := range map[layout.Bucket]bool{0: true, 9: true, 10: false, 15: false, 19: false, 20: true, 29: true, 30: false} {
		if _, known := w.to(b); known != want {
			t.Errorf("bucket %d is known: %v, want %v", b, known, want)
		}
	}
	for _, h := range []nats.Header{nil, {hint.Header: {"x"}}, {hint.Header: {"30 40-50", "30 40-50"}}, {hint.Header: {"4294967295 40-50"}}} {
		w.learn(h)
		if _, known := w.to(45); known {
			t.Errorf("%v was learned", h)
		}
	}
}

// everywhere is the hint that all documents are in partition 7.
const everywhere = "07 0-16383"

// byWay answers what comes to any host by one script, what comes to an owner by
// another.
func byWay(t *testing.T, toAny, toOwner []answer) (*fake, func() []string) {
	t.Helper()
	f := newFake(t)
	n := map[bool]int{}
	f.script = []answer{func(f *fake, m *nats.Msg) {
		direct := strings.HasPrefix(m.Subject, contract.SubjectPrefix+"p.")
		script := toAny
		if direct {
			script = toOwner
		}
		f.mu.Lock()
		next := script[min(n[direct], len(script)-1)]
		n[direct]++
		f.mu.Unlock()
		next(f, m)
	}}
	f.serve()
	return f, func() (subjects []string) {
		for _, m := range f.requests() {
			subjects = append(subjects, strings.TrimPrefix(m.Subject, contract.SubjectPrefix))
		}
		return subjects
	}
}

// A client goes straight to the owner once a host has told it the way, and asks any
// host again when that fails, at once and under the same id.
func TestDirect(t *testing.T) {
	taught := reply(`{}`, hint.Header, everywhere)
	for _, test := range []struct {
		name    string
		toOwner answer
	}{
		{"not the owner", refuse(contract.NoOwner)},
		{"deposed", refuse(contract.Deposed)},
		{"unknown", refuse(contract.OutcomeUnknown)},
		{"silent", drop},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, subjects := byWay(t, []answer{taught, reply(`{}`)}, []answer{reply(`{}`), test.toOwner})
			c := f.newClient(WithRetryWait(time.Hour, time.Hour)) // it does not wait
			c.retry.directTimeout = 200 * time.Millisecond
			for range 4 {
				if err := c.Patch(t.Context(), "s", "k", []Update{update(1, 1)}); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := subjects(), []string{"patch", "p.07.patch", "p.07.patch", "patch", "patch"}; !slices.Equal(got, want) {
				t.Errorf("asked %v, want %v", got, want)
			}
			if got := ids(f.requests()); got[2] != got[3] {
				t.Errorf("the resend has id %s, the first try %s", got[3], got[2])
			}
		})
	}
}

// Without anybody at the owner's subject the server says so at once.
func TestDirectToNobody(t *testing.T) {
	f := newFake(t)
	nc := f.connect()
	if _, err := nc.Subscribe(contract.SubjectPrefix+"*", func(m *nats.Msg) { reply(`{}`, hint.Header, everywhere)(f, m) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	c := f.newClient(WithRetryWait(time.Hour, time.Hour))
	for range 3 {
		if _, err := c.Get(t.Context(), "s", "k"); err != nil {
			t.Fatal(err)
		}
	}
}

// Who is asked directly and says that he is not the owner may not have been the
// only one to be asked.
func TestDirectIsNotKnownToHaveDoneNothing(t *testing.T) {
	for _, test := range []struct {
		name    string
		toOwner answer
		unknown bool
	}{
		{"not the owner", refuse(contract.NoOwner), true},
		{"silent", drop, true},
		{"no quorum", refuse(contract.NoQuorum), false},
		{"overloaded", refuse(contract.Overloaded), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, _ := byWay(t, []answer{reply(`{}`, hint.Header, everywhere), refuse(contract.NoOwner)}, []answer{test.toOwner})
			c := f.newClient(WithTimeout(400*time.Millisecond), WithRetryWait(time.Hour, time.Hour))
			c.retry.directTimeout = 100 * time.Millisecond
			if err := c.Patch(t.Context(), "s", "k", []Update{update(1, 1)}); err != nil {
				t.Fatal(err)
			}
			err := c.Patch(t.Context(), "s", "k", []Update{update(1, 1)})
			if err == nil || errors.Is(err, ErrOutcomeUnknown) != test.unknown {
				t.Errorf("got %v; outcome unknown should be %v", err, test.unknown)
			}
		})
	}
}

// What is not for the owner goes to any host, or the one that was named.
func TestNotDirect(t *testing.T) {
	f, subjects := byWay(t, []answer{reply(`{}`, hint.Header, everywhere)}, []answer{refuse(contract.NoOwner)})
	c := f.newClient()
	for _, call := range []func() error{
		func() error { _, err := c.Get(t.Context(), "s", "k", Local()); return err },
		func() error { _, err := c.Get(t.Context(), "s", "k", FromHost("h2")); return err },
		func() error { _, err := c.Locate(t.Context(), "s", "k"); return err },
		func() error { _, err := Collect(c.Deleting(t.Context())); return err },
	} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := subjects(), []string{"get", "h.h2.get", "locate", "deleting"}; !slices.Equal(got, want) {
		t.Errorf("asked %v, want %v", got, want)
	}
}
