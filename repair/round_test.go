package repair

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
)

// three are three equal members with some documents; h1 repairs.
func three(t testing.TB, documents int) (*sim, *simMember) {
	t.Helper()
	s := newSim(t, 3)
	s.log.fill(documents, 100)
	s.feedAll()
	s.members[0].start(Config{})
	return s, s.members[0]
}

func (m *simMember) round() RoundResult {
	m.sim.t.Helper()
	result, err := m.r.Run(m.sim.t.Context(), Scope{})
	if err != nil {
		m.sim.t.Fatalf("round: %v", err)
	}
	return result
}

func wantVerdicts(t testing.TB, got RoundResult, want map[string]uint64) {
	t.Helper()
	for _, v := range []string{"lag", "missing", "divergence", "corruption", "theirs", "gone"} {
		if got.Verdicts[v] != want[v] {
			t.Errorf("%d documents with verdict %s, want %d: %+v", got.Verdicts[v], v, want[v], got)
		}
	}
}

// cleanAt is where every partition was found equal.
func (m *simMember) cleanAt() string { return m.r.Status().Stripes[0].Position }

// An idle and healthy host asks each peer one question, and reads nothing.
func TestAHealthyRoundAsksOnceAndReadsNothing(t *testing.T) {
	s, m := three(t, 500)
	m.round() // the first one finds everything in memory, too
	asked, reads := m.peers.asked.Load(), m.r.Status().Counters.DiskReads
	result := m.round()
	if n := m.peers.asked.Load() - asked; n != 2 {
		t.Errorf("%d questions, want one for each of 2 peers", n)
	}
	if n := m.r.Status().Counters.DiskReads - reads; n != 0 {
		t.Errorf("%d reads", n)
	}
	wantVerdicts(t, result, nil)
	for _, p := range result.Peers {
		if p.Stripes != 1 || p.Equal != 1 || p.Error != "" {
			t.Errorf("%+v", p)
		}
	}
	end := position.Position{Birth: 1, Seq: s.log.seq()}
	if m.cleanAt() != end.String() || m.r.Clean(simStripe) != end {
		t.Errorf("clean at %s, reported %v, want %v", m.cleanAt(), m.r.Clean(simStripe), end)
	}
	st := m.r.Status().Stripes[0]
	if st.Verified != simBuckets || st.Buckets != simBuckets || len(st.Partitions) != simPartitions || st.Partitions[0].At == nil || st.Partitions[0].Against == "" {
		t.Errorf("%d of %d buckets, %+v", st.Verified, st.Buckets, st.Partitions[0])
	}
}

func TestARoundRepairs(t *testing.T) {
	older := func(s *sim, m *simMember, k contract.Key) *buckets.Image {
		old := m.image(k)
		s.log.batch(s.log.edit(k, 10))
		s.feedAll()
		return old
	}
	for name, c := range map[string]struct {
		harm func(s *sim, m *simMember, k contract.Key)
		want string
	}{
		"a document that is missing": {func(s *sim, m *simMember, k contract.Key) { m.loses(k) }, "missing"},
		"a change that is missing":   {func(s *sim, m *simMember, k contract.Key) { m.fallsBack(older(s, m, k)) }, "missing"},
		"a deletion that is missing": {func(s *sim, m *simMember, k contract.Key) {
			old := m.image(k)
			s.log.batch(s.log.remove(k))
			s.feedAll()
			m.fallsBack(old)
		}, "missing"},
		"other content": {func(s *sim, m *simMember, k contract.Key) { m.fallsBack(s.otherwise(k)) }, "divergence"},
	} {
		t.Run(name, func(t *testing.T) {
			s, m := three(t, 300)
			k := simKey(123)
			c.harm(s, m, k)
			result := m.round()
			wantVerdicts(t, result, map[string]uint64{c.want: result.Verdicts[c.want]})
			if result.Verdicts[c.want] == 0 || result.Pulled != 1 {
				t.Errorf("%+v", result)
			}
			s.same(s.members...)
			if got := m.r.Status().Counters.Pulled; got[c.want] != 1 || len(got) != 1 {
				t.Errorf("pulled %v", got)
			}
			if got := happened[Repaired](m); len(got) != 1 || got[0].Key != k || got[0].Reason != Reason(c.want) || got[0].From == "" || got[0].Bytes == 0 {
				t.Errorf("told %+v", got)
			}
			if found := happened[Found](m); len(found) == 0 || found[0].Verdict.String() != c.want || found[0].Rule == "" {
				t.Errorf("told %+v", found)
			}
			m.round() // with the peers in another order
			end := position.Position{Birth: 1, Seq: s.log.seq()}
			if m.cleanAt() != end.String() || m.r.Clean(simStripe) != end {
				t.Errorf("clean at %s, reported %v, want %v: %+v", m.cleanAt(), m.r.Clean(simStripe), end, m.round())
			}
		})
	}
}

