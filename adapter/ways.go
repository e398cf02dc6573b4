package adapter

import (
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"trireme/adapter/internal/hint"
	"trireme/internal/contract"
	"trireme/internal/layout"
)

// ways knows how to reach the owners of documents without a host in between. It
// learns that from the answers that a host had to fetch elsewhere, and forgets what
// does not lead to an owner any more: any host then finds the way, or waits for it.
type ways struct {
	partition [layout.Buckets]atomic.Uint32 // that a bucket is in, plus 1; 0 when it is not known
}

// to names the partition of a bucket.
func (w *ways) to(b layout.Bucket) (layout.PartitionID, bool) {
	n := w.partition[b].Load()
	return layout.PartitionID(n - 1), n > 0
}

// learn takes the hint of an answer.
func (w *ways) learn(h nats.Header) {
	values := h[hint.Header]
	if len(values) != 1 {
		return
	}
	if p, err := hint.Parse(values[0]); err == nil && p.ID+1 != 0 {
		w.set(p.First, p.Last, uint32(p.ID)+1)
	}
}

// forget forgets the way to a bucket, and to those beside it in its partition.
func (w *ways) forget(b layout.Bucket, id layout.PartitionID) {
	first, last := b, b
	in := func(b layout.Bucket) bool { return w.partition[b].Load() == uint32(id)+1 }
	for first > 0 && in(first-1) {
		first--
	}
	for last < layout.Buckets-1 && in(last+1) {
		last++
	}
	w.set(first, last, 0)
}

func (w *ways) set(first, last layout.Bucket, to uint32) {
	for b := int(first); b <= int(last); b++ {
		w.partition[b].Store(to)
	}
}

// direct is the subject on which only the owner listens, if it is known and the
// request is for the owner.
func (c *Client) direct(r *call) (subject string, id layout.PartitionID, ok bool) {
	if !r.toOwner {
		return "", 0, false
	}
	if id, ok = c.ways.to(r.bucket); !ok {
		return "", 0, false
	}
	return contract.SubjectPrefix + "p." + id.String() + "." + r.op, id, true
}
