package layout

import (
	"fmt"
	"strconv"

	"github.com/minio/highwayhash"
)

// Buckets is the number of buckets of the hash space. It never changes.
const Buckets = 16384

// HashKey is the fixed key of the bucket hash: 32 bytes, published, not a secret.
// Changing it would move every document.
const HashKey = "three hosts keep every document."

const (
	bucketShift = 64 - 14 // the top 14 bits of the hash
	shortName   = 192     // space, NUL and key of nearly every document fit
	longName    = 2049    // the longest the contract allows: 1024 + 1 + 1024
)

// A Bucket is one of the [Buckets] parts of the hash space, from 0. It is the unit
// of digests and of repair.
type Bucket uint16

// BucketOf returns the bucket of a document: the top 14 bits of HighwayHash-64 over
// space, a zero byte and key, under [HashKey]. It accepts any bytes of any length,
// and allocates only for names longer than the contract permits.
func BucketOf(space, key string) Bucket {
	// Two sizes of buffer, because clearing 2 KB costs more than the hash of a short name.
	if len(space)+1+len(key) <= shortName {
		var buf [shortName]byte
		return hashBucket(buf[:0], space, key)
	}
	return longBucketOf(space, key)
}

//go:noinline
func longBucketOf(space, key string) Bucket {
	var buf [longName]byte
	return hashBucket(buf[:0], space, key)
}

func hashBucket(buf []byte, space, key string) Bucket {
	buf = append(buf, space...)
	buf = append(buf, 0)
	buf = append(buf, key...)
	var hashKey [len(HashKey)]byte
	copy(hashKey[:], HashKey)
	return Bucket(highwayhash.Sum64(buf, hashKey[:]) >> bucketShift)
}

// Valid reports whether b is a bucket of the hash space.
func (b Bucket) Valid() bool { return b < Buckets }

// String prints the number in decimal.
func (b Bucket) String() string { return strconv.Itoa(int(b)) }

// ParseBucket reads what [Bucket.String] prints, and nothing else.
func ParseBucket(s string) (Bucket, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n >= Buckets || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("bucket %q: want a number from 0 to %d, without leading zeros", s, Buckets-1)
	}
	return Bucket(n), nil
}
