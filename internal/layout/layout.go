package layout

import (
	"fmt"
	"slices"
	"strconv"
)

// A Host is one running daemon.
type Host struct {
	// Name is the host's name: unique, and one token of a NATS subject.
	Name string `json:"name"`
	// NATS is where clients reach the host, host:port; empty for a host that stands alone.
	NATS string `json:"nats,omitempty"`
	// Route is where the NATS servers of the other hosts reach it, host:port; empty for
	// a host that stands alone.
	Route string `json:"route,omitempty"`
	// HTTP is where its health, identity and routing answers are, host:port; empty for a
	// host that stands alone.
	HTTP string `json:"http,omitempty"`
	// Adama is the address of the Adama node beside this host, as a load balancer
	// should use it. It is passed on as it is; empty when there is none.
	Adama string `json:"adama,omitempty"`
}

// A Stripe is one replicated log: one stream on a fixed list of hosts. The list
// never changes; to move data, partitions are bound to another stripe.
type Stripe struct {
	// Name is unique, and one token of a NATS subject.
	Name string `json:"name"`
	// Birth is unique, at least 1, and larger than that of every earlier stripe. It is
	// the first half of every position in this log.
	Birth uint32 `json:"birth"`
	// Hosts are the names of the members, the preferred owner first.
	Hosts []string `json:"hosts"`
	// Replicas is the number of copies of the log: 1, 3 or 5, and the length of Hosts.
	Replicas int `json:"replicas"`
}

// Has reports whether the host is a member of the stripe.
func (s Stripe) Has(host string) bool { return slices.Contains(s.Hosts, host) }

// PartitionID is the number of a partition.
type PartitionID uint32

// String prints the number with two digits or more, as request subjects carry it.
func (p PartitionID) String() string { return fmt.Sprintf("%02d", uint32(p)) }

// ParsePartitionID reads what [PartitionID.String] prints, and nothing else.
func ParsePartitionID(s string) (PartitionID, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if id := PartitionID(n); err == nil && id.String() == s {
		return id, nil
	}
	return 0, fmt.Errorf("partition %q: want a number of two digits or more, as in 07 or 123", s)
}

// A Partition is a contiguous range of buckets, bound to one stripe. It is the unit
// of "where do requests go".
type Partition struct {
	ID     PartitionID `json:"id"`
	First  Bucket      `json:"first"`  // the first bucket of the range
	Last   Bucket      `json:"last"`   // the last bucket of the range, included
	Stripe string      `json:"stripe"` // the name of the stripe that carries it
}

// Has reports whether b lies in the partition's range.
func (p Partition) Has(b Bucket) bool { return p.First <= b && b <= p.Last }

// String prints the partition as people read it: "07: buckets 1792-2047 on s1".
func (p Partition) String() string {
	return fmt.Sprintf("%s: buckets %d-%d on %s", p.ID, p.First, p.Last, p.Stripe)
}

// A Layout binds every bucket to a partition, a stripe and its hosts.
type Layout struct {
	// Version is at least 1. Of two layouts the one with the larger version is newer.
	Version uint64   `json:"version"`
	Hosts   []Host   `json:"hosts"`
	Stripes []Stripe `json:"stripes"`
	// Partitions stand in the order of their buckets, and together hold each exactly once.
	Partitions []Partition `json:"partitions"`
}

// Single returns the layout of a host that stands alone: one stripe "s1" with one
// replica on that host, and 64 partitions of 256 buckets.
func Single(host string) Layout {
	const partitions, stripe = 64, "s1"
	const each = Buckets / partitions
	l := Layout{
		Version:    1,
		Hosts:      []Host{{Name: host}},
		Stripes:    []Stripe{{Name: stripe, Birth: 1, Hosts: []string{host}, Replicas: 1}},
		Partitions: make([]Partition, partitions),
	}
	for i := range l.Partitions {
		first := Bucket(i * each)
		l.Partitions[i] = Partition{ID: PartitionID(i), First: first, Last: first + each - 1, Stripe: stripe}
	}
	return l
}
