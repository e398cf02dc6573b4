package repair

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// wiped are three members with documents, of which the first has lost its disk.
func wiped(t testing.TB, documents, size int) (*sim, *simMember) {
	t.Helper()
	s := newSim(t, 3)
	s.log.fill(documents, size)
	s.feedAll()
	m := s.members[0]
	m.wipe()
	m.setSick("its disk is new and the log begins later")
	return s, m
}

func (m *simMember) isHealed() bool { return m.sickness() == "" }

// counted counts the documents that come.
func (m *simMember) counted(then func(host string, n int64) error) *atomic.Int64 {
	var n atomic.Int64
	m.peers.image = func(host string, d *Pulled) (*Pulled, error) {
		if then != nil {
			if err := then(host, n.Load()); err != nil {
				return nil, err
			}
		}
		n.Add(1)
		return d, nil
	}
	return &n
}

func TestAWipedMemberHeals(t *testing.T) {
	s, m := wiped(t, 1000, 100)
	n := m.counted(nil)
	m.start(Config{})
	until(t, "healed", m.isHealed)
	s.same(s.members...)
	if n.Load() != 1000 {
		t.Errorf("%d documents came, there are 1000", n.Load())
	}
	if at := m.replica().Applied(); at != s.members[1].replica().Applied() {
		t.Errorf("it stands at %+v", at)
	}
	until(t, "told", func() bool { return len(happened[HealEnded](m)) == 1 })
	e := happened[HealEnded](m)[0]
	if e.Err != nil || e.Documents != 1000 || e.Bytes < 100_000 || e.Position != (position.Position{Birth: 1, Seq: s.log.seq()}) {
		t.Errorf("told %+v", e)
	}
	st := m.r.Status()
	if len(st.Heals) != 0 || st.Counters.Pulled["heal"] != 1000 || len(st.Counters.Verdicts) != 0 {
		t.Errorf("%+v, %+v", st.Heals, st.Counters)
	}
	wantVerdicts(t, m.round(), nil)
	// The log goes on from there.
	s.log.batch(s.log.edit(simKey(1), 10), s.log.edit(simKey(5000), 10))
	s.feedAll()
	wantVerdicts(t, m.round(), nil)
	s.same(s.members...)
}

// What was pulled before the process was killed is not pulled again, but for what had
// come and was not in the store.
func TestHealingGoesOnAfterKills(t *testing.T) {
	const documents, kills = 2_400, 3
	s, m := wiped(t, documents, 20)
	m.close()
	m.fs = vfs.NewCrashableMem()
	m.open()
	var kill, had atomic.Int64
	var left *vfs.MemFS // what the killed process leaves
	killed := make(chan struct{}, 1)
	n := m.counted(func(_ string, n int64) error {
		if n == kill.Load() {
			left = m.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
			kick(killed)
			return ErrUnreachable
		}
		return nil
	})
	for range kills {
		at := max(n.Load(), documents/4) + 1 + rand.Int64N(documents/kills)
		kill.Store(at)
		m.start(Config{HealRetry: time.Hour})
		until(t, "killed or healed", func() bool { return len(killed) > 0 || m.isHealed() })
		if m.isHealed() {
			break
		}
		<-killed
		m.close()
		m.fs = left
		m.open()
		had.Add(int64(m.documents()))
		k, err := readKept(m.dir)
		if h := k.Heals[simStripe]; err != nil || h.Tries == 0 || h.Buckets == 0 {
			t.Errorf("kept after %d documents: %+v, %v", at, h, err)
		}
	}
	kill.Store(-1)
	if m.r == nil {
		m.start(Config{})
	}
	until(t, "healed", m.isHealed)
	s.same(s.members...)
	again := n.Load() - documents
	t.Logf("%d documents, %d kills: %d came twice, the store had %d at the kills together", documents, kills, again, had.Load())
	// One list that gathers, one that waits, and one that is being put.
	if most := int64(kills * 3 * putCount); again > most {
		t.Errorf("%d documents came twice, want at most %d", again, most)
	}
}

// documents counts those that the store has.
func (m *simMember) documents() (n int) {
	moment, err := m.replica().Moment()
	if err != nil {
		m.sim.t.Fatal(err)
	}
	defer moment.Close()
	for b := range layout.Bucket(simBuckets) {
		docs, _, err := moment.Index(b, contract.Key{}, 1<<20)
		if err != nil {
			m.sim.t.Fatal(err)
		}
		n += len(docs)
	}
	return n
}

