package buckets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/internal/layout"
	"trireme/internal/position"
)

// What is cut out of the database leaves nothing that says so: a document that was
// in there looks like one that never was. So its bucket is marked BEFORE the cut,
// in a file beside the database, which no cut and no torn log can take back.

// incompleteFile is in the store's folder, while anything is marked.
const incompleteFile = "incomplete"

// markSet says what the store has lost. It does not change.
type markSet struct {
	buckets [layout.Buckets / 64]uint64
	lists   bool // rows that are in the order of names or positions are missing
	made    int  // how often rows were cut out, in this process
}

func (m *markSet) has(b layout.Bucket) bool { return m.buckets[b/64]&(1<<(b%64)) != 0 }

func (m *markSet) empty() bool { return !m.lists && m.count() == 0 }

func (m *markSet) count() (n int) {
	for _, w := range m.buckets {
		n += bits.OnesCount64(w)
	}
	return n
}

// within are the marked buckets of some ranges.
func (m *markSet) within(ranges []Range) (list []layout.Bucket) {
	if m.empty() {
		return nil
	}
	for _, g := range ranges {
		for b := int(g.First); b <= int(g.Last) && b < layout.Buckets; b++ {
			if m.has(layout.Bucket(b)) {
				list = append(list, layout.Bucket(b))
			}
		}
	}
	return list
}

// losses says so in words, "" when none is marked.
func (m *markSet) losses(ranges []Range) string {
	lost := m.within(ranges)
	if len(lost) == 0 {
		return ""
	}
	return fmt.Sprintf("rows of %d buckets were lost with damaged files, bucket %v first", len(lost), lost[0])
}

// fault is what [Store.Verify] says of the marks.
func (m *markSet) fault() error {
	switch n := m.count(); {
	case n > 0:
		return fmt.Errorf("%d buckets have lost rows: %w", n, ErrDamaged)
	case m.lists:
		return fmt.Errorf("lists of documents have lost rows: %w", ErrDamaged)
	}
	return nil
}

func (m *markSet) set(g Range, to bool) {
	for b := int(g.First); b <= int(g.Last) && b < layout.Buckets; b++ {
		if m.buckets[b/64] &^= 1 << (b % 64); to {
			m.buckets[b/64] |= 1 << (b % 64)
		}
	}
}

// ranges are the marked buckets.
func (m *markSet) ranges() (list []Range) {
	for b := range layout.Bucket(layout.Buckets) {
		switch n := len(list); {
		case !m.has(b):
		case n > 0 && list[n-1].Last+1 == b:
			list[n-1].Last = b
		default:
			list = append(list, Range{b, b})
		}
	}
	return list
}

// marking is the marks of a store, in memory and in their file.
type marking struct {
	now atomic.Pointer[markSet]

	mu sync.Mutex // taken to change them
}

func (s *Store) marks() *markSet { return s.marking.now.Load() }

// unsure tells that nothing can be said of what is missing in a bucket, if so.
// before are the marks as they were BEFORE the reader looked: a bucket may have
// become complete or incomplete since.
func (s *Store) unsure(b layout.Bucket, before *markSet) error {
	now := s.marks()
	if now == before && !now.has(b) {
		return nil
	}
	if before.has(b) || now.has(b) || before.made != now.made {
		return fmt.Errorf("bucket %v has lost rows: %w", b, ErrDamaged)
	}
	return nil
}

// unlisted tells that a list of the accepted buckets may be short, if so.
func (s *Store) unlisted(accept func(layout.Bucket) bool, before *markSet) error {
	now := s.marks()
	if now == before && now.empty() {
		return nil
	}
	if before.lists || now.lists || before.made != now.made {
		return fmt.Errorf("the list has lost rows: %w", ErrDamaged)
	}
	for b := range layout.Bucket(layout.Buckets) {
		if (before.has(b) || now.has(b)) && (accept == nil || accept(b)) {
			return fmt.Errorf("bucket %v has lost rows: %w", b, ErrDamaged)
		}
	}
	return nil
}

