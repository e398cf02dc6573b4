package buckets

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/document"
	"trireme/internal/position"
	"trireme/internal/record"
)

// An idRow is what is remembered of a request id: which change it named, and
// when.
type idRow struct {
	position    position.Position
	time        int64 // Unix milliseconds in the log
	fingerprint [16]byte
}

func (r idRow) append(b []byte) []byte {
	b = r.position.AppendBinary(b)
	b = binary.BigEndian.AppendUint64(b, uint64(r.time))
	return append(b, r.fingerprint[:]...)
}

func parseIDRow(b []byte) (idRow, error) {
	if len(b) != position.Size+8+16 {
		return idRow{}, fmt.Errorf("request id row of %d bytes: %w", len(b), ErrDamaged)
	}
	r := idRow{position: position.FromBinary(b), time: int64(binary.BigEndian.Uint64(b[position.Size:]))}
	copy(r.fingerprint[:], b[position.Size+8:])
	return r, nil
}

// digest is what the id adds to the sum of the document's ids.
func (r idRow) digest(id string) digest.Digest {
	return digest.Of(r.append([]byte(id + "\x00")))
}

// findID looks a request id up.
func findID(r pebble.Reader, p *place, id string) (row idRow, found bool, err error) {
	content, err := get(r, p.id(id))
	if err != nil || content == nil {
		return idRow{}, false, err
	}
	row, err = parseIDRow(content)
	return row, err == nil, err
}

// checkID tells whether the change has taken effect already under its request
// id. An id that was used for something else is refused.
func (s *Store) checkID(p *place, c *record.Change) (done bool, err error) {
	if c.ID == "" || s.heads.lacks(p, c.ID) {
		return false, nil
	}
	marks := s.marks() // BEFORE reading
	row, found, err := findID(s.db, p, c.ID)
	if err == nil && !found {
		err = s.unsure(p.bucket, marks)
	}
	if err != nil || !found {
		return false, err
	}
	if row.fingerprint != digest.Fingerprint(c.Fingerprint(nil)) {
		return false, contract.Errorf(contract.Malformed,
			"request id %q was used at %v for another request on this document: every request needs an id of its own", c.ID, row.position)
	}
	return true, nil
}

// remember notes the change's request id and forgets old ones; then it returns
// all that are left.
func (t *tx) remember(p *place, c *record.Change, ids *document.IDs) (all *idSet, err error) {
	if c.ID == "" {
		return nil, nil
	}
	t.scratch = c.Fingerprint(t.scratch[:0])
	row := idRow{position: t.pos, time: t.time, fingerprint: digest.Fingerprint(t.scratch)}
	t.scratch = row.append(t.scratch[:0])
	if err := t.put(p.id(c.ID), t.scratch); err != nil {
		return nil, err
	}
	if ids.Remember(row.digest(c.ID)) {
		return t.forget(p, c.ID, ids)
	}
	return nil, nil
}

// forget removes the ids that may go. It reads those that were there before this
// change; the one that the change brings stays in any case. Damaged ones stay
// too: nobody knows their time. It returns all that stay, or nil when damage hides
// some.
func (t *tx) forget(p *place, brought string, ids *document.IDs) (*idSet, error) {
	prefix := p.row(tableID)
	type known struct {
		id  string
		row idRow
	}
	var list []known
	whole := true
	err := scan(t.store.db, prefix, func(key, content []byte, err error) error {
		var row idRow
		if err == nil {
			row, err = parseIDRow(content)
		}
		if err == nil {
			list = append(list, known{string(key[len(prefix):]), row})
		}
		whole = whole && err == nil
		return t.spare(p, err)
	})
	// Rows that were lost do not show: then the state knows of more.
	whole = whole && err == nil && len(list)+1 == ids.Count
	if err := t.spare(p, err); err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b known) int { return a.row.position.Compare(b.row.position) })
	times := make([]int64, 0, len(list)+1)
	for i := range list {
		times = append(times, list[i].row.time)
	}
	gone := document.Forgettable(append(times, t.time), t.time)
	for _, old := range list[:gone] {
		ids.Forget(old.row.digest(old.id))
		if err := t.batch.Delete(p.id(old.id), nil); err != nil {
			return nil, err
		}
	}
	ids.Kept = ids.Count
	if !whole {
		return nil, nil
	}
	left := newIDSet(brought)
	for _, kept := range list[gone:] {
		left.add(hashID(kept.id))
	}
	return left, nil
}
