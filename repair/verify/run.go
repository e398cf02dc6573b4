package verify

import (
	"slices"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// A Stripe is what is to be compared.
type Stripe struct {
	Name       string
	Birth      uint32
	Members    []string           // at most [MaxMembers]
	Partitions []layout.Partition // that it carries
}

// MaxMembers is the number of members that a stripe may have.
const MaxMembers = 8

// Kind says what a question is about.
type Kind uint8

// The kinds of questions, with the fields of the question and of the answer that count.
const (
	Roots    Kind = iota + 1 // Host, Stripe: Side, Partitions
	Buckets                  // Host, Stripe, Partitions: Side, Buckets
	Index                    // Host, Stripe, Bucket: Side, Docs
	Document                 // Host, Stripe, Bucket, Key: Side, Docs with one element
)

// A Question is for one member.
type Question struct {
	Kind       Kind
	Host       string
	Stripe     string
	Partitions []layout.PartitionID
	Bucket     layout.Bucket
	Key        contract.Key
}

// An Answer is what a member said, or why there is nothing.
type Answer struct {
	// Why there is no answer; then nothing else counts. Sick says that the reason is the
	// member's own: it is being healed.
	Why  string
	Sick bool

	Side       plan.Side
	Partitions []PartitionRoot    // of all partitions, in the order of [Stripe.Partitions]
	Buckets    []plan.BucketState // of the partitions asked for, in their order
	Docs       []plan.Doc
}

// A PartitionRoot is what a member keeps of a partition, in short.
type PartitionRoot struct {
	Partition layout.PartitionID
	Root      plan.Root
}

// A Run compares the members of stripes. It is not safe for concurrent use.
type Run struct {
	stripes []*stripe
	damaged map[string]int // documents, by host
}

// New begins a run.
func New(stripes []Stripe) *Run {
	r := &Run{damaged: map[string]int{}}
	for _, s := range stripes {
		r.stripes = append(r.stripes, newStripe(s))
	}
	return r
}

// Fix makes a position count that something of the stripe had come to when the run began:
// the end of its log. Those that members had applied then are noticed without it.
func (r *Run) Fix(name string, p position.Position) {
	if s := r.stripe(name); s != nil && s.fixed.Less(p) && p.Birth == s.Birth {
		s.fixed = p
	}
}

// Questions are those that can be asked now, each once. When there are none, and all
// answers are in, it is time for Again.
func (r *Run) Questions() (all []Question) {
	for _, s := range r.stripes {
		all = append(all, s.questions...)
		s.questions = nil
	}
	return all
}

// Tell hands over the answer to a question. One that was not asked is left aside.
func (r *Run) Tell(q Question, a Answer) {
	s := r.stripe(q.Stripe)
	if s == nil || s.open == 0 {
		return
	}
	m := slices.Index(s.Members, q.Host)
	if m < 0 {
		return
	}
	s.open--
	s.tell(m, q, a)
	if s.open == 0 {
		s.next()
	}
}

// Again asks anew about what is not known to be equal or different, and tells whether
// there is anything.
func (r *Run) Again() (more bool) {
	for _, s := range r.stripes {
		if s.step == idle && !s.settled() {
			s.begin()
			more = true
		}
	}
	return more
}

// Settled tells whether every member of every stripe is known to be equal to the others or
// to differ: there is nothing to ask again.
func (r *Run) Settled() bool {
	return !slices.ContainsFunc(r.stripes, func(s *stripe) bool { return s.step != idle || !s.settled() })
}

// Done tells whether nothing can come of waiting: Again would ask nothing, and nobody
// knows of damage that may be repaired.
func (r *Run) Done() bool {
	for _, n := range r.damaged {
		if n > 0 {
			return false
		}
	}
	return r.Settled()
}

// Damaged notes how many documents a host knows to be damaged and has not repaired. What
// was noted before of that host does not count any more.
func (r *Run) Damaged(host string, documents int) { r.damaged[host] = documents }

// Failed tells whether something differs already, so that waiting cannot make it pass.
func (r *Run) Failed() bool {
	return slices.ContainsFunc(r.stripes, func(s *stripe) bool { return len(s.differs) > 0 })
}

// Progress is how many comparisons have found equality, of those that it takes.
func (r *Run) Progress() (equal, all int) {
	for _, s := range r.stripes {
		n := len(s.Members) - 1
		all += n * len(s.buckets)
		for i := range s.buckets {
			equal += n - s.buckets[i].parts + 1
		}
	}
	return equal, all
}

func (r *Run) stripe(name string) *stripe {
	i := slices.IndexFunc(r.stripes, func(s *stripe) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return r.stripes[i]
}
