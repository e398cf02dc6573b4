package buckets

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// A walker reads documents with all their rows, in order of bucket and names: the
// four tables that are in this order, side by side, each read once.
type walker struct {
	// document is told of every document once its rows have been checked.
	document func(d *walked) error
	// orphan is told of a row without a state, or under a key of no document, by
	// its key. Ignored when nil.
	orphan func(key []byte) error
	// images makes each whole document's image.
	images bool

	rows  int
	bytes int64

	check docCheck
	image imageBuilder
	rest  [len(restTables)]*pebble.Iterator
}

// restTables are the tables beside the states, in the order of an image.
const restTables = string(rune(tableEntry)) + string(rune(tableID)) + string(rune(tableBase))

// walkedTables are all that a walker reads.
const walkedTables = string(rune(tableDocument)) + restTables

// A walked is a document that a walker has read. What its slices hold is valid
// until the next one.
type walked struct {
	row     []byte // key of the state row
	content []byte // of the state row, nil when it cannot be read
	key     contract.Key
	bucket  layout.Bucket
	check   *docCheck
	image   *Image // when asked for and whole
	err     error  // [ErrDamaged]: why it is not whole
}

// A span is a part of the tables that are in the order of buckets and names: what
// follows the table's byte is at least lower and below upper (nil: to the end).
type span struct{ lower, upper []byte }

func spanOf(prefix []byte) span { return span{prefix, prefixEnd(prefix)} }

// bucketSpan is a bucket's documents that come after a key, all for the zero key.
func bucketSpan(b layout.Bucket, after contract.Key) span {
	s := spanOf(bucketKey(b)[1:])
	if after != (contract.Key{}) {
		p := placeOf(after)
		p.common[0], p.common[1] = byte(b>>8), byte(b)
		s.lower = prefixEnd(p.common)
	}
	return s
}

func (s span) in(table byte) *pebble.IterOptions {
	o := &pebble.IterOptions{LowerBound: append([]byte{table}, s.lower...), UpperBound: []byte{table + 1}}
	if s.upper != nil {
		o.UpperBound = append([]byte{table}, s.upper...)
	}
	return o
}

// A reader is the iterators of a walk. Opening them costs as much as reading many a
// document, so whoever reads often keeps them.
type reader struct {
	docs *pebble.Iterator
	rest [len(restTables)]*pebble.Iterator
}

func openReader(r pebble.Reader) (*reader, error) {
	var open reader
	var err error
	for _, table := range []byte(walkedTables) {
		it, failed := r.NewIter(span{}.in(table))
		*open.of(table), err = it, errors.Join(err, failed)
	}
	if err != nil {
		open.close()
		return nil, damage(err)
	}
	return &open, nil
}

// of is where the iterator of a table is kept.
func (r *reader) of(table byte) **pebble.Iterator {
	if i := strings.IndexByte(restTables, table); i >= 0 {
		return &r.rest[i]
	}
	return &r.docs
}

// begin goes to the beginning of a span.
func (r *reader) begin(s span) {
	for _, table := range []byte(walkedTables) {
		it, o := *r.of(table), s.in(table)
		it.SetBounds(o.LowerBound, o.UpperBound)
		it.First()
	}
}

func (r *reader) close() {
	for _, table := range []byte(walkedTables) {
		if it := *r.of(table); it != nil {
			_ = it.Close() // what it met was told when it was met
		}
	}
}

// walk visits the documents of a span.
func (w *walker) walk(r pebble.Reader, s span) error {
	open, err := openReader(r)
	if err != nil {
		return err
	}
	defer open.close()
	return w.through(open, s)
}

// through is walk with iterators that are open.
func (w *walker) through(r *reader, s span) error {
	r.begin(s)
	w.rest = r.rest
	for ; r.docs.Valid(); r.docs.Next() {
		if err := w.one(r.docs); err != nil {
			return err
		}
	}
	if err := r.docs.Error(); err != nil {
		return damage(err)
	}
	for i := range w.rest {
		if err := w.take(i, nil); err != nil {
			return err
		}
	}
	return nil
}

