package buckets

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/document"
	"trireme/internal/layout"
)

// A changing gathers what repair does to documents: one batch, with the digests
// of their buckets. The replica is locked from its beginning to its commit.
type changing struct {
	replica *Replica
	batch   *pebble.Batch
	done    map[contract.Key]struct{}
	buckets map[layout.Bucket]*bucketChange
	commons [][]byte // of the documents whose states in memory are past
	now     *reader  // what is there of documents now; nil before it is needed
	row     []byte
	scratch []byte
}

// A bucketChange is what the documents that change had and have in a bucket.
type bucketChange struct {
	before, after BucketState
	gone          map[contract.Key]struct{} // documents that lose their place in the sum
	unknown       bool                      // nobody knows what one of them had: sum up anew
	replaced      bool                      // something was there before
}

// changing begins a change of about so many bytes.
func (r *Replica) changing(size int) *changing {
	return &changing{
		replica: r, batch: r.store.db.NewBatchWithSize(size),
		done: map[contract.Key]struct{}{}, buckets: map[layout.Bucket]*bucketChange{},
	}
}

func (c *changing) close() {
	if c.now != nil {
		c.now.close()
	}
	_ = c.batch.Close() // committed, or given up
}

// A localCopy is what the store has of a document.
type localCopy struct {
	state   document.State
	digest  digest.Digest // zero when there is no state, or none that can be read
	unread  bool          // there is or was a state that cannot be read
	lost    bool          // it lacks changes, so there may have been another state
	damaged error         // [ErrDamaged]: why it does not count
	kept    bool          // its digest is what the bucket's kept sum has of it
}

// local reads the state of a document from disk.
func (c *changing) local(p *place) (l localCopy, err error) {
	state, sum, stored, err := c.state(p)
	if errors.Is(err, ErrDamaged) {
		return localCopy{unread: true, damaged: err}, nil
	}
	if err != nil {
		return l, err
	}
	if stored {
		l.state, l.digest = state, sum
	}
	// A head in memory is what was last applied. Where the disk says something
	// else, it has lost it.
	h, cached := c.replica.store.heads.get(p)
	l.kept = !cached || h.digest == l.digest
	return l, nil
}

