package buckets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// The first byte of every key is the table. docs/formats.md describes the rows.
const (
	tableFormat   = 'F' // the version of these formats
	tableStripe   = 'a' // stripe name -> applied position, chain, epoch, time
	tableBucket   = 'b' // bucket -> digest and position
	tableDocument = 'd' // document -> state
	tableEntry    = 'e' // document, seq_end -> position, writer, request id, update
	tableID       = 'i' // document, request id -> position, fingerprint, time
	tableIDOrder  = 'r' // document, position -> request id
	tableMarked   = 'm' // space, key of a document that is marked for deletion
	tableName     = 'n' // space, key of a live document
	tableBase     = 's' // document -> text of its base
)

// ErrDamaged is the error of a row that fails its checksum or cannot be read.
var ErrDamaged = errors.New("damaged row")

// documentKey is the key of a document in a table: the bucket keeps the
// documents of a bucket together, the escapes keep names apart and in order.
func documentKey(table byte, bucket layout.Bucket, k contract.Key) []byte {
	b := make([]byte, 0, 3+len(k.Space)+len(k.Key)+4+position.Size)
	b = append(b, table)
	b = binary.BigEndian.AppendUint16(b, uint16(bucket))
	return appendName(appendName(b, k.Space), k.Key)
}

// nameKey is the key of a document in a table that is in the order of names.
func nameKey(table byte, k contract.Key) []byte {
	b := make([]byte, 0, 1+len(k.Space)+len(k.Key)+4)
	return appendName(appendName(append(b, table), k.Space), k.Key)
}

// appendName appends s so that names are ordered by their bytes and no name is
// the beginning of another: 0x00 becomes 0x00 0xff, the end is 0x00 0x01.
func appendName(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, s[i])
		if s[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0, 1)
}

// cutName takes a name off the front of b.
func cutName(b []byte) (name string, rest []byte, ok bool) {
	var s []byte
	for i := 0; i+1 < len(b); i++ {
		if b[i] != 0 {
			s = append(s, b[i])
			continue
		}
		if b[i+1] == 1 {
			return string(s), b[i+2:], true
		}
		if b[i+1] != 0xff {
			break
		}
		s = append(s, 0)
		i++
	}
	return "", nil, false
}

// parseNames reads space and key at the front of b.
func parseNames(b []byte) (k contract.Key, rest []byte, err error) {
	space, rest, ok := cutName(b)
	if !ok {
		return k, nil, fmt.Errorf("row key %x: space: %w", b, ErrDamaged)
	}
	key, rest, ok := cutName(rest)
	if !ok {
		return k, nil, fmt.Errorf("row key %x: key: %w", b, ErrDamaged)
	}
	return contract.Key{Space: space, Key: key}, rest, nil
}

// appendSeq appends a seq so that bytes are ordered like numbers.
func appendSeq(b []byte, seq int32) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(seq)^1<<31)
}

func parseSeq(b []byte) int32 { return int32(binary.BigEndian.Uint32(b) ^ 1<<31) }

// prefixEnd is the first key after all keys that begin with prefix.
func prefixEnd(prefix []byte) []byte {
	end := slices.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// Every value ends in a checksum over its key and its content, so that a row
// with flipped bits and a row in another row's place are both noticed.

func seal(key, content []byte) []byte {
	return binary.LittleEndian.AppendUint64(content, checksum(key, content))
}

func unseal(key, value []byte) ([]byte, error) {
	n := len(value) - 8
	if n < 0 || checksum(key, value[:n]) != binary.LittleEndian.Uint64(value[n:]) {
		return nil, fmt.Errorf("row %q: checksum: %w", key, ErrDamaged)
	}
	return value[:n:n], nil
}

func checksum(key, content []byte) uint64 {
	var scratch [512]byte
	b := append(scratch[:0], key...)
	return digest.Checksum(append(b, content...))
}
