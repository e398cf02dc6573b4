package repair

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// losesBuckets takes a share of the documents of some buckets out of the member's store,
// which knows that they have lost rows, and not which.
func (m *simMember) losesBuckets(rng *rand.Rand, lost []layout.Bucket) {
	m.sim.t.Helper()
	moment, err := m.replica().Moment()
	if err != nil {
		m.sim.t.Fatal(err)
	}
	var gone []contract.Key
	for _, b := range lost {
		docs, _, err := moment.Index(b, contract.Key{}, 1<<20)
		if err != nil {
			m.sim.t.Fatal(err)
		}
		for i := range docs {
			if rng.IntN(4) > 0 {
				gone = append(gone, docs[i].Key)
			}
		}
	}
	moment.Close()
	for _, k := range gone {
		m.loses(k)
	}
	m.close()
	// Marks that cannot be read stand for all buckets.
	f, err := m.fs.Create("store/incomplete", vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write([]byte("rubbish"))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		m.sim.t.Fatal(err)
	}
	m.open()
	onlyLost(m.sim.t, m.store, m.replica(), lost)
}

// onlyLost leaves some buckets incomplete of a store that takes all of them for it.
func onlyLost(t testing.TB, s *buckets.Store, r *buckets.Replica, lost []layout.Bucket) {
	t.Helper()
	if _, err := s.Quarantine(t.Context()); err != nil { // puts the lists right
		t.Fatal(err)
	}
	whole := slices.DeleteFunc(r.Incomplete(everything), func(b layout.Bucket) bool { return slices.Contains(lost, b) })
	if left, err := r.ClearIncomplete(r.Compare(r.Survey(nil).Position), whole...); err != nil || len(left) > 0 {
		t.Fatalf("left %v: %v", left, err)
	}
	if got := r.Incomplete(everything); !slices.Equal(got, lost) {
		t.Fatalf("incomplete are %v, not %v", got, lost)
	}
}

var everything = buckets.Range{First: 0, Last: layout.Buckets - 1}

