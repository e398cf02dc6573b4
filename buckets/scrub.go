package buckets

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// A CheckResult says what a check has read and found.
type CheckResult struct {
	Documents int // tombstones included
	Rows      int
	Bytes     int64    // of keys and values
	Damaged   []Damage // noted in the store as well
	Mended    int      // rows of lists and of the bucket that were put right from the states
}

// CheckBucket re-reads every row of a bucket and checks each document. What
// follows from the states is mended: rows of the lists of names, and the bucket's
// kept digest, so that a comparison finds what has been lost. Rows whose keys are no
// document's go. Records apply meanwhile, except while something is mended.
func (r *Replica) CheckBucket(b layout.Bucket) (CheckResult, error) {
	c := bucketCheck{replica: r, bucket: b}
	if err := c.read(); err != nil {
		return c.CheckResult, fmt.Errorf("check bucket %d: %w", b, err)
	}
	if err := c.conclude(); err != nil {
		return c.CheckResult, fmt.Errorf("check bucket %d: %w", b, err)
	}
	return c.CheckResult, nil
}

// A bucketCheck reads a bucket as it stands at one moment and gathers what has to
// be looked at again.
type bucketCheck struct {
	CheckResult
	replica  *Replica
	bucket   layout.Bucket
	sum      BucketState
	differs  bool           // the kept digest is not the sum
	unlisted []contract.Key // whose names are not as their states say
	suspects []contract.Key // that failed their check
	nobodys  [][]byte       // rows under keys of no document
}

func (c *bucketCheck) read() error {
	r := c.replica
	r.mu.Lock()
	snap, kept := r.store.db.NewSnapshot(), r.store.digests.get(c.bucket)
	r.mu.Unlock()
	defer snap.Close()
	w := walker{
		document: func(d *walked) error { return c.document(snap, d) },
		orphan:   func(key []byte) error { c.orphan(key); return nil },
	}
	err := w.walk(snap, bucketSpan(c.bucket, contract.Key{}))
	c.Rows, c.Bytes = w.rows, w.bytes
	if err != nil {
		return err
	}
	c.differs, err = kept.differs(snap, c.bucket, c.sum)
	return err
}

func (c *bucketCheck) document(snap pebble.Reader, d *walked) error {
	c.Documents++
	if d.content != nil {
		c.sum.add(d.row, d.content)
	}
	if d.err != nil {
		c.suspects = append(c.suspects, d.key)
		return nil //nolint:nilerr // it is checked by itself afterwards
	}
	if _, known := c.replica.store.damages.of(d.key); known {
		c.suspects = append(c.suspects, d.key) // whole now, it seems
	}
	p := placeOf(d.key)
	state := d.state()
	err := listed(snap, &p, &state)
	if errors.Is(err, ErrDamaged) {
		c.unlisted = append(c.unlisted, d.key)
		return nil
	}
	return err
}

// orphan notes the document that a row without a state names.
func (c *bucketCheck) orphan(key []byte) {
	k, _, err := parsePlace(key)
	if err != nil {
		c.nobodys = append(c.nobodys, bytes.Clone(key))
		return
	}
	if n := len(c.suspects); n == 0 || c.suspects[n-1] != k {
		c.suspects = append(c.suspects, k)
	}
}

// conclude looks again at what did not fit, as it stands now: records have been
// applied since.
func (c *bucketCheck) conclude() error {
	s := c.replica.store
	for _, k := range c.suspects {
		p := placeOf(k)
		_, err := whole(s.db, &p)
		switch {
		case errors.Is(err, ErrDamaged):
			s.notice(k, err)
			noted, _ := s.Damage(k)
			c.Damaged = append(c.Damaged, noted)
		case err == nil || errors.Is(err, ErrAbsent):
			s.damages.clear(k)
		default:
			return err
		}
	}
	if !c.differs && len(c.unlisted)+len(c.nobodys) == 0 {
		return nil
	}
	c.replica.mu.Lock()
	defer c.replica.mu.Unlock()
	for _, row := range c.nobodys {
		if err := s.db.Delete(row, pebble.NoSync); err != nil {
			return err
		}
		c.Mended++
		s.opts.Events(Event{Kind: RowMended, Err: fmt.Errorf("row %q, which was no document's, is gone", row)})
	}
	for _, k := range c.unlisted {
		if err := s.mendNames(k, &c.Mended); err != nil {
			return err
		}
	}
	return s.mendSum(c.bucket, &c.Mended)
}

// differs reports whether a bucket's state, as it is kept in memory and in its
// row, is not what its documents say.
func (b BucketState) differs(r pebble.Reader, of layout.Bucket, sum BucketState) (bool, error) {
	stored, err := storedBucket(r, of)
	if errors.Is(err, ErrDamaged) {
		return true, nil
	}
	return stored != b || b.Digest != sum.Digest || b.Position.Less(sum.Position), err
}

// mendSum sets the bucket's kept digest to that of its documents. The bucket's
// stripe is locked.
func (s *Store) mendSum(b layout.Bucket, mended *int) error {
	sum, err := s.sumBucket(s.db, b, nil)
	if err != nil {
		return err
	}
	kept := s.digests.get(b)
	if differs, err := kept.differs(s.db, b, sum); err != nil || !differs {
		return err
	}
	sum = sum.atLeast(kept.Position)
	key := bucketKey(b)
	row := appendRow(nil, key, sum.append(nil))
	if err := s.db.Set(key, row[len(key):], pebble.NoSync); err != nil {
		return err
	}
	s.digests.set(map[layout.Bucket]BucketState{b: sum})
	// Heads in memory may be of rows that are lost, and the sum is without these.
	s.heads.forgetBucket(b)
	*mended++
	s.opts.Events(Event{Kind: RowMended, Err: fmt.Errorf("bucket %d has the digest of its documents again", b)})
	return nil
}
