package buckets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/record"
)

// A rot is a store in files, a twin that has applied the same records and stays
// whole, and a twin that is some records further.
type rot struct {
	fs    *vfs.MemFS // files of the store as it was closed
	log   *stripeLog
	keys  []contract.Key
	seq   uint64 // where the store stands
	twin  *Store
	later *Store // at the end of the log
	right map[string]answer
	then  map[string]answer
}

// long is set for the long way, which takes minutes:
//
//	TRIREME_DRILL=1 go test -run 'Rot|Crashes' -timeout 120m ./buckets
//
// TRIREME_ROT_SEED begins with another seed than 0: that of a failure, or one past
// all that were tried.
func long() bool { return os.Getenv("TRIREME_DRILL") != "" }

func rotOptions() Options {
	return Options{CacheBytes: 4 << 20, MemTableBytes: 64 << 10, HeadBytes: -1, MergedBytes: -1}
}

// newRot makes a store with tables in several levels and records that are only in
// the write-ahead log.
func newRot(t *testing.T) *rot {
	w := &rot{fs: vfs.NewMem(), log: newLog()}
	rng := rand.New(rand.NewPCG(7, 7))
	heads := map[contract.Key]int32{}
	for i := range 100 {
		w.keys = append(w.keys, contract.Key{Space: "space" + strconv.Itoa(i%7), Key: "document " + strconv.Itoa(i*i)})
	}
	text := func() string {
		return fmt.Sprintf(`{"a":"%x","b":{"c%d":"%x"}}`, rng.Uint64(), rng.IntN(9), []uint64{rng.Uint64(), rng.Uint64(), rng.Uint64()})
	}
	id := 0
	change := func(k contract.Key) record.Change {
		id++
		switch head := heads[k]; {
		case head == 0:
			heads[k] = 1
			return withID(initial(k, update(0, 1, text())), "id"+strconv.Itoa(id))
		case rng.IntN(60) == 0:
			heads[k] = 0
			return withID(remove(k), "id"+strconv.Itoa(id))
		case head%6 == 0 && rng.IntN(2) == 0:
			return snapshotAt(k, head, 3, text())
		default:
			heads[k]++
			return withID(patch(k, update(head+1, head+1, text())), "id"+strconv.Itoa(id))
		}
	}
	records := func(n int) {
		for range n {
			w.log.time += 500
			first := rng.IntN(len(w.keys))
			var batch []record.Change
			for i := range 1 + rng.IntN(4) {
				batch = append(batch, change(w.keys[(first+i)%len(w.keys)]))
			}
			w.log.batch(batch...)
		}
	}
	s := open(t, w.fs, rotOptions())
	w.twin, w.later = openTemp(t, rotOptions()), openTemp(t, rotOptions())
	for i := range 5 {
		records(90)
		if i > 0 {
			w.log.release(pos(w.log.seq() - 100))
		}
		w.log.feed(t, s)
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if err := s.db.Compact(context.Background(), []byte{0}, []byte{255}, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	records(25)
	w.log.feed(t, s)
	w.log.feed(t, w.twin)
	w.seq = w.log.seq()
	closed(t, s)
	records(20)
	w.log.release(pos(w.log.seq() - 100))
	records(20)
	w.log.feed(t, w.later)
	w.right, w.then = w.ask(w.twin, w.seq), w.ask(w.later, w.log.seq())
	return w
}

// feed applies the log up to a record.
func (w *rot) feed(s *Store, upTo uint64) error {
	r, err := s.Replica("s1", birth)
	if errors.Is(err, ErrLostReplica) {
		r, err = s.Renew("s1", birth)
	}
	if err != nil {
		return err
	}
	for seq := r.Applied().Seq + 1; seq <= upTo; seq++ {
		if err := r.Apply(seq, w.log.bodies[seq-1]); err != nil {
			return err
		}
	}
	return nil
}

// ask asks a store what clients may ask, for every document.
func (w *rot) ask(s *Store, upTo uint64) map[string]answer {
	truth := w.twin
	if upTo > w.seq {
		truth = w.later
	}
	answers := map[string]answer{}
	note := func(question string, k contract.Key, text string, err error) {
		if err != nil {
			text = ""
		}
		answers[question+" "+k.Space+" "+k.Key] = answer{text, code(err)}
	}
	for _, k := range append(slices.Clone(w.keys), contract.Key{Space: "never", Key: "was"}) {
		doc, err := s.Get(k)
		note("get", k, sprint(doc), err)
		history, err := s.History(k, nil, 1000, 1<<20)
		note("history", k, sprintHistory(history), err)
		head, incarnation, err := s.Head(k)
		note("head", k, sprint(head)+incarnation.String(), err)
		head, _, _ = truth.Head(k)
		c := withID(patch(k, update(head+1, head+1, "{}")), "new")
		verdict, err := s.Decide(&c)
		note("patch", k, sprint(verdict), err)
	}
	again := map[contract.Key]record.Change{} // the last request that each document remembers
	released := uint64(0)
	for _, body := range w.log.bodies[:upTo] {
		if rec, err := record.Parse(body); err == nil && rec.Kind == record.Release {
			released = rec.Horizon.Seq
		}
	}
	for i, body := range w.log.bodies[:upTo] {
		rec, err := record.Parse(body)
		if err != nil {
			panic(err)
		}
		for _, c := range rec.Changes {
			if delete(again, c.Key); c.ID != "" && (c.Verb != record.Delete || uint64(i+1) > released) {
				again[c.Key] = c
			}
		}
	}
	for k, c := range again {
		verdict, err := s.Decide(&c)
		note("again", k, sprint(verdict), err)
	}
	keys, err := s.Keys(contract.Key{}, 1000, nil)
	note("keys", contract.Key{}, sprint(keys), err)
	return answers
}

// gone are the documents that are not there at some time after the store was
// closed.
func (w *rot) gone(t *testing.T) map[contract.Key]bool {
	t.Helper()
	gone := map[contract.Key]bool{}
	for _, k := range w.keys {
		gone[k] = w.right["get "+k.Space+" "+k.Key].code != 0
	}
	for _, body := range w.log.bodies[w.seq:] {
		rec, err := record.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range rec.Changes {
			gone[c.Key] = gone[c.Key] || c.Verb == record.Delete
		}
	}
	return gone
}

// fileKind sorts the files of a store; "" for what holds nothing.
func fileKind(name string) string {
	switch {
	case strings.HasSuffix(name, tableSuffix):
		return "table"
	case strings.HasSuffix(name, logSuffix):
		return "log"
	case strings.HasPrefix(name, "MANIFEST"):
		return "manifest"
	case strings.HasPrefix(name, "OPTIONS"):
		return "options"
	case name == incompleteFile:
		return "marks"
	}
	return ""
}

// flipFile flips a bit in a file as it is on disk, and reports whether the file was
// still there.
func flipFile(t *testing.T, fs vfs.FS, name string, bit int64) bool {
	t.Helper()
	path := fs.PathJoin("store", name)
	if _, err := fs.Stat(path); err != nil {
		return false
	}
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], bit/8); err != nil {
		return false
	}
	b[0] ^= 1 << (bit % 8)
	if _, err := f.WriteAt(b[:], bit/8); err != nil {
		t.Fatal(err)
	}
	return true
}

