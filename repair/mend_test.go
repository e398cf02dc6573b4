package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/position"
)

func damagedRead(t testing.TB, m *simMember, k contract.Key) {
	t.Helper()
	if _, err := m.store.Get(k); contract.CodeOf(err) != contract.Damaged {
		t.Fatalf("read: %v", err)
	}
}

// A request that meets a damaged copy waits for one fetch, and so do those beside it,
// through a pause and whatever the rate is.
func TestMendForRequests(t *testing.T) {
	s, m := three(t, 300)
	k := simKey(42)
	m.reopen(func(db *pebble.DB) { flipRow(t, db, 'e', k.Key) })
	damagedRead(t, m, k)
	if err := errors.Join(m.r.Pause(time.Hour), m.r.SetRate(1)); err != nil {
		t.Fatal(err)
	}
	n := m.counted(nil)
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if err := m.r.Mend(t.Context(), k); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n.Load() != 1 {
		t.Errorf("it was fetched %d times", n.Load())
	}
	if _, err := m.store.Get(k); err != nil {
		t.Errorf("read: %v", err)
	}
	if got := happened[Mended](m); len(got) == 0 || got[0].Err != nil || got[0].From == "" || got[0].Key != k {
		t.Errorf("told %+v", got)
	}
	if got := m.r.Status(); got.Counters.Pulled["read"] != 1 || got.Counters.Verdicts["corruption"] != 1 || got.Damaged != 0 {
		t.Errorf("%+v", got)
	}
	s.same(s.members...)
}

// With the document damaged on two of three, the third has the good copy. With none
// good the answer is loud, and others are served.
func TestMendFromTheLastGoodCopy(t *testing.T) {
	s, m := three(t, 300)
	k := simKey(42)
	for _, o := range s.members[:2] {
		o.reopen(func(db *pebble.DB) { flipRow(t, db, 'e', k.Key) })
	}
	damagedRead(t, m, k)
	if err := m.r.Mend(t.Context(), k); err != nil {
		t.Errorf("one good copy is left: %v", err)
	}
	for _, o := range []*simMember{m, s.members[2]} { // the second one is damaged still
		o.reopen(func(db *pebble.DB) { flipRow(t, db, 'e', k.Key) })
	}
	damagedRead(t, m, k)
	err := m.r.Mend(t.Context(), k)
	if !errors.Is(err, ErrUndecided) {
		t.Errorf("no good copy is left: %v", err)
	}
	damagedRead(t, m, k)
	if _, err := m.store.Get(simKey(43)); err != nil {
		t.Errorf("another document: %v", err)
	}
	if err := m.r.Mend(t.Context(), simKey(43)); err != nil {
		t.Errorf("a document that is whole: %v", err)
	}
}

// A document that changes all the time is mended all the same, and has every change.
func TestMendOfADocumentThatChanges(t *testing.T) {
	s, m := three(t, 300)
	m.pauses = slices.Repeat([]time.Duration{10 * time.Millisecond}, 2000) // as long as it takes the others
	k := simKey(42)
	for _, table := range "de" {
		m.reopen(func(db *pebble.DB) { flipRow(t, db, byte(table), k.Key) })
		stop, ended := make(chan struct{}), make(chan struct{})
		end := sync.OnceFunc(func() { close(stop); <-ended })
		t.Cleanup(end) // BEFORE the stores close, also when the test fails
		go func() {
			defer close(ended)
			// Not as fast as the machine can: a slow one would never get to look.
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				s.log.batch(s.log.edit(k, 10))
				s.feed(s.members[i%3], s.members[(i+1)%3])
			}
		}()
		until(t, "mended", func() bool {
			err := m.r.Mend(t.Context(), k)
			if err != nil && !errors.Is(err, ErrUndecided) && !strings.Contains(err.Error(), "took longer") {
				t.Fatalf("table %c: %v", table, err)
			}
			return err == nil
		})
		end()
		s.feedAll()
		m.round()
		s.same(s.members...)
	}
}

func TestMendIsBounded(t *testing.T) {
	s, m := three(t, 300)
	k := simKey(42)
	m.reopen(func(db *pebble.DB) { flipRow(t, db, 'e', k.Key) })
	m.stop()
	hang := make(chan struct{})
	var fault atomic.Pointer[func() error] // a mending goes on behind the request that has gone
	none := func() error { return nil }
	silent := func() error { <-hang; return ErrUnreachable }
	nobody := func() error { return fmt.Errorf("h: %w", ErrUnreachable) }
	fault.Store(&silent)
	m.peers.fault = func(string, string) error { return (*fault.Load())() }
	m.start(Config{MendTimeout: 2 * time.Second})
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	cancel(gone)
	if err := m.r.Mend(ctx, k); !errors.Is(err, gone) {
		t.Errorf("the request's own end: %v", err)
	}
	close(hang)
	fault.Store(&nobody)
	if err := m.r.Mend(t.Context(), k); err == nil {
		t.Error("mended by nobody")
	}
	fault.Store(&none)
	if err := m.r.Mend(t.Context(), k); err != nil {
		t.Error(err)
	}
	m.setSick("for a test")
	if err := m.r.Mend(t.Context(), k); !errors.Is(err, ErrNothingHere) {
		t.Errorf("in a sick stripe: %v", err)
	}
	s.same(s.members[1:]...)
}

// A copy that most members say was deleted, and of which nothing whole is left, goes.
func TestMendOfWhatNobodyHas(t *testing.T) {
	s, m := three(t, 300)
	k := simKey(42)
	old := m.image(k)
	s.log.batch(s.log.remove(k))
	s.feedAll()
	s.release(position.Position{Birth: 1, Seq: s.log.seq()})
	s.feedAll()
	if r, err := m.replica().Put([]buckets.Put{{Image: old, AsOf: position.Position{Birth: 1, Seq: 1 << 40}}}); err != nil || r.Taken != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	m.reopen(func(db *pebble.DB) { flipRow(t, db, 'e', k.Key) })
	damagedRead(t, m, k)
	if err := m.r.Mend(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if _, err := m.store.Get(k); contract.CodeOf(err) != contract.NotFound {
		t.Errorf("read: %v", err)
	}
	if m.r.Status().Counters.Dropped != 1 || len(happened[Dropped](m)) != 1 {
		t.Errorf("%+v", m.r.Status().Counters)
	}
	s.same(s.members...)
}