// What is wrong with a peer is that peer's to repair.
func TestWhatIsMissingThereIsLeftAlone(t *testing.T) {
	s, m := three(t, 300)
	s.members[1].loses(simKey(7))
	result := m.round()
	wantVerdicts(t, result, map[string]uint64{"theirs": 1})
	if result.Pulled != 0 {
		t.Errorf("%+v", result)
	}
	s.members[1].start(Config{})
	wantVerdicts(t, s.members[1].round(), map[string]uint64{"missing": 1})
}

// Damage is found by whoever re-reads, and repaired from a peer.
func TestDamageIsRepaired(t *testing.T) {
	for _, table := range "deinb" {
		t.Run("table "+string(table), func(t *testing.T) {
			s, m := three(t, 300)
			k := simKey(42)
			c := s.log.edit(k, 20)
			c.ID = "id-1"
			s.log.batch(c)
			s.feedAll()
			within := k.Key
			if table == 'b' {
				b := layout.BucketOf(k.Space, k.Key)
				within = string([]byte{byte(b >> 8), byte(b)})
			}
			m.reopen(func(db *pebble.DB) { flipRow(t, db, byte(table), within) })
			result, err := m.r.Scrub(t.Context(), Scope{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if result.Damaged+result.Mended == 0 && table != 'b' { // which is mended when the store is opened
				t.Errorf("nothing was found: %+v", result.ScrubProgress)
			}
			for _, f := range result.Findings {
				if !f.Repaired || f.From == "" || f.Key != k.Key {
					t.Errorf("%+v", f)
				}
			}
			m.round()
			s.same(s.members...)
			if n := m.r.Status().Damaged; n != 0 {
				t.Errorf("%d documents are still said to be damaged", n)
			}
		})
	}
}

// A round repairs damage that a read has noticed, without anybody waiting.
func TestARoundRepairsNoticedDamage(t *testing.T) {
	s, m := three(t, 300)
	k := simKey(42)
	m.reopen(func(db *pebble.DB) { flipRow(t, db, 'e', k.Key) })
	if _, err := m.store.Get(k); contract.CodeOf(err) != contract.Damaged {
		t.Fatalf("read: %v", err)
	}
	wantVerdicts(t, m.round(), map[string]uint64{"corruption": 1})
	if got := m.r.Status().Counters.Pulled; got["corruption"] != 1 {
		t.Errorf("pulled %v", got)
	}
	s.same(s.members...)
}

// Lag is not repaired, whichever side lags.
func TestLagIsLeftToTheLog(t *testing.T) {
	s, m := three(t, 300)
	for i := range 50 {
		s.log.batch(s.log.edit(simKey(i), 10), s.log.edit(simKey(1000+i), 10))
	}
	m.feedTo(20)
	s.members[1].feedTo(35)
	result := m.round()
	if result.Verdicts["lag"] == 0 || m.r.Status().Counters.Verdicts["lag"] != result.Verdicts["lag"] {
		t.Errorf("lag is not counted: %+v", result)
	}
	for v, n := range result.Verdicts {
		if v != "lag" && n > 0 {
			t.Errorf("%d documents with verdict %s", n, v)
		}
	}
	if result.Pulled != 0 || m.r.Status().Counters.BytesPulled != 0 {
		t.Errorf("pulled: %+v", result)
	}
	lagging := 0
	for _, p := range m.r.Status().Stripes[0].Partitions {
		lagging += p.Lagging
	}
	if lagging == 0 {
		t.Error("no bucket is said to lag")
	}
	s.feedAll()
	wantVerdicts(t, m.round(), nil)
	if want := (position.Position{Birth: 1, Seq: s.log.seq()}); m.r.Clean(simStripe) != want {
		t.Errorf("clean at %v, want %v", m.r.Clean(simStripe), want)
	}
}

// Where the members contradict each other, most of them are right, and no two are not.
func TestTheMajorityIsRight(t *testing.T) {
	for minority := range 2 {
		s, m := three(t, 300)
		k := simKey(5)
		good := m.doc(k).Digest
		s.members[minority].fallsBack(s.otherwise(k))
		if minority == 0 {
			s.members[1].dead.Store(true)
			result := m.round()
			if result.Pulled != 0 || m.r.Status().Counters.Undecided != 1 || len(happened[Undecided](m)) == 0 {
				t.Errorf("with one of two others dead: %+v", result)
			}
			s.members[1].dead.Store(false)
		}
		m.round()
		if d := m.doc(k); d.Digest != good {
			t.Errorf("member %d differed, and h1 has it now: %+v", minority+1, d)
		}
		if got := m.r.Status().Counters.Pulled["divergence"]; got != uint64(1-minority) {
			t.Errorf("pulled %d for divergence", got)
		}
	}
}

// A newer copy that has other updates than the older ones has not come out of them, even
// where its head is theirs: the majority is right.
func TestANewerCopyWithOtherUpdatesIsOutvoted(t *testing.T) {
	s, m := three(t, 300)
	k := simKey(5)
	good := m.image(k)
	state, err := good.Check()
	if err != nil {
		t.Fatal(err)
	}
	m.fallsBack(s.otherwise(k))
	s.log.batch(record.Change{Verb: record.Delete, Key: k, Phase: contract.PhaseMark})
	s.feedAll()
	if d := m.doc(k); d.Head != state.Head || !state.Position.Less(d.Position) || d.Chain == state.Chain {
		t.Fatalf("h1 has %+v, and the others %+v", d, state)
	}
	s.members[1].fallsBack(good)
	s.members[2].fallsBack(good)
	result := m.round()
	if d := m.doc(k); d.Digest != state.Digest {
		t.Errorf("h1 has %+v after %+v, and the others %+v", d, result, state)
	}
	if got := m.r.Status().Counters.Pulled["divergence"]; got != 1 {
		t.Errorf("pulled %d for divergence", got)
	}
}

// A damaged copy never wins, and does not vote.
func TestADamagedCopyDoesNotVote(t *testing.T) {
	s, m := three(t, 300)
	k := simKey(5)
	m.fallsBack(s.otherwise(k))
	s.members[1].reopen(func(db *pebble.DB) { flipRow(t, db, 'e', k.Key) })
	result := m.round()
	if result.Pulled != 0 || len(happened[Undecided](m)) == 0 {
		t.Errorf("one whole copy against another, and one damaged: %+v", result)
	}
}

// Whatever a peer does wrong, another one is asked, and nothing bad is applied.
func TestABadPeerIsReplaced(t *testing.T) {
	const bad = "h2"
	for name, c := range map[string]struct {
		fault func(endpoint string) error
		image func(other *buckets.Image, n int, d *Pulled) (*Pulled, error)
	}{
		"dead":          {fault: func(string) error { return ErrUnreachable }},
		"dead for good": {fault: func(string) error { return fmt.Errorf("h2: %w", ErrUnreachable) }},
		"old layout":    {fault: func(string) error { return fmt.Errorf("h2: %w", ErrLayout) }},
		"garbage":       {fault: func(string) error { return fmt.Errorf("h2: %w", ErrGarbage) }},
		"busy": {fault: func(e string) error {
			if e != EndpointDocuments {
				return nil
			}
			return &RefusedError{Host: bad, Code: CodeNotNow, Why: "busy", Retry: time.Second}
		}},
		"no index": {fault: func(e string) error {
			if e != EndpointIndex {
				return nil
			}
			return fmt.Errorf("h2: %w", ErrGarbage)
		}},
		"dies in the middle": {image: func(_ *buckets.Image, n int, d *Pulled) (*Pulled, error) {
			if n > 3 {
				return nil, fmt.Errorf("h2: %w", ErrUnreachable)
			}
			return d, nil
		}},
		"sends what was not asked for": {image: func(other *buckets.Image, _ int, d *Pulled) (*Pulled, error) {
			state, err := other.Check()
			d.Image, d.Doc = other, docOf(&state)
			d.Doc.Key.Key = "never heard of"
			return d, err
		}},
		"sends other content": {image: func(other *buckets.Image, _ int, d *Pulled) (*Pulled, error) {
			if d.Doc.Key == simKey(3) {
				d.Image = other
			}
			return d, nil
		}},
		"sends flipped bits": {image: func(_ *buckets.Image, n int, d *Pulled) (*Pulled, error) {
			raw := d.Image.AppendBinary(nil)
			raw[len(raw)-1-n] ^= 1
			im, err := buckets.ParseImage(raw)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrGarbage, err) // as a Peer does
			}
			d.Image = im
			return d, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, m := three(t, 300)
			other := s.otherwise(simKey(3))
			for i := range 20 {
				m.loses(simKey(i))
			}
			m.peers.fault = func(e, host string) error {
				if host != bad || c.fault == nil {
					return nil
				}
				return c.fault(e)
			}
			n := 0
			m.peers.image = func(host string, d *Pulled) (*Pulled, error) {
				if host != bad || c.image == nil {
					return d, nil
				}
				n++
				return c.image(other, n, d)
			}
			failed := false
			for i := 0; i < 6 || !failed && i < 60; i++ { // the peers are asked in any order
				result := m.round()
				if result.Pulled > 20 {
					t.Fatalf("%+v", result)
				}
				failed = failed || len(happened[PeerFailed](m)) > 0
				s.same(s.members...)
				if t.Failed() {
					t.Fatalf("%+v", result)
				}
				for i := range 20 {
					m.loses(simKey(i))
				}
				n = 0
			}
			if !failed {
				t.Error("the peer was never found at fault")
			}
			for _, e := range happened[PeerFailed](m) {
				if e.Peer != bad {
					t.Errorf("%s was found at fault: %v", e.Peer, e.Err)
				}
			}
		})
	}
}

