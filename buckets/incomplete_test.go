package buckets

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

func drawMarks(t *rapid.T) *markSet {
	m := &markSet{lists: rapid.Bool().Draw(t, "lists")}
	for range rapid.IntRange(0, 5).Draw(t, "ranges") {
		first := rapid.IntRange(0, layout.Buckets-1).Draw(t, "first")
		last := rapid.IntRange(first, min(layout.Buckets-1, first+rapid.SampledFrom([]int{0, 1, 64, 20000}).Draw(t, "more"))).Draw(t, "last")
		m.set(Range{layout.Bucket(first), layout.Bucket(last)}, true)
	}
	return m
}

func TestMarksAreReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMarks(t)
		b := encodeMarks(m)
		if got, err := parseMarks(b); err != nil || *got != *m {
			t.Fatalf("%s: %v", b, err)
		}
		n := 0
		for _, g := range m.ranges() {
			n += int(g.Last) - int(g.First) + 1
			if !m.has(g.First) || !m.has(g.Last) {
				t.Fatalf("range %v of %s", g, b)
			}
		}
		if n != m.count() {
			t.Fatalf("%d buckets in ranges, %d are marked", n, m.count())
		}
		if _, err := parseMarks(flip(b, rapid.IntRange(0, 8*len(b)-1).Draw(t, "bit"))); !errors.Is(err, ErrDamaged) {
			t.Fatalf("with a flipped bit: %v", err)
		}
	})
}

func FuzzMarks(f *testing.F) {
	f.Add([]byte(marksTitle + "\nbuckets 3-5\nlists\n"))
	f.Add(encodeMarks(&markSet{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMarks(b)
		if err == nil && string(encodeMarks(m)) != string(b) {
			t.Errorf("%q is another way to write %q", b, encodeMarks(m))
		}
	})
}

// TestDamagedMarksStandForAll: a file of marks that cannot be understood must not
// pass for one without marks.
func TestDamagedMarksStandForAll(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{})
	damageLog().feed(t, s)
	if err := s.mark(func(m *markSet) { m.set(Range{5, 5}, true) }); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	flipFile(t, fs, incompleteFile, 200)
	for range 2 { // and it stays so
		s = open(t, fs, Options{})
		if n := len(s.Incomplete([]Range{{0, layout.Buckets - 1}})); n != layout.Buckets || !s.Corrupt() {
			t.Errorf("%d buckets are incomplete, corrupt %v", n, s.Corrupt())
		}
		if _, err := s.Get(contract.Key{Space: "no", Key: "where"}); code(err) != contract.Damaged {
			t.Errorf("get: %v", err)
		}
		closed(t, s)
	}
}

