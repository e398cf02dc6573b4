package buckets

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/layout"
)

// unsummed are buckets whose kept digests are not those of their documents, or may
// not be: rows were cut out of them, or could not be read.
type unsummed struct{ buckets markSet }

func (u *unsummed) add(list []Range) {
	for _, g := range list {
		u.buckets.set(g, true)
	}
}

// sumAnew makes the digests of unsummed buckets those of the documents that can
// be read, and forgets what is in memory of the others. Where the database meets
// something that it cannot read, the rest stays unsummed. All stripes are locked,
// or there are none yet.
func (s *Store) sumAnew() error {
	for _, g := range s.unsummed.buckets.ranges() {
		s.heads.forgetRange(g)
		before, err := s.sumRange(g)
		if before > g.First {
			s.unsummed.buckets.set(Range{g.First, before - 1}, false)
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			return fmt.Errorf("sum up buckets %d to %d: %w", g.First, g.Last, err)
		}
	}
	return nil
}

// sumRange sums up the buckets of a range with one scan, and tells at which it
// stopped: all before that one are summed up.
func (s *Store) sumRange(g Range) (next layout.Bucket, err error) {
	next = g.First
	it, err := s.db.NewIter(span{bucketKey(g.First)[1:], bucketKey(g.Last + 1)[1:]}.in(tableDocument))
	if err != nil {
		return next, damage(err)
	}
	defer it.Close()
	var sum BucketState
	put := func(before layout.Bucket) error {
		for ; next < before; next++ {
			if err := s.keepSum(next, sum); err != nil {
				return err
			}
			sum = BucketState{}
		}
		return nil
	}
	for ok := it.First(); ok; ok = it.Next() {
		bucket, err := bucketIn(it.Key())
		if err != nil {
			continue // nobody's row
		}
		if err := put(bucket); err != nil {
			return next, err
		}
		if content, damaged := row(it); damaged == nil {
			sum.add(it.Key(), content)
		}
	}
	if err := it.Error(); err != nil {
		return next, damage(err)
	}
	err = put(g.Last + 1)
	return next, err
}

// keepSum keeps the sum of a bucket. Its position does not move back. The row is
// written without a look at what it was: a row that the database cannot read takes
// long to fail.
func (s *Store) keepSum(b layout.Bucket, sum BucketState) error {
	sum = sum.atLeast(s.digests.get(b).Position)
	s.digests.set(map[layout.Bucket]BucketState{b: sum})
	key := bucketKey(b)
	if sum == (BucketState{}) {
		return s.db.Delete(key, pebble.NoSync)
	}
	row := appendRow(nil, key, sum.append(nil))
	return s.db.Set(key, row[len(key):], pebble.NoSync)
}

// forgetRange forgets the heads of all documents of some buckets.
func (c *headCache) forgetRange(g Range) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for common := range c.of {
		if b := bucketFrom([]byte("-" + common[:2])); g.First <= b && b <= g.Last {
			c.drop(common)
		}
	}
}
