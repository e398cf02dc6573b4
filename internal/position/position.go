// Package position names places in the replicated logs.
//
// A [Position] is (stripe birth, stream sequence). Births are numbered by the
// layout and only grow, so positions of one partition grow even when the
// partition moves to another stripe. Every order in this system (of entries, of
// epochs, of what is newer) is by position, never by time and never by a
// document's own seq.
package position

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Size is the length of a position in its binary form, in bytes.
const Size = 12

// A Position is one record of one stripe's log. The zero value comes before
// every record and stands for "nothing yet".
type Position struct {
	Birth uint32 // the stripe's birth number, from 1
	Seq   uint64 // the sequence of the record in the stripe's stream, from 1
}

// Compare orders by birth, then sequence: -1, 0 or +1.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Birth, q.Birth), cmp.Compare(p.Seq, q.Seq))
}

// Less reports whether p comes before q.
func (p Position) Less(q Position) bool { return p.Compare(q) < 0 }

// IsZero reports whether p stands for "nothing yet".
func (p Position) IsZero() bool { return p == Position{} }

// String prints "<birth>-<sequence>", the form of the wire and of the log.
func (p Position) String() string { return string(p.Append(nil)) }

// Append appends what [Position.String] prints.
func (p Position) Append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(p.Birth), 10)
	return strconv.AppendUint(append(b, '-'), p.Seq, 10)
}

// Parse reads what [Position.String] prints, and nothing else.
func Parse(s string) (Position, error) {
	birth, seq, ok := strings.Cut(s, "-")
	if !ok {
		return Position{}, fmt.Errorf("position %q: want <birth>-<sequence>, as in 1-42", s)
	}
	b, err := strconv.ParseUint(birth, 10, 32)
	if err != nil {
		return Position{}, fmt.Errorf("position %q: birth: %w", s, err)
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return Position{}, fmt.Errorf("position %q: sequence: %w", s, err)
	}
	if padded(birth) || padded(seq) {
		return Position{}, fmt.Errorf("position %q: numbers have no leading zeros", s)
	}
	return Position{Birth: uint32(b), Seq: n}, nil
}

func padded(digits string) bool { return digits[0] == '0' && digits != "0" }

// AppendBinary appends the [Size] bytes of p, big-endian, so that bytes.Compare
// orders like [Position.Compare].
func (p Position) AppendBinary(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, p.Birth)
	return binary.BigEndian.AppendUint64(b, p.Seq)
}

// FromBinary reads what [Position.AppendBinary] wrote. It panics when b is
// shorter than [Size]; callers check lengths first.
func FromBinary(b []byte) Position {
	return Position{Birth: binary.BigEndian.Uint32(b), Seq: binary.BigEndian.Uint64(b[4:])}
}
