package buckets

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/record"
)

// twoStores have applied logs that differ in the text of one update: the copies
// have the same positions, heads and incarnations.
func twoStores(t *testing.T, opts Options) (mine, theirs *Store) {
	t.Helper()
	mine, theirs = openTemp(t, opts), openTemp(t, opts)
	for s, text := range map[*Store]string{mine: `{"a":"mine"}`, theirs: `{"a":"theirs"}`} {
		log := newLog()
		log.batch(initial(testKey, update(0, 1, text)))
		log.feed(t, s)
	}
	return mine, theirs
}

func putOf(t *testing.T, from *Store, k contract.Key) Put {
	t.Helper()
	m := momentOf(t, from)
	defer m.Close()
	return Put{Image: sent(t, m, k), AsOf: m.Position()}
}

func digestOf(t *testing.T, s *Store, k contract.Key) digest.Digest {
	t.Helper()
	m := momentOf(t, s)
	defer m.Close()
	d, err := m.Document(k)
	if err != nil {
		t.Fatal(err)
	}
	return d.Digest
}

// TestPutOverDivergence replaces only the copy that was decided about.
func TestPutOverDivergence(t *testing.T) {
	mine, theirs := twoStores(t, Options{})
	r, put := replicaOf(t, mine), putOf(t, theirs, testKey)
	if got := putOne(t, r, put); got != Moved {
		t.Errorf("without a decision: %v", got)
	}
	put.Over = &digest.Digest{1}
	if got := putOne(t, r, put); got != Moved {
		t.Errorf("over another copy: %v", got)
	}
	was := digestOf(t, mine, testKey)
	put.Over = &was
	if got := putOne(t, r, put); got != Taken {
		t.Errorf("over this copy: %v", got)
	}
	if got := putOne(t, r, put); got != Older {
		t.Errorf("again: %v", got)
	}
	if doc, err := mine.Get(testKey); err != nil || doc.Patch != `{"a":"theirs"}` {
		t.Errorf("get: %+v, %v", doc, err)
	}
	verified(t, mine)
	if mine.Bucket(putBucket) != theirs.Bucket(putBucket) {
		t.Error("the buckets differ")
	}
}

var putBucket = placeOf(testKey).bucket

// TestPutBehind replaces a copy that has made a change which the others refused,
// and none that has made one which they have yet to make.
func TestPutBehind(t *testing.T) {
	for _, refused := range []bool{false, true} {
		log := newLog()
		log.batch(initial(testKey, update(0, 1, `{}`)))
		mine, theirs := openTemp(t, Options{}), openTemp(t, Options{})
		log.feed(t, theirs)
		early := putOf(t, theirs, testKey)
		log.batch(patch(testKey, update(2, 2, `{"a":2}`)))
		log.feed(t, mine)
		if refused {
			other := newLog() // at the same position, nothing for this document
			other.batch(initial(testKey, update(0, 1, `{}`)))
			other.batch()
			other.feed(t, theirs)
			early.AsOf = pos(3)
		}
		was := digestOf(t, mine, testKey)
		early.Over = &was
		want := Older
		if refused {
			want = Taken
		}
		if got := putOne(t, replicaOf(t, mine), early); got != want {
			t.Errorf("refused by the others %v: %v", refused, got)
		}
		verified(t, mine)
	}
}

// TestTextAfterPut has the text of the copy before in all caches, and in the
// hands of a reader that began before the put and ends after it.
func TestTextAfterPut(t *testing.T) {
	mine, theirs := twoStores(t, Options{})
	get := func() string {
		doc, err := mine.Get(testKey)
		if err != nil {
			t.Fatal(err)
		}
		mine.merged.cache.Wait()
		return doc.Patch
	}
	if text := get(); text != get() {
		t.Fatal("the text is not kept")
	}
	reader, err := mine.view(testKey)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.close()
	put, was := putOf(t, theirs, testKey), digestOf(t, mine, testKey)
	put.Over = &was
	if got := putOne(t, replicaOf(t, mine), put); got != Taken {
		t.Fatal(got)
	}
	if _, err := mine.mergedText(reader); err != nil {
		t.Fatal(err)
	}
	mine.merged.cache.Wait()
	for range 2 {
		if got := get(); got != `{"a":"theirs"}` {
			t.Errorf("get after the put: %s", got)
		}
	}
	c := patch(testKey, update(2, 2, `{"b":2}`))
	if v, err := mine.Decide(&c); err != nil || v.Done {
		t.Errorf("decide: %+v, %v", v, err)
	}
}

