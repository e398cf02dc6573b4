package layout

import (
	"fmt"
	"strconv"
)

// What a [Plan] takes when it does not say.
const (
	DefaultStripesPerHost = 1
	DefaultPartitions     = 64
)

// A Plan says what a generated layout should be like. Zero values leave the choice
// to [Generate].
type Plan struct {
	Version        uint64 // 1 when it is 0
	Hosts          []Host // at least as many as replicas
	StripesPerHost int    // stripes that each host leads: 1 when it is 0
	Stripes        int    // stripes in all, instead of StripesPerHost
	Replicas       int    // 1, 3 or 5; when it is 0, 3 on three hosts or more, else 1
	Partitions     int    // 64 when it is 0; at least one for each stripe
}

// settle fills in what is left open, and names what cannot be.
func (p Plan) settle() (Plan, error) {
	if p.Version == 0 {
		p.Version = 1
	}
	n := len(p.Hosts)
	switch {
	case n == 0:
		return p, fmt.Errorf("hosts: none; name at least one")
	case p.StripesPerHost < 0 || p.Stripes < 0 || p.Replicas < 0 || p.Partitions < 0:
		return p, fmt.Errorf("stripes per host %d, stripes %d, replicas %d, partitions %d: none may be negative",
			p.StripesPerHost, p.Stripes, p.Replicas, p.Partitions)
	case p.Stripes > 0 && p.StripesPerHost > 0:
		return p, fmt.Errorf("stripes: %d, and %d per host; choose one of them", p.Stripes, p.StripesPerHost)
	}
	if p.StripesPerHost == 0 {
		p.StripesPerHost = DefaultStripesPerHost
	}
	if p.Stripes == 0 {
		p.Stripes = n * p.StripesPerHost
	}
	if p.Replicas == 0 {
		p.Replicas = 1
		if n >= 3 {
			p.Replicas = 3
		}
	}
	if p.Partitions == 0 {
		p.Partitions = DefaultPartitions
	}
	switch {
	case p.Replicas != 1 && p.Replicas != 3 && p.Replicas != 5:
		return p, fmt.Errorf("replicas: %d; choose 1, 3 or 5", p.Replicas)
	case p.Replicas > n:
		return p, fmt.Errorf("replicas: %d on %d hosts; add hosts or choose fewer replicas", p.Replicas, n)
	case p.Partitions > Buckets:
		return p, fmt.Errorf("partitions: %d; there are only %d buckets", p.Partitions, Buckets)
	case p.Stripes > p.Partitions:
		return p, fmt.Errorf("stripes: %d for %d partitions, so that some would carry nothing; choose fewer stripes or more partitions", p.Stripes, p.Partitions)
	}
	return p, nil
}

// Generate makes a layout of rainbow stripes, always the same one of the same plan.
// Every host leads equally many stripes, and is a member of equally many, or of one
// more. As long as there are enough hosts, the stripes of one leader have each
// another successor, so that its load spreads when it dies. Partitions are dealt to
// the stripes in turn: their numbers differ by one at most. All this holds for any
// number of stripes; the loads after a death are most even when each host leads
// equally many.
//
// It returns an error when the plan cannot be, or the layout would not be valid.
func Generate(plan Plan) (Layout, error) {
	p, err := plan.settle()
	if err != nil {
		return Layout{}, err
	}
	loads := make([]int, p.Stripes) // partitions of each stripe
	for i := range p.Partitions {
		loads[i%p.Stripes]++
	}
	members := rainbow(len(p.Hosts), p.Stripes, p.Replicas)
	spread(len(p.Hosts), members, loads)

	l := Layout{Version: p.Version, Hosts: append([]Host{}, p.Hosts...)}
	for i, places := range members {
		s := Stripe{Name: "s" + strconv.Itoa(i+1), Birth: uint32(i + 1), Replicas: p.Replicas}
		for _, place := range places {
			s.Hosts = append(s.Hosts, p.Hosts[place].Name)
		}
		l.Stripes = append(l.Stripes, s)
	}
	for i := range p.Partitions {
		l.Partitions = append(l.Partitions, Partition{
			ID:     PartitionID(i),
			First:  Bucket(i * Buckets / p.Partitions),
			Last:   Bucket((i+1)*Buckets/p.Partitions - 1),
			Stripe: l.Stripes[i%p.Stripes].Name,
		})
	}
	return l, l.Validate()
}
