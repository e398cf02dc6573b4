package buckets

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
)

// A flock is replicas of one log in which tombstones are released. The machine's
// own store applies each record soon; the followers do when they please, and take
// images from anybody in between.
type flock struct {
	*machine
	followers []*follower
	images    []Put // of moments past
}

type follower struct {
	fs      *vfs.MemFS
	store   *Store
	adopted bool // stood somewhere without having applied all before
}

// TestReplicasWithReleasesStayEqual has replicas apply one log with releases while
// they restart, crash, get images ahead of the log and late ones, are wiped and
// healed. Whoever has come to the end of the log has the same rows as all others.
func TestReplicasWithReleasesStayEqual(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := &flock{machine: &machine{t: t, fs: vfs.NewCrashableMem(), log: newLog(), twin: newTwin()}}
		f.store = open(t, f.fs, f.options())
		defer func() { _ = f.store.Close() }()
		for range 2 {
			x := &follower{fs: vfs.NewCrashableMem()}
			x.store = open(t, x.fs, f.options())
			defer func() { _ = x.store.Close() }()
			f.followers = append(f.followers, x)
		}
		for range rapid.IntRange(10, 60).Draw(t, "steps") {
			f.step(rapid.SampledFrom(f.followers).Draw(t, "follower"))
		}
		f.log.feed(t, f.store)
		for _, x := range f.followers {
			f.follow(x, f.log.seq())
		}
		f.compareWithReplay()
	})
}

func (f *flock) step(x *follower) {
	switch rapid.IntRange(0, 15).Draw(f.t, "flock step") {
	case 0, 1:
		f.release()
	case 2, 3, 4:
		f.follow(x, rapid.Uint64Range(1, 8).Draw(f.t, "records"))
	case 5, 6:
		f.keepImage()
	case 7, 8:
		f.putImage(x)
	case 9:
		closed(f.t, x.store)
		x.store = open(f.t, x.fs, f.options())
	case 10:
		f.powerLoss(x)
	case 11:
		f.heal(x)
	case 12:
		f.foreign()
	default:
		f.batch()
	}
	f.nothingReleasedIsBack(x)
}