// pick chooses a file, mostly of a table, and a bit of it.
func pick(t *testing.T, rng *rand.Rand, fs vfs.FS) (name string, bit int64) {
	t.Helper()
	names, err := fs.List("store")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	sizes := map[string]int64{} // by kind
	size := func(name string) int64 {
		info, err := fs.Stat(fs.PathJoin("store", name))
		if err != nil {
			return 0 // gone meanwhile
		}
		return info.Size()
	}
	for _, n := range names {
		sizes[fileKind(n)] += size(n)
	}
	kind := ""
	for sizes[kind] == 0 || kind == "" {
		kind = []string{"table", "table", "table", "table", "table", "table", "log", "log", "manifest", "options"}[rng.IntN(10)]
	}
	at := rng.Int64N(sizes[kind])
	for _, n := range names {
		if fileKind(n) != kind {
			continue
		}
		if at < size(n) {
			return n, at*8 + rng.Int64N(8)
		}
		at -= size(n)
	}
	return pick(t, rng, fs)
}

func (w *rot) clone(t *testing.T) *vfs.MemFS {
	fs := vfs.NewMem()
	if ok, err := vfs.Clone(w.fs, fs, "store", "store"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	return fs
}

// TestRot flips single bits in the files of a store. Whatever they hit, each
// answer is right or "damaged"; and after Quarantine and a peer's images the store
// has the very rows of its twin.
func TestRot(t *testing.T) {
	t.Parallel()
	flips := uint64(30)
	switch {
	case long():
		flips = 1000
	case raced:
		flips = 4
	}
	var first uint64
	if text := os.Getenv("TRIREME_ROT_SEED"); text != "" {
		var err error
		if first, err = strconv.ParseUint(text, 10, 32); err != nil {
			t.Fatalf("TRIREME_ROT_SEED: %v", err)
		}
	}
	w := newRot(t)
	var mu sync.Mutex
	outcomes := map[string]int{}
	t.Run("seed", func(t *testing.T) { // it ends when all of them have
		for seed := first; seed < first+flips; seed++ {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				outcome := w.flip(t, seed)
				mu.Lock()
				defer mu.Unlock()
				outcomes[outcome]++
			})
		}
	})
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%4d %s", outcomes[outcome], outcome)
	}
}