// Incomplete lists the buckets of the ranges that have lost rows without anybody
// knowing which. Documents that are absent in them, and requests that they do
// not remember, answer damaged; a stripe with such a bucket is sick. The mark
// outlives restarts.
func (s *Store) Incomplete(ranges []Range) []layout.Bucket {
	return s.marks().within(ranges)
}

// Incomplete lists those of the ranges, as [Store.Incomplete] does.
func (r *Replica) Incomplete(ranges ...Range) []layout.Bucket { return r.store.Incomplete(ranges) }

// Losses tells people which buckets of the ranges have lost rows, "" when none has.
func (r *Replica) Losses(ranges ...Range) string { return r.store.marks().losses(ranges) }

// Losses tells people which buckets of the ranges had lost rows at that moment, "" when
// none had.
func (m *Moment) Losses(ranges ...Range) string { return m.marks.losses(ranges) }

// mark changes the marks, durably: the file BEFORE memory when marks go, memory
// first when they come.
func (s *Store) mark(change func(m *markSet)) error {
	s.marking.mu.Lock()
	defer s.marking.mu.Unlock()
	old := s.marks()
	m := *old
	change(&m)
	if m == *old {
		return nil
	}
	more := *old
	for i := range more.buckets {
		more.buckets[i] |= m.buckets[i]
	}
	more.lists = more.lists || m.lists
	more.made = m.made
	s.marking.now.Store(&more)
	if err := writeMarks(s.opts.FS, s.dir, &m); err != nil {
		return fmt.Errorf("mark what the document store has lost: %w", err)
	}
	s.marking.now.Store(&m)
	return nil
}

const marksTitle = "trireme incomplete 1"

// encodeMarks writes marks for their file: readable lines, the last one a
// checksum of the others.
func encodeMarks(m *markSet) []byte {
	b := []byte(marksTitle + "\nbuckets")
	for _, g := range m.ranges() {
		b = fmt.Appendf(b, " %d-%d", g.First, g.Last)
	}
	if b = append(b, '\n'); m.lists {
		b = append(b, "lists\n"...)
	}
	return fmt.Appendf(b, "checksum %016x\n", checksum([]byte(incompleteFile), b))
}

// parseMarks reads what encodeMarks wrote, and nothing else.
func parseMarks(b []byte) (*markSet, error) {
	m := &markSet{}
	lines := strings.Split(string(b), "\n")
	if lines[0] != marksTitle || len(lines) < 2 {
		return nil, fmt.Errorf("want %q: %w", marksTitle, ErrDamaged)
	}
	for word := range strings.FieldsSeq(strings.TrimPrefix(lines[1], "buckets")) {
		first, last, _ := strings.Cut(word, "-")
		f, err1 := strconv.ParseUint(first, 10, 16)
		l, err2 := strconv.ParseUint(last, 10, 16)
		if err := errors.Join(err1, err2); err != nil || l >= layout.Buckets {
			return nil, fmt.Errorf("buckets %q: %w", word, ErrDamaged)
		}
		m.set(Range{layout.Bucket(f), layout.Bucket(l)}, true)
	}
	m.lists = slices.Contains(lines[2:], "lists")
	if !bytes.Equal(encodeMarks(m), b) {
		return nil, fmt.Errorf("checksum: %w", ErrDamaged)
	}
	return m, nil
}

// writeMarks replaces the file of marks; when nothing is marked there is none.
func writeMarks(files vfs.FS, dir string, m *markSet) error {
	path := files.PathJoin(dir, incompleteFile)
	if m.empty() {
		if err := files.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return syncDir(files, dir)
	}
	fresh := path + ".new"
	f, err := files.Create(fresh, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(encodeMarks(m))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = files.Rename(fresh, path)
	}
	if err != nil {
		return err
	}
	return syncDir(files, dir)
}