func (f *flock) replica(s *Store) *Replica {
	r, err := s.Replica("s1", birth)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// follow applies up to n records. At the end of the log the rows are compared.
func (f *flock) follow(x *follower, n uint64) {
	r := f.replica(x.store)
	for seq := r.Applied().Seq + 1; seq <= f.log.seq() && n > 0; seq, n = seq+1, n-1 {
		if err := r.Apply(seq, f.log.bodies[seq-1]); err != nil {
			f.t.Fatal(err)
		}
	}
	if r.Applied().Seq < f.log.seq() {
		return
	}
	f.log.feed(f.t, f.store)
	if !x.adopted {
		sameStores(f.t, f.store, x.store)
		return
	}
	// Who has not applied everything does not know when a bucket was touched by
	// what is no longer there.
	a, b := dump(f.t, f.store), dump(f.t, x.store)
	for key, value := range a {
		if key[0] != tableBucket && b[key] != value {
			f.t.Fatalf("row %q is %q, in a healed store %q", key, value, b[key])
		}
	}
	for key := range b {
		if _, there := a[key]; key[0] != tableBucket && !there {
			f.t.Fatalf("row %q is in a healed store only", key)
		}
	}
	for bucket := range layout.Bucket(layout.Buckets) {
		if f.store.Bucket(bucket).Digest != x.store.Bucket(bucket).Digest {
			f.t.Fatalf("the digests of bucket %d differ", bucket)
		}
	}
	verified(f.t, x.store)
}

// nothingReleasedIsBack looks for tombstones at or below a replica's own horizon.
func (f *flock) nothingReleasedIsBack(x *follower) {
	horizon := f.replica(x.store).Applied().Horizon
	for _, row := range tombstoneRows(f.t, x.store) {
		if p, at, err := parseTombstone([]byte(row)); err != nil || !horizon.Less(at) {
			f.t.Fatalf("tombstone %q at %v, the horizon is %v: %v", p.key, at, horizon, err)
		}
	}
}

// keepImage remembers a document as it is in one of the stores now.
func (f *flock) keepImage() {
	from := rapid.SampledFrom([]*Store{f.store, f.store, f.followers[0].store, f.followers[1].store}).Draw(f.t, "from")
	if from == f.store {
		f.log.feed(f.t, f.store)
	}
	m, err := f.replica(from).Moment()
	if err != nil {
		f.t.Fatal(err)
	}
	defer m.Close()
	image, err := m.Image(f.key())
	if errors.Is(err, ErrAbsent) {
		return
	}
	if err != nil {
		f.t.Fatal(err)
	}
	// A follower that was brought ahead by images knows more than where it stands.
	state, err := image.Check()
	if err != nil {
		f.t.Fatal(err)
	}
	asOf := m.Position()
	if asOf.Less(state.Position) {
		asOf = state.Position
	}
	f.images = append(f.images, Put{Image: image, AsOf: asOf})
}

// putImage puts one of the images into a follower, which may be behind it or ahead.
func (f *flock) putImage(x *follower) {
	if len(f.images) == 0 {
		return
	}
	p := f.images[rapid.IntRange(0, len(f.images)-1).Draw(f.t, "image")]
	result, err := f.replica(x.store).Put([]Put{p})
	if err != nil {
		f.t.Fatal(err)
	}
	if result.Outcomes[0] == Moved {
		f.t.Fatalf("%+v is another document at the same position", p)
	}
}

// powerLoss goes on with what the disk may hold after one.
func (f *flock) powerLoss(x *follower) {
	fs := x.fs.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: rapid.SampledFrom([]int{0, 30, 100}).Draw(f.t, "survives"),
		RNG:                 rand.New(rand.NewPCG(1, rapid.Uint64().Draw(f.t, "seed"))),
	})
	_ = x.store.Close()
	x.fs = fs
	x.store = open(f.t, fs, f.options())
}

// heal makes a follower, empty or not, what the machine's store is, as a sick member
// heals: the documents first, then where it stands. Tombstones that the other
// one has released are left for the adoption.
func (f *flock) heal(x *follower) {
	if f.chance(50, "wiped") {
		closed(f.t, x.store)
		x.fs = vfs.NewCrashableMem()
		x.store = open(f.t, x.fs, f.options())
	}
	f.log.feed(f.t, f.store)
	from, err := f.replica(f.store).Moment()
	if err != nil {
		f.t.Fatal(err)
	}
	defer from.Close()
	r := f.replica(x.store)
	if r.Applied().Seq >= from.Applied().Seq {
		return
	}
	var list []Put
	for _, k := range names {
		image, err := from.Image(k)
		switch {
		case errors.Is(err, ErrAbsent):
			f.dropLive(r, k)
		case err != nil:
			f.t.Fatal(err)
		default:
			list = append(list, Put{Image: image, AsOf: from.Position()})
		}
	}
	result, err := r.Put(list)
	if err != nil || strings.Contains(sprint(result.Outcomes), TooOld.String()) {
		f.t.Fatalf("%+v, %v", result, err)
	}
	x.adopted = true
	if err := r.Adopt(from.Applied()); err != nil {
		f.t.Fatal(err)
	}
	f.follow(x, 0)
}

func (f *flock) dropLive(r *Replica, k contract.Key) {
	m, err := r.Moment()
	if err != nil {
		f.t.Fatal(err)
	}
	defer m.Close()
	d, err := m.Document(k)
	if err != nil || d.Damaged != "" {
		f.t.Fatalf("%+v, %v", d, err)
	}
	if !d.Live {
		return
	}
	if dropped, err := r.Drop(k, d.Digest); err != nil || !dropped {
		f.t.Fatalf("dropped: %v, %v", dropped, err)
	}
}