// TestIncompleteBucket asks of a bucket that has lost rows, and has a record
// change what may have been there.
func TestIncompleteBucket(t *testing.T) {
	log := damageLog()
	fs := vfs.NewMem()
	s := open(t, fs, Options{})
	r := log.feed(t, s)
	lost, kept := contract.Key{Space: "x", Key: "lost"}, names[5]
	b, other := layout.BucketOf(lost.Space, lost.Key), layout.BucketOf(kept.Space, kept.Key)
	if b == other {
		t.Fatal("pick another name")
	}
	if err := s.mark(func(m *markSet) {
		m.set(Range{b, b}, true)
		m.set(Range{other, other}, true)
	}); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		if got := s.Incomplete([]Range{{0, layout.Buckets - 1}}); !slices.Equal(got, []layout.Bucket{min(b, other), max(b, other)}) {
			t.Errorf("incomplete: %v", got)
		}
		if err := s.Verify(); !errors.Is(err, ErrDamaged) {
			t.Errorf("verify: %v", err)
		}
		_, e1 := s.Get(lost)
		_, _, e2 := s.Head(lost)
		create := initial(lost, update(0, 1, "{}"))
		_, e3 := s.Decide(&create)
		resent := withID(patch(kept, update(4, 4, "{}")), "lost, perhaps")
		_, e4 := s.Decide(&resent)
		_, e5 := s.Keys(contract.Key{}, 100, nil)
		_, e6 := s.Marked(contract.Key{}, 100, func(x layout.Bucket) bool { return x == b })
		for i, err := range []error{e1, e2, e3, e4, e5, e6} {
			if code(err) != contract.Damaged {
				t.Errorf("question %d: %v", i+1, err)
			}
		}
		if _, err := s.Get(kept); err != nil {
			t.Errorf("a document that is there: %v", err)
		}
		plain := patch(kept, update(4, 4, "{}"))
		if _, err := s.Decide(&plain); err != nil {
			t.Errorf("a change without a request id: %v", err)
		}
		if _, err := s.Keys(contract.Key{}, 100, func(x layout.Bucket) bool { return x != b && x != other }); err != nil {
			t.Errorf("a list of other buckets: %v", err)
		}
	}
	check()
	log.batch(initial(lost, update(0, 1, "{}")))
	log.feed(t, s)
	check()
	if at := pos(log.seq()); r.missed.until(lost) != at {
		t.Errorf("the change at %v that was left out is noted as %v", at, r.missed.until(lost))
	}
	closed(t, s)
	s = open(t, fs, Options{})
	r = log.feed(t, s)
	check()

	whole := openTemp(t, Options{})
	moment, err := log.feed(t, whole).Moment()
	if err != nil {
		t.Fatal(err)
	}
	defer moment.Close()
	im, err := moment.Image(lost)
	if err != nil {
		t.Fatal(err)
	}
	if result, err := r.Put([]Put{{Image: im, AsOf: moment.Position()}}); err != nil || result.Taken != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if left, err := r.ClearIncomplete(r.Compare(moment.Position()), b, other); err != nil || len(left) > 0 {
		t.Fatalf("left %v: %v", left, err)
	}
	verified(t, s)
	sameStores(t, s, whole)
	if names, _ := fs.List("store"); slices.Contains(names, incompleteFile) {
		t.Error("the file of marks is still there")
	}
	closed(t, s)
}

// TestClearIncompleteWaitsForWhatWasMissed: a document that was created while its bucket
// was incomplete is not here, so what a peer had before says nothing of it.
func TestClearIncompleteWaitsForWhatWasMissed(t *testing.T) {
	log := damageLog()
	s := openTemp(t, Options{})
	r := log.feed(t, s)
	fresh := contract.Key{Space: "x", Key: "fresh"}
	b, quiet := layout.BucketOf(fresh.Space, fresh.Key), layout.BucketOf(names[5].Space, names[5].Key)
	if err := s.mark(func(m *markSet) {
		m.set(Range{b, b}, true)
		m.set(Range{quiet, quiet}, true)
	}); err != nil {
		t.Fatal(err)
	}
	peer := r.Compare(r.position()) // it stands here, and has nothing of the document
	log.batch(initial(fresh, update(0, 1, "{}")))
	log.feed(t, s)
	left, err := r.ClearIncomplete(peer, b, quiet)
	if err != nil || !slices.Equal(left, []layout.Bucket{b}) {
		t.Fatalf("left %v: %v", left, err)
	}
	if got := s.Incomplete([]Range{{0, layout.Buckets - 1}}); !slices.Equal(got, []layout.Bucket{b}) {
		t.Errorf("incomplete: %v", got)
	}
	if _, err := s.Get(fresh); code(err) != contract.Damaged {
		t.Errorf("a document that was acknowledged and is not here: %v", err)
	}
	// A peer that stands where the document was created, and has nothing of it, knows.
	if left, err = r.ClearIncomplete(r.Compare(pos(log.seq())), b); err != nil || len(left) > 0 {
		t.Fatalf("left %v: %v", left, err)
	}
	if _, err := s.Get(fresh); code(err) != contract.NotFound {
		t.Errorf("afterwards: %v", err)
	}
}

