package streams

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"trireme/internal/contract"
)

// A watchedLog counts what is asked of a fake log, and can be cut off.
type watchedLog struct {
	*fakeLog
	states, reads, appends atomic.Int32
	cut                    atomic.Pointer[error] // of State and Read, when set
	hang                   atomic.Bool           // State hangs until its context ends
	hanging                chan struct{}         // told of each hanging State
}

func watch(l *fakeLog) *watchedLog { return &watchedLog{fakeLog: l, hanging: make(chan struct{}, 100)} }

func (l *watchedLog) cutOff(err error) {
	if err == nil {
		l.cut.Store(nil)
		return
	}
	l.cut.Store(&err)
}

func (l *watchedLog) State(ctx context.Context) (LogState, error) {
	l.states.Add(1)
	if l.hang.Load() {
		l.hanging <- struct{}{}
		<-ctx.Done()
		return LogState{}, fmt.Errorf("state: %w", ctx.Err())
	}
	if err := l.cut.Load(); err != nil {
		return LogState{}, *err
	}
	return l.fakeLog.State(ctx)
}

func (l *watchedLog) Read(ctx context.Context, from, to uint64, fn func(uint64, []byte) error) error {
	l.reads.Add(1)
	if err := l.cut.Load(); err != nil {
		return *err
	}
	return l.fakeLog.Read(ctx, from, to, fn)
}

func (l *watchedLog) Append(ctx context.Context, expected uint64, body []byte) (uint64, error) {
	l.appends.Add(1)
	return l.fakeLog.Append(ctx, expected, body)
}

// history is a log of a claim and n batches, written by another host.
func history(t testing.TB, n int) (*fakeLog, []Record) {
	t.Helper()
	l := newFakeLog()
	var told []Record
	cfg := ownerConfig()
	cfg.Host = "other"
	cfg.Broadcast = func(seq uint64, body []byte) { told = append(told, Record{seq, body}) }
	o := startOwner(t, l, newMachine(), cfg)
	for i := range n {
		if err := submit(t, o, fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		}
	}
	closeOwner(t, o)
	return l, told
}

// clip is a log that ends after a sequence, for now.
func clip(l *fakeLog, last uint64) *fakeLog {
	return &fakeLog{first: l.first, records: append([][]byte(nil), l.records[:last]...)}
}

func never() bool { return false }

func TestBroadcastHasEachRecordOnce(t *testing.T) {
	l, told := history(t, 20)
	if len(told) != len(l.records) {
		t.Fatalf("%d records, %d were told", len(l.records), len(told))
	}
	for i, r := range told {
		if r.Seq != uint64(i+1) || string(r.Body) != string(l.records[i]) {
			t.Fatalf("record %d was told as %d %q", i+1, r.Seq, r.Body)
		}
	}
}

// A follower that hears everything asks the log once; one that misses something
// reads just that.
func TestFollowerGoesAlongWithTheTail(t *testing.T) {
	l, told := history(t, 20)
	log, tail, m := watch(clip(l, 1)), make(chan Record, 100), newMachine()
	cfg := ownerConfig()
	cfg.MayClaim, cfg.Tail = never, tail
	o := startOwner(t, log, m, cfg)
	at := func(seq uint64) func() bool { return func() bool { return o.Status().Applied.Seq == seq } }
	for _, r := range []Record{told[1], told[0], told[1], told[2], told[3]} {
		tail <- r
	}
	eventually(t, "four are applied", at(4))
	if s, r := log.states.Load(), log.reads.Load(); s != 1 || r != 1 {
		t.Fatalf("the log was asked %d times and read %d times", s, r)
	}
	log.setRecords(l.records[:10])
	tail <- told[9] // 5 to 9 are missing
	tail <- told[6] // late
	eventually(t, "the gap is filled", at(10))
	if st := o.Status().Log; st.Last != 10 {
		t.Fatalf("the log is said to end at %d", st.Last)
	}
	log.setRecords(l.records[:15])
	tail <- Record{Seq: 11, Body: []byte("BATCH 1 1-1 0 00000000000000000000000000000000 0 0\r\n")} // not what the log holds
	eventually(t, "the log is believed and not the tail", at(11))
	tail <- Record{Seq: 12} // a large one comes without its body
	eventually(t, "it is read", at(12))
	if s, r := log.states.Load(), log.reads.Load(); s != 1 || r != 4 {
		t.Fatalf("the log was asked %d times and read %d times", s, r)
	}
	tail <- Record{} // a hint
	eventually(t, "it has looked", at(15))
	close(tail)
	if err := submit(t, o, "k"); !errors.Is(err, ErrNotOwner) || contract.CodeOf(err) != contract.NoOwner {
		t.Fatal(err)
	}
	if n := m.count["k13"]; n != 1 || log.appends.Load() != 0 {
		t.Fatalf("k13 is applied %d times, %d appends", n, log.appends.Load())
	}
}