// one reads the document whose state the iterator stands on.
func (w *walker) one(docs *pebble.Iterator) error {
	d := walked{row: docs.Key(), check: &w.check}
	value, err := docs.ValueAndErr()
	if err != nil {
		return damage(err)
	}
	w.rows++
	w.bytes += int64(len(d.row) + len(value))
	if d.key, d.bucket, err = parsePlace(d.row); err != nil {
		return w.lost(d.row)
	}
	content, damaged := unseal(d.row, value)
	if damaged == nil {
		d.content = content
	}
	w.check.begin(content, damaged)
	if w.images {
		w.image.begin(d.key, value)
	}
	for i := range w.rest {
		if err := w.take(i, d.row[1:]); err != nil {
			return err
		}
	}
	if d.err = w.check.end(); d.err == nil && w.images {
		d.image = w.image.end(d.state())
	}
	return w.document(&d)
}

// take reads the rows of a table up to and with those of the document; what comes
// before belongs to none. Without a document that is all that are left.
func (w *walker) take(i int, common []byte) error {
	it := w.rest[i]
	for ; it.Valid(); it.Next() {
		key := it.Key()
		ours := common != nil && bytes.HasPrefix(key[1:], common)
		if !ours && common != nil && bytes.Compare(key[1:], common) > 0 {
			return nil
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return damage(err)
		}
		w.rows++
		w.bytes += int64(len(key) + len(value))
		if ours {
			w.row(key, value, key[1+len(common):])
		} else if err := w.lost(key); err != nil {
			return err
		}
	}
	return damage(it.Error())
}

func (w *walker) lost(key []byte) error {
	if w.orphan == nil {
		return nil
	}
	return w.orphan(key)
}

func (w *walker) row(key, value, suffix []byte) {
	content, damaged := unseal(key, value)
	w.check.row(key[0], suffix, content, damaged)
	if w.images && w.check.fault == nil {
		w.image.row(key[0], suffix, value)
	}
}

// parsePlace reads bucket and names of a row's key and makes sure that they belong
// together.
func parsePlace(row []byte) (k contract.Key, b layout.Bucket, err error) {
	if b, err = bucketIn(row); err != nil {
		return k, b, err
	}
	k, rest, err := parseNames(row[3:])
	if err == nil && (row[0] == tableDocument && len(rest) > 0 || layout.BucketOf(k.Space, k.Key) != b) {
		err = fmt.Errorf("row %q is not in its bucket: %w", row, ErrDamaged)
	}
	return k, b, err
}

// whole reads and checks one document. Rows without a state are a fault like
// others; ErrAbsent means that there is nothing at all.
func whole(r pebble.Reader, p *place) (DocState, error) {
	open, err := openReader(r)
	if err != nil {
		return DocState{Key: p.key}, err
	}
	defer open.close()
	state, _, err := open.whole(r, p, false)
	return state, err
}

// whole is the same with iterators that are open, and with the image if wanted.
func (r *reader) whole(db pebble.Reader, p *place, images bool) (state DocState, im *Image, err error) {
	state.Key = p.key
	err = ErrAbsent
	w := walker{
		images: images,
		document: func(d *walked) error {
			state, im, err = d.state(), d.image, d.err
			return nil
		},
		orphan: func(key []byte) error {
			err = fmt.Errorf("row %q has no state: %w", key, ErrDamaged)
			return nil
		},
	}
	if broken := w.through(r, spanOf(p.common)); broken != nil {
		return state, nil, broken
	}
	if errors.Is(err, ErrAbsent) {
		if named := absent(db, p); named != nil {
			err = named
		}
	}
	return state, im, err
}

// state is what the document's state row says, as far as it can be read.
func (d *walked) state() DocState {
	s := DocState{Key: d.key}
	if d.err != nil {
		s.Damaged = d.err.Error()
	}
	if d.content != nil && !d.check.state.Position.IsZero() {
		s.fill(&d.check.state, documentDigest(d.row, d.content))
	}
	return s
}

// listed checks that a document is in the lists that it should be in, and in no
// others: of names, of names marked for deletion, of tombstones.
func listed(r pebble.Reader, p *place, d *DocState) error {
	return eachList(p, d, func(row []byte, want bool) error {
		_, err := inList(r, row, want)
		return err
	})
}

// eachList visits the rows that a document may have in the lists.
func eachList(p *place, d *DocState, visit func(row []byte, want bool) error) error {
	return errors.Join(
		visit(p.name(tableName), d.Live),
		visit(p.name(tableMarked), d.Marked),
		visit(p.tombstone(d.Position), !d.Live),
	)
}

// inList checks whether a row of a list is there as it should be.
func inList(r pebble.Reader, row []byte, want bool) (there bool, err error) {
	content, err := get(r, row)
	there = content != nil
	if err == nil && there != want {
		err = fmt.Errorf("row %q is there: %v, should be: %v: %w", row, there, want, ErrDamaged)
	}
	return there, err
}