// Three members apply one log at their own speeds while all of them compare: nothing is
// ever wrong, nothing is pulled, and what is clean moves on.
func TestRoundsUnderLoadFindNothing(t *testing.T) {
	s := newSim(t, 3)
	s.log.fill(2000, 50)
	s.feedAll()
	stop, rounds := make(chan struct{}), 5
	ended := make(chan struct{}, 4)
	go func() { // one writes
		defer func() { ended <- struct{}{} }()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			k := i * 7919
			if i%11 == 3 {
				s.log.batch(s.log.remove(simKey(k%2000)), s.log.edit(simKey((k+1)%2500), 20))
			} else {
				s.log.batch(s.log.edit(simKey(k%2500), 30), s.log.edit(simKey((k+1)%2500), 20), s.log.edit(simKey((k+2)%2500), 20))
			}
			if i%64 == 0 { // let it be about as much as can be applied
				last := s.log.seq()
				until(t, "the members follow", func() bool {
					return slices.IndexFunc(s.members, func(m *simMember) bool { return m.replica().Applied().Seq+400 < last }) < 0
				})
			}
		}
	}()
	for n, m := range s.members { // each applies, the second and third in jumps
		m.start(Config{})
		go func() {
			defer func() { ended <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if last := s.log.seq(); n == 0 || last > m.replica().Applied().Seq+uint64(50*n) {
					m.feedTo(last)
				}
			}
		}()
	}
	var before position.Position
	moves := 0
	for range rounds {
		for _, m := range s.members {
			result := m.round()
			for v, n := range result.Verdicts {
				if v != "lag" && n > 0 {
					t.Errorf("%s: %d documents with verdict %s: %+v", m.name, n, v, happened[Found](m))
				}
			}
			if result.Pulled+result.Dropped > 0 {
				t.Errorf("%s pulled: %+v", m.name, result)
			}
		}
		if now := s.members[0].r.Clean(simStripe); before.Less(now) {
			before = now
			moves++
		}
	}
	close(stop)
	for range 4 {
		<-ended
	}
	t.Logf("%d records in %d rounds of 3 members, the clean position moved %d times, to %v", s.log.seq(), rounds, moves, before)
	if moves == 0 {
		t.Error("under load nothing was ever clean")
	}
	s.feedAll()
	s.same(s.members...)
}