// TestAdoptReleases adopts a horizon over tombstones, many in one record and in
// many.
func TestAdoptReleases(t *testing.T) {
	t.Parallel()
	log := newLog()
	var last uint64
	for n := 0; n < 9000; {
		for range 3 {
			log.batch(withID(remove(numbered(n)), "id"))
			n++
		}
		var b []record.Change
		for range 297 {
			b = append(b, withID(remove(numbered(n)), "id"))
			n++
		}
		log.batch(b...)
		last = log.seq()
	}
	s, want := openTemp(t, Options{}), openTemp(t, Options{})
	r := log.feed(t, s)
	log.release(pos(last - 1))
	peer := log.feed(t, want).Applied()
	for _, bad := range []position.Position{{Birth: birth + 1, Seq: 1}, pos(log.seq())} {
		a := peer
		a.Horizon = bad
		if err := r.Adopt(a); err == nil || !strings.Contains(err.Error(), "horizon") {
			t.Errorf("adopted the horizon %v: %v", bad, err)
		}
	}
	if err := r.Adopt(peer); err != nil {
		t.Fatal(err)
	}
	if n := len(tombstoneRows(t, s)); n != 297 {
		t.Errorf("%d tombstones are left, want those of the last record", n)
	}
	verified(t, s)
	log.batch(withID(initial(numbered(0), update(0, 1, "{}")), "new")) // without a past
	log.feed(t, s)
	log.feed(t, want)
	sameStores(t, want, s)

	// A place further on, from somebody who knows of no horizon.
	log.batch()
	peer = log.feed(t, want).Applied()
	peer.Horizon = position.Position{}
	if err := r.Adopt(peer); err != nil || r.Applied().Horizon != pos(last-1) {
		t.Errorf("adopted %+v, %v", r.Applied(), err)
	}
}

// TestReleasedStaysReleased puts the image of a tombstone that has been released, from
// a peer that says it is of now.
func TestReleasedStaysReleased(t *testing.T) {
	for name, local := range map[string]func(log *stripeLog){
		"absent":      func(*stripeLog) {},
		"there again": func(log *stripeLog) { log.batch(initial(numbered(0), update(0, 1, "{}"))) },
	} {
		t.Run(name, func(t *testing.T) {
			s, log := openTemp(t, Options{}), deletions()
			r := log.feed(t, s)
			m, err := r.Moment()
			if err != nil {
				t.Fatal(err)
			}
			image, err := m.Image(numbered(0))
			m.Close()
			if err != nil {
				t.Fatal(err)
			}
			log.release(pos(8))
			local(log)
			log.feed(t, s)
			before := dump(t, s)
			result, err := r.Put([]Put{{Image: image, AsOf: pos(99)}})
			if err != nil || result.Taken != 0 {
				t.Errorf("%+v, %v", result, err)
			}
			if sprint(dump(t, s)) != sprint(before) {
				t.Error("the image has changed the store")
			}
		})
	}
}

// TestReleasableWhileRecordsApply asks while tombstones come and go.
func TestReleasableWhileRecordsApply(t *testing.T) {
	s, log := openTemp(t, Options{}), newLog()
	r := log.feed(t, s)
	done := make(chan struct{})
	var asking sync.WaitGroup
	for _, ask := range []func(){
		func() {
			h, n := r.Releasable(pos(1<<40), 3)
			if now := r.Applied(); (n > 0) != !h.IsZero() || n > 3 || now.Seq < h.Seq {
				t.Errorf("%d up to %v, applied %+v", n, h, now)
			}
		},
		func() {
			if err := s.Verify(); err != nil {
				t.Error(err)
			}
		},
	} {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					ask()
				}
			}
		})
	}
	for n := range 1000 {
		log.time += 10_000
		log.batch(withID(remove(numbered(n%50)), "id "+sprint(n)))
		if h, _ := r.Releasable(pos(log.seq()), 5); n%7 == 0 && !h.IsZero() {
			log.release(h)
		}
		log.feed(t, s)
	}
	close(done)
	asking.Wait()
	if h := r.Applied().Horizon; h.Seq < 900 {
		t.Errorf("released up to %v only", h)
	}
}