// While the log cannot be reached a follower goes along with the tail, tries
// again for as long as it takes, and asks no more often than it should.
func TestFollowerOutlastsItsLeader(t *testing.T) {
	l, told := history(t, 20)
	synctest.Test(t, func(t *testing.T) {
		log, tail, m := watch(clip(l, 5)), make(chan Record, 100), newMachine()
		cfg := ownerConfig()
		cfg.MayClaim, cfg.Tail = never, tail
		cfg.BackoffMin, cfg.BackoffMax = 0, 0
		o := startOwner(t, log, m, cfg)
		log.cutOff(fmt.Errorf("no: %w", ErrNoLeader))
		tail <- Record{} // look
		tail <- told[5]
		synctest.Wait()
		before := log.states.Load()
		for range 60 {
			tail <- told[10] // a gap that cannot be filled now
			<-time.After(time.Minute)
		}
		synctest.Wait()
		st := o.Status()
		if st.Phase != Waiting || st.Applied.Seq != 6 || !errors.Is(st.Err, ErrNoLeader) || st.Log.Last != 11 {
			t.Fatalf("%+v", st)
		}
		if n := log.states.Load() - before; n < 3000 || n > 4000 {
			t.Fatalf("asked %d times in an hour", n)
		}
		log.cutOff(context.DeadlineExceeded)
		<-time.After(time.Hour)
		log.cutOff(nil)
		log.setRecords(l.records)
		<-time.After(2 * time.Second)
		if st := o.Status(); st.Applied.Seq != 21 || st.Err != nil {
			t.Fatalf("%+v", st)
		}
		closeOwner(t, o)
	})
}

