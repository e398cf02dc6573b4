package buckets

import (
	"encoding/binary"
	"fmt"

	"trireme/internal/contract"
	"trireme/internal/position"
	"trireme/internal/record"
)

// An entry row holds position, writer and request id (each with its length
// before it), then the update as it stands in the log.

func appendEntry(b []byte, p position.Position, c *record.Change, u *contract.Update) []byte {
	b = p.AppendBinary(b)
	b = append(binary.AppendUvarint(b, uint64(len(c.Writer))), c.Writer...)
	b = append(binary.AppendUvarint(b, uint64(len(c.ID))), c.ID...)
	return record.AppendUpdate(b, u)
}

// An entry is one stored update with its origin.
type entry struct {
	contract.Update
	position   position.Position
	writer, id string
}

// parseEntry reads what appendEntry wrote; the result shares no memory with b.
func parseEntry(b []byte) (e entry, err error) {
	if len(b) < position.Size {
		return e, fmt.Errorf("entry of %d bytes: %w", len(b), ErrDamaged)
	}
	e.position = position.FromBinary(b)
	at := position.Size
	s := string(b) // one copy for all texts
	for _, field := range []*string{&e.writer, &e.id} {
		size, n := binary.Uvarint(b[at:])
		if n <= 0 || size > uint64(len(b)-at-n) {
			return e, fmt.Errorf("entry at %v is cut short: %w", e.position, ErrDamaged)
		}
		*field = s[at+n:][:size]
		at += n + int(size)
	}
	if e.Update, err = record.ParseUpdate(s[at:]); err != nil {
		return e, fmt.Errorf("entry at %v: %w: %w", e.position, err, ErrDamaged)
	}
	return e, nil
}
