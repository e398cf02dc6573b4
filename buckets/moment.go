package buckets

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/document"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// ErrAbsent is the error of a document that is not in the store, not even as a
// tombstone.
var ErrAbsent = errors.New("no such document")

// A DocState is what a store keeps of a document, without its texts.
type DocState struct {
	Key         contract.Key
	Position    position.Position // of the last change that touched it; zero: absent
	Incarnation position.Position
	Head        int32
	Digest      digest.Digest // of the state row
	Chain       digest.Digest // of all updates of the incarnation; zero for a tombstone
	Live        bool          // false with a position: a tombstone
	Marked      bool          // being deleted
	// Damaged says why this copy counts for nothing, empty when nothing is wrong
	// with it as far as was read. Where the state row itself cannot be read, only
	// Key is set beside it.
	Damaged string
}

// A Moment is the store as it stood when the replica stood at one position of
// its log. Everything read from one Moment fits together. It holds up the
// reclaiming of disk space, so it should live for minutes at most. Close it
// before the store. Several goroutines may use it.
type Moment struct {
	replica *Replica
	snap    *pebble.Snapshot
	applied Applied
	horizon position.Position
	marks   *markSet // what the store had lost

	mu      sync.Mutex
	readers []*reader // that nobody uses now
}

// Moment returns the present moment. It waits for a record that is being
// applied.
func (r *Replica) Moment() (*Moment, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.store
	return &Moment{replica: r, snap: s.db.NewSnapshot(), applied: r.Applied(), horizon: r.horizon(), marks: s.marks()}, nil
}

// Close lets go of the moment.
func (m *Moment) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.readers {
		r.close()
	}
	m.readers = nil
	_ = m.snap.Close() // it only drops a reference
}

// reader hands out iterators; give them back with done.
func (m *Moment) reader() (*reader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.readers)
	if n == 0 {
		return openReader(m.snap)
	}
	r := m.readers[n-1]
	m.readers = m.readers[:n-1]
	return r, nil
}

func (m *Moment) done(r *reader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readers = append(m.readers, r)
}

// torn tells that rows were cut out of the store since this moment, out of this
// moment too.
func (m *Moment) torn() error {
	if m.replica.store.marks().made != m.marks.made {
		return errors.New("rows were cut out of the store since this moment: begin a new one")
	}
	return nil
}

// Applied tells how far the replica had come.
func (m *Moment) Applied() Applied { return m.applied }

// Position is that of the last record applied; sequence 0 for none.
func (m *Moment) Position() position.Position {
	return position.Position{Birth: m.replica.birth, Seq: m.applied.Seq}
}

// Horizon is the position up to which tombstones had been released.
func (m *Moment) Horizon() position.Position { return m.horizon }

// Index lists the documents and tombstones of a bucket in the order of their
// names, at most limit of them that come after the given key (the zero key: from
// the first). It reads state rows only: DocState.Damaged tells of a row that
// cannot be read, of a copy that says itself that it is damaged, and of damage
// that was noticed before.
func (m *Moment) Index(b layout.Bucket, after contract.Key, limit int) (docs []DocState, more bool, err error) {
	it, err := m.snap.NewIter(bucketSpan(b, after).in(tableDocument))
	if err != nil {
		return nil, false, damage(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if len(docs) == limit {
			return docs, true, m.torn()
		}
		content, damaged := row(it)
		d, ok := indexed(it.Key(), content, damaged)
		if !ok {
			continue // no document's row; CheckBucket tells of it
		}
		if noticed, ok := m.replica.store.damages.of(d.Key); ok && d.Damaged == "" {
			d.Damaged = noticed.Why
		}
		docs = append(docs, d)
	}
	return docs, false, errors.Join(damage(it.Error()), m.torn())
}

// indexed is what a state row says; ok is false for a row under no document's key.
func indexed(key, content []byte, damaged error) (d DocState, ok bool) {
	var misplaced error
	if d.Key, _, misplaced = parsePlace(key); misplaced != nil {
		return d, false
	}
	var c docCheck
	if c.begin(content, damaged); c.fault != nil {
		d.Damaged = c.fault.Error()
	}
	if !c.state.Position.IsZero() {
		d.fill(&c.state, documentDigest(key, content))
	}
	return d, true
}

// fill takes over what a state says.
func (d *DocState) fill(s *document.State, sum digest.Digest) {
	d.Position, d.Incarnation, d.Head, d.Live, d.Marked = s.Position, s.Incarnation, s.Head, s.Live, s.Marked
	d.Digest, d.Chain = sum, s.ChainEnd
}

// Document reads one document with all its rows and checks it. A document that is
// absent has a zero Position; one that fails its check says why in Damaged, and so
// does one that is absent in an incomplete bucket.
func (m *Moment) Document(k contract.Key) (DocState, error) {
	p := placeOf(k)
	d, _, err := m.whole(&p, false)
	if err == nil {
		err = listed(m.snap, &p, &d)
	}
	switch {
	case errors.Is(err, ErrAbsent):
		return d, nil
	case errors.Is(err, ErrDamaged):
		m.replica.store.notice(k, err)
		d.Damaged = err.Error()
		return d, nil
	}
	return d, err
}

func (m *Moment) whole(p *place, image bool) (DocState, *Image, error) {
	r, err := m.reader()
	if err != nil {
		return DocState{Key: p.key}, nil, err
	}
	defer m.done(r)
	d, im, err := r.whole(m.snap, p, image)
	if errors.Is(err, ErrAbsent) {
		if unsure := m.replica.store.unsure(p.bucket, m.marks); unsure != nil {
			err = unsure
		}
	}
	return d, im, err
}

// Image reads one document or tombstone whole. It fails with [ErrAbsent], and with
// [ErrDamaged] when the document fails its check: a damaged copy is never sent.
func (m *Moment) Image(k contract.Key) (*Image, error) {
	p := placeOf(k)
	_, im, err := m.whole(&p, true)
	if errors.Is(err, ErrDamaged) {
		m.replica.store.notice(k, err)
	}
	if err != nil {
		return nil, fmt.Errorf("image of document %q in space %q: %w", k.Key, k.Space, err)
	}
	return im, nil
}

// Images reads the documents and tombstones of a bucket that come after the given
// key, in the order of their names, which costs a fraction of asking for each.
// Where one is damaged, visit gets no image but an error that is [ErrDamaged],
// with the key. It ends early with the error that visit returns.
func (m *Moment) Images(b layout.Bucket, after contract.Key, visit func(k contract.Key, im *Image, damaged error) error) error {
	w := walker{images: true, document: func(d *walked) error {
		if d.err != nil {
			m.replica.store.notice(d.key, d.err)
		}
		return visit(d.key, d.image, d.err)
	}}
	r, err := m.reader()
	if err != nil {
		return err
	}
	defer m.done(r)
	err = w.through(r, bucketSpan(b, after))
	if torn := m.torn(); torn != nil {
		return torn // whatever visit wanted
	}
	return err
}
