package streams

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/digest"
)

func TestOwnerServesAndComesBack(t *testing.T) {
	s := startServer(t)
	l := createLog(t, s, testConfig())
	m := newMachine()
	o := startOwner(t, l, m, ownerConfig())
	st := o.Status()
	if st.Phase != Serving || st.Epoch != epochOf(1, 1) || st.Applied.Seq != 1 || st.Applied.Epoch != st.Epoch {
		t.Fatalf("%+v", st)
	}
	for i := range 10 {
		if err := submit(t, o, fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		}
		if m.count[fmt.Sprint("k", i)] != 1 {
			t.Fatal("answered before it was applied")
		}
	}
	if err := submit(t, o, ""); err != nil { // a read waits for a barrier
		t.Fatal(err)
	}
	if at := m.Applied(); at.Seq != 12 {
		t.Fatalf("applied %d, want a claim, ten batches and a barrier", at.Seq)
	}
	closeOwner(t, o)
	wantIs(t, o.Submit(newRequest("late"), 1), ErrClosed)
	if err := o.Start(t.Context()); err == nil {
		t.Fatal("it started twice")
	}

	// The same machine goes on, an empty one catches up.
	fresh := newMachine()
	for _, m := range []*machine{m, fresh} {
		var last Progress
		cfg := ownerConfig()
		cfg.Progress = func(p Progress) { last = p }
		o := startOwner(t, l, m, cfg)
		if o.Status().Applied != m.Applied() {
			t.Fatal("status and machine differ")
		}
		if m == fresh && (last.Records != 13 || last.Applied != 13 || last.Last != 13 || last.Bytes == 0) {
			t.Fatalf("progress %+v", last)
		}
		closeOwner(t, o)
	}
	if fmt.Sprint(fresh.count) != fmt.Sprint(m.count) || fresh.at.Seq != 14 {
		t.Fatal("the machines differ")
	}
	if err := CatchUp(t.Context(), l, m, nil); err != nil || m.Applied() != fresh.Applied() {
		t.Fatal(err)
	}
}

func TestGroupCommit(t *testing.T) {
	l, m := newFakeLog(), newMachine()
	entered, hold := make(chan struct{}, 10), make(chan struct{})
	var batches []Committed
	cfg := ownerConfig()
	cfg.BatchBytes, cfg.BatchProposals = 1000, 50
	cfg.Listener = func(e Event) {
		if c, ok := e.(Committed); ok {
			batches = append(batches, c)
			entered <- struct{}{}
			<-hold // while the first is on its way the others gather
		}
	}
	o := startOwner(t, l, m, cfg)
	var rs []*request
	add := func(key string, size int) {
		r := newRequest(key)
		r.data = strings.Repeat("x", size)
		rs = append(rs, r)
		if err := o.Submit(r, size+30); err != nil {
			t.Fatal(err)
		}
	}
	add("first", 10)
	select {
	case <-entered: // its batch is closed
	case <-time.After(deadline):
		t.Fatal("the first is not committed")
	}
	for i := range 60 {
		add("", 0)
		if i == 20 {
			add("large", 5000)
		}
	}
	add("after", 10)
	close(hold)
	for _, r := range rs {
		if err := r.wait(t); err != nil {
			t.Fatal(err)
		}
	}
	closeOwner(t, o)
	// 1; then 21 reads, the large one and nothing more; then what is left.
	var got []string
	for _, b := range batches {
		got = append(got, fmt.Sprintf("%d/%d", b.Proposals, b.Changes))
	}
	if want := "[1/1 22/1 40/1]"; fmt.Sprint(got) != want {
		t.Fatalf("batches %v, want %v", got, want)
	}
}

