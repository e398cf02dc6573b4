package streams

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/position"
	"trireme/internal/record"
)

// horizons are those of the releases that a log holds, in order.
func horizons(t testing.TB, log Stream) []position.Position {
	t.Helper()
	st, err := log.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list []position.Position
	err = log.Read(t.Context(), st.First, st.Last, func(_ uint64, body []byte) error {
		r, err := record.Parse(body)
		if r.Kind == record.Release {
			list = append(list, r.Horizon)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A release goes alone, in its turn, under the epoch and the chain.
func TestReleaseIsARecordOfItsOwn(t *testing.T) {
	l, m := newFakeLog(), newMachine()
	hold, entered := make(chan struct{}), make(chan struct{}, 10)
	cfg := ownerConfig()
	cfg.Listener = func(e Event) {
		if _, ok := e.(Committed); ok {
			entered <- struct{}{}
			<-hold // while the first is on its way the others gather
		}
	}
	o := startOwner(t, l, m, cfg)
	var rs []*request
	add := func(key string) {
		r := newRequest(key)
		rs = append(rs, r)
		if err := o.Submit(r, 64); err != nil {
			t.Fatal(err)
		}
	}
	add("first")
	<-entered
	add("a")
	add("b")
	released := make(chan error, 1)
	go func() { released <- o.Release(t.Context(), epochOf(1, 2)) }()
	eventually(t, "the release waits", func() bool { return o.Status().Queued == 3 })
	add("c")
	add("")
	close(hold)
	for _, r := range rs {
		if err := r.wait(t); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-released; err != nil {
		t.Fatal(err)
	}
	closeOwner(t, o)
	var got []string
	for _, body := range l.records {
		r, err := record.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind != record.Claim && r.Epoch != epochOf(1, 1) {
			t.Errorf("a record is of epoch %v", r.Epoch)
		}
		got = append(got, fmt.Sprintf("%d/%d", r.Kind, len(r.Changes)))
	}
	if want := "[2/0 1/1 1/2 3/0 1/1]"; fmt.Sprint(got) != want {
		t.Errorf("kinds and changes %v, want %v", got, want)
	}
	if keys := readAll(t, l); len(keys) != 4 { // and that the chain holds
		t.Errorf("the log has %v", keys)
	}
	if m.skipped != 0 || !slices.Equal(m.released, []position.Position{epochOf(1, 2)}) {
		t.Errorf("skipped %d, released %v", m.skipped, m.released)
	}
}

func TestReleaseRefusesWhatIsNoHorizon(t *testing.T) {
	o := startOwner(t, newFakeLog(), newMachine(), ownerConfig())
	for _, h := range []position.Position{{}, {Birth: 1}, {Birth: 2, Seq: 1}, {Birth: 1, Seq: 2}} {
		if err := o.Release(t.Context(), h); err == nil || contract.CodeOf(err) != 0 {
			t.Errorf("released up to %v: %v", h, err)
		}
	}
	if err := o.Release(t.Context(), epochOf(1, 1)); err != nil {
		t.Error(err)
	}
}

func TestReleaseIsToldWhy(t *testing.T) {
	l := newFakeLog()
	var may, fuller atomic.Bool
	may.Store(true)
	cfg := ownerConfig()
	cfg.MayClaim = may.Load
	cfg.Admit = func(int) error {
		if fuller.Load() {
			return errors.New("the disk is full")
		}
		return nil
	}
	o := startOwner(t, l, newMachine(), cfg)
	release := func() error { return o.Release(t.Context(), epochOf(1, 1)) }
	fuller.Store(true)
	wantIs(t, release(), contract.Errorf(contract.BufferFull, ""))
	fuller.Store(false)
	l.setScript(func([]byte) verdict { return verdict{kind: "full"} })
	wantIs(t, release(), contract.Errorf(contract.BufferFull, ""))
	ctx, cancel := context.WithCancel(t.Context())
	l.setScript(func([]byte) verdict { cancel(); return verdict{kind: "undelivered"} })
	wantIs(t, o.Release(ctx, epochOf(1, 1)), context.Canceled)
	l.setScript(nil)
	if err := release(); err != nil { // and the one given up came in
		t.Fatal(err)
	}
	if n := len(horizons(t, l)); n != 2 {
		t.Errorf("%d releases, want 2", n)
	}
	may.Store(false)
	o.Poke()
	eventually(t, "it is deposed", func() bool { return o.Status().Phase == Waiting })
	wantIs(t, release(), ErrNotOwner)
	closeOwner(t, o)
	wantIs(t, release(), ErrClosed)
}

// Whatever the network does to the appends of two owners, a release that was told
// to be in the log is there, once, and one that was refused is not.
func TestEveryFateOfAReleaseIsTold(t *testing.T) {
	kinds := []string{"ok", "ok", "ok", "undelivered", "full", "unknown-stored", "unknown-lost", "unknown-late"}
	const each, clients = 6, 4
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		left := rapid.IntRange(0, 100).Draw(rt, "trouble")
		l := newFakeLog()
		rng := rand.New(rand.NewPCG(seed, 0))
		owners, machines := [2]*Owner{}, [2]*machine{}
		for i := range owners {
			machines[i] = newMachine()
			machines[i].setDurable(0) // nothing is trimmed: all of the log is looked at below
			cfg := ownerConfig()
			cfg.Host, cfg.BatchProposals = fmt.Sprint("h", i), 4
			owners[i] = startOwner(t, l, machines[i], cfg)
		}
		for i := range clients * each { // so that there is something to release
			if err := submit(t, owners[0], fmt.Sprint("before", i)); err != nil {
				rt.Fatal(err)
			}
		}
		if err := submit(t, owners[1], ""); err != nil { // it has seen them too
			rt.Fatal(err)
		}
		l.setScript(func([]byte) verdict {
			if left--; left < 0 {
				return verdict{kind: "ok"}
			}
			return verdict{kind: kinds[rng.IntN(len(kinds))], delay: 1 + rng.IntN(8)}
		})
		var wg sync.WaitGroup
		var mu sync.Mutex
		results := map[position.Position]error{}
		for c := range clients {
			wg.Go(func() {
				for i := range each {
					h := epochOf(1, uint64(1+c*each+i))
					err := owners[c%2].Release(t.Context(), h)
					mu.Lock()
					results[h] = err
					mu.Unlock()
					if err := submit(t, owners[c%2], fmt.Sprint(c, "-", i)); err != nil && contract.CodeOf(err) != contract.BufferFull {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for _, o := range owners {
			closeOwner(t, o)
		}
		got := map[position.Position]int{}
		for _, h := range horizons(t, l) {
			got[h]++
		}
		for h, err := range results {
			want := 1
			if contract.CodeOf(err) == contract.BufferFull {
				want = 0
			} else if err != nil {
				rt.Fatalf("%v: %v", h, err)
			}
			if got[h] != want {
				rt.Fatalf("%v was told %v and is %d times in the log", h, err, got[h])
			}
		}
		for i, m := range machines {
			if err := CatchUp(context.Background(), l, m, nil); err != nil {
				rt.Fatal(err)
			}
			if m.skipped != 0 || !slices.Equal(m.released, horizons(t, l)) {
				rt.Fatalf("host %d: skipped %d, released %v", i, m.skipped, m.released)
			}
		}
	})
}

// On a real stream: a follower takes a release from the tail, and one of a deposed
// owner is fenced off and comes in under its next epoch.
func TestReleaseOnAStream(t *testing.T) {
	s := startServer(t)
	l := createLog(t, s, testConfig())
	tail := make(chan Record, 100)
	followed, m := newMachine(), newMachine()
	follower := ownerConfig()
	follower.MayClaim, follower.Tail, follower.Host = never, tail, "h2"
	f := startOwner(t, createLog(t, s, testConfig()), followed, follower)
	cfg := ownerConfig()
	cfg.Broadcast = func(seq uint64, body []byte) { tail <- Record{Seq: seq, Body: body} }
	o := startOwner(t, l, m, cfg)
	if err := submit(t, o, "k"); err != nil {
		t.Fatal(err)
	}
	if err := o.Release(t.Context(), epochOf(1, 2)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the follower has it", func() bool { return f.Status().Applied == m.Applied() })
	if !slices.Equal(followed.released, []position.Position{epochOf(1, 2)}) {
		t.Fatalf("the follower has released %v", followed.released)
	}

	rival := ownerConfig()
	rival.Host = "h3"
	r := startOwner(t, createLog(t, s, testConfig()), newMachine(), rival)
	if err := submit(t, r, "k2"); err != nil {
		t.Fatal(err)
	}
	closeOwner(t, r)
	if err := o.Release(t.Context(), epochOf(1, 3)); err != nil { // its first try is refused
		t.Fatal(err)
	}
	if m.skipped != 0 || fmt.Sprint(m.claims) != "[h1 h3 h1]" || !slices.Equal(m.released, []position.Position{epochOf(1, 2), epochOf(1, 3)}) {
		t.Fatalf("skipped %d, claims %v, released %v", m.skipped, m.claims, m.released)
	}
	closeOwner(t, o)
	closeOwner(t, f)
	if got := readAll(t, createLog(t, s, testConfig())); fmt.Sprint(got) != "map[k:1 k2:1]" {
		t.Fatalf("the log has %v", got)
	}
}
