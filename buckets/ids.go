package buckets

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/document"
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
func checkID(r pebble.Reader, p *place, c *record.Change) (done bool, err error) {
	if c.ID == "" {
		return false, nil
	}
	row, found, err := findID(r, p, c.ID)
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
func (t *tx) remember(p *place, c *record.Change, ids *document.IDs) error {
	if c.ID == "" {
		return nil
	}
	t.scratch = c.Fingerprint(t.scratch[:0])
	row := idRow{position: t.pos, time: t.time, fingerprint: digest.Fingerprint(t.scratch)}
	if err := errors.Join(
		t.put(p.id(c.ID), row.append(nil)),
		t.put(p.idOrder(t.pos), []byte(c.ID)),
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
	return t.forget(p, ids)
}

// An orderedID is a request id in the order of its changes.
type orderedID struct {
	position position.Position
	id       string // "" when its row in the order is damaged
	row      idRow
	err      error // that it is damaged
}

// forget removes the oldest ids that may go, at most forgetAtOnce good ones. The
// time of a damaged one is not known: it goes together with the next good one,
// which is younger. The sum then differs from the other replicas', and repair
// follows.
func (t *tx) forget(p *place, ids *document.IDs) error {
	opts := under(p.row(tableIDOrder))
	opts.LowerBound = p.idOrder(ids.Oldest)
	it, err := t.store.db.NewIter(opts)
	if err != nil {
		return t.spare(p, damage(err))
	}
	defer it.Close()
	var oldest []orderedID
	left := forgetAtOnce
	for ok := it.First(); ok; ok = it.Next() {
		o, err := t.orderedID(p, it)
		if err != nil {
			return err
		}
		oldest = append(oldest, o)
		if o.err != nil {
			continue
		}
		ids.Oldest, ids.OldestTime = oldest[0].position, o.row.time
		if left == 0 || !ids.Forget(t.time) || ids.Count < document.KeepIDs+len(oldest) {
			break
		}
		if err := t.forgetAll(p, ids, oldest); err != nil {
			return err
		}
		oldest = oldest[:0]
		left--
	}
	return t.spare(p, damage(it.Error()))
}

func (t *tx) forgetAll(p *place, ids *document.IDs, oldest []orderedID) error {
	for _, o := range oldest {
		ids.Count--
		if err := t.batch.Delete(p.idOrder(o.position), nil); err != nil {
			return err
		}
		if o.err == nil {
			ids.Sum = ids.Sum.Sub(o.row.digest(o.id))
		}
		if o.id == "" {
			continue
		}
		if err := t.batch.Delete(p.id(o.id), nil); err != nil {
			return err
		}
	}
	return nil
}

// orderedID reads the id that the iterator stands on. Damage is told and noted.
func (t *tx) orderedID(p *place, it *pebble.Iterator) (orderedID, error) {
	key := it.Key()
	o := orderedID{position: position.FromBinary(key[len(key)-position.Size:])}
	content, err := row(it)
	if err == nil {
		var found bool
		o.id = string(content)
		if o.row, found, err = findID(t.store.db, p, o.id); err == nil && !found {
			err = fmt.Errorf("request id %q has lost its row: %w", o.id, ErrDamaged)
		}
	}
	o.err = err
	return o, t.spare(p, err)
}
