package buckets

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/document"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// BucketState is the digest of a bucket: the order-free sum of its documents'
// digests, tombstones included, and the position of the last change in it, which
// may have been to a document that is no longer there.
type BucketState struct {
	Digest   digest.Digest
	Position position.Position
}

func (b BucketState) append(dst []byte) []byte {
	return b.Position.AppendBinary(append(dst, b.Digest[:]...))
}

func parseBucketState(content []byte) (b BucketState, err error) {
	if len(content) != len(b.Digest)+position.Size {
		return b, fmt.Errorf("bucket row of %d bytes: %w", len(content), ErrDamaged)
	}
	copy(b.Digest[:], content)
	b.Position = position.FromBinary(content[len(b.Digest):])
	return b, nil
}

// digestTable holds every bucket's state in memory; the rows on disk change in
// the same batch as the documents.
type digestTable struct {
	mu sync.RWMutex
	of [layout.Buckets]BucketState
}

func bucketKey(b layout.Bucket) []byte { return []byte{tableBucket, byte(b >> 8), byte(b)} }

// sumBucket adds up the documents of a bucket whose states can be read, but for
// some.
func (s *Store) sumBucket(r pebble.Reader, b layout.Bucket, but map[contract.Key]struct{}) (sum BucketState, err error) {
	err = scan(r, append([]byte{tableDocument}, bucketKey(b)[1:]...), func(key, content []byte, damaged error) error {
		if damaged != nil {
			return nil //nolint:nilerr // it counts for nothing
		}
		k, _, err := parsePlace(key)
		if _, without := but[k]; err == nil && !without {
			sum.add(key, content)
		}
		return nil // what is under no document's key is none
	})
	return sum, err
}

// storedBucket reads the state of a bucket from its row; no row is the state of
// an empty bucket.
func storedBucket(r pebble.Reader, b layout.Bucket) (BucketState, error) {
	content, err := get(r, bucketKey(b))
	if err != nil || content == nil {
		return BucketState{}, err
	}
	return parseBucketState(content)
}

// add adds a document by the key and the content of its row.
func (b *BucketState) add(key, content []byte) {
	b.Digest = b.Digest.Add(documentDigest(key, content))
	if state, err := document.Decode(content); err == nil && b.Position.Less(state.Position) {
		b.Position = state.Position
	}
}

// atLeast is the state at a position or beyond.
func (b BucketState) atLeast(p position.Position) BucketState {
	if b.Position.Less(p) {
		b.Position = p
	}
	return b
}

func (d *digestTable) get(b layout.Bucket) BucketState {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.of[b]
}

func (d *digestTable) set(changed map[layout.Bucket]BucketState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for b, state := range changed {
		d.of[b] = state
	}
}

// Root tells the digest of a range of buckets, both ends included, and the
// highest position in it: the root of a partition.
func (s *Store) Root(first, last layout.Bucket) BucketState {
	s.digests.mu.RLock()
	defer s.digests.mu.RUnlock()
	var root BucketState
	b := make([]byte, 0, (int(last)-int(first)+1)*len(root.Digest))
	for _, state := range s.digests.of[first : int(last)+1] {
		b = append(b, state.Digest[:]...)
		if root.Position.Less(state.Position) {
			root.Position = state.Position
		}
	}
	root.Digest = digest.Of(b)
	return root
}

// documentDigest is what a document adds to its bucket: the digest of its row's
// key and state.
func documentDigest(key, state []byte) digest.Digest {
	var scratch [1024]byte
	return digest.Of(append(append(scratch[:0], key...), state...))
}
