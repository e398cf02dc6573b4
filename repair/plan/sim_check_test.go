package plan

import (
	"fmt"

	"trireme/internal/layout"
)

// check checks what holds after every step.
func (s *sim) check() {
	if k := s.uncovered(); k >= 0 {
		s.fail("no good copy of k%d is left", k)
	}
}

// checkFindings checks a comparison of a member with what a peer had at a moment.
func (s *sim) checkFindings(m, peer *simMember, b layout.Bucket, at *simMoment, found []Finding) {
	fine := true
	for _, k := range keysOf(b) {
		fine = fine && at.right[k] && s.right(m, k)
	}
	for _, f := range found {
		k := keyNamed(f.Mine.Key)
		if fine && f.Verdict != Lag {
			s.fail("%s finds %v of k%d against %s (%s), and both are right: %+v and %+v", m.name, f.Verdict, k, peer.name, f.Rule, f.Mine, f.Theirs)
		}
		mine, theirs := s.sides(m, at.side)
		back := Document(theirs, mine, f.Theirs, f.Mine)
		if !mirrored(f, back) {
			s.fail("k%d: %v seen from %s, %v seen from %s", k, f.Verdict, m.name, back.Verdict, peer.name)
		}
	}
}

// mirrored: two members that compare the same copies do not contradict each other.
func mirrored(f, back Finding) bool {
	switch f.Verdict {
	case Same, Lag, Divergence:
		return back.Verdict == f.Verdict
	case Missing:
		return back.Verdict == Theirs || back.Verdict == Gone && !back.Mine.Live
	case Theirs:
		return back.Verdict == Missing || back.Verdict == Corruption || back.Verdict == Gone
	case Gone:
		return back.Verdict == Theirs
	case Corruption:
		return back.Verdict == Theirs || back.Verdict == Corruption
	}
	return false
}

// settle ends all faults and lets repair work until nothing changes, then compares every
// member with how the documents ought to be.
func (s *sim) settle() {
	s.note("settling")
	s.settling = true
	s.cut = [simMembers][simMembers]bool{}
	for _, m := range s.members {
		if !m.up {
			s.startNow(m)
		}
	}
	const enough = 40
	for range enough {
		before, cleaner := s.repairs, s.allClean()
		s.settleOnce()
		if s.wrong != nil {
			return
		}
		if s.repairs == before && cleaner && s.allApplied() {
			s.compareWithTruth()
			return
		}
	}
	s.fail("repair does not come to an end: %s", s.whatDiffers())
}

func (s *sim) settleOnce() {
	for _, m := range s.members {
		for range 10 { // a healing takes some steps
			s.healStepOf(m)
			s.deliverAll()
		}
		for !m.sick && m.disk.applied < s.end() {
			if m.disk.applied+1 < s.first {
				s.sicken(m, "fell off the log")
				break
			}
			m.applyNext(s)
		}
		for b := range layout.Bucket(simBuckets) {
			if m.scrub(b) {
				s.repairs++
			}
		}
		for k := range simKey(simKeys) {
			if m.noticed[k] {
				s.open(m, k)
			}
		}
	}
	for _, m := range s.members {
		for _, p := range s.peersOf(m) {
			for _, id := range simPartitions() {
				s.ask(m, p, id)
				s.deliverAll()
			}
		}
	}
	for _, m := range s.members {
		s.checkpointOf(m)
	}
	s.check()
}

func (s *sim) deliverAll() {
	for len(s.onWay)+len(s.cases) > 0 && s.wrong == nil {
		for len(s.onWay) > 0 {
			s.deliver()
		}
		for len(s.cases) > 0 {
			s.decideCase()
		}
	}
}

func (s *sim) allApplied() bool {
	for _, m := range s.members {
		if m.sick || m.disk.applied != s.end() {
			return false
		}
	}
	return true
}

// allClean: every member knows that it is equal to all others up to the end.
func (s *sim) allClean() bool {
	for _, m := range s.members {
		if m.cleanPosition(s).Seq != s.end() {
			return false
		}
	}
	return true
}

func (s *sim) whatDiffers() string {
	text := ""
	for _, m := range s.members {
		text += fmt.Sprintf("%s at %d of %d, sick %v, clean to %v; ", m.name, m.disk.applied, s.end(), m.sick, m.cleanPosition(s))
		for k := range simKey(simKeys) {
			if !s.right(m, k) {
				text += fmt.Sprintf("k%d is %+v, should be %+v; ", k, m.disk.rows[k], s.now().docs[k])
			}
		}
	}
	return text
}

func (s *sim) compareWithTruth() {
	for _, m := range s.members {
		for k := range simKey(simKeys) {
			if want := (simRow{doc: s.now().docs[k]}); m.disk.rows[k] != want {
				s.fail("%s has k%d as %+v, it should be %+v", m.name, k, m.disk.rows[k], want)
			}
		}
		for b := range layout.Bucket(simBuckets) {
			if got, want := m.disk.kept[b], Sum(m.index(b)); got != want {
				s.fail("%s keeps a wrong digest of bucket %v", m.name, b)
			}
		}
	}
}
