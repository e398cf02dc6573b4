package repair

import (
	"errors"
	"fmt"
	"time"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
)

// A reading reads the documents of one stream, in the order in which they were asked
// for, as of one moment.
//
// Documents that follow one another in a bucket are read in one walk, which costs a
// fraction of looking each of them up. Whether they do shows at the first one that the
// walk meets; after a wrong guess the next ones are looked up.
type reading struct {
	server *Server
	out    *outflow
	moment *buckets.Moment
	keys   []contract.Key
	until  time.Time // after it no other document is begun

	last   contract.Key // the one read last, zero for none
	lookUp int          // so many are looked up before the next guess
}

const (
	walkLeast  = 4  // documents of one bucket, for which a walk is tried
	lookUpNext = 16 // documents after a wrong guess
)

// errLeave says that a walk has met something that was not asked for.
var errLeave = errors.New("not in order, or enough")

func (r *reading) run() error {
	for len(r.keys) > 0 {
		if r.enough() {
			return r.out.end(true, nil)
		}
		if r.mayWalk() {
			if err := r.walk(); err != nil {
				return err
			}
			continue
		}
		r.lookUp--
		if err := r.one(); err != nil {
			return err
		}
	}
	return r.out.end(false, nil)
}

// enough reports whether the peer should ask again for the rest.
func (r *reading) enough() bool {
	return r.out.items > 0 && (r.out.size() > uint64(r.server.Limits.PullBytes) || time.Now().After(r.until))
}

// one looks the next document up.
func (r *reading) one() error {
	k := r.keys[0]
	im, err := r.moment.Image(k)
	return r.send(k, im, err)
}

// send sends the next document, or why there is none.
func (r *reading) send(k contract.Key, im *buckets.Image, err error) error {
	counts := &r.server.counts
	counts.reads.Add(1)
	r.keys, r.last = r.keys[1:], k
	switch {
	case err == nil:
		counts.documents.Add(1)
		counts.data.Add(uint64(im.Size()))
		return r.out.image(im)
	case errors.Is(err, buckets.ErrAbsent):
		return r.out.text(itemAbsent, "")
	case errors.Is(err, buckets.ErrDamaged):
		return r.out.text(itemDamaged, clip(err.Error(), maxDamageText))
	}
	return fmt.Errorf("read document %q in space %q: %w", k.Key, k.Space, err)
}

func bucketOf(k contract.Key) layout.Bucket { return layout.BucketOf(k.Space, k.Key) }

// mayWalk guesses whether the next documents follow one another.
func (r *reading) mayWalk() bool {
	return r.lookUp <= 0 && len(r.keys) >= walkLeast && bucketOf(r.keys[0]) == bucketOf(r.keys[walkLeast-1])
}

// walk reads documents for as long as they are those that come next.
func (r *reading) walk() error {
	b := bucketOf(r.keys[0])
	var after contract.Key
	if r.last != (contract.Key{}) && bucketOf(r.last) == b && r.last.Compare(r.keys[0]) < 0 {
		after = r.last
	}
	left := len(r.keys)
	err := r.moment.Images(b, after, func(k contract.Key, im *buckets.Image, damaged error) error {
		for r.next(b, after) && r.keys[0].Compare(k) < 0 {
			after = r.keys[0]
			if err := r.send(after, nil, buckets.ErrAbsent); err != nil {
				return err
			}
		}
		if !r.next(b, after) || r.keys[0] != k || r.enough() {
			return errLeave
		}
		after = k
		return r.send(k, im, damaged)
	})
	if len(r.keys) == left {
		r.lookUp = lookUpNext
	}
	// What the database itself finds damaged belongs to no document in particular: it
	// shows where the next one is looked up.
	if errors.Is(err, errLeave) || errors.Is(err, buckets.ErrDamaged) {
		r.lookUp = max(r.lookUp, 1)
		return nil
	}
	return err
}

// next reports whether the next document belongs behind after in the bucket.
func (r *reading) next(b layout.Bucket, after contract.Key) bool {
	return len(r.keys) > 0 && bucketOf(r.keys[0]) == b && after.Compare(r.keys[0]) < 0
}
