package buckets

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// BucketState is the digest of a bucket: the order-free sum of its documents'
// digests, tombstones included, and the position of the last change in it.
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

func (d *digestTable) load(db *pebble.DB) error {
	return scan(db, []byte{tableBucket}, func(key, content []byte) (err error) {
		b := layout.Bucket(key[1])<<8 | layout.Bucket(key[2])
		d.of[b], err = parseBucketState(content)
		return err
	})
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

// scan visits the rows whose keys begin with prefix, in order, checked.
func scan(r pebble.Reader, prefix []byte, visit func(key, content []byte) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return damage(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		content, err := row(it)
		if err != nil {
			return err
		}
		if err := visit(it.Key(), content); err != nil {
			return err
		}
	}
	return damage(it.Error())
}

// row reads the row that the iterator stands on.
func row(it *pebble.Iterator) ([]byte, error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, damage(err)
	}
	return unseal(it.Key(), value)
}