func TestFollowerEndsWhenTheLogIsTrimmed(t *testing.T) {
	l, told := history(t, 20)
	tail := make(chan Record, 1)
	log := clip(l, 5)
	cfg := ownerConfig()
	cfg.MayClaim, cfg.Tail = never, tail
	o := startOwner(t, log, newMachine(), cfg)
	log.setRecords(l.records)
	if err := log.Trim(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	tail <- told[14]
	<-o.Stopped()
	wantIs(t, o.Status().Err, ErrTrimmed)
}

// What another host has committed deposes this one.
func TestOwnerIsDeposedByTheTail(t *testing.T) {
	l, tail, m := newFakeLog(), make(chan Record, 10), newMachine()
	var lost atomic.Int32
	cfg := ownerConfig()
	cfg.Tail = tail
	cfg.Listener = func(e Event) {
		if _, ok := e.(Lost); ok {
			lost.Add(1)
		}
	}
	o := startOwner(t, l, m, cfg)
	tail <- Record{Seq: 1, Body: l.records[0]} // its own, come back
	tail <- Record{}
	if err := submit(t, o, "k"); err != nil || lost.Load() != 0 {
		t.Fatal(err, lost.Load())
	}
	claim := claimRecord(m.Applied(), 0, &OwnerConfig{Host: "h2", Boot: "b", Layout: func() int { return 0 }})
	if _, err := l.Append(t.Context(), 2, claim); err != nil {
		t.Fatal(err)
	}
	tail <- Record{Seq: 3, Body: claim}
	eventually(t, "it has claimed again", func() bool { st := o.Status(); return st.Phase == Serving && st.Epoch.Seq == 4 })
	if lost.Load() != 1 || fmt.Sprint(m.claims) != "[h1 h2 h1]" {
		t.Fatalf("lost %d times, claims %v", lost.Load(), m.claims)
	}
}

// An owner that may not own any more answers at once, but for what the log has
// yet to tell.
func TestLeadershipLost(t *testing.T) {
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprint("stored ", stored), func(t *testing.T) {
			l, m := newFakeLog(), newMachine()
			log, tail := watch(l), make(chan Record, 10)
			var may atomic.Bool
			may.Store(true)
			cfg := ownerConfig()
			cfg.MayClaim, cfg.Tail = may.Load, tail
			cfg.BatchProposals = 1
			cfg.BackoffMin, cfg.BackoffMax = deadline, deadline // after the first trial only Poke makes it try
			o := startOwner(t, log, m, cfg)

			entered, proceed := make(chan struct{}), make(chan struct{})
			var once sync.Once
			l.setScript(func([]byte) verdict {
				first := false
				once.Do(func() { first = true })
				if !first {
					return verdict{kind: "undelivered"} // the claim that it tries
				}
				close(entered)
				<-proceed
				if stored {
					return verdict{kind: "unknown-stored"}
				}
				return verdict{kind: "unknown-lost"}
			})
			doubt, queued := newRequest("doubt"), newRequest("queued")
			if err := o.Submit(doubt, 1); err != nil {
				t.Fatal(err)
			}
			<-entered
			log.cutOff(ErrNoLeader)
			if err := o.Submit(queued, 1); err != nil {
				t.Fatal(err)
			}
			close(proceed)
			eventually(t, "the ownership is lost", func() bool { return o.Status().Phase == Claiming })
			may.Store(false)
			o.Poke()
			wantIs(t, queued.wait(t), contract.Errorf(contract.Deposed, ""))
			wantIs(t, submit(t, o, "k"), ErrNotOwner)
			select {
			case err := <-doubt.done:
				t.Fatal("answered before the log has told: ", err)
			default:
			}

			// Another host claims, and its broadcast tells.
			l.setScript(nil)
			other := newMachine()
			told := []Record{}
			oc := ownerConfig()
			oc.Host = "h2"
			oc.Broadcast = func(seq uint64, body []byte) { told = append(told, Record{seq, body}) }
			o2 := startOwner(t, l, other, oc)
			closeOwner(t, o2)
			log.cutOff(nil)
			tail <- told[0]
			err := doubt.wait(t)
			if stored && err != nil || !stored && !errors.Is(err, contract.Errorf(contract.Deposed, "")) {
				t.Fatal(err)
			}
			if got := readAll(t, l)["doubt"]; got != map[bool]int{true: 1}[stored] {
				t.Fatalf("the log has it %d times", got)
			}
		})
	}
}