func syncDir(files vfs.FS, dir string) error {
	d, err := files.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readMarks reads the file of marks. One that cannot be understood stands for
// everything.
func readMarks(files vfs.FS, dir string) (m *markSet, damaged, err error) {
	f, err := files.Open(files.PathJoin(dir, incompleteFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &markSet{}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(f)
	_ = f.Close() // it was only read
	if err == nil {
		if m, damaged = parseMarks(b); damaged == nil {
			return m, nil, nil
		}
	} else if damaged = err; !unreadable(err) {
		return nil, nil, err
	}
	m = &markSet{lists: true}
	m.set(Range{0, layout.Buckets - 1}, true)
	return m, fmt.Errorf("file %s: %w", incompleteFile, damaged), nil
}

// A Comparison says since when the documents of a peer are looked at. What this replica
// misses or loses later is not taken for filled.
type Comparison struct {
	asOf position.Position // where the peer stands, at least
	made int               // of the marks
}

// Compare begins a comparison with a peer that has applied the log up to asOf. It is
// called BEFORE the peer is asked for documents.
func (r *Replica) Compare(asOf position.Position) Comparison {
	return Comparison{asOf, r.store.marks().made}
}

// ClearIncomplete takes buckets for complete again, durably. The caller has put into
// them whatever a peer had that they lacked since the comparison began. Not cleared, but
// returned, are those in which a record has changed since then what is not here, and all
// of them when rows were lost since then: compare them once more. The buckets are read
// again; it fails with [ErrDamaged], clearing none, when a document in one of them is
// still damaged.
func (r *Replica) ClearIncomplete(since Comparison, buckets ...layout.Bucket) (left []layout.Bucket, err error) {
	s := r.store
	occupied, err := s.occupied(buckets)
	if err != nil {
		return nil, fmt.Errorf("clear %d buckets: %w", len(buckets), err)
	}
	for _, b := range occupied {
		result, err := r.CheckBucket(b)
		if err != nil {
			return nil, err
		}
		if n := len(result.Damaged); n > 0 {
			return nil, fmt.Errorf("bucket %d has %d damaged documents, one of them %q in space %q: %w",
				b, n, result.Damaged[0].Key.Key, result.Damaged[0].Key.Space, ErrDamaged)
		}
	}
	// Into files, not only into the log: of that a damaged end may be lost, and then
	// nothing would say that documents are missing.
	if err := s.db.Flush(); err != nil {
		return nil, fmt.Errorf("flush document store: %w", err)
	}
	r.mu.Lock() // records, and whoever cuts rows out, wait
	defer r.mu.Unlock()
	if s.marks().made != since.made {
		return buckets, nil
	}
	missed := r.missed.buckets(since.asOf)
	return slices.DeleteFunc(slices.Clone(buckets), func(b layout.Bucket) bool { return !missed(b) }), s.mark(func(m *markSet) {
		for _, b := range buckets {
			if !missed(b) {
				m.set(Range{b, b}, false)
			}
		}
	})
}

// occupied are those of the buckets that have rows, or a kept digest.
func (s *Store) occupied(buckets []layout.Bucket) (list []layout.Bucket, err error) {
	var next [4]layout.Bucket // by table: the first bucket with rows, from where it was looked for
	var its [len(next)]*pebble.Iterator
	for i, table := range bucketTables {
		if its[i], err = s.db.NewIter(span{}.in(table)); err != nil {
			return nil, damage(err)
		}
		defer its[i].Close() //nolint:gocritic // there are four
	}
	buckets = slices.Sorted(slices.Values(buckets))
	for _, b := range buckets {
		has := s.Bucket(b) != BucketState{}
		for i, it := range its {
			if next[i] <= b {
				next[i] = layout.Buckets
				if it.SeekGE(append([]byte{bucketTables[i]}, bucketKey(b)[1:]...)) {
					next[i] = bucketFrom(it.Key())
				}
				if err := it.Error(); err != nil {
					return nil, damage(err)
				}
			}
			has = has || next[i] == b
		}
		if has {
			list = append(list, b)
		}
	}
	return list, nil
}
