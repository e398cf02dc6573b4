package buckets

import (
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/document"
)

// A view reads one document as it stands at one moment.
type view struct {
	place
	snap     *pebble.Snapshot
	state    document.State
	repaired uint32 // how often the bucket had been repaired before the snapshot
}

// view opens a readable document. The caller closes it.
func (s *Store) view(k contract.Key) (*view, error) {
	v := &view{place: placeOf(k)}
	v.repaired = s.repaired[v.bucket].Load() // BEFORE the snapshot
	marks := s.marks()                       // as well
	v.snap = s.db.NewSnapshot()
	var err error
	if v.state, _, err = s.present(v.snap, &v.place, marks); err == nil {
		err = readable(&v.state, &v.place)
	}
	if err != nil {
		v.close()
		return nil, s.told(k, err)
	}
	return v, nil
}

func (v *view) close() { _ = v.snap.Close() } // it only drops a reference

// readable tells why a document may not be read, if so.
func readable(state *document.State, p *place) error {
	err := state.Readable(p.key)
	if err == nil && state.Damaged {
		err = fmt.Errorf("document %q in space %q: a snapshot met damaged updates: %w", p.key.Key, p.key.Space, ErrDamaged)
	}
	return err
}

// loadState reads a document's state and the bytes it is stored as; a document
// that never was has a zero state and no bytes.
func loadState(r pebble.Reader, p *place) (document.State, []byte, error) {
	content, err := get(r, p.state())
	if err != nil {
		return document.State{}, nil, err
	}
	if content == nil {
		return document.State{}, nil, absent(r, p)
	}
	state, err := document.Decode(content)
	if err != nil {
		return document.State{}, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return state, content, nil
}

// present is loadState, but for a document that is absent and may have been lost.
func (s *Store) present(r pebble.Reader, p *place, before *markSet) (document.State, []byte, error) {
	state, content, err := loadState(r, p)
	if err == nil && content == nil {
		err = s.unsure(p.bucket, before)
	}
	return state, content, err
}

// absent makes sure that a document without a state is not a live one which has
// lost it: that would be in the list of names.
func absent(r pebble.Reader, p *place) error {
	named, err := get(r, p.name(tableName))
	if err == nil && named != nil {
		err = fmt.Errorf("document %q in space %q has a name but no state: %w", p.key.Key, p.key.Space, ErrDamaged)
	}
	return err
}

// base reads the text of the base; nil when there is none.
func (v *view) base() ([]byte, error) {
	if !v.state.Base.Present {
		return nil, nil
	}
	text, err := get(v.snap, v.place.base())
	if err != nil {
		return nil, err
	}
	if digest.Of(text) != v.state.Base.Digest {
		return nil, fmt.Errorf("base of document %q in space %q: digest: %w", v.key.Key, v.key.Space, ErrDamaged)
	}
	if text == nil {
		text = []byte{}
	}
	return text, nil
}

// beginning comes before every seq.
const beginning = int64(math.MinInt64)

// baseSeq is the seq after which the retained redos are folded on the base.
func (v *view) baseSeq() int64 {
	if v.state.Base.Present {
		return int64(v.state.Base.Seq)
	}
	return beginning
}

// floor is the seq after which all of a window is retained.
func floor(w document.Window) int64 {
	if w.Cut {
		return int64(w.Floor)
	}
	return beginning
}

// updates visits the stored updates that end after a seq, oldest first. It fails
// with [ErrDamaged] when one of them is missing. Seqs are counted in 64 bits.
func (v *view) updates(after int64, visit func(e *entry) (more bool)) error {
	opts := under(v.row(tableEntry))
	if after >= math.MinInt32 {
		opts.LowerBound = append(v.place.entry(int32(after)), 0)
	}
	it, err := v.snap.NewIter(opts)
	if err != nil {
		return damage(err)
	}
	defer it.Close()
	last := after
	for ok := it.First(); ok; ok = it.Next() {
		e, err := v.entry(it)
		if err != nil {
			return err
		}
		if !v.follows(&e, last, last == after) {
			return v.missing(last, int64(e.SeqBegin))
		}
		last = int64(e.SeqEnd)
		if !visit(&e) {
			return nil
		}
	}
	if err := it.Error(); err != nil {
		return damage(err)
	}
	if last < int64(v.state.Head) {
		return v.missing(last, int64(v.state.Head)+1)
	}
	return nil
}

// follows reports whether no update is missing between one that ends at last
// and e. Before the first one that is read, a range may straddle last, and
// before an initialize there is none.
func (v *view) follows(e *entry, last int64, first bool) bool {
	if first {
		return e.position == v.state.Incarnation || last != beginning && int64(e.SeqBegin) <= last+1
	}
	return int64(e.SeqBegin) == last+1
}

func (v *view) missing(last, next int64) error {
	if last == beginning {
		return fmt.Errorf("updates of document %q in space %q up to %d are missing: %w", v.key.Key, v.key.Space, next-1, ErrDamaged)
	}
	return fmt.Errorf("updates %d to %d of document %q in space %q are missing: %w", last+1, next-1, v.key.Key, v.key.Space, ErrDamaged)
}

func (v *view) entry(it *pebble.Iterator) (entry, error) {
	content, err := row(it)
	if err != nil {
		return entry{}, err
	}
	return parseEntry(content)
}