// losesRows takes some buckets for incomplete.
func (f *servedStore) losesRows(t testing.TB, stripe string, lost ...layout.Bucket) {
	t.Helper()
	err := errors.Join(f.store.Close(), os.WriteFile(filepath.Join(f.dir, "incomplete"), []byte("rubbish"), 0o600))
	if err == nil {
		f.store, err = buckets.Open(f.dir, buckets.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	r, _, _ := f.Stripe(stripe)
	onlyLost(t, f.store, r, lost)
}

// A host that has lost rows of a bucket tells so, and nothing of it.
func TestNothingIsToldOfWhatHasLostRows(t *testing.T) {
	source, _, p := pairOf(t, Limits{})
	l := *source.layout.Load()
	w := source.writer(t, "s2")
	keys := keysIn(l, "s2", 12)
	for _, k := range keys {
		w.batch(t, create(k, 10))
	}
	lost, whole := keys[0], keys[1]
	b, other := bucketOf(lost), bucketOf(whole)
	part, _ := l.PartitionOf(b)
	otherPart, _ := l.PartitionOf(other)
	if part.ID == otherPart.ID {
		t.Fatal("pick other documents")
	}
	source.losesRows(t, "s2", b)
	for what, ask := range map[string]func(layout.Bucket, layout.PartitionID, contract.Key) error{
		"index": func(b layout.Bucket, _ layout.PartitionID, _ contract.Key) error {
			_, _, err := p.Index(t.Context(), "h1", b)
			return err
		},
		"buckets": func(_ layout.Bucket, id layout.PartitionID, _ contract.Key) error {
			_, _, err := p.Buckets(t.Context(), "h1", "s2", id)
			return err
		},
		"documents": func(_ layout.Bucket, _ layout.PartitionID, k contract.Key) error {
			_, err := p.Documents(t.Context(), "h1", "s2", []Want{{Key: k}}, func(*Pulled) error { return nil })
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			wantRefusal(t, ask(b, part.ID, lost), CodeSick)
			if err := ask(other, otherPart.ID, whole); err != nil {
				t.Errorf("of a bucket that is whole: %v", err)
			}
		})
	}
	at, err := p.Stand(t.Context(), "h1", "s2")
	if err != nil || !slices.Equal(at.Lost, []buckets.Range{oneBucket(b)}) {
		t.Errorf("stands at %v: %v", at, err)
	}
	if c, err := p.Document(t.Context(), "h1", lost); err != nil || !strings.Contains(c.Sick, "rows of 1 buckets were lost") {
		t.Errorf("a document of it: %+v, %v", c, err)
	}
	if c, err := p.Document(t.Context(), "h1", whole); err != nil || c.Sick != "" || c.Doc.Position.IsZero() {
		t.Errorf("another document: %+v, %v", c, err)
	}
	roots, err := p.Roots(t.Context(), "h1", "s1", "s2")
	if err != nil || len(roots) != 2 || roots[0].Sick != "" || !strings.Contains(roots[1].Sick, b.String()) {
		t.Errorf("roots %+v: %v", roots, err)
	}
}

// someBuckets are up to n of the sim's, in order.
func someBuckets(rng *rand.Rand, n int) []layout.Bucket {
	var list []layout.Bucket
	for range n {
		list = append(list, layout.Bucket(rng.IntN(simBuckets)))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Members that have all lost rows heal from one another, bucket by bucket, while the log
// goes on. What all have lost stays unknown: it is answered as damaged, and never as if it
// had not been there.
func TestMembersThatHaveLostRowsFillOneAnother(t *testing.T) {
	const rounds = 4
	stuck, created := 0, 0
	for round := range rounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(round), 11))
			s := newSim(t, 3)
			s.log.fill(120, 20)
			for i := range 30 {
				s.log.batch(s.log.edit(simKey(i*5), 10), s.log.remove(simKey(i*7+1)))
			}
			if round%2 == 0 {
				s.release(position.Position{Birth: 1, Seq: s.log.seq() - 20})
			}
			s.feedAll()
			size := []int{3, 30, 100, 250}[round%4]
			inAll := map[layout.Bucket]int{}
			for _, m := range s.members {
				m.dead.Store(true)
				lost := someBuckets(rng, size)
				m.losesBuckets(rng, lost)
				for _, b := range lost {
					inAll[b]++
				}
			}
			var lost []layout.Bucket // by all
			for b, n := range inAll {
				if n == len(s.members) {
					lost = append(lost, b)
				}
			}
			slices.Sort(lost)
			var writing sync.Mutex
			for _, m := range s.members {
				m.peers.image = func(_ string, d *Pulled) (*Pulled, error) {
					writing.Lock()
					defer writing.Unlock()
					if rng.IntN(16) == 0 {
						s.log.batch(s.log.edit(simKey(rng.IntN(2000)), 10), s.log.edit(simKey(5000+created), 10))
						created++
						s.feedAll()
					}
					return d, nil
				}
			}
			for _, m := range s.members {
				m.dead.Store(false)
				m.start(Config{})
			}
			for _, m := range s.members {
				until(t, m.name+" has what the others have", func() bool { return slices.Equal(m.lost(), lost) })
			}
			for _, m := range s.members {
				m.stop()
			}
			s.feedAll()
			s.equalBut(lost)
			if len(lost) > 0 {
				stuck++
			}
		})
	}
	t.Logf("%d rounds, %d of them with buckets that all had lost, %d documents created meanwhile", rounds, stuck, created)
	if stuck == 0 || created == 0 {
		t.Error("some case was never met")
	}
}