// The documents change while they are pulled, and the log is trimmed behind the first
// positions.
func TestHealingUnderWritesBehindATrimmedLog(t *testing.T) {
	s, m := wiped(t, 500, 50)
	passed := 0
	n := m.counted(func(_ string, n int64) error {
		if n%10 == 0 {
			s.log.batch(s.log.edit(simKey(int(n)%600), 20), s.log.edit(simKey(rand.IntN(600)), 20))
			s.log.batch(s.log.remove(simKey(rand.IntN(600))))
			s.feed(s.members[1:]...)
		}
		return nil
	})
	m.healed = func(at buckets.Applied) error {
		if passed++; passed < 3 {
			return fmt.Errorf("%w: it begins at %d", ErrLogPassed, at.Seq+2)
		}
		if at.Seq == s.log.seq() {
			t.Log("nothing was written after the last position")
		}
		return nil
	}
	m.start(Config{})
	until(t, "healed", m.isHealed)
	s.feedAll()
	s.same(s.members...)
	t.Logf("%d documents came in %d tries, the log has %d records", n.Load(), passed, s.log.seq())
	if passed != 3 {
		t.Errorf("the log was opened %d times", passed)
	}
	wantVerdicts(t, m.round(), nil)
}

// A member that has fallen off its log has old documents and some that were deleted,
// whose tombstones are gone.
func TestAMemberThatFellOffHeals(t *testing.T) {
	s := newSim(t, 3)
	s.log.fill(600, 50)
	s.feedAll()
	for i := range 100 {
		s.log.batch(s.log.edit(simKey(i), 10), s.log.remove(simKey(100+i)), s.log.edit(simKey(1000+i), 10))
	}
	s.release(position.Position{Birth: 1, Seq: s.log.seq()})
	s.log.batch(s.log.remove(simKey(300)))
	s.feed(s.members[1:]...)
	m := s.members[0]
	n := m.counted(nil)
	m.setSick("fallen off its log")
	m.start(Config{})
	until(t, "healed", m.isHealed)
	s.same(s.members...)
	if n.Load() != 201 {
		t.Errorf("%d documents came, want the 201 that differ", n.Load())
	}
	if got := m.r.Status().Counters.Dropped; got != 100 {
		t.Errorf("%d documents were dropped, want the 100 whose deletion is forgotten", got)
	}
}

// A peer that dies in the middle is replaced by another one.
func TestHealingChangesThePeer(t *testing.T) {
	s, m := wiped(t, 1000, 50)
	bad := ""
	n := m.counted(func(host string, n int64) error {
		if n == 300 && bad == "" {
			bad = host
		}
		if host == bad {
			return fmt.Errorf("%s: %w", host, ErrUnreachable)
		}
		return nil
	})
	m.start(Config{})
	until(t, "healed", m.isHealed)
	s.same(s.members...)
	if bad == "" || len(happened[PeerFailed](m)) == 0 {
		t.Error("no peer failed")
	}
	if n.Load() > 1050 {
		t.Errorf("%d documents came, there are 1000", n.Load())
	}
}

func TestHealingWaitsForAPeer(t *testing.T) {
	s, m := wiped(t, 10, 50)
	s.members[1].dead.Store(true)
	s.members[2].setSick("as well")
	m.start(Config{})
	waits := func(for_ string) func() bool {
		return func() bool {
			heals := m.r.Status().Heals
			return len(heals) == 1 && heals[0].Phase == HealWaiting && strings.Contains(heals[0].Why, for_)
		}
	}
	until(t, "it waits for a member", waits("no other member is alive and healthy"))
	s.members[1].dead.Store(false)
	until(t, "healed", m.isHealed)

	// A member that has applied less is none to heal from.
	s.log.batch(s.log.edit(simKey(1), 10))
	s.feed(m)
	s.members[2].setSick("")
	m.setSick("lost some rows")
	m.r.Look()
	until(t, "it waits for the others to come as far", waits("it must come as far first"))
	s.feedAll()
	until(t, "healed", m.isHealed)
	s.same(s.members...)
}

func TestAPauseHoldsHealingBack(t *testing.T) {
	s, m := wiped(t, 1000, 50)
	paused := make(chan struct{})
	n := m.counted(func(_ string, n int64) error {
		if n == 500 {
			if err := m.r.Pause(time.Hour); err != nil {
				return err
			}
			close(paused)
		}
		return nil
	})
	m.start(Config{})
	<-paused
	until(t, "it waits", func() bool {
		heals := m.r.Status().Heals
		return len(heals) == 1 && heals[0].Phase == HealWaiting && strings.Contains(heals[0].Why, "paused until")
	})
	if got := n.Load(); got > 501 || m.isHealed() {
		t.Errorf("%d documents came", got)
	}
	// The pause outlives the process.
	m.stop()
	m.start(Config{})
	if m.r.Status().Paused == nil {
		t.Error("the pause is over")
	}
	if err := m.r.Resume(); err != nil {
		t.Fatal(err)
	}
	until(t, "healed", m.isHealed)
	s.same(s.members...)
}

