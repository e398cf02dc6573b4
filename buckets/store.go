package buckets

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"trireme/internal/layout"
)

// formatVersion is the version of everything on disk here. It only grows; a
// store of a newer version is refused.
const formatVersion = 2

// A Store holds the documents of one host. Its methods may be called from
// several goroutines.
type Store struct {
	dir     string
	lock    *pebble.Lock // of the directory; nil where the database holds it alone
	db      *pebble.DB
	opts    Options
	readers sstable.ReaderOptions
	merged  *mergedCache
	heads   *headCache

	sick    sickFiles
	marking marking
	cutting sync.Mutex // held by Quarantine, taken before all others

	checkpoint sync.Mutex // taken before mu

	mu       sync.Mutex
	replicas map[string]*Replica

	digests  digestTable
	unsummed unsummed

	// repaired counts, for every bucket, how often repair has replaced documents.
	repaired [layout.Buckets]atomic.Uint32
	damages  damages
}

// checkFormat reads the version of the formats, or writes it into a new store. An
// older store is brought to it.
func (s *Store) checkFormat() error {
	key := []byte{tableFormat}
	content, err := get(s.db, key)
	switch {
	case err != nil:
		return fmt.Errorf("format version: %w", err)
	case content == nil:
		return s.setFormat()
	case bytes.Equal(content, []byte{1}):
		return s.upgrade()
	case !bytes.Equal(content, []byte{formatVersion}):
		return fmt.Errorf("the store has format version %v, this program reads versions 1 to %d: use the program that wrote it", content, formatVersion)
	}
	return nil
}

// Close makes everything durable and closes the store.
func (s *Store) Close() error {
	err := s.Checkpoint()
	s.merged.close()
	err = errors.Join(err, s.db.Close())
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// Checkpoint makes everything that has been applied durable. The positions that
// [Replica.Durable] tells move up.
func (s *Store) Checkpoint() error {
	s.checkpoint.Lock() // so that durable positions never move down
	defer s.checkpoint.Unlock()
	s.mu.Lock()
	replicas := make([]*Replica, 0, len(s.replicas))
	for _, r := range s.replicas {
		replicas = append(replicas, r)
	}
	s.mu.Unlock()
	// The positions are read BEFORE the sync: what is applied meanwhile may or
	// may not be covered by it.
	applied := make([]uint64, len(replicas))
	for i, r := range replicas {
		applied[i] = r.Applied().Seq
	}
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("sync document store: %w", err)
	}
	for i, r := range replicas {
		r.durable.Store(applied[i])
	}
	return nil
}

// DiskBytes is what the store takes on disk.
func (s *Store) DiskBytes() uint64 { return s.db.Metrics().DiskSpaceUsage() }

// Bucket tells the digest of a bucket and the position of the last change that
// touched it.
func (s *Store) Bucket(b layout.Bucket) BucketState { return s.digests.get(b) }
