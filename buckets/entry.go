package buckets

import (
	"fmt"

	"trireme/internal/contract"
	"trireme/internal/position"
	"trireme/internal/record"
)

// An entry row holds position, writer and request id (each with its length in
// one byte), then the update as it stands in the log.

func appendEntry(b []byte, p position.Position, c *record.Change, u *contract.Update) []byte {
	b = p.AppendBinary(b)
	b = append(append(b, byte(len(c.Writer))), c.Writer...)
	b = append(append(b, byte(len(c.ID))), c.ID...)
	return record.AppendUpdate(b, u)
}

// An entry is one stored update with its origin.
type entry struct {
	contract.Update
	position   position.Position
	writer, id string
}

func parseEntry(b []byte) (e entry, err error) {
	s := string(b)
	if len(s) < position.Size {
		return e, fmt.Errorf("entry of %d bytes: %w", len(s), ErrDamaged)
	}
	e.position, s = position.FromBinary(b), s[position.Size:]
	for _, field := range []*string{&e.writer, &e.id} {
		if s == "" || len(s) < 1+int(s[0]) {
			return e, fmt.Errorf("entry at %v is cut short: %w", e.position, ErrDamaged)
		}
		*field, s = s[1:1+s[0]], s[1+s[0]:]
	}
	if e.Update, err = record.ParseUpdate(s); err != nil {
		return e, fmt.Errorf("entry at %v: %w: %w", e.position, err, ErrDamaged)
	}
	return e, nil
}
