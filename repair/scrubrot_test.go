package repair

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
)

// rot flips a random bit of a random file of the member's database, which is closed: one
// whose name ends in suffix, or in .log where there is none.
func (m *simMember) rot(rng *rand.Rand, suffix string) {
	m.sim.t.Helper()
	list, err := m.fs.List("store")
	if err != nil {
		m.sim.t.Fatal(err)
	}
	var files []string
	for _, name := range list {
		if strings.HasSuffix(name, suffix) {
			files = append(files, "store/"+name)
		}
	}
	if len(files) == 0 && suffix != ".log" {
		m.rot(rng, ".log")
		return
	}
	name := files[rng.IntN(len(files))]
	f, err := m.fs.Open(name)
	if err != nil {
		m.sim.t.Fatal(err)
	}
	bytes, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		m.sim.t.Fatal(err)
	}
	bytes[rng.IntN(len(bytes))] ^= 1 << rng.IntN(8)
	w, err := m.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = w.Write(bytes)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		m.sim.t.Fatal(err)
	}
}

// reopenRotten opens the member's store as a host does: one that cannot be opened is
// set aside, and a replica that is not known where it stands begins anew.
func (m *simMember) reopenRotten() {
	m.sim.t.Helper()
	store, err := buckets.Open("store", buckets.Options{FS: m.fs, CacheBytes: 1 << 20, MergedBytes: -1, MemTableBytes: 1 << 20})
	if errors.Is(err, buckets.ErrUnopenable) {
		m.wipe()
		m.setSick("its store could not be opened")
		return
	}
	if err != nil {
		m.sim.t.Fatal(err)
	}
	m.store = store
	_, err = store.Replica(simStripe, 1)
	if errors.Is(err, buckets.ErrLostReplica) {
		_, err = store.Renew(simStripe, 1)
		m.setSick("it has lost where it stands")
	}
	if err != nil {
		m.sim.t.Fatal(err)
	}
}

// Bits flip in the files of the database: tables, logs and the list of tables. Whatever
// the database makes of it, a scrub and what follows make the member equal to the others
// again.
func TestRottenFilesAreHealed(t *testing.T) {
	s := newSim(t, 3)
	s.log.fill(400, 100)
	for i := range 80 {
		s.log.batch(s.log.edit(simKey(i*3), 10))
		if i%7 == 0 {
			s.log.batch(s.log.remove(simKey(i * 5)))
		}
	}
	s.feedAll()
	m := s.members[0]
	m.reopen(func(db *pebble.DB) {
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := db.Compact(t.Context(), []byte{0}, []byte{255}, false); err != nil {
			t.Fatal(err)
		}
	})
	rng := rand.New(rand.NewPCG(4, 2))
	const flips = 6
	outcomes := map[string]int{}
	for i := range flips {
		m.close()
		m.rot(rng, []string{".sst", ".sst", ".sst", ".log"}[i%4])
		m.reopenRotten()
		outcome := "opened"
		if m.sickness() != "" {
			outcome = m.sickness()
		}
		m.mu.Lock()
		m.events = nil
		m.mu.Unlock()
		m.start(Config{})
		until(t, "healed", m.isWell)
		for range 2 { // what is cut out may show more
			if _, err := m.r.Scrub(t.Context(), Scope{}, nil); err != nil {
				t.Fatalf("flip %d: %v", i, err)
			}
			until(t, "healed", m.isWell)
		}
		if len(happened[Quarantined](m)) > 0 {
			outcome += ", rows cut out"
		}
		outcomes[outcome]++
		// No stripe here carries the buckets that are not of the sim, so nobody heals them.
		if rest := m.store.Incomplete([]buckets.Range{{First: simBuckets, Last: layout.Buckets - 1}}); len(rest) > 0 {
			r := m.replica()
			if left, err := r.ClearIncomplete(r.Compare(r.Survey(nil).Position), rest...); err != nil || len(left) > 0 {
				t.Fatalf("left %v: %v", left, err)
			}
		}
		s.feed(m)
		m.round()
		if result := m.round(); result.Pulled+result.Dropped > 0 || len(result.Skipped) > 0 {
			t.Errorf("flip %d: a second round has something to do: %+v", i, result)
		}
		s.same(s.members...)
		if t.Failed() {
			t.Fatalf("flip %d (%s)", i, outcome)
		}
	}
	t.Logf("%v", outcomes)
	if outcomes["opened"] == flips {
		t.Error("no flip was met by the database")
	}
}

// cut damages the member's tables until rows have been cut out of them, and leaves it
// running. It returns the buckets that have lost rows.
func (m *simMember) cut(seed uint64) []layout.Bucket {
	m.sim.t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 50 {
		m.reopen(func(db *pebble.DB) {
			if err := errors.Join(db.Flush(), db.Compact(m.sim.t.Context(), []byte{0}, []byte{255}, false)); err != nil {
				m.sim.t.Fatal(err)
			}
		})
		m.close()
		m.rot(rng, ".sst")
		m.reopenRotten()
		m.start(Config{})
		if _, err := m.r.Scrub(m.sim.t.Context(), Scope{}, nil); err != nil {
			m.sim.t.Fatal(err)
		}
		if lost := m.store.Incomplete(buckets.RangesOf(m.sim.layout.Partitions)); len(lost) > 0 && m.sickness() == "" {
			return lost
		}
		if m.sickness() != "" {
			m.sim.t.Fatalf("another seed: %s", m.sickness())
		}
	}
	m.sim.t.Fatal("another seed: no row was cut out")
	return nil
}

// A document that is created while its bucket heals, after the peer was asked, is not
// taken for one that never was.
func TestDocumentsOfBucketsThatHeal(t *testing.T) {
	s := newSim(t, 3)
	s.log.fill(400, 100)
	s.feedAll()
	m := s.members[0]
	for _, o := range s.members[1:] {
		o.dead.Store(true)
	}
	lost := m.cut(4)
	var fresh []contract.Key
	m.peers.image = func(_ string, d *Pulled) (*Pulled, error) {
		if len(fresh) > 0 {
			return d, nil
		}
		for i := range 300 {
			if k := simKey(10_000 + i); slices.Contains(lost, layout.BucketOf(k.Space, k.Key)) {
				fresh = append(fresh, k)
				s.log.batch(s.log.edit(k, 10))
			}
		}
		s.feedAll()
		return d, nil
	}
	m.healed = func(buckets.Applied) error {
		for _, k := range fresh {
			if _, err := m.store.Get(k); err != nil {
				t.Errorf("document %q of bucket %v, which is healed: %v", k.Key, layout.BucketOf(k.Space, k.Key), err)
			}
		}
		return nil
	}
	for _, o := range s.members[1:] {
		o.dead.Store(false)
	}
	m.r.Look()
	until(t, "healed", m.isWell)
	s.same(s.members...)
	if len(fresh) == 0 {
		t.Error("no document was created meanwhile")
	}
	t.Logf("%d buckets had lost rows, %d documents were created meanwhile, healed in %d tries", len(lost), len(fresh), len(happened[HealEnded](m)))
}

func (m *simMember) isWell() bool { return m.Stripes()[0].Sick == "" }
