package buckets

import (
	"trireme/internal/layout"
	"trireme/internal/position"
)

// A Range is buckets from First to Last, both ends included.
type Range struct{ First, Last layout.Bucket }

// RangesOf are the ranges that partitions have, in their order.
func RangesOf(partitions []layout.Partition) []Range {
	ranges := make([]Range, len(partitions))
	for i, p := range partitions {
		ranges[i] = Range{First: p.First, Last: p.Last}
	}
	return ranges
}

// A Survey is what a replica says of its stripe at one moment.
type Survey struct {
	Applied  Applied
	Position position.Position // of the last record applied; sequence 0 for none
	Horizon  position.Position // tombstones at or below it have been released
	Buckets  []BucketState     // of the ranges asked for, in order
}

// Survey tells where the replica stands and the states of buckets, all of one
// moment. It reads memory only, and waits for a record that is being applied.
func (r *Replica) Survey(ranges []Range) Survey {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Survey{Applied: r.Applied(), Position: r.position(), Horizon: r.horizon()}
	n := 0
	for _, g := range ranges {
		n += max(0, int(g.Last)-int(g.First)+1)
	}
	s.Buckets = make([]BucketState, 0, n)
	for _, g := range ranges {
		s.Buckets = r.store.digests.append(s.Buckets, g)
	}
	return s
}

// position is that of the last record applied.
func (r *Replica) position() position.Position {
	return position.Position{Birth: r.birth, Seq: r.Applied().Seq}
}

// horizon is the position up to which tombstones have been released.
func (r *Replica) horizon() position.Position { return r.Applied().Horizon }

// append appends the states of a range of buckets; what is beyond the last
// bucket is left out.
func (d *digestTable) append(list []BucketState, g Range) []BucketState {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for b := int(g.First); b <= int(g.Last) && b < layout.Buckets; b++ {
		list = append(list, d.of[b])
	}
	return list
}
