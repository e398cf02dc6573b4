// Package digest holds the hashes that the log and the stores are compared by.
//
// Everything is HighwayHash (Alakuijala, Cox, Wassenberg, "Fast keyed hash/
// pseudo-random function using SIMD multiply and permute", 2016) under fixed,
// published keys: the digests detect faults, they do not authenticate.
package digest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/minio/highwayhash"
)

// keys are part of the formats on disk and on the wire; see docs/formats.md.
var (
	digestKey = []byte("trireme digest of documents v001")
	chainKey  = []byte("trireme chain hash of a log v001")
	checkKey  = []byte("trireme checksum of an entry v01")
)

// A Digest is 256 bits: of a document, a bucket or a partition.
type Digest [32]byte

// Of digests b.
func Of(b []byte) Digest { return highwayhash.Sum(b, digestKey) }

// Add returns the lane-wise sum of d and o (four little-endian uint64, each
// modulo 2^64). The sum of a set of digests does not depend on their order, so
// a bucket's digest is kept up to date by adding and subtracting.
func (d Digest) Add(o Digest) Digest { return d.lanes(o, func(a, b uint64) uint64 { return a + b }) }

// Sub undoes [Digest.Add].
func (d Digest) Sub(o Digest) Digest { return d.lanes(o, func(a, b uint64) uint64 { return a - b }) }

func (d Digest) lanes(o Digest, f func(a, b uint64) uint64) Digest {
	var r Digest
	for i := 0; i < len(d); i += 8 {
		binary.LittleEndian.PutUint64(r[i:], f(binary.LittleEndian.Uint64(d[i:]), binary.LittleEndian.Uint64(o[i:])))
	}
	return r
}

// IsZero reports whether d is the digest of an empty set.
func (d Digest) IsZero() bool { return d == Digest{} }

// String prints 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// A Chain is the 128-bit running hash of a stripe's log: the chain after a
// record is the hash of the chain before it and the record's bytes. The zero
// value is the chain of an empty log.
type Chain [16]byte

// Next returns the chain after a record with the given bytes.
func (c Chain) Next(record []byte) Chain {
	h, err := highwayhash.New128(chainKey)
	if err != nil {
		panic(err) // only a key of another length does this
	}
	_, _ = h.Write(c[:]) // a hash never fails to write
	_, _ = h.Write(record)
	var next Chain
	h.Sum(next[:0])
	return next
}

// String prints 32 hexadecimal digits.
func (c Chain) String() string { return hex.EncodeToString(c[:]) }

// ParseChain reads what [Chain.String] prints: 32 lower-case hexadecimal digits.
func ParseChain(s string) (Chain, error) {
	var c Chain
	if len(s) != 2*len(c) {
		return Chain{}, fmt.Errorf("chain %q: want %d hexadecimal digits", s, 2*len(c))
	}
	if _, err := hex.Decode(c[:], []byte(s)); err != nil {
		return Chain{}, fmt.Errorf("chain %q: %w", s, err)
	}
	if c.String() != s {
		return Chain{}, fmt.Errorf("chain %q: want lower-case digits", s)
	}
	return c, nil
}

// Checksum is the 64-bit checksum that every row of the store carries.
func Checksum(b []byte) uint64 { return highwayhash.Sum64(b, checkKey) }

// Fingerprint is a 128-bit hash of what a request says, remembered with its
// request id so that an id used for something else is noticed.
func Fingerprint(b []byte) [16]byte { return highwayhash.Sum128(b, digestKey) }