func TestQueueIsBounded(t *testing.T) {
	l := newFakeLog()
	cfg := ownerConfig()
	cfg.QueueProposals, cfg.QueueBytes = 5, 1010
	o := startOwner(t, l, newMachine(), cfg)
	l.setScript(func([]byte) verdict { return verdict{kind: "undelivered"} })
	doubt := newRequest("first")
	if err := o.Submit(doubt, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the owner cannot write", func() bool { return o.Status().Phase == Claiming })
	sizes := []int{100, 800, 200, 100, 1, 1, 1, 1} // the third is too large, for the last three there is no place
	rs := []*request{doubt}
	for i, n := range sizes {
		r := newRequest("k")
		switch err := o.Submit(r, n); {
		case i == 2 || i > 4:
			wantIs(t, err, ErrOverloaded)
			wantIs(t, err, contract.Errorf(contract.Overloaded, ""))
		case err != nil:
			t.Fatal(i, err)
		default:
			rs = append(rs, r)
		}
	}
	if st := o.Status(); st.Queued != 5 || st.QueuedBytes != 1001 {
		t.Fatalf("%+v", st)
	}
	closeOwner(t, o)
	for _, r := range rs {
		wantIs(t, r.wait(t), contract.Errorf(contract.NoOwner, ""))
	}
}

// A log that ends before the store, or holds something else, is refused and
// stays as it is.
func TestStoreAndLogMustBelongTogether(t *testing.T) {
	s := startServer(t)
	l := createLog(t, s, testConfig())
	ahead := newMachine()
	o := startOwner(t, l, ahead, ownerConfig())
	if err := submit(t, o, "k"); err != nil {
		t.Fatal(err)
	}
	closeOwner(t, o)

	refused := func(name string, m *machine, want error, text string) {
		t.Helper()
		before, _ := l.State(t.Context())
		at := m.Applied()
		for _, err := range []error{
			CatchUp(t.Context(), l, m, nil),
			func() error {
				o, err := NewOwner(l, m, ownerConfig())
				if err != nil {
					t.Fatal(err)
				}
				err = o.Start(t.Context())
				wantIs(t, o.Submit(newRequest("k"), 1), ErrClosed)
				return err
			}(),
		} {
			if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if after, _ := l.State(t.Context()); after != before || m.Applied() != at {
			t.Fatalf("%s: the log went from %+v to %+v", name, before, after)
		}
	}
	far := newMachine()
	far.at = ahead.at
	far.at.Seq = 9
	refused("behind", far, ErrBehindStore, "last sequence is 2, the store has applied 9; nothing was overwritten")
	other := newMachine()
	other.at = ahead.at
	other.at.Chain = digest.Chain{1}
	refused("foreign", other, ErrForeign, "nothing was overwritten")

	fill(t, l, 1, 10) // not a record
	refused("junk", newMachineAt(ahead), ErrApply, "apply record 3")
	if err := l.Trim(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	refused("trimmed", newMachine(), ErrTrimmed, "sequence 1 is wanted, it begins at 3")
}

func newMachineAt(o *machine) *machine {
	m := newMachine()
	m.at = o.at
	return m
}

// While a leader may still be telling old news, a log that seems behind is asked
// again.
func TestGrace(t *testing.T) {
	l := newFakeLog()
	o := startOwner(t, l, newMachine(), ownerConfig())
	if err := submit(t, o, "k"); err != nil {
		t.Fatal(err)
	}
	closeOwner(t, o)
	m := newMachine()
	if err := CatchUp(t.Context(), l, m, nil); err != nil {
		t.Fatal(err)
	}
	short := &shortLog{fakeLog: l}
	cfg := ownerConfig()
	cfg.Grace = deadline
	startOwner(t, short, m, cfg)
	if n := short.asked.Load(); n < 4 {
		t.Fatalf("asked %d times", n)
	}
}

// A shortLog tells old news three times.
type shortLog struct {
	*fakeLog
	asked atomic.Int32
}

func (l *shortLog) State(ctx context.Context) (LogState, error) {
	st, err := l.fakeLog.State(ctx)
	if l.asked.Add(1) <= 3 {
		st.Last = 0
	}
	return st, err
}

// Two hosts fight for one log: its history is one line, and what was told to
// the requests is true.
func TestClaimsFenceADeposedOwner(t *testing.T) {
	s := startServer(t)
	const hosts, clients, each = 2, 8, 40
	var owners [hosts]*Owner
	var machines [hosts]*machine
	var claimed [hosts]atomic.Int32
	createLog(t, s, testConfig())
	for i := range owners {
		machines[i] = newMachine()
		machines[i].setDurable(0)
		cfg := ownerConfig()
		cfg.Host = fmt.Sprint("h", i+1)
		cfg.TrimEvery = time.Millisecond // so that each hears of the other's records out of turn
		cfg.Listener = func(e Event) {
			if _, ok := e.(Claimed); ok {
				claimed[i].Add(1)
			}
		}
		owners[i] = startOwner(t, createLog(t, s, testConfig()), machines[i], cfg)
	}
	var wg sync.WaitGroup
	told := make(chan string, hosts*clients*each)
	for h, o := range owners {
		for c := range clients {
			wg.Go(func() {
				for i := range each {
					key := fmt.Sprintf("h%d-c%d-%d", h, c, i)
					if err := submit(t, o, key); err != nil {
						t.Errorf("%s: %v", key, err)
						return
					}
					told <- key
				}
			})
		}
	}
	wg.Wait()
	close(told)
	for _, o := range owners {
		closeOwner(t, o)
	}
	keys := readAll(t, createLog(t, s, testConfig()))
	n := 0
	for key := range told {
		if n++; keys[key] != 1 {
			t.Errorf("%s is %d times in the log", key, keys[key])
		}
	}
	if n != hosts*clients*each || len(keys) != n {
		t.Errorf("%d were told, %d are in the log, want %d", n, len(keys), hosts*clients*each)
	}
	for i, m := range machines {
		if m.skipped != 0 {
			t.Errorf("host %d skipped %d batches of older epochs: the fence has a hole", i, m.skipped)
		}
		if claimed[i].Load() < 2 {
			t.Logf("host %d claimed %d times only", i, claimed[i].Load())
		}
	}
}

// An owner appends after what it has applied, whatever it has heard of the log.
func TestOwnerExpectsWhatItHasApplied(t *testing.T) {
	l, m := newFakeLog(), newMachine()
	var lost []error // of the loop alone
	cfg := ownerConfig()
	cfg.Listener = func(e Event) {
		if x, ok := e.(Lost); ok {
			lost = append(lost, x.Err)
		}
	}
	o := startOwner(t, l, m, cfg)
	if _, err := l.Append(t.Context(), 1, claimRecord(m.Applied(), 0, &OwnerConfig{Host: "h2", Boot: "b", Layout: func() int { return 0 }})); err != nil {
		t.Fatal(err)
	}
	if err := o.trim(t.Context(), false); err != nil { // hears of record 2
		t.Fatal(err)
	}
	if last := o.Status().Log.Last; last != 2 {
		t.Fatal(last)
	}
	if err := submit(t, o, "k"); err != nil {
		t.Fatal(err)
	}
	closeOwner(t, o)
	if fmt.Sprint(lost) != fmt.Sprint([]error{&RefusedError{Expected: 1, Last: 2}}) || fmt.Sprint(m.claims) != "[h1 h2 h1]" || m.count["k"] != 1 {
		t.Fatalf("lost %v, claims %v, applied %v", lost, m.claims, m.count)
	}
}

// Whatever the network does to an append, each request is told the truth.
func TestEveryFateIsTold(t *testing.T) {
	kinds := []string{"ok", "ok", "ok", "undelivered", "full", "unknown-stored", "unknown-lost", "unknown-late"}
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		hosts := rapid.IntRange(1, 2).Draw(rt, "hosts")
		trouble := rapid.IntRange(0, 200).Draw(rt, "trouble")
		l := newFakeLog()
		rng := rand.New(rand.NewPCG(seed, 0))
		left := trouble
		l.script = func([]byte) verdict { // under the log's lock
			if left--; left < 0 {
				return verdict{kind: "ok"}
			}
			return verdict{kind: kinds[rng.IntN(len(kinds))], delay: 1 + rng.IntN(8)}
		}
		owners := make([]*Owner, hosts)
		machines := make([]*machine, hosts)
		for i := range owners {
			machines[i] = newMachine()
			machines[i].setDurable(0) // a full log asks for a trim, and the whole history is looked at below
			cfg := ownerConfig()
			cfg.Host = fmt.Sprint("h", i)
			cfg.BackoffMin, cfg.BackoffMax = time.Microsecond, time.Microsecond
			cfg.BatchProposals = 4
			owners[i] = startOwner(t, l, machines[i], cfg)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		results := map[string]error{}
		for c := range 8 {
			wg.Go(func() {
				for i := range 10 {
					key := fmt.Sprintf("c%d-%d", c, i)
					if i%3 == 2 {
						key = ""
					}
					err := submit(t, owners[c%hosts], key)
					mu.Lock()
					if key != "" {
						results[key] = err
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for _, o := range owners {
			closeOwner(t, o)
		}
		keys := readAll(t, l)
		for key, err := range results {
			want := 0
			if err == nil {
				want = 1
			} else if contract.CodeOf(err) != contract.BufferFull {
				rt.Fatalf("%s: %v", key, err)
			}
			if keys[key] != want {
				rt.Fatalf("%s was told %v and is %d times in the log", key, err, keys[key])
			}
		}
		for i, m := range machines {
			if err := CatchUp(context.Background(), l, m, nil); err != nil {
				rt.Fatal(err)
			}
			if m.skipped != 0 || fmt.Sprint(m.count) != fmt.Sprint(keys) {
				rt.Fatalf("host %d: skipped %d, applied %v, the log has %v", i, m.skipped, m.count, keys)
			}
		}
	})
}

// A lost acknowledgement, on a real stream, both ways.
func TestLostAcknowledgement(t *testing.T) {
	s := startServer(t)
	l := createLog(t, s, testConfig())
	deaf := &deafLog{Log: l}
	m := newMachine()
	var lost atomic.Int32
	cfg := ownerConfig()
	cfg.Listener = func(e Event) {
		if _, ok := e.(Lost); ok {
			lost.Add(1)
		}
	}
	o := startOwner(t, deaf, m, cfg)
	want := map[string]int{}
	for i := range 20 {
		eventually(t, "it serves again", func() bool { return o.Status().Phase == Serving })
		deaf.next.Store(int32(1 + i%2)) // stored, or not
		key := fmt.Sprint("k", i)
		if err := submit(t, o, key); err != nil {
			t.Fatal(err)
		}
		want[key] = 1
	}
	closeOwner(t, o)
	if got := readAll(t, l); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("the log has %v", got)
	}
	if fmt.Sprint(m.count) != fmt.Sprint(want) || lost.Load() != 20 {
		t.Fatalf("applied %v, lost %d times", m.count, lost.Load())
	}
}

// A deafLog loses the acknowledgement of an append, or the append.
type deafLog struct {
	*Log
	next atomic.Int32
}

func (l *deafLog) Append(ctx context.Context, expected uint64, body []byte) (uint64, error) {
	switch l.next.Swap(0) {
	case 1:
		if _, err := l.Log.Append(ctx, expected, body); err != nil {
			return 0, err
		}
		return 0, ErrUnknown
	case 2:
		return 0, ErrUnknown
	}
	return l.Log.Append(ctx, expected, body)
}

// While nothing commits, requests are answered within the hold: those that were
// never sent with a no, the one that was sent with "unknown".
func TestHoldIsBounded(t *testing.T) {
	l := newFakeLog()
	cfg := ownerConfig()
	cfg.Hold = 50 * time.Millisecond
	o := startOwner(t, l, newMachine(), cfg)
	l.setScript(func([]byte) verdict { return verdict{kind: "unknown-lost"} })
	first := newRequest("first")
	if err := o.Submit(first, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the owner is in doubt", func() bool { return o.Status().Phase == Claiming })
	second := newRequest("second")
	if err := o.Submit(second, 1); err != nil {
		t.Fatal(err)
	}
	wantIs(t, first.wait(t), contract.Errorf(contract.OutcomeUnknown, ""))
	wantIs(t, second.wait(t), contract.Errorf(contract.NoQuorum, ""))
	l.setScript(nil)
	if err := submit(t, o, "third"); err != nil {
		t.Fatal(err)
	}
	closeOwner(t, o)
	if got := readAll(t, l); fmt.Sprint(got) != "map[third:1]" {
		t.Fatalf("the log has %v", got)
	}
}

func TestBackPressure(t *testing.T) {
	s := startServer(t)
	c := testConfig()
	c.MaxBytes = 1 << 20
	l := createLog(t, s, c)
	m := newMachine()
	m.setDurable(1)
	cfg := ownerConfig()
	cfg.TrimEvery = time.Hour // only what pressure asks for
	var trimmed atomic.Int64
	cfg.Listener = func(e Event) {
		if x, ok := e.(Trimmed); ok {
			trimmed.Store(int64(x.Below))
		}
	}
	o := startOwner(t, l, m, cfg)
	write := func() error {
		r := newRequest("k")
		r.data = strings.Repeat("x", 40<<10)
		if err := o.Submit(r, 40<<10); err != nil {
			t.Fatal(err)
		}
		return r.wait(t)
	}
	n := 0
	var err error
	for err == nil && n < 100 {
		err = write()
		n++
	}
	wantIs(t, err, contract.Errorf(contract.BufferFull, ""))
	if n < 20 || n > 26 { // 90 % of 1 MiB is 23.6 such records
		t.Fatalf("refused after %d", n)
	}
	if err := submit(t, o, ""); err != nil { // reads go on
		t.Fatal(err)
	}
	if o.Status().Phase != Serving || trimmed.Load() != 0 {
		t.Fatal("the ownership was lost, or something trimmed")
	}
	m.setDurable(10)
	eventually(t, "there is room again", func() bool { return write() == nil })
	if trimmed.Load() != 10 {
		t.Fatalf("trimmed below %d", trimmed.Load())
	}
	if st, err := l.State(t.Context()); err != nil || st.First != 10 {
		t.Fatal(st, err)
	}
}

// A log that is full to the brim refuses even barriers; the owner stays.
func TestFullLog(t *testing.T) {
	l, m := newFakeLog(), newMachine()
	o := startOwner(t, l, m, ownerConfig())
	l.setScript(func([]byte) verdict { return verdict{kind: "full"} })
	wantIs(t, submit(t, o, "k"), contract.Errorf(contract.BufferFull, ""))
	wantIs(t, submit(t, o, ""), contract.Errorf(contract.BufferFull, ""))
	// A read in the batch of a refused write gets its barrier.
	n := 0
	l.setScript(func([]byte) verdict {
		if n++; n == 1 {
			return verdict{kind: "full"}
		}
		return verdict{kind: "ok"}
	})
	o.mu.Lock() // both into one batch
	w, r := newRequest("k"), newRequest("")
	o.queue.push(&item{p: w, size: 1, at: time.Now()})
	o.queue.push(&item{p: r, size: 1, at: time.Now()})
	o.mu.Unlock()
	signal(o.wake)
	wantIs(t, w.wait(t), contract.Errorf(contract.BufferFull, ""))
	if err := r.wait(t); err != nil {
		t.Fatal(err)
	}
	if o.Status().Epoch != epochOf(1, 1) {
		t.Fatal("the ownership was lost")
	}
	if r.prep != 1 {
		t.Fatal("the read was prepared again")
	}
}

func TestAdmit(t *testing.T) {
	l, m := newFakeLog(), newMachine()
	var full, fuller atomic.Bool
	cfg := ownerConfig()
	cfg.Admit = func(bytes int) error {
		if fuller.Load() || full.Load() && bytes > 0 {
			return errors.New("the disk is nearly full")
		}
		return nil
	}
	o := startOwner(t, l, m, cfg)
	full.Store(true)
	err := submit(t, o, "k")
	wantIs(t, err, contract.Errorf(contract.BufferFull, ""))
	if !strings.Contains(err.Error(), "the disk is nearly full") {
		t.Fatal(err)
	}
	if err := submit(t, o, ""); err != nil {
		t.Fatal(err)
	}
	fuller.Store(true)
	wantIs(t, submit(t, o, ""), contract.Errorf(contract.BufferFull, ""))
	wantIs(t, submit(t, o, "k"), contract.Errorf(contract.BufferFull, ""))
	fuller.Store(false)
	full.Store(false)
	if err := submit(t, o, "k"); err != nil {
		t.Fatal(err)
	}
}

func TestTooLargeRecord(t *testing.T) {
	l := newFakeLog()
	o := startOwner(t, l, newMachine(), ownerConfig())
	r := newRequest("k")
	r.data = strings.Repeat("x", MaxRecord)
	if err := o.Submit(r, MaxRecord); err != nil {
		t.Fatal(err)
	}
	wantIs(t, r.wait(t), contract.Errorf(contract.TooLarge, ""))
	if err := submit(t, o, "next"); err != nil {
		t.Fatal(err)
	}
}

func TestTrimKeepsWhatIsNotDurable(t *testing.T) {
	l, m := newFakeLog(), newMachine()
	l.bound = 1 << 20
	m.setDurable(0)
	cfg := ownerConfig()
	cfg.TrimEvery, cfg.KeepBytes = time.Millisecond, 1<<10
	var trims atomic.Int32
	cfg.Listener = func(e Event) {
		if _, ok := e.(Trimmed); ok {
			trims.Add(1)
		}
	}
	o := startOwner(t, l, m, cfg)
	for i := range 500 {
		if err := submit(t, o, fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		}
	}
	if trims.Load() != 0 {
		t.Fatal("something was trimmed that is not durable")
	}
	m.setDurable(400)
	// A look at the log while it was shorter may keep a little more of it.
	eventually(t, "the log is trimmed", func() bool { return trims.Load() == 1 })
	if st, _ := l.State(t.Context()); st.First <= 1 || st.First > 400 {
		t.Fatalf("trimmed up to %d, durable is 400", st.First)
	}
	m.setDurable(405)
	if err := submit(t, o, "last"); err != nil {
		t.Fatal(err)
	}
	if trims.Load() != 1 {
		t.Fatal("a small step was taken")
	}
}

func TestCloseUnderLoad(t *testing.T) {
	s := startServer(t)
	l := createLog(t, s, testConfig())
	m := newMachine()
	o := startOwner(t, l, m, ownerConfig())
	var wg sync.WaitGroup
	var mu sync.Mutex
	told := map[string]error{}
	for c := range 32 {
		wg.Go(func() {
			for i := 0; ; i++ {
				r := newRequest(fmt.Sprintf("c%d-%d", c, i))
				if err := o.Submit(r, 64); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
				err := r.wait(t)
				mu.Lock()
				told[r.key] = err
				mu.Unlock()
			}
		})
	}
	eventually(t, "there is load", func() bool { return m.Applied().Seq > 50 })
	closeOwner(t, o)
	wg.Wait()
	keys := readAll(t, l)
	for key, err := range told {
		switch {
		case err == nil && keys[key] != 1:
			t.Errorf("%s was told yes and is %d times in the log", key, keys[key])
		case err != nil && contract.CodeOf(err) != contract.NoOwner:
			t.Errorf("%s was told %v", key, err)
		case err != nil && keys[key] != 0:
			t.Errorf("%s was told %v and is in the log", key, err)
		}
	}
}

// A machine that fails stops everything, and what it could not apply is not
// called done.
func TestMachineFails(t *testing.T) {
	l, m := newFakeLog(), newMachine()
	var stopped atomic.Bool
	cfg := ownerConfig()
	cfg.Listener = func(e Event) {
		if x, ok := e.(Stopped); ok && x.Err != nil {
			stopped.Store(true)
		}
	}
	o := startOwner(t, l, m, cfg)
	m.mu.Lock()
	m.fail = errors.New("disk broken")
	m.mu.Unlock()
	wantIs(t, submit(t, o, "k"), contract.Errorf(contract.OutcomeUnknown, ""))
	<-o.Stopped()
	wantIs(t, o.Status().Err, ErrApply)
	if !stopped.Load() || o.Status().Phase != Ended {
		t.Fatalf("%+v", o.Status())
	}
	wantIs(t, o.Submit(newRequest("k"), 1), ErrClosed)
}

func TestStepDownAndWait(t *testing.T) {
	l := newFakeLog()
	var may [2]atomic.Bool
	var owners [2]*Owner
	var machines [2]*machine
	may[0].Store(true)
	for i := range owners {
		machines[i] = newMachine()
		cfg := ownerConfig()
		cfg.Host = fmt.Sprint("h", i)
		cfg.PollEvery = time.Millisecond
		cfg.MayClaim = may[i].Load
		owners[i] = startOwner(t, l, machines[i], cfg)
	}
	if err := submit(t, owners[0], "k"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other follows", func() bool { return machines[1].Applied() == machines[0].Applied() })

	wantIs(t, submit(t, owners[1], "k2"), ErrNotOwner)
	may[0].Store(false)
	if err := owners[0].StepDown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := owners[0].Status().Phase; p != Waiting {
		t.Fatal(p)
	}
	may[1].Store(true)
	owners[1].Poke()
	eventually(t, "the other serves", func() bool { return owners[1].Status().Phase == Serving })
	if err := submit(t, owners[1], "k2"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first follows", func() bool { return machines[0].Applied() == machines[1].Applied() })
	if err := owners[0].StepDown(t.Context()); err != nil { // again, harmless
		t.Fatal(err)
	}
	closeOwner(t, owners[0])
	wantIs(t, owners[0].StepDown(t.Context()), ErrClosed)
}

func TestStartGivesUp(t *testing.T) {
	l := newFakeLog()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	l.setScript(func([]byte) verdict {
		if n++; n == 2 { // how the first ended is noted
			cancel()
		}
		return verdict{kind: "undelivered"}
	})
	o, err := NewOwner(l, newMachine(), ownerConfig())
	if err != nil {
		t.Fatal(err)
	}
	err = o.Start(ctx)
	wantIs(t, err, context.Canceled)
	wantIs(t, err, ErrUndelivered)
	<-o.Stopped()

	never, err := NewOwner(l, newMachine(), ownerConfig())
	if err != nil {
		t.Fatal(err)
	}
	wantIs(t, never.Submit(newRequest("k"), 1), ErrClosed)
	closeOwner(t, never)
	closeOwner(t, never)
}

func TestOwnerConfigRefusesNonsense(t *testing.T) {
	for name, spoil := range map[string]func(*OwnerConfig){
		"host":     func(c *OwnerConfig) { c.Host = "" },
		"boot":     func(c *OwnerConfig) { c.Boot = "" },
		"birth":    func(c *OwnerConfig) { c.Birth = 0 },
		"hold":     func(c *OwnerConfig) { c.Hold = -1 },
		"keep":     func(c *OwnerConfig) { c.KeepBytes = -1 },
		"queue by": func(c *OwnerConfig) { c.QueueBytes = -1 },
	} {
		cfg := ownerConfig()
		spoil(&cfg)
		if _, err := NewOwner(newFakeLog(), newMachine(), cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A log that ends before what another member has applied has lost records. Nobody
// claims it, as that would put others in their place.
func TestALogThatHasLostRecordsIsNotClaimed(t *testing.T) {
	l, m := newFakeLog(), newMachine()
	var told atomic.Uint64
	cfg := ownerConfig()
	cfg.Reached = func() (uint64, string) { return told.Load(), "h3" }
	cfg.Grace = time.Millisecond
	o := startOwner(t, l, m, cfg)
	if err := submit(t, o, "k"); err != nil {
		t.Fatal(err)
	}
	closeOwner(t, o)

	told.Store(m.Applied().Seq) // somebody is as far as the log goes
	again := newMachineAt(m)
	o = startOwner(t, l, again, cfg)
	if err := submit(t, o, "k2"); err != nil {
		t.Fatal(err)
	}
	closeOwner(t, o)

	end := again.Applied().Seq
	told.Store(end + 1)
	for _, may := range []bool{true, false} { // nor is it followed in good faith
		cfg.MayClaim = func() bool { return may }
		o, err := NewOwner(l, newMachineAt(again), cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = o.Start(t.Context())
		wantIs(t, err, ErrBehindStore)
		if want := fmt.Sprintf("sequence is %d, the store of host h3 has applied %d", end, end+1); !strings.Contains(err.Error(), want) {
			t.Errorf("it says %q, want %q", err, want)
		}
	}
	if st, _ := l.State(t.Context()); st.Last != end {
		t.Errorf("the log has got %d records more", st.Last-end)
	}
}
