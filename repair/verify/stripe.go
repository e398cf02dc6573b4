package verify

import (
	"slices"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// A step is what a stripe's questions are about at present.
type step uint8

const (
	idle     step = iota // nothing is asked
	atRoots              // where the members stand, and the roots of partitions
	atBucket             // the buckets of partitions that differ
	atIndex              // the documents of buckets that differ
	atDoc                // every member's copy of documents that differ
)

// stripe is a stripe that is being compared.
type stripe struct {
	Stripe
	fixed   position.Position
	buckets []tied      // in the order of Partitions
	first   map[int]int // where the buckets of a partition begin, by the partition's place
	members []member

	step      step
	questions []Question // not handed out yet
	open      int        // answers that are missing
	began     bool       // the fixed position is fixed

	looking  []int                        // buckets whose documents are compared, by place
	looks    map[int]bool                 // those of them whose digests differ, and not by lag
	suspects map[contract.Key][]plan.View // documents that seem to differ: each member's, in order
	order    []contract.Key               // of suspects

	differs []Difference
	more    int // documents, or buckets, that differ and were not looked at in detail
}

// A member is what one has said of itself.
type member struct {
	side  plan.Side // as it told last
	known bool      // it has told
	roots []PartitionRoot

	// In this pass:
	why    string // it has not answered, or must not be asked
	sick   bool
	states map[int][]plan.BucketState // by the place of the partition
	at     plan.Side                  // as of which they are
	docs   map[int]listed             // by the place of the bucket
}

// listed are the documents of a bucket.
type listed struct {
	side plan.Side
	docs []plan.Doc
}

func newStripe(s Stripe) *stripe {
	t := &stripe{Stripe: s, first: map[int]int{}, members: make([]member, len(s.Members))}
	for i, p := range s.Partitions {
		t.first[i] = len(t.buckets)
		for b := int(p.First); b <= int(p.Last); b++ {
			t.buckets = append(t.buckets, newTied(layout.Bucket(b), len(s.Members)))
		}
	}
	t.begin()
	return t
}

// begin begins a pass: every member is asked where it stands.
func (s *stripe) begin() {
	s.step = atRoots
	for i := range s.members {
		m := &s.members[i]
		m.why, m.sick, m.states, m.docs = "", false, map[int][]plan.BucketState{}, map[int]listed{}
		s.ask(Question{Kind: Roots, Host: s.Members[i], Stripe: s.Name})
	}
	if s.open == 0 { // a stripe without members: nothing to ask
		s.step = idle
	}
}

func (s *stripe) ask(q Question) {
	s.questions = append(s.questions, q)
	s.open++
}

// settled: every bucket is known to be equal on all members, or to differ. A member that
// has nobody to be equal to has to answer.
func (s *stripe) settled() bool {
	if len(s.members) == 1 && !s.counts(0) {
		return false
	}
	return !slices.ContainsFunc(s.buckets, func(t tied) bool { return t.parts > 1 && !t.differs })
}

// tell takes one answer in.
func (s *stripe) tell(i int, q Question, a Answer) {
	m := &s.members[i]
	if a.Why != "" {
		if q.Kind != Document {
			m.why, m.sick = a.Why, a.Sick
		}
		s.view(i, q, plan.Unknown(q.Host, a.Why))
		return
	}
	a.Side.Host = q.Host
	m.known = true
	m.side = a.Side
	switch q.Kind {
	case Roots:
		m.roots = a.Partitions
	case Buckets:
		s.divide(m, q.Partitions, a)
	case Index:
		if n := s.place(q.Bucket); n >= 0 {
			m.docs[n] = listed{a.Side, a.Docs}
		}
	case Document:
		doc := plan.Doc{Key: q.Key}
		if len(a.Docs) == 1 {
			doc = a.Docs[0]
		}
		s.view(i, q, plan.View{Side: a.Side, Doc: doc})
	}
}

// divide keeps the states of buckets by partition.
func (s *stripe) divide(m *member, asked []layout.PartitionID, a Answer) {
	m.at = a.Side
	rest := a.Buckets
	for _, id := range asked {
		n := slices.IndexFunc(s.Partitions, func(p layout.Partition) bool { return p.ID == id })
		if n < 0 {
			continue
		}
		size := int(s.Partitions[n].Last) - int(s.Partitions[n].First) + 1
		if len(rest) < size {
			m.why = "it has not told of all buckets that it was asked for"
			return
		}
		m.states[n], rest = rest[:size], rest[size:]
	}
}

func (s *stripe) view(i int, q Question, v plan.View) {
	if views := s.suspects[q.Key]; q.Kind == Document && views != nil {
		views[i] = v
	}
}

// place is where a bucket is in s.buckets, -1 for one of another stripe.
func (s *stripe) place(b layout.Bucket) int {
	for i, p := range s.Partitions {
		if p.Has(b) {
			return s.first[i] + int(b-p.First)
		}
	}
	return -1
}

// next goes on when all answers of a step are in.
func (s *stripe) next() {
	switch s.step {
	case atRoots:
		s.comparedRoots()
	case atBucket:
		s.comparedBuckets()
	case atIndex:
		s.comparedDocuments()
	case atDoc:
		s.decided()
	}
	if s.open == 0 {
		s.step = idle
	}
}