// TestClearIncompleteAfterARestart: what was missed before is not known any more, so a
// peer must have come as far as this replica had.
func TestClearIncompleteAfterARestart(t *testing.T) {
	log, fs := damageLog(), vfs.NewMem()
	s := open(t, fs, Options{})
	log.feed(t, s)
	b := layout.BucketOf("x", "fresh")
	if err := s.mark(func(m *markSet) { m.set(Range{b, b}, true) }); err != nil {
		t.Fatal(err)
	}
	before := log.seq()
	log.batch(initial(contract.Key{Space: "x", Key: "fresh"}, update(0, 1, "{}")))
	log.feed(t, s)
	closed(t, s)
	s = open(t, fs, Options{})
	defer closed(t, s)
	r := log.feed(t, s)
	if left, err := r.ClearIncomplete(r.Compare(pos(before)), b); err != nil || !slices.Equal(left, []layout.Bucket{b}) {
		t.Errorf("left %v: %v", left, err)
	}
	if left, err := r.ClearIncomplete(r.Compare(pos(log.seq())), b); err != nil || len(left) > 0 {
		t.Errorf("left %v: %v", left, err)
	}
}

// TestClearIncompleteRefusesDamage: a bucket is not complete while one of its
// documents is without its rows.
func TestClearIncompleteRefusesDamage(t *testing.T) {
	s := openTemp(t, Options{})
	r := damageLog().feed(t, s)
	p := placeOf(names[0])
	if err := s.mark(func(m *markSet) { m.set(Range{p.bucket, p.bucket}, true) }); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Delete(p.id("p3"), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if left, err := r.ClearIncomplete(r.Compare(r.position()), p.bucket); !errors.Is(err, ErrDamaged) {
		t.Errorf("clear: left %v: %v", left, err)
	}
	if len(s.Incomplete([]Range{{0, layout.Buckets - 1}})) != 1 {
		t.Error("the mark is gone")
	}
}

// TestForgetNoticesLostIDs: a document that has lost request ids must not be taken
// for one of which all are known.
func TestForgetNoticesLostIDs(t *testing.T) {
	k := names[5]
	log, s := newLog(), openTemp(t, Options{})
	log.batch(initial(k, update(0, 1, "{}")))
	p := placeOf(k)
	for seq := int32(2); seq < 300; seq++ {
		log.time += 10_000
		log.batch(withID(patch(k, update(seq, seq, "{}")), string('a'+seq)))
		log.feed(t, s)
		if seq == 100 {
			s.heads.forget([][]byte{p.common})
			if err := s.db.Delete(p.id(string(rune('a'+99))), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
		if seq > 100 && s.heads.lacks(&p, string(rune('a'+99))) {
			t.Fatalf("at %d an id that was lost passes for one that never was", seq)
		}
	}
}

// TestListsAreMended cuts the lists out of a store and has them put back.
func TestListsAreMended(t *testing.T) {
	log := damageLog()
	s, whole := openTemp(t, Options{}), openTemp(t, Options{})
	log.feed(t, s)
	log.feed(t, whole)
	if err := s.mark(func(m *markSet) { m.lists = true }); err != nil {
		t.Fatal(err)
	}
	for _, table := range lists {
		if err := s.db.DeleteRange([]byte{table}, []byte{table + 1}, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Keys(contract.Key{}, 100, nil); code(err) != contract.Damaged {
		t.Errorf("keys: %v", err)
	}
	if !s.Corrupt() {
		t.Error("nobody is told that there is something to do")
	}
	if losses, err := s.Quarantine(context.Background()); err != nil || len(losses) > 0 || s.Corrupt() {
		t.Fatalf("%v, %v, corrupt %v", losses, err, s.Corrupt())
	}
	verified(t, s)
	sameStores(t, s, whole)
}
