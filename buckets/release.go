package buckets

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/document"
	"trireme/internal/position"
)

// A document that is deleted stays as a tombstone, and goes when a RELEASE in the
// log says so: in every replica at the same record, else replicas would differ.

// release applies a RELEASE: the tombstones above the horizon so far go, up to
// the new one. It returns the new one.
func (t *tx) release(so, far position.Position) (position.Position, error) {
	if so.Birth != far.Birth {
		so = position.Position{Birth: far.Birth}
	}
	if far.Seq <= so.Seq {
		return so, nil
	}
	rows := tombstones(so, far)
	if err := damage(t.releaseRows(rows)); errors.Is(err, ErrDamaged) {
		// What is not found here differs from the others then, and repair drops it.
		t.store.opts.Events(Event{Kind: RowDamaged, Position: t.pos, Err: err})
	} else if err != nil {
		return so, err
	}
	// Not one by one: the next release would have to step over each.
	return far, t.batch.DeleteRange(rows.LowerBound, rows.UpperBound, nil)
}

// releaseRows removes the tombstones of a range.
func (t *tx) releaseRows(rows *pebble.IterOptions) error {
	it, err := t.store.db.NewIter(rows)
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if err := t.releaseOne(it.Key()); err != nil {
			return err
		}
	}
	return it.Error()
}

// releaseOne removes the tombstone of a row. The row may be wrong: only the state
// says what is a tombstone, and where. A document that images have brought further
// is none any more, or one at a position that no horizon of the past covers.
func (t *tx) releaseOne(row []byte) error {
	p, at, err := parseTombstone(row)
	if err != nil {
		t.store.opts.Events(Event{Kind: RowDamaged, Position: t.pos, Err: err})
		return nil //nolint:nilerr // it is told, and goes
	}
	before, err := t.store.head(&p)
	if errors.Is(err, ErrDamaged) { // it stays, and repair finds that the others have none
		t.skip(RowDamaged, p.key, err)
		return nil
	}
	if err != nil || !before.state.Tombstone() || before.state.Position != at {
		return err
	}
	b := t.bucket(p.bucket)
	b.Digest = b.Digest.Sub(before.digest)
	t.touch(p.bucket, b)
	t.gone = append(t.gone, p.common)
	err = t.batch.Delete(p.state(), nil)
	if before.state.IDs.Count > 0 {
		ids := p.row(tableID)
		err = errors.Join(err, t.batch.DeleteRange(ids, prefixEnd(ids), nil))
	}
	return err
}

// shed drops the tombstones up to a horizon that the replica takes over together
// with a place in the log, some at a time: who was away for a month has many. The
// replica is locked. After a crash in the middle some are gone before their time; the
// replica does not say that it is anywhere new before all are.
func (r *Replica) shed(far, at position.Position) error {
	const most = 4096 // in one batch, but for those of one record
	for so := r.Applied().Horizon; so.Less(far); {
		to, err := r.stretch(so, far, most)
		if err == nil {
			so, err = r.shedTo(so, to, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Replica) shedTo(so, to, at position.Position) (position.Position, error) {
	t := &r.tx
	t.begin(at)
	defer t.batch.Close()
	so, err := t.release(so, to)
	if err == nil {
		err = errors.Join(t.putBuckets(), t.batch.Commit(pebble.NoSync))
	}
	if err != nil {
		return so, err
	}
	r.store.digests.set(t.buckets)
	r.store.heads.forget(t.gone)
	r.skipped.Add(t.skipped)
	return so, nil
}

// stretch is the position of the nth tombstone after one horizon, or the other
// horizon when there are fewer.
func (r *Replica) stretch(so, far position.Position, n int) (position.Position, error) {
	it, err := r.store.db.NewIter(tombstones(position.Position{Birth: far.Birth, Seq: so.Seq}, far))
	if err != nil {
		return far, err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if n--; n > 0 || len(it.Key()) < 1+position.Size {
			continue
		}
		return position.FromBinary(it.Key()[1:]), nil
	}
	return far, it.Error()
}

// Releasable tells how far the tombstones of the stripe may be released and how
// many would go: the lowest horizon, at or below clean and what has been applied,
// with which as many go as may. clean is the position up to which all members of
// the stripe are known to be equal. None goes while a request id that it remembers
// is younger than two minutes, by the time of the log, nor when it or an older one
// is damaged. At most limit go; but those of one record go together, so of the first
// record there may be more. Without any the horizon is zero.
//
// It reads each of them, and only them: the limit bounds its work and that of
// applying the release.
func (r *Replica) Releasable(clean position.Position, limit int) (horizon position.Position, n int) {
	now := r.Applied() // BEFORE the snapshot: no change up to it may be missing
	if clean.Birth != r.birth {
		return position.Position{}, 0
	}
	clean.Seq = min(clean.Seq, now.Seq)
	after := position.Position{Birth: r.birth, Seq: now.Horizon.Seq}
	if clean.Seq <= after.Seq {
		return position.Position{}, 0
	}
	snap := r.store.db.NewSnapshot()
	defer snap.Close()
	l := lookout{snap: snap, now: now.Time, limit: limit}
	if err := l.over(tombstones(after, clean)); err != nil {
		r.store.opts.Events(Event{Kind: RowDamaged, Key: l.key, Err: fmt.Errorf("look for tombstones to release: %w", err)})
	}
	return l.horizon, l.n
}

// A lookout counts tombstones that may go.
type lookout struct {
	snap  *pebble.Snapshot
	now   int64
	limit int

	horizon position.Position // of whole records that may go
	n       int               // tombstones of them
	key     contract.Key      // looked at last
}

// over looks at rows in order until one may not go, or enough may.
func (l *lookout) over(rows *pebble.IterOptions) error {
	it, err := l.snap.NewIter(rows)
	if err != nil {
		return damage(err)
	}
	defer it.Close()
	var at position.Position // the record under way
	var of int               // its tombstones
	for ok := it.First(); ok; ok = it.Next() {
		p, here, err := parseTombstone(it.Key())
		if err != nil {
			continue // it is of no document; the release removes it, and tells
		}
		if here != at {
			if l.take(at, of); l.n >= l.limit {
				return nil
			}
			at, of = here, 0
		}
		l.key = p.key
		there, may, err := l.may(&p, here)
		if err != nil || there && !may {
			return err
		}
		if there {
			of++
		}
		if l.n > 0 && l.n+of > l.limit {
			return nil
		}
	}
	l.take(at, of)
	return damage(it.Error())
}

// take adds the tombstones of a whole record.
func (l *lookout) take(at position.Position, of int) {
	if of > 0 {
		l.horizon, l.n = at, l.n+of
	}
}

// may tells whether there is a tombstone at a position, and whether all that it
// remembers may be forgotten.
func (l *lookout) may(p *place, at position.Position) (there, may bool, err error) {
	state, _, err := loadState(l.snap, p)
	if err != nil || !state.Tombstone() || state.Position != at {
		return false, false, err
	}
	may = true
	if state.IDs.Count == 0 {
		return true, may, nil
	}
	err = scan(l.snap, p.row(tableID), func(_, content []byte, err error) error {
		var row idRow
		if err == nil {
			row, err = parseIDRow(content)
		}
		may = may && document.Past(row.time, l.now)
		return err
	})
	return true, may, err
}