// TestPutAhead brings a document further than the replica, which then passes it.
func TestPutAhead(t *testing.T) {
	log := damageLog()
	theirs, mine := openTemp(t, Options{}), openTemp(t, Options{})
	log.feed(t, theirs)
	r := replicaOf(t, mine)
	for seq := uint64(1); seq <= 3; seq++ {
		if err := r.Apply(seq, log.bodies[seq-1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range names {
		if got := putOne(t, r, putOf(t, theirs, k)); got != Taken && got != Older {
			t.Fatalf("%q: %v", k, got)
		}
		verified(t, mine)
	}
	want := dump(t, theirs)
	for key, value := range dump(t, mine) {
		if key[0] != tableStripe && want[key] != value {
			t.Errorf("row %q before the log passes it: %q, want %q", key, value, want[key])
		}
	}
	log.feed(t, mine)
	if r.Skipped() != 0 {
		t.Errorf("%d changes were skipped", r.Skipped())
	}
	sameStores(t, theirs, mine)
}

// TestBucketOfOneAhead: the log changes a document beside one that is ahead of it.
func TestBucketOfOneAhead(t *testing.T) {
	other := benchKey(0)
	for i := 1; placeOf(other).bucket != putBucket; i++ {
		other = benchKey(i)
	}
	log := newLog()
	log.batch(initial(testKey, update(0, 1, `{}`)), initial(other, update(0, 1, `{}`)))
	theirs, mine := openTemp(t, Options{}), openTemp(t, Options{})
	r := log.feed(t, mine)
	log.batch(patch(testKey, update(2, 2, `{}`)))
	log.feed(t, mine)
	log.batch(patch(testKey, update(3, 3, `{}`)))
	log.batch(patch(other, update(2, 2, `{}`)))
	log.feed(t, theirs)
	if got := putOne(t, r, putOf(t, theirs, other)); got != Taken {
		t.Fatal(got)
	}
	for range 2 {
		next := r.Applied().Seq + 1
		if err := r.Apply(next, log.bodies[next-1]); err != nil {
			t.Fatal(err)
		}
		if at := mine.Bucket(putBucket).Position; at != pos(5) {
			t.Errorf("the bucket is at %v", at)
		}
		verified(t, mine)
	}
	sameStores(t, theirs, mine)
}

// TestPutTooOld: a copy that has missed a change is not healed by an image that
// is from before it, in this run nor, when nobody knows any more, in the next.
func TestPutTooOld(t *testing.T) {
	for _, restart := range []bool{false, true} {
		log, fs := newLog(), vfs.NewMem()
		theirs, mine := openTemp(t, Options{}), open(t, fs, Options{HeadBytes: -1})
		log.batch(initial(testKey, update(0, 1, `{}`)))
		log.feed(t, theirs)
		log.feed(t, mine)
		early := putOf(t, theirs, testKey)
		p := placeOf(testKey)
		rewrite(t, mine, p.state(), []byte("damaged"))
		log.batch(patch(testKey, update(2, 2, `{"a":2}`)))
		log.feed(t, mine) // it cannot follow
		if d, ok := mine.Damage(testKey); !ok || d.Since != pos(3) {
			t.Errorf("noticed: %+v, %v", d, ok)
		}
		if restart {
			closed(t, mine)
			mine = open(t, fs, Options{})
		}
		if got := putOne(t, replicaOf(t, mine), early); got != TooOld {
			t.Errorf("restart %v: an image from before the change: %v", restart, got)
		}
		log.feed(t, theirs)
		result, err := replicaOf(t, mine).Put([]Put{early, putOf(t, theirs, names[0])}[:1])
		if err != nil || result.Later != pos(3) || result.Taken != 0 {
			t.Errorf("%+v, %v", result, err)
		}
		if got := putOne(t, replicaOf(t, mine), putOf(t, theirs, testKey)); got != Taken {
			t.Errorf("restart %v: an image from after it: %v", restart, got)
		}
		if left := mine.Damaged(); len(left) > 0 {
			t.Errorf("still damaged: %v", left)
		}
		sameStores(t, theirs, mine)
		closed(t, mine)
	}
}

// TestSuspect: what a copy has lost is not known, so the image must be of the
// moment at which the loss was noticed, and no later.
func TestSuspect(t *testing.T) {
	log := newLog()
	theirs, mine := openTemp(t, Options{}), openTemp(t, Options{HeadBytes: -1})
	log.batch(initial(testKey, update(0, 1, `{}`)))
	log.feed(t, theirs)
	early := putOf(t, theirs, testKey)
	log.batch(patch(testKey, update(2, 2, `{"a":2}`)))
	log.feed(t, theirs)
	log.feed(t, mine)
	for key := range documentRows(testKey, dump(t, mine)) {
		removeRow(t, mine, key)
	}
	r := replicaOf(t, mine)
	if got := putOne(t, r, early); got != TooOld {
		t.Errorf("an image of before the loss: %v", got)
	}
	late := putOf(t, theirs, testKey)
	log.batch()
	log.feed(t, mine)
	if at := r.Suspect(testKey); at != pos(3) {
		t.Errorf("suspect since %v", at)
	}
	if got := putOne(t, r, late); got != Taken {
		t.Errorf("an image of when it was noticed: %v", got)
	}
	if at := r.Suspect(testKey); at != pos(4) {
		t.Errorf("suspect anew since %v", at)
	}
	if got := putOne(t, r, late); got != Older {
		t.Errorf("a false alarm: %v", got)
	}
	log.batch()
	log.feed(t, mine)
	if at := r.Suspect(testKey); at != pos(5) {
		t.Errorf("suspect after a false alarm since %v", at)
	}
}

// TestMissedByASuspect: what the log brings between an image and its put is lost
// on a copy that cannot follow, whatever its reason.
func TestMissedByASuspect(t *testing.T) {
	p := placeOf(testKey)
	for name, c := range map[string]struct {
		harm func(s *Store)
		then record.Change
	}{
		"damaged": {
			func(s *Store) { rewrite(t, s, p.state(), []byte("damaged")) },
			patch(testKey, update(2, 2, `{"a":2}`)),
		},
		"lost, so refused": {
			func(s *Store) {
				for key := range documentRows(testKey, dump(t, s)) {
					removeRow(t, s, key)
				}
			},
			patch(testKey, update(2, 2, `{"a":2}`)),
		},
		"lost, so without effect": {
			func(s *Store) {
				for key := range documentRows(testKey, dump(t, s)) {
					removeRow(t, s, key)
				}
			},
			remove(testKey),
		},
	} {
		log := newLog()
		theirs, mine := openTemp(t, Options{}), openTemp(t, Options{HeadBytes: -1})
		log.batch(initial(testKey, update(0, 1, `{}`)))
		log.feed(t, theirs)
		r := log.feed(t, mine)
		c.harm(mine)
		if at := r.Suspect(testKey); at != pos(2) {
			t.Errorf("%s: suspect since %v", name, at)
		}
		image := putOf(t, theirs, testKey)
		log.batch(c.then)
		log.feed(t, mine)
		log.feed(t, theirs)
		if got := putOne(t, r, image); got != TooOld {
			t.Errorf("%s: the image of before is %v", name, got)
		}
		if at := r.Suspect(testKey); at != pos(3) {
			t.Errorf("%s: then suspect since %v", name, at)
		}
		if got := putOne(t, r, putOf(t, theirs, testKey)); got != Taken {
			t.Errorf("%s: the image of after is %v", name, got)
		}
		sameStores(t, theirs, mine)
	}
}

// TestMissedByTheOutvoted: a copy that differs refuses what the others do, and the
// image that replaces it must have that. After a restart nobody knows what it was.
func TestMissedByTheOutvoted(t *testing.T) {
	for _, restart := range []bool{false, true} {
		fs := vfs.NewMem()
		theirs, mine := openTemp(t, Options{}), open(t, fs, Options{})
		logs := map[*Store]*stripeLog{mine: newLog(), theirs: newLog()}
		logs[mine].batch(initial(testKey, update(0, 1, `{}`)))
		logs[theirs].batch(initial(testKey, update(0, 5, `{}`)))
		logs[theirs].feed(t, theirs)
		early := putOf(t, theirs, testKey)
		for s, log := range logs {
			log.batch(patch(testKey, update(6, 6, `{"a":6}`)))
			log.feed(t, s)
		}
		if restart {
			closed(t, mine)
			mine = open(t, fs, Options{})
		}
		was := digestOf(t, mine, testKey)
		early.Over = &was
		if got := putOne(t, replicaOf(t, mine), early); got != TooOld {
			t.Errorf("restart %v: the image of before is %v", restart, got)
		}
		if got := putOne(t, replicaOf(t, mine), putOf(t, theirs, testKey)); got != Taken {
			t.Errorf("restart %v: the image of after is %v", restart, got)
		}
		closed(t, mine)
	}
}

func TestPutRefuses(t *testing.T) {
	mine, theirs := twoStores(t, Options{})
	r, put := replicaOf(t, mine), putOf(t, theirs, testKey)
	was := digestOf(t, mine, testKey)
	put.Over = &was
	before := dump(t, mine)

	early := put
	early.AsOf = pos(1)
	b := put.Image.AppendBinary(nil)
	bad, err := ParseImage(flip(b, 8*(len(b)-20)))
	if err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string][]Put{
		"of a moment before its change": {early},
		"twice":                         {put, put},
		"damaged":                       {put, {Image: bad, AsOf: put.AsOf, Over: &was}},
	} {
		if _, err := r.Put(list); err == nil || !strings.Contains(err.Error(), `"key"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if sprint(dump(t, mine)) != sprint(before) {
		t.Error("something was put")
	}
	if _, err := r.Put(nil); err != nil {
		t.Errorf("nothing to put: %v", err)
	}
}

func TestDrop(t *testing.T) {
	log := damageLog()
	s := openTemp(t, Options{})
	r := log.feed(t, s)
	for _, k := range names {
		was := digestOf(t, s, k)
		if ok, err := r.Drop(k, digest.Digest{1}); ok || err != nil {
			t.Errorf("drop another copy of %q: %v, %v", k, ok, err)
		}
		if ok, err := r.Drop(k, was); !ok || err != nil {
			t.Errorf("drop %q: %v, %v", k, ok, err)
		}
		if _, err := s.Get(k); code(err) != contract.NotFound {
			t.Errorf("get %q: %v", k, err)
		}
		verified(t, s)
	}
	for key := range dump(t, s) {
		if strings.IndexByte("Fab", key[0]) < 0 {
			t.Errorf("row %q is left", key)
		}
	}
	for b := range bucketsOf(names) {
		if d := s.Bucket(b).Digest; !d.IsZero() {
			t.Errorf("bucket %d: %v", b, d)
		}
	}
}

// TestDropOfTheUnreadable takes away what is left of a document that the others
// have deleted.
func TestDropOfTheUnreadable(t *testing.T) {
	log := damageLog()
	s := openTemp(t, Options{HeadBytes: -1})
	r := log.feed(t, s)
	k := names[0]
	p := placeOf(k)
	rewrite(t, s, p.state(), []byte("damaged"))
	if ok, err := r.Drop(k, digest.Digest{}); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	if rows := documentRows(k, dump(t, s)); len(rows) > 0 {
		t.Errorf("left: %q", rows)
	}
	verified(t, s)
}

func TestAdopt(t *testing.T) {
	disk := vfs.NewCrashableMem()
	theirs, mine := openTemp(t, Options{}), open(t, disk, Options{})
	defer func() { closed(t, mine) }()
	log := damageLog()
	goal := log.feed(t, theirs).Applied()
	var list []Put
	for _, k := range names {
		list = append(list, putOf(t, theirs, k))
	}
	r := replicaOf(t, mine)
	if result, err := r.Put(list); err != nil || result.Taken != len(list) {
		t.Fatalf("%+v, %v", result, err)
	}
	for name, a := range map[string]Applied{
		"epoch of another stripe": {Seq: 9, Epoch: pos(1)},
		"epoch of the future":     {Seq: 9, Epoch: pos(10)},
		"horizon of the future":   {Seq: 9, Epoch: pos(1), Horizon: pos(10)},
	} {
		if name == "epoch of another stripe" {
			a.Epoch.Birth++
		}
		if err := r.Adopt(a); err == nil {
			t.Errorf("%s is adopted", name)
		}
	}
	if err := r.Adopt(goal); err != nil {
		t.Fatal(err)
	}
	if at := r.missed.until(testKey); at != pos(goal.Seq) {
		t.Errorf("an image may be as old as %v", at)
	}
	if r.Durable() != goal.Seq || r.Applied() != goal {
		t.Errorf("durable %d, applied %+v", r.Durable(), r.Applied())
	}
	behind := goal
	behind.Seq--
	if err := r.Adopt(behind); err == nil {
		t.Error("it has gone back")
	}
	other := goal
	other.Chain[0]++
	if err := r.Adopt(other); err == nil {
		t.Error("it has gone to another log")
	}
	if err := r.Adopt(goal); err != nil {
		t.Errorf("again: %v", err)
	}
	crashed := open(t, disk.CrashClone(vfs.CrashCloneCfg{}), Options{})
	defer closed(t, crashed)
	sameStores(t, theirs, crashed)
	log.batch(patch(names[0], update(8, 8, `{}`)))
	log.feed(t, theirs)
	log.feed(t, crashed)
	sameStores(t, theirs, crashed)
}

// TestSurvey is of one moment and in order.
func TestSurvey(t *testing.T) {
	log := damageLog()
	s := openTemp(t, Options{})
	r := log.feed(t, s)
	survey := r.Survey([]Range{{5, 7}, {16380, 16383}, {0, 0}})
	if survey.Applied != r.Applied() || survey.Position != pos(log.seq()) || !survey.Horizon.IsZero() {
		t.Errorf("%+v", survey)
	}
	all := r.Survey([]Range{{0, 16383}})
	want := slices.Concat(all.Buckets[5:8], all.Buckets[16380:], all.Buckets[:1])
	if !slices.Equal(survey.Buckets, want) || len(all.Buckets) != 16384 {
		t.Error("buckets are not those asked for")
	}
	for b := range bucketsOf(names) {
		if all.Buckets[b] != s.Bucket(b) || all.Buckets[b].Digest.IsZero() {
			t.Errorf("bucket %d: %v", b, all.Buckets[b])
		}
	}
	if got := r.Survey(nil); len(got.Buckets) != 0 {
		t.Error("nothing was asked for")
	}
}

// TestPutOverABadBlock replaces a document whose updates are in a block that the
// database cannot read.
func TestPutOverABadBlock(t *testing.T) {
	fs := vfs.NewMem()
	theirs, mine := openTemp(t, Options{}), open(t, fs, Options{HeadBytes: -1, MergedBytes: -1})
	log := newLog()
	log.batch(initial(testKey, update(0, 1, `{}`)))
	rng := rand.New(rand.NewPCG(1, 1))
	for seq := int32(2); seq < 40; seq++ {
		var noise [4 << 10]byte // so that it is on disk as it is
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		log.batch(patch(testKey, update(seq, seq, fmt.Sprintf(`{"a":"%x"}`, noise))))
	}
	log.feed(t, theirs)
	log.feed(t, mine)
	if err := mine.db.Flush(); err != nil {
		t.Fatal(err)
	}
	p := placeOf(testKey)
	spoil(t, fs, mine, p.entry(20))
	closed(t, mine)
	mine = open(t, fs, Options{HeadBytes: -1, MergedBytes: -1})
	defer func() { _ = mine.db.Close(); mine.merged.close() }()
	if _, err := mine.Get(testKey); code(err) != contract.Damaged {
		t.Fatalf("get: %v", err)
	}
	if got := putOne(t, replicaOf(t, mine), putOf(t, theirs, testKey)); got != Taken {
		t.Fatal(got)
	}
	if doc, err := mine.Get(testKey); err != nil || doc.Seq != 39 {
		t.Errorf("get: %d, %v", doc.Seq, err)
	}
	verified(t, mine)
}

// spoil flips a bit of the block that has a row, on disk.
func spoil(t *testing.T, fs *vfs.MemFS, s *Store, key []byte) {
	t.Helper()
	value, closer, err := s.db.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	list, err := fs.List("store")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		f, err := fs.OpenReadWrite(fs.PathJoin("store", name), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		info, _ := f.Stat()
		b := make([]byte, info.Size())
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		at := strings.Index(string(b), string(value[1000:1016]))
		if at < 0 {
			continue
		}
		if _, err := f.WriteAt(flip(b[at:at+1], 3), int64(at)); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		return
	}
	t.Fatal("the row is in no file")
}