// state is loadState by an iterator, which takes less for documents in order.
func (c *changing) state(p *place) (state document.State, sum digest.Digest, stored bool, err error) {
	if c.now == nil {
		if c.now, err = openReader(c.replica.store.db); err != nil {
			return state, sum, false, err
		}
	}
	key := p.state()
	if it := c.now.docs; it.SeekGE(key) && bytes.Equal(it.Key(), key) {
		content, err := row(it)
		if err != nil {
			return state, sum, false, err
		}
		if state, err = document.Decode(content); err != nil {
			return state, sum, false, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return state, documentDigest(key, content), true, nil
	} else if err := it.Error(); err != nil {
		return state, sum, false, damage(err)
	}
	return state, sum, false, absent(c.replica.store.db, p)
}

// replace puts an image where the local copy is.
func (c *changing) replace(p *place, l *localCopy, im *Image) error {
	b := c.begin(p, l)
	state := im.state
	b.after.Digest = b.after.Digest.Add(state.Digest)
	if b.after.Position.Less(state.Position) {
		b.after.Position = state.Position
	}
	// Deletions BEFORE the new rows: within a batch the later one counts.
	if err := c.clear(p, im); err != nil {
		return err
	}
	err := im.rows(func(table byte, suffix, value []byte) error {
		c.row = append(append(append(c.row[:0], table), p.common...), suffix...)
		return c.batch.Set(c.row, value, nil)
	})
	there := l.damaged != nil || l.state.Live
	return errors.Join(err,
		c.name(p.name(tableName), state.Live, there),
		c.name(p.name(tableMarked), state.Marked, there),
		setTombstone(c.batch, p, &l.state, &document.State{Live: state.Live, Position: state.Position}))
}

// remove takes every row of a document away.
func (c *changing) remove(p *place, l *localCopy) error {
	c.begin(p, l)
	return errors.Join(
		c.clear(p, nil),
		c.batch.Delete(p.state(), nil),
		c.name(p.name(tableName), false, true),
		c.name(p.name(tableMarked), false, true),
		setTombstone(c.batch, p, &l.state, &document.State{}),
	)
}

// begin notes that a document changes and takes it out of its bucket's sum.
func (c *changing) begin(p *place, l *localCopy) *bucketChange {
	c.done[p.key] = struct{}{}
	c.commons = append(c.commons, p.common)
	b := c.buckets[p.bucket]
	if b == nil {
		b = &bucketChange{gone: map[contract.Key]struct{}{}}
		c.buckets[p.bucket] = b
	}
	b.gone[p.key] = struct{}{}
	b.unknown = b.unknown || l.unread || l.lost || !l.kept
	b.replaced = b.replaced || l.unread || l.lost || !l.digest.IsZero()
	b.before.Digest = b.before.Digest.Add(l.digest)
	return b
}

// name puts a document into a list of names, or takes it out.
func (c *changing) name(key []byte, want, there bool) error {
	switch {
	case want:
		return c.put(key, nil)
	case there:
		return c.batch.Delete(key, nil)
	}
	return nil
}

func (c *changing) put(key, content []byte) error {
	c.row = appendRow(c.row[:0], key, content)
	return c.batch.Set(c.row[:len(key)], c.row[len(key):], nil)
}

// commit makes everything the store's own, on disk and in memory.
func (c *changing) commit() error {
	if len(c.done) == 0 {
		return nil
	}
	s := c.replica.store
	states := make(map[layout.Bucket]BucketState, len(c.buckets))
	for bucket, change := range c.buckets {
		state, err := s.changed(bucket, change)
		if err != nil {
			return err
		}
		states[bucket] = state
		c.scratch = state.append(c.scratch[:0])
		if err := c.put(bucketKey(bucket), c.scratch); err != nil {
			return err
		}
	}
	if err := c.batch.Commit(pebble.NoSync); err != nil {
		return err
	}
	s.digests.set(states)
	for bucket, change := range c.buckets {
		if change.replaced {
			s.repaired[bucket].Add(1)
		}
	}
	s.heads.forget(c.commons)
	for k := range c.done {
		s.damages.clear(k)
		c.replica.missed.healed(k)
	}
	return nil
}

// changed is a bucket's state after a change. Its position never moves back.
func (s *Store) changed(b layout.Bucket, change *bucketChange) (state BucketState, err error) {
	state = s.digests.get(b)
	if state.Digest = state.Digest.Sub(change.before.Digest); change.unknown {
		var sum BucketState
		sum, err = s.sumBucket(s.db, b, change.gone)
		state = sum.atLeast(state.Position)
	}
	state.Digest = state.Digest.Add(change.after.Digest)
	return state.atLeast(change.after.Position), err
}

// clear deletes the document's rows that the image, if there is one, does not
// replace.
func (c *changing) clear(p *place, im *Image) error {
	for i := range c.now.rest {
		prefix := p.row(restTables[i])
		err := c.clearTable(c.now.rest[i], prefix, im)
		if errors.Is(err, ErrDamaged) {
			// Pebble cannot read what is there, so all of it goes.
			err = c.batch.DeleteRange(prefix, prefixEnd(prefix), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *changing) clearTable(it *pebble.Iterator, prefix []byte, im *Image) error {
	var kept map[string]struct{}
	for ok := it.SeekGE(prefix); ok && bytes.HasPrefix(it.Key(), prefix); ok = it.Next() {
		if kept == nil {
			kept = im.suffixes(prefix[0])
		}
		if _, again := kept[string(it.Key()[len(prefix):])]; again {
			continue
		}
		if err := c.batch.Delete(it.Key(), nil); err != nil {
			return err
		}
	}
	return damage(it.Error())
}

// suffixes are those of the image's rows in a table; none without an image.
func (im *Image) suffixes(table byte) map[string]struct{} {
	set := map[string]struct{}{}
	if im == nil {
		return set
	}
	_ = im.rows(func(t byte, suffix, _ []byte) error {
		if t == table {
			set[string(suffix)] = struct{}{}
		}
		return nil
	})
	return set
}