func TestHealingShowsProgress(t *testing.T) {
	_, m := wiped(t, 2000, 50)
	var states []Heal
	m.counted(func(_ string, n int64) error {
		if n%100 == 99 {
			states = append(states, m.r.Status().Heals...)
		}
		return nil
	})
	m.start(Config{})
	until(t, "healed", m.isHealed)
	m.stop()
	last := Heal{}
	for i, h := range states {
		if h.Buckets != simBuckets || h.Verified < last.Verified || h.Documents < last.Documents || h.Phase != HealPulling || h.Peer == "" || h.Tries != 1 {
			t.Errorf("state %d: %+v", i, h)
		}
		last = h
	}
	if len(states) < 10 || last.Verified == 0 || last.Bytes == 0 || last.ETA == nil {
		t.Errorf("%d states, the last one %+v", len(states), last)
	}
}

// The rate holds for healing, and a new one at once.
func TestHealingKeepsTheRate(t *testing.T) {
	s, m := wiped(t, 200, 5000)
	n := m.counted(nil)
	m.start(Config{Rate: 100_000})
	until(t, "a document", func() bool { return n.Load() > 0 })
	began, had := time.Now(), m.r.Status().Counters.BytesPulled
	if err := m.r.SetRate(2_000_000); err != nil {
		t.Fatal(err)
	}
	until(t, "healed", m.isHealed)
	took, came := time.Since(began), m.r.Status().Counters.BytesPulled-had
	if least := time.Duration(float64(came)/2_000_000*float64(time.Second)) - 2*burst; took < least {
		t.Errorf("%d bytes took %v at 2 MB/s", came, took)
	}
	s.same(s.members...)
	m.stop()
	m.start(Config{Rate: 5})
	if rate := m.r.Status().Rate; rate != 2_000_000 {
		t.Errorf("rate %d after a restart, want what was set", rate)
	}
}

// What no member has does not keep the rest from being healed.
func TestHealingWithWhatNobodyHas(t *testing.T) {
	s, m := wiped(t, 100, 50)
	k := simKey(3)
	for _, o := range s.members[1:] {
		o.loses(k)
	}
	m.start(Config{})
	until(t, "healed", m.isHealed)
	if d := m.doc(k); d.Live {
		t.Errorf("%+v", d)
	}
	s.same(s.members...)
}

// An end in the middle leaves nothing behind that runs.
func TestCloseEndsAHealing(t *testing.T) {
	_, m := wiped(t, 1000, 50)
	reached := make(chan struct{})
	m.counted(func(_ string, n int64) error {
		if n == 100 {
			close(reached)
		}
		return nil
	})
	m.start(Config{})
	<-reached
	r := m.r
	m.stop()
	if err := r.Mend(context.Background(), contract.Key{Space: "s", Key: "k"}); !errors.Is(err, errClosed) {
		t.Errorf("mend after the end: %v", err)
	}
	if _, err := r.Run(context.Background(), Scope{}); !errors.Is(err, errClosed) {
		t.Errorf("run after the end: %v", err)
	}
}

// A document that one peer has damaged comes from another. While that one cannot be
// asked, the healing waits; when nobody has a whole copy, the rest is healed without it.
func TestHealingWaitsForWholeCopies(t *testing.T) {
	s, m := wiped(t, 200, 50)
	k := simKey(7)
	s.members[1].reopen(func(db *pebble.DB) { flipRow(t, db, 'e', k.Key) })
	s.members[2].dead.Store(true)
	m.start(Config{})
	until(t, "it waits for the other member", func() bool {
		heals := m.r.Status().Heals
		return len(heals) == 1 && heals[0].Phase == HealWaiting && strings.Contains(heals[0].Why, k.Key) && strings.Contains(heals[0].Why, "waits for h3")
	})
	s.members[2].dead.Store(false)
	until(t, "healed", m.isHealed)
	s.same(m, s.members[2])

	s.members[2].reopen(func(db *pebble.DB) { flipRow(t, db, 'e', k.Key) })
	m.stop()
	m.wipe()
	m.setSick("its disk is new again")
	m.start(Config{})
	until(t, "healed", m.isHealed)
	if d := m.doc(k); !d.Position.IsZero() {
		t.Errorf("%+v", d)
	}
	if d := m.doc(simKey(8)); !d.Live {
		t.Errorf("%+v", d)
	}
	told := happened[Undecided](m)
	if len(told) == 0 || told[len(told)-1].Key != k {
		t.Errorf("told %+v", told)
	}
}

// What a peer says of a moment before the one that it has told is not taken.
func TestHealingTakesNoStepBack(t *testing.T) {
	s, m := wiped(t, 200, 50)
	var forward atomic.Uint64
	forward.Store(3)
	m.peers.stand = func(at *buckets.Applied) { at.Seq += forward.Load() } // as a peer that has lost that much since
	n := m.counted(nil)
	m.start(Config{})
	until(t, "it finds the peer fallen back", func() bool {
		heals := m.r.Status().Heals
		return len(heals) == 1 && strings.Contains(heals[0].Why, "it has fallen back")
	})
	if n.Load() != 0 {
		t.Errorf("%d documents were pulled", n.Load())
	}
	forward.Store(0)
	until(t, "healed", m.isHealed)
	s.same(s.members...)
}
