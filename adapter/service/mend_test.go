package service

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/position"
	"trireme/internal/record"
)

// there is the document that stage.apply puts.
var there = contract.Key{Space: "s", Key: "there"}

// damagedStage is a stage whose store holds the document, with the row of one of its
// tables damaged, and what fetches a sound copy.
func damagedStage(t *testing.T, table byte, mend func(put func() error) error) (*stage, *atomic.Int64) {
	t.Helper()
	sound := newStage(t, func(*Service) {})
	t.Cleanup(func() { sound.close(time.Second) })
	sound.apply(t, "first")
	dir := t.TempDir()
	other, err := buckets.Open(dir, buckets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	(&stage{svc: &Service{Store: other}}).apply(t, "first")
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, table)
	store, err := buckets.Open(dir, buckets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	var calls atomic.Int64
	put := func() error { return copyDocument(sound.svc.Store, store) }
	return newStage(t, func(s *Service) {
		s.Store = store
		s.Mend = func(_ context.Context, k contract.Key) error {
			if calls.Add(1); k != there {
				t.Errorf("mends %v", k)
			}
			return mend(put)
		}
	}), &calls
}

// flip changes a bit of the first row of a table.
func flip(t *testing.T, dir string, table byte) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{table}, UpperBound: []byte{table + 1}})
	if err != nil {
		t.Fatal(err)
	}
	if !it.First() {
		t.Fatalf("no row in table %q", table)
	}
	key, value := bytes.Clone(it.Key()), bytes.Clone(it.Value())
	value[0] ^= 1
	if err := errors.Join(it.Close(), db.Set(key, value, pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// copyDocument does what repair does.
func copyDocument(from, to *buckets.Store) error {
	source, err := from.Replica("s1", 1)
	if err != nil {
		return err
	}
	moment, err := source.Moment()
	if err != nil {
		return err
	}
	defer moment.Close()
	image, err := moment.Image(there)
	if err != nil {
		return err
	}
	replica, err := to.Replica("s1", 1)
	if err != nil {
		return err
	}
	_, err = replica.Put([]buckets.Put{{Image: image, AsOf: position.Position{Birth: 1, Seq: moment.Applied().Seq}}})
	return err
}

const (
	getThere   = `{"space":"s","key":"there"}`
	patchThere = `{"space":"s","key":"there","patches":[{"seq_begin":2,"seq_end":2,"redo":"{}","undo":"{}"}]}`
)

func TestADamagedCopyIsMendedForARead(t *testing.T) {
	s, calls := damagedStage(t, 'e', func(put func() error) error { return put() })
	defer s.close(time.Second)
	for range 2 {
		sub := s.ask("get", getThere)
		p := s.puppet.take(t)
		p.Prepare(&record.Builder{})
		p.Done(nil)
		if got := s.code(sub); got != 0 {
			t.Fatalf("answered %d, want the document", got)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("mended %d times, want once", n)
	}
}

func TestADamagedCopyIsMendedForAWrite(t *testing.T) {
	s, calls := damagedStage(t, 'd', func(put func() error) error { return put() })
	defer s.close(time.Second)
	sub := s.ask("patch", patchThere)
	p := s.puppet.take(t)
	var b record.Builder
	if !p.Prepare(&b) || b.Len() != 0 {
		t.Fatalf("%d changes were decided on a damaged copy", b.Len())
	}
	p.Done(nil)
	p = s.puppet.take(t) // again, on the mended copy
	if !p.Prepare(&b) || b.Len() != 1 {
		t.Fatalf("%d changes are proposed, want 1", b.Len())
	}
	p.Done(nil)
	if got := s.code(sub); got != 0 {
		t.Errorf("answered %d", got)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("mended %d times, want once", n)
	}
}

func TestADamagedCopyThatStaysSoIsTold(t *testing.T) {
	for op, table := range map[string]byte{"get": 'e', "patch": 'd'} {
		for why, mend := range map[string]func(func() error) error{
			"nobody has a copy":      func(func() error) error { return errors.New("nobody has a sound copy") },
			"it is damaged again":    func(func() error) error { return nil },
			"what comes is too late": func(func() error) error { return context.DeadlineExceeded },
		} {
			t.Run(op+": "+why, func(t *testing.T) {
				s, calls := damagedStage(t, table, mend)
				defer s.close(time.Second)
				body := getThere
				if op == "patch" {
					body = patchThere
				}
				sub := s.ask(op, body)
				tries := 1 // by the owner
				if op == "patch" && why == "it is damaged again" {
					tries += mendTries
				}
				for range tries {
					var b record.Builder
					p := s.puppet.take(t)
					if p.Prepare(&b); b.Len() > 0 {
						t.Fatal("a change was decided on a damaged copy")
					}
					p.Done(nil)
				}
				if got := s.code(sub); got != contract.Damaged {
					t.Errorf("answered %d, want %d", got, contract.Damaged)
				}
				want := int64(1)
				if why == "it is damaged again" {
					want = mendTries
				}
				if n := calls.Load(); n != want {
					t.Errorf("mended %d times, want %d", n, want)
				}
			})
		}
	}
}

// What the end of the hold has answered is not tried again.
func TestTheHoldEndsWhileACopyIsMended(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	s, _ := damagedStage(t, 'd', func(put func() error) error {
		close(begun)
		<-goOn
		return put()
	})
	defer s.close(time.Second)
	sub := s.ask("patch", patchThere)
	p := s.puppet.take(t)
	p.Prepare(&record.Builder{})
	p.Done(nil)
	<-begun
	s.endHolds()
	if got := s.code(sub); got != contract.NoQuorum {
		t.Errorf("answered %d, want %d: nothing was handed to the log", got, contract.NoQuorum)
	}
	close(goOn)
	waitFor(t, "the request to leave", func() bool { n, _ := s.svc.InFlight(); return n == 0 })
	select {
	case <-s.puppet.came:
		t.Error("the change is proposed again after its answer")
	default:
	}
}