// equalBut wants members to have the same documents, whole, but in some buckets. There, a
// member has a document as the log says, or answers that it is damaged.
func (s *sim) equalBut(lost []layout.Bucket) {
	s.t.Helper()
	truth := &simMember{sim: s, name: "truth", fs: vfs.NewMem()}
	truth.open()
	defer truth.close()
	s.feed(truth)
	_, want := truth.survey(s.layout.Partitions)
	for _, m := range s.members {
		_, have := m.survey(s.layout.Partitions)
		for i := range want {
			if !slices.Contains(lost, want[i].Bucket) && want[i].Digest != have[i].Digest {
				s.t.Errorf("%s: bucket %v is not as the log says", m.name, want[i].Bucket)
			}
		}
		for k := range s.log.heads {
			should, e1 := truth.store.Get(k)
			is, e2 := m.store.Get(k)
			if e1 != nil || e2 == nil && (is.Seq != should.Seq || is.Patch != should.Patch) {
				s.t.Errorf("%s: document %q is %v, not %v (%v)", m.name, k.Key, is, should, e1)
			}
			if e2 != nil && (contract.CodeOf(e2) != contract.Damaged || !slices.Contains(lost, layout.BucketOf(k.Space, k.Key))) {
				s.t.Errorf("%s: document %q: %v", m.name, k.Key, e2)
			}
		}
	}
}

// Two members heal from one another while the third is dead, and tell what they wait for
// where both have lost the same.
func TestTwoMembersThatHaveLostRows(t *testing.T) {
	s := newSim(t, 3)
	s.log.fill(150, 20)
	s.feedAll()
	rng := rand.New(rand.NewPCG(5, 5))
	for _, m := range s.members {
		m.dead.Store(true)
	}
	h1, h2, h3 := s.members[0], s.members[1], s.members[2]
	h1.losesBuckets(rng, []layout.Bucket{1, 2, 3, 9})
	h2.losesBuckets(rng, []layout.Bucket{3, 4, 5, 9})
	for _, m := range []*simMember{h1, h2} {
		m.dead.Store(false)
		m.start(Config{})
	}
	for _, m := range []*simMember{h1, h2} {
		until(t, m.name+" waits for the third", func() bool {
			heals := m.r.Status().Heals
			return len(heals) == 1 && slices.Equal(m.lost(), []layout.Bucket{3, 9}) && strings.Contains(heals[0].Why, "another member has to tell")
		})
	}
	h3.dead.Store(false)
	for _, m := range []*simMember{h1, h2} {
		until(t, m.name+" is healed", m.isWell)
	}
	s.same(s.members...)
}

// A member that must be copied as a whole takes nothing from one that has lost rows: what
// that one lacks would pass for deleted.
func TestNothingIsCopiedFromWhoHasLostRows(t *testing.T) {
	s, m := wiped(t, 300, 20)
	s.members[2].dead.Store(true)
	h2 := s.members[1]
	h2.losesBuckets(rand.New(rand.NewPCG(1, 1)), []layout.Bucket{1, 2, 3, 4, 5, 6, 7, 8})
	n := m.counted(nil)
	m.start(Config{HealRetry: 1})
	until(t, "it waits for a member", func() bool {
		heals := m.r.Status().Heals
		return len(heals) == 1 && strings.Contains(heals[0].Why, "no other member is alive and healthy")
	})
	// A peer that has not told yet that it has lost rows says so when it is asked.
	stripe := m.Stripes()[0]
	try := &healTry{look: look{r: m.r, stripe: &stripe, peer: "h2", heals: true, notes: newNotes(m.r)}, healing: m.r.healing.begin(&stripe)}
	if err := try.run(t.Context()); err == nil || !strings.Contains(err.Error(), "h2 has lost rows itself") {
		t.Errorf("copy from it: %v", err)
	}
	if n.Load() != 0 || m.documents() != 0 {
		t.Errorf("%d documents came", n.Load())
	}
	s.members[2].dead.Store(false)
	until(t, "healed", m.isHealed)
	h2.start(Config{})
	until(t, "h2 is healed", h2.isWell)
	s.same(s.members...)
}
