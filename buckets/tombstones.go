package buckets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/document"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// The table of tombstones has one row for each, at the position of the last
// change that touched it, so that those which a release lets go lie together.

// tombstone is the row of the document's tombstone at a position.
func (p *place) tombstone(at position.Position) []byte {
	b := make([]byte, 0, 1+position.Size+len(p.common))
	return append(at.AppendBinary(append(b, tableTombstone)), p.common...)
}

// parseTombstone reads the key of a tombstone's row.
func parseTombstone(key []byte) (place, position.Position, error) {
	const front = 1 + position.Size
	if len(key) < front+2 {
		return place{}, position.Position{}, fmt.Errorf("row %q: tombstone: %w", key, ErrDamaged)
	}
	k, rest, err := parseNames(key[front+2:])
	if err != nil {
		return place{}, position.Position{}, err
	}
	p := placeOf(k)
	if len(rest) > 0 || p.bucket != layout.Bucket(binary.BigEndian.Uint16(key[front:])) {
		return place{}, position.Position{}, fmt.Errorf("row %q: tombstone: bucket: %w", key, ErrDamaged)
	}
	return p, position.FromBinary(key[1:]), nil
}

// setTombstone keeps the table when a document's state is replaced: what was a
// tombstone loses its row, what is one gets it.
func setTombstone(b *pebble.Batch, p *place, before, after *document.State) error {
	var err error
	if before.Tombstone() {
		err = b.Delete(p.tombstone(before.Position), nil)
	}
	if after.Tombstone() {
		row := appendRow(nil, p.tombstone(after.Position), nil)
		n := len(row) - checksumSize
		err = errors.Join(err, b.Set(row[:n], row[n:], nil))
	}
	return err
}

// covers reports whether a horizon says of a tombstone at a position that it has
// been released. It speaks of the log that it is a place in: a tombstone that came
// with its partition from the log of another stripe has another birth.
func covers(horizon, p position.Position) bool {
	return p.Birth == horizon.Birth && p.Seq <= horizon.Seq && !p.IsZero()
}

// tombstones is the range of the rows after one position, up to another of the
// same log.
func tombstones(after, upTo position.Position) *pebble.IterOptions {
	return &pebble.IterOptions{
		LowerBound: next(after).AppendBinary([]byte{tableTombstone}),
		UpperBound: next(upTo).AppendBinary([]byte{tableTombstone}),
	}
}

// next is the position of the record after p.
func next(p position.Position) position.Position {
	if p.Seq < math.MaxUint64 {
		p.Seq++
	}
	return p
}
