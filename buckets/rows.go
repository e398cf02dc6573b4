package buckets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
)

// The first byte of every key is the table. docs/formats-disk.md describes the rows.
const (
	tableFormat    = 'F' // the version of these formats
	tableStripe    = 'a' // stripe name -> applied position, chain, epoch, time
	tableBucket    = 'b' // bucket -> digest and position
	tableDocument  = 'd' // document -> state
	tableEntry     = 'e' // document, seq_end -> position, writer, request id, update
	tableID        = 'i' // document, request id -> position, fingerprint, time
	tableMarked    = 'm' // space, key of a document that is marked for deletion
	tableName      = 'n' // space, key of a live document
	tableBase      = 's' // document -> text of its base
	tableTombstone = 't' // position, document that is a tombstone

	tables = "Fabdeimnst" // all of them
)

// ErrDamaged is the error of a row that fails its checksum or cannot be read.
var ErrDamaged = errors.New("damaged row")

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
		switch b[i+1] {
		case 0xff:
			s = append(s, 0)
			i++
		case 1:
			return string(s), b[i+2:], true
		default:
			return "", nil, false
		}
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

// seqSize is the length of a seq in a key, in bytes.
const seqSize = 4

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

// bucketIn reads the bucket behind the table of a row's key.
func bucketIn(key []byte) (layout.Bucket, error) {
	if len(key) < 3 {
		return 0, fmt.Errorf("row %q: bucket: %w", key, ErrDamaged)
	}
	b := layout.Bucket(binary.BigEndian.Uint16(key[1:]))
	if !b.Valid() {
		return 0, fmt.Errorf("row %q: bucket %v: %w", key, b, ErrDamaged)
	}
	return b, nil
}

// Every value ends in a checksum over its key and its content, so that a row
// with flipped bits and a row in another row's place are both noticed.

const checksumSize = 8

// appendRow appends a row's key and its value, sealed.
func appendRow(b, key, content []byte) []byte {
	begin := len(b)
	b = append(append(b, key...), content...)
	return binary.LittleEndian.AppendUint64(b, digest.Checksum(b[begin:]))
}

func unseal(key, value []byte) ([]byte, error) {
	n := len(value) - checksumSize
	if n < 0 || checksum(key, value[:n]) != binary.LittleEndian.Uint64(value[n:]) {
		return nil, fmt.Errorf("row %q: checksum: %w", key, ErrDamaged)
	}
	return value[:n:n], nil
}

// checksum hashes both in one piece, which is put together on the stack, or for
// large rows in memory that is used again.
func checksum(key, content []byte) uint64 {
	if len(key)+len(content) <= smallRow {
		var scratch [smallRow]byte
		return digest.Checksum(append(append(scratch[:0], key...), content...))
	}
	scratch := largeRows.Get().(*[]byte)
	defer largeRows.Put(scratch)
	*scratch = append(append((*scratch)[:0], key...), content...)
	return digest.Checksum(*scratch)
}

const smallRow = 1024

var largeRows = sync.Pool{New: func() any { return new([]byte) }}

// get reads a row's content; nil without error means that there is no row.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, damage(err)
	}
	defer closer.Close()
	content, err := unseal(key, value)
	return slices.Clone(content), err
}

// row reads the row that the iterator stands on.
func row(it *pebble.Iterator) ([]byte, error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, damage(err)
	}
	return unseal(it.Key(), value)
}

// under is the range of the rows whose keys begin with prefix.
func under(prefix []byte) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)}
}

// scan visits the rows whose keys begin with prefix, in order. Where a row is
// damaged, visit is told instead of content. Key and content are the visitor's
// only until it returns.
func scan(r pebble.Reader, prefix []byte, visit func(key, content []byte, damaged error) error) error {
	it, err := r.NewIter(under(prefix))
	if err != nil {
		return damage(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		content, err := row(it)
		if err := visit(it.Key(), content, err); err != nil {
			return err
		}
	}
	return damage(it.Error())
}

// damage marks what the database itself finds corrupt as [ErrDamaged].
func damage(err error) error {
	if pebble.IsCorruptionError(err) {
		return &corruption{err}
	}
	return err
}

// A corruption is what the database says of something that it cannot read.
type corruption struct{ err error }

func (c *corruption) Unwrap() []error { return []error{ErrDamaged, c.err} }

func (c *corruption) Error() string {
	text, _, _ := strings.Cut(c.err.Error(), "\n") // what follows is for machines
	return ErrDamaged.Error() + ": " + text
}