// A serving owner that may not own any more finishes its batch and follows.
func TestServingOwnerYields(t *testing.T) {
	l, m := newFakeLog(), newMachine()
	var may atomic.Bool
	may.Store(true)
	var lost atomic.Int32
	cfg := ownerConfig()
	cfg.MayClaim = may.Load
	cfg.PollEvery = deadline
	cfg.BatchProposals = 1
	cfg.Listener = func(e Event) {
		if x, ok := e.(Lost); ok && contract.CodeOf(x.Err) == contract.Deposed {
			lost.Add(1)
		}
	}
	o := startOwner(t, l, m, cfg)
	entered, proceed := make(chan struct{}), make(chan struct{})
	l.setScript(func([]byte) verdict { close(entered); <-proceed; return verdict{kind: "ok"} })
	flying, queued := newRequest("flying"), newRequest("queued")
	for _, r := range []*request{flying, queued} {
		if err := o.Submit(r, 1); err != nil {
			t.Fatal(err)
		}
	}
	<-entered
	may.Store(false)
	o.Poke()
	l2 := make(chan struct{})
	go func() { defer close(l2); l.setScript(nil) }() // waits for the append to end
	close(proceed)
	if err := flying.wait(t); err != nil {
		t.Fatal(err)
	}
	wantIs(t, queued.wait(t), contract.Errorf(contract.Deposed, ""))
	<-l2
	eventually(t, "it waits", func() bool { return o.Status().Phase == Waiting })
	eventually(t, "that is told", func() bool { return lost.Load() > 0 }) // AFTER the answers and the phase
	may.Store(true)
	o.Poke()
	eventually(t, "it serves again", func() bool { return o.Status().Phase == Serving })
	may.Store(false)
	o.Poke() // also while idle
	eventually(t, "it waits again", func() bool { return o.Status().Phase == Waiting })
	closeOwner(t, o) // nothing more is told
	if fmt.Sprint(m.count) != "map[flying:1]" || lost.Load() != 2 {
		t.Fatalf("%v, lost %d times, want 2", m.count, lost.Load())
	}
}

// A follower that waits for the answer of a dead leader claims at once when it
// becomes leader itself.
func TestPokeEndsALookAtTheLog(t *testing.T) {
	log, tail := watch(newFakeLog()), make(chan Record, 1)
	var may atomic.Bool
	cfg := ownerConfig()
	cfg.MayClaim, cfg.Tail = may.Load, tail
	cfg.PollEvery, cfg.AppendTimeout = deadline, deadline
	cfg.BackoffMin, cfg.BackoffMax = deadline, deadline
	o := startOwner(t, log, newMachine(), cfg)
	log.hang.Store(true)
	tail <- Record{}
	<-log.hanging
	log.hang.Store(false)
	may.Store(true)
	o.Poke()
	eventually(t, "it serves", func() bool { return o.Status().Phase == Serving })
	o.Poke() // changes nothing
	if err := submit(t, o, "k"); err != nil {
		t.Fatal(err)
	}
}

// A leader whose stream takes nothing does not spin.
func TestClaimsAreBackedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := watch(newFakeLog())
		cfg := ownerConfig()
		cfg.BackoffMin, cfg.BackoffMax = 0, 0
		o := startOwner(t, log, newMachine(), cfg)
		log.setScript(func([]byte) verdict { return verdict{kind: "undelivered"} })
		r := newRequest("k")
		if err := o.Submit(r, 1); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		wantIs(t, r.wait(t), contract.Errorf(contract.NoQuorum, ""))
		if n := log.appends.Load(); n < 60 || n > 75 {
			t.Fatalf("%d appends in a minute", n)
		}
		log.setScript(nil)
		<-time.After(time.Second)
		if p := o.Status().Phase; p != Serving {
			t.Fatal(p)
		}
		closeOwner(t, o)
	})
}

func TestContinues(t *testing.T) {
	l, _ := history(t, 3)
	m := newMachine()
	for i, body := range l.records {
		if !continues(m.at.Chain, body) {
			t.Fatalf("record %d does not continue: %q", i+1, body)
		}
		before := m.at.Chain
		if err := m.Apply(uint64(i+1), body); err != nil {
			t.Fatal(err)
		}
		if continues(m.at.Chain, body) {
			t.Fatalf("record %d continues itself", i+1)
		}
		for _, junk := range []string{"", "BATCH", "CLAIM 1 2", before.String(), "PATCH 1 1-1 0 " + before.String(), strings.Repeat("x", 1000)} {
			if continues(before, []byte(junk)) {
				t.Fatalf("%q continues", junk)
			}
		}
	}
}
