package buckets

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/document"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
)

// forgetAtOnce bounds how many request ids one change forgets: more than the
// one it brings, so that the backlog shrinks, and few, so that a change stays
// cheap.
const forgetAtOnce = 4

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

func idKey(b layout.Bucket, k contract.Key, id string) []byte {
	return append(documentKey(tableID, b, k), id...)
}

func idOrderKey(b layout.Bucket, k contract.Key, p position.Position) []byte {
	return p.AppendBinary(documentKey(tableIDOrder, b, k))
}

// findID looks a request id up.
func findID(r pebble.Reader, b layout.Bucket, k contract.Key, id string) (row idRow, found bool, err error) {
	content, err := get(r, idKey(b, k, id))
	if err != nil || content == nil {
		return idRow{}, false, err
	}
	row, err = parseIDRow(content)
	return row, err == nil, err
}

// checkID tells whether the change has taken effect already under its request
// id. An id that was used for something else is refused.
func checkID(r pebble.Reader, b layout.Bucket, c *record.Change) (done bool, err error) {
	if c.ID == "" {
		return false, nil
	}
	row, found, err := findID(r, b, c.Key, c.ID)
	if err != nil || !found {
		return false, err
	}
	if row.fingerprint != digest.Fingerprint(c.Fingerprint(nil)) {
		return false, contract.Errorf(contract.Malformed,
			"request id %q was used at %v for another request on this document: every request needs an id of its own", c.ID, row.position)
	}
	return true, nil
}

// remember notes the change's request id and forgets old ones.
func (t *tx) remember(b layout.Bucket, c *record.Change, ids *document.IDs) error {
	if c.ID == "" {
		return nil
	}
	row := idRow{position: t.pos, time: t.time, fingerprint: digest.Fingerprint(c.Fingerprint(nil))}
	if err := errors.Join(
		t.put(idKey(b, c.Key, c.ID), row.append(nil)),
		t.put(idOrderKey(b, c.Key, t.pos), []byte(c.ID)),
	); err != nil {
		return err
	}
	ids.Sum = ids.Sum.Add(row.digest(c.ID))
	if ids.Count == 0 {
		ids.Oldest, ids.OldestTime = t.pos, t.time
	}
	ids.Count++
	if !ids.Forget(t.time) {
		return nil
	}
	err := t.forget(b, c.Key, ids)
	if errors.Is(err, ErrDamaged) {
		t.damaged(c.Key, err) // the ids stay; the digest will differ and repair follows
		return nil
	}
	return err
}

// forget removes the oldest ids that may go, at most forgetAtOnce of them.
func (t *tx) forget(b layout.Bucket, k contract.Key, ids *document.IDs) error {
	prefix := documentKey(tableIDOrder, b, k)
	it, err := t.store.db.NewIter(&pebble.IterOptions{
		LowerBound: idOrderKey(b, k, ids.Oldest),
		UpperBound: prefixEnd(prefix),
	})
	if err != nil {
		return err
	}
	defer it.Close()
	left := forgetAtOnce
	for ok := it.First(); ok; ok = it.Next() {
		row, id, err := t.orderedID(b, k, it)
		if err != nil {
			return err
		}
		ids.Oldest, ids.OldestTime = row.position, row.time
		if left == 0 || !ids.Forget(t.time) {
			break
		}
		left--
		ids.Count--
		ids.Sum = ids.Sum.Sub(row.digest(id))
		if err := errors.Join(t.batch.Delete(it.Key(), nil), t.batch.Delete(idKey(b, k, id), nil)); err != nil {
			return err
		}
	}
	return it.Error()
}

// orderedID reads the id that the iterator stands on.
func (t *tx) orderedID(b layout.Bucket, k contract.Key, it *pebble.Iterator) (row idRow, id string, err error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return row, "", err
	}
	content, err := unseal(it.Key(), value)
	if err != nil {
		return row, "", err
	}
	id = string(content)
	row, found, err := findID(t.store.db, b, k, id)
	if err == nil && !found {
		err = fmt.Errorf("request id %q has lost its row: %w", id, ErrDamaged)
	}
	return row, id, err
}