func (w *rot) flip(t *testing.T, seed uint64) (outcome string) {
	rng := rand.New(rand.NewPCG(seed, 1))
	fs := w.clone(t)
	told := []string{}
	opts := rotOptions()
	opts.FS = fs
	opts.Events = func(e Event) { told = append(told, e.String()) }
	defer func() {
		if t.Failed() {
			t.Log(strings.Join(told, "\n"))
		}
	}()
	reopen := rng.IntN(2) == 0
	var s *Store
	if !reopen {
		s = open(t, fs, opts)
		if err := w.feed(s, w.seq); err != nil {
			t.Fatal(err)
		}
	}
	var what []string
	for range 1 + rng.IntN(3)/2 {
		name, bit := pick(t, rng, fs)
		if !flipFile(t, fs, name, bit) {
			continue
		}
		what = append(what, fmt.Sprintf("%s bit %d", name, bit))
		outcome = fileKind(name)
	}
	t.Log(what, "reopen", reopen)
	if reopen {
		var err error
		s, err = Open("store", opts)
		if errors.Is(err, ErrUnopenable) {
			return outcome + ": unopenable"
		}
		if err != nil {
			t.Fatalf("open: %v", err)
		}
	}
	defer func() {
		if s != nil {
			closed(t, s)
		}
	}()
	if err := w.feed(s, w.seq); err != nil {
		t.Logf("feed: %v", err)
	}
	trusted(t, w.right, w.ask(s, w.seq), false)
	if err := s.CheckFiles(context.Background(), unhurried); err != nil {
		t.Fatal(err)
	}
	corrupt := s.Corrupt()
	if live := w.used(t, s, what); len(live) > 0 && !corrupt {
		t.Errorf("files %v are in use, and nobody has noticed", live)
	}
	losses, err := s.Quarantine(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range losses {
		t.Logf("lost %q to %q of %s: %s; buckets %v", l.From, l.To, l.File, l.Why, len(l.Buckets))
	}
	if err := w.feed(s, w.seq); err != nil {
		t.Fatal(err)
	}
	trusted(t, w.right, w.ask(s, w.seq), false)
	if err := w.feed(s, w.log.seq()); err != nil {
		t.Fatal(err)
	}
	trusted(t, w.then, w.ask(s, w.log.seq()), false)
	if !corrupt {
		verified(t, s)
	}
	w.heal(t, s)
	if err := s.db.Compact(context.Background(), []byte{0}, []byte{255}, false); err != nil {
		t.Fatal(err)
	}
	// A compaction that had begun before the cut may have told of it late.
	err = s.CheckFiles(context.Background(), unhurried)
	if err == nil {
		var again []Loss
		if again, err = s.Quarantine(context.Background()); len(again) > 0 {
			t.Errorf("after healing: %+v", again)
		}
	}
	if err != nil {
		t.Fatalf("after healing: %v", err)
	}
	verified(t, s)
	sameStores(t, s, w.later)
	closed(t, s)
	if s, err = Open("store", opts); errors.Is(err, ErrUnopenable) {
		s = nil
		return outcome + ": unopenable after a while"
	}
	if err != nil {
		t.Fatalf("open again: %v", err)
	}
	verified(t, s)
	if err := w.feed(s, w.log.seq()); err != nil {
		t.Fatal(err)
	}
	sameStores(t, s, w.later)
	switch {
	case len(losses) > 0:
		return outcome + ": rows lost"
	case corrupt:
		return outcome + ": written anew"
	}
	t.Log("harmless", what, told)
	return outcome + ": harmless"
}

// used are those of the tables hit that the database is made of.
func (w *rot) used(t *testing.T, s *Store, what []string) (files []string) {
	t.Helper()
	list, err := s.ssts()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range list {
		for _, hit := range what {
			if strings.HasPrefix(hit, tableFile(one.file)) {
				files = append(files, hit)
			}
		}
	}
	return files
}

// heal does what the repairer does, with the twin as the peer.
func (w *rot) heal(t *testing.T, s *Store) {
	t.Helper()
	r, err := s.Replica("s1", birth)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := w.later.Replica("s1", birth)
	if err != nil {
		t.Fatal(err)
	}
	moment, err := peer.Moment()
	if err != nil {
		t.Fatal(err)
	}
	defer moment.Close()
	since := r.Compare(moment.Position())
	for b := range layout.Bucket(layout.Buckets) {
		if s.Bucket(b) == (BucketState{}) && w.later.Bucket(b) == (BucketState{}) {
			continue
		}
		check, err := r.CheckBucket(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(check.Damaged) == 0 && s.Bucket(b) == w.later.Bucket(b) && len(s.Incomplete([]Range{{b, b}})) == 0 {
			continue
		}
		var list []Put
		err = moment.Images(b, contract.Key{}, func(k contract.Key, im *Image, damaged error) error {
			if damaged != nil {
				return damaged
			}
			list = append(list, Put{Image: im, AsOf: moment.Position()})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		result, err := r.Put(list)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range result.Outcomes {
			if o != Taken && o != Older {
				t.Fatalf("put %q: %v", list[i].Image.Key, o)
			}
		}
	}
	w.drop(t, r, moment)
	if _, err := s.CheckNames("", 1<<20); err != nil {
		t.Fatal(err)
	}
	if left, err := r.ClearIncomplete(since, s.Incomplete([]Range{{0, layout.Buckets - 1}})...); err != nil || len(left) > 0 {
		t.Fatalf("left %v: %v", left, err)
	}
}

// drop drops what the peer does not have any more.
func (w *rot) drop(t *testing.T, r *Replica, peer *Moment) {
	t.Helper()
	mine, err := r.Moment()
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	for _, k := range w.keys {
		here, err := mine.Document(k)
		if err != nil {
			t.Fatal(err)
		}
		there, err := peer.Document(k)
		if err != nil {
			t.Fatal(err)
		}
		if there.Position.IsZero() && !here.Position.IsZero() {
			if ok, err := r.Drop(k, here.Digest); err != nil || !ok {
				t.Fatalf("drop %q: %v, %v", k, ok, err)
			}
		}
	}
}
