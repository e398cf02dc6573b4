package layout

import (
	"slices"
	"sort"
)

// PartitionOf returns the partition that holds b. On a valid layout it finds one for
// every valid bucket.
func (l Layout) PartitionOf(b Bucket) (Partition, bool) {
	i := sort.Search(len(l.Partitions), func(i int) bool { return l.Partitions[i].Last >= b })
	if i == len(l.Partitions) || !l.Partitions[i].Has(b) {
		return Partition{}, false
	}
	return l.Partitions[i], true
}

// Partition returns the partition of that number.
func (l Layout) Partition(id PartitionID) (Partition, bool) {
	return find(l.Partitions, func(p Partition) bool { return p.ID == id })
}

// PartitionsOf returns the partitions that a stripe carries, in the order of their
// buckets; none for a stripe that carries nothing or is not there.
func (l Layout) PartitionsOf(stripe string) []Partition {
	var ps []Partition
	for _, p := range l.Partitions {
		if p.Stripe == stripe {
			ps = append(ps, p)
		}
	}
	return ps
}

// StripeOf returns the stripe that carries b. On a valid layout it finds one for every
// valid bucket.
func (l Layout) StripeOf(b Bucket) (Stripe, bool) {
	p, ok := l.PartitionOf(b)
	if !ok {
		return Stripe{}, false
	}
	return l.Stripe(p.Stripe)
}

// Stripe returns the stripe of that name.
func (l Layout) Stripe(name string) (Stripe, bool) {
	return find(l.Stripes, func(s Stripe) bool { return s.Name == name })
}

// StripesOn returns the stripes that a host is a member of, in the order of the layout.
func (l Layout) StripesOn(host string) []Stripe {
	var on []Stripe
	for _, s := range l.Stripes {
		if s.Has(host) {
			on = append(on, s)
		}
	}
	return on
}

// Host returns the host of that name.
func (l Layout) Host(name string) (Host, bool) {
	return find(l.Hosts, func(h Host) bool { return h.Name == name })
}

func find[T any](list []T, is func(T) bool) (T, bool) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	var none T
	return none, false
}