func TestAScopeIsKept(t *testing.T) {
	s, m := three(t, 300)
	k := simKey(9)
	in, _ := s.layout.PartitionOf(layout.BucketOf(k.Space, k.Key))
	m.loses(k)
	out := layout.PartitionID(0)
	if in.ID == out {
		out = 1
	}
	result, err := m.r.Run(t.Context(), Scope{Stripe: simStripe, Partition: &out})
	if err != nil || result.Pulled != 0 {
		t.Errorf("another partition: %+v, %v", result, err)
	}
	result, err = m.r.Run(t.Context(), Scope{Partition: &in.ID})
	if err != nil || result.Pulled != 1 {
		t.Errorf("its partition: %+v, %v", result, err)
	}
	for _, scope := range []Scope{{Stripe: "s9"}, {Partition: new(layout.PartitionID(99))}} {
		if _, err := m.r.Run(t.Context(), scope); !errors.Is(err, ErrNothingHere) || !strings.Contains(err.Error(), scope.String()) {
			t.Errorf("%v: %v", scope, err)
		}
	}
}

// A pause holds rounds back, and ends by itself.
func TestAPauseHoldsRoundsBack(t *testing.T) {
	_, m := three(t, 10)
	if err := m.r.Pause(200 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if _, err := m.r.Run(t.Context(), Scope{}); !errors.Is(err, ErrPaused) {
		t.Errorf("a round during a pause: %v", err)
	}
	if _, err := m.r.Scrub(t.Context(), Scope{}, nil); !errors.Is(err, ErrPaused) {
		t.Errorf("a scrub during a pause: %v", err)
	}
	if st := m.r.Status(); st.Paused == nil || st.Round.Next != nil {
		t.Errorf("status: %+v", st.Round)
	}
	// Its end begins a round.
	until(t, "a round after the pause", func() bool { return m.r.Status().Counters.Rounds > 0 })
	if st := m.r.Status(); st.Paused != nil {
		t.Errorf("paused until %v", st.Paused)
	}
	if got := happened[PauseChanged](m); len(got) != 2 || got[0].Until.IsZero() || !got[1].Until.IsZero() {
		t.Errorf("told %+v", got)
	}
}

func TestRoundsComeByThemselves(t *testing.T) {
	s := newSim(t, 3)
	s.log.fill(100, 10)
	s.feedAll()
	m := s.members[0]
	m.start(Config{Interval: 2 * time.Millisecond})
	until(t, "several rounds", func() bool { return m.r.Status().Counters.Rounds > 3 })
	m.loses(simKey(1))
	until(t, "the repair", func() bool { return m.r.Status().Counters.Pulled["missing"] == 1 })
}

// Members that are away are named, and so is a stripe that is sick.
func TestWhatIsSkippedIsNamed(t *testing.T) {
	s, m := three(t, 10)
	s.members[1].dead.Store(true)
	s.members[2].setSick("fallen off")
	result := m.round()
	if len(result.Skipped) != 2 || !strings.Contains(result.Skipped[0].Why, "h2") || !strings.Contains(result.Skipped[1].Why, "h3") {
		t.Errorf("%+v", result.Skipped)
	}
	if !m.r.Clean(simStripe).IsZero() {
		t.Error("clean without having been compared with everybody")
	}
}

// A released tombstone is not pulled back, and an image from before what was reported
// clean, which may be of a document whose deletion is forgotten, is not put.
func TestReleasedTombstonesStayAway(t *testing.T) {
	s, m := three(t, 300)
	k, lost := simKey(77), simKey(78)
	s.log.batch(s.log.remove(k))
	s.feed(m, s.members[2]) // h2 still has the document
	m.peers.fault = func(endpoint, _ string) error {
		if endpoint == EndpointIndex {
			return fmt.Errorf("not now: %w", ErrUnreachable)
		}
		return nil
	}
	m.round()
	m.peers.fault = nil
	s.feedAll()
	m.round()
	if m.r.Clean(simStripe).Seq != s.log.seq() {
		t.Fatalf("clean at %v", m.r.Clean(simStripe))
	}
	s.release(m.r.Clean(simStripe))
	s.feedAll()
	result := m.round()
	wantVerdicts(t, result, nil)
	m.loses(lost)
	m.peers.image = func(_ string, d *Pulled) (*Pulled, error) {
		d.Side.Applied.Seq = 2 // as a peer that has fallen back to long ago
		return d, nil
	}
	if result := m.round(); result.Pulled != 0 || m.doc(lost).Live {
		t.Errorf("an old image was put: %+v", result)
	}
	m.peers.image = nil
	if result := m.round(); result.Pulled != 1 || result.Dropped != 0 {
		t.Errorf("%+v", result)
	}
	for _, o := range s.members {
		if d := o.doc(k); !d.Position.IsZero() {
			t.Errorf("%s has something of the deleted document: %+v", o.name, d)
		}
	}
	s.same(s.members...)
}
