package verify

import (
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/repair/plan"
)

// Bounds of what is looked at in detail. Beyond them it is known that things differ,
// which is enough.
const (
	looksAtOnce = 64   // buckets of a stripe in a pass
	mostDiffers = 1000 // documents of a stripe
	mostSuspect = 200  // documents of a stripe in a pass
	// A bucket whose digests differ so often while its documents do not has a digest that
	// is wrong.
	wrongAfter = 5
	// A bucket that is written to each time that it is compared has its documents compared
	// once in so many passes: those that are not written to are found that way.
	lagLook = 8
)

// counts tells whether what a member has said counts: it has answered, and has applied
// everything that there was when the run began.
func (s *stripe) counts(i int) bool {
	m := &s.members[i]
	return m.why == "" && m.known && !m.side.Heals && !m.side.Applied.Less(s.fixed)
}

// comparedRoots ties what whole partitions say, and asks for the buckets of the others.
func (s *stripe) comparedRoots() {
	if !s.began { // the furthest that a member has applied when the run begins
		s.began = true
		for i := range s.members {
			if m := &s.members[i]; m.why == "" && s.fixed.Less(m.side.Applied) {
				s.fixed = m.side.Applied
			}
		}
	}
	for a := range s.members {
		for b := range a {
			if s.counts(a) && s.counts(b) {
				s.tieRoots(a, b)
			}
		}
	}
	var differ []layout.PartitionID
	for n := range s.Partitions {
		if s.worthAsking(n) {
			differ = append(differ, s.Partitions[n].ID)
		}
	}
	if len(differ) == 0 {
		return
	}
	s.step = atBucket
	for i := range s.members {
		if s.counts(i) {
			s.ask(Question{Kind: Buckets, Host: s.Members[i], Stripe: s.Name, Partitions: differ})
		}
	}
}

func (s *stripe) tieRoots(a, b int) {
	x, y := s.members[a].roots, s.members[b].roots
	for n := range s.Partitions {
		if n >= len(x) || n >= len(y) || x[n].Partition != y[n].Partition || x[n].Root.Digest != y[n].Root.Digest {
			continue
		}
		for _, t := range s.of(n) {
			t.tie(a, b)
		}
	}
}

// of are the buckets of a partition.
func (s *stripe) of(n int) []*tied {
	p := s.Partitions[n]
	first, size := s.first[n], int(p.Last)-int(p.First)+1
	list := make([]*tied, size)
	for i := range list {
		list[i] = &s.buckets[first+i]
	}
	return list
}

// worthAsking tells whether two members that count are not tied yet in some bucket of a
// partition.
func (s *stripe) worthAsking(n int) bool {
	for _, t := range s.of(n) {
		if t.differs || t.parts == 1 {
			continue
		}
		for a := range s.members {
			for b := range a {
				if s.counts(a) && s.counts(b) && !t.together(a, b) {
					return true
				}
			}
		}
	}
	return false
}

// comparedBuckets ties buckets that are equal, and asks for the documents of those that
// differ.
func (s *stripe) comparedBuckets() {
	for i := range s.members {
		s.note(i)
	}
	s.looks = map[int]bool{}
	lags := map[int]bool{}
	for a := range s.members {
		for b := range a {
			if s.counts(a) && s.counts(b) {
				s.compareBuckets(a, b, lags)
			}
		}
	}
	s.look(lags)
}

// look chooses the buckets whose documents are compared, and asks for these.
func (s *stripe) look(lags map[int]bool) {
	s.looking, s.suspects, s.order = nil, map[contract.Key][]plan.View{}, nil
	for n := range s.buckets {
		if t := &s.buckets[n]; lags[n] && !s.looks[n] {
			t.lags++
			if t.lags%lagLook != 0 {
				continue
			}
		} else if !s.looks[n] {
			continue
		}
		// Beyond the bounds its turn comes in the next pass, if at all.
		if len(s.looking) < looksAtOnce && len(s.differs) < mostDiffers {
			s.looking = append(s.looking, n)
		}
	}
	s.step = atIndex
	for _, n := range s.looking {
		for i := range s.members {
			if s.counts(i) {
				s.ask(Question{Kind: Index, Host: s.Members[i], Stripe: s.Name, Bucket: s.buckets[n].bucket})
			}
		}
	}
}

// note ties what a member tells now to what others have told before.
func (s *stripe) note(i int) {
	if !s.counts(i) {
		return
	}
	for n, states := range s.members[i].states {
		for k, t := range s.of(n) {
			if t.parts > 1 && !t.differs {
				t.note(i, len(s.members), states[k].Digest)
			}
		}
	}
}

// compareBuckets compares what two members tell now, by the rule of package plan.
func (s *stripe) compareBuckets(a, b int, lags map[int]bool) {
	x, y := &s.members[a], &s.members[b]
	for n := range s.Partitions {
		if x.states[n] == nil || y.states[n] == nil {
			continue
		}
		look, lag, _, err := plan.Buckets(x.at, y.at, x.states[n], y.states[n])
		if err != nil {
			x.why = err.Error()
			return
		}
		for _, which := range []struct {
			list []layout.Bucket
			mark map[int]bool
		}{{look, s.looks}, {lag, lags}} {
			for _, bucket := range which.list {
				at := s.first[n] + int(bucket-s.Partitions[n].First)
				if t := &s.buckets[at]; !t.together(a, b) && !t.differs {
					which.mark[at] = true
				}
			}
		}
	}
}
