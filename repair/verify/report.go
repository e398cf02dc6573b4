package verify

import (
	"fmt"
	"slices"
	"strings"

	"trireme/internal/position"
)

// Verdict is what a run has come to.
type Verdict string

// The verdicts.
const (
	Pass       Verdict = "PASS"       // every member was compared, and all are equal
	Fail       Verdict = "FAIL"       // documents differ
	Incomplete Verdict = "INCOMPLETE" // nothing is known to differ, and not all could be compared
)

// A Report is what a run has found.
type Report struct {
	Verdict     Verdict
	Stripes     []StripeReport
	Differences []Difference
	More        int // differences beyond those
	Damaged     []Damaged
}

// Damaged are the documents of a host that it knows to be damaged and has not repaired:
// the digests that are kept of them say nothing of that.
type Damaged struct {
	Host      string
	Documents int
}

// A StripeReport is what was found of one stripe.
type StripeReport struct {
	Stripe   Stripe
	Position position.Position // what was written up to it has been compared
	Buckets  int
	Equal    int // buckets that are equal on all members
	Members  []MemberReport
}

// A MemberReport is what was found of one member.
type MemberReport struct {
	Host     string
	Applied  position.Position // as it told last
	Horizon  position.Position
	Compared int             // buckets that were found equal to another member's
	Differs  int             // buckets that are not equal on all members
	Roots    []PartitionRoot // as it told last
	// Why not all of it could be compared; "" when it was.
	Why  string
	Sick bool
}

// Report is what is known by now.
func (r *Run) Report() Report {
	report := Report{Verdict: Pass}
	for _, s := range r.stripes {
		told := s.report()
		report.Stripes = append(report.Stripes, told)
		report.Differences = append(report.Differences, s.differs...)
		report.More += s.more
		if !s.settled() && report.Verdict == Pass {
			report.Verdict = Incomplete
		}
	}
	for host, n := range r.damaged {
		if n > 0 {
			report.Damaged = append(report.Damaged, Damaged{host, n})
		}
	}
	slices.SortFunc(report.Damaged, func(a, b Damaged) int { return strings.Compare(a.Host, b.Host) })
	if len(report.Differences)+len(report.Damaged) > 0 {
		report.Verdict = Fail
	}
	return report
}

func (s *stripe) report() StripeReport {
	report := StripeReport{Stripe: s.Stripe, Position: s.fixed, Buckets: len(s.buckets)}
	for i := range s.buckets {
		if s.buckets[i].parts == 1 {
			report.Equal++
		}
	}
	for i, host := range s.Members {
		m := &s.members[i]
		told := MemberReport{Host: host, Applied: m.side.Applied, Horizon: m.side.Horizon, Roots: m.roots, Sick: m.sick}
		pending := 0
		for n := range s.buckets {
			switch t := &s.buckets[n]; {
			case t.differs:
				told.Differs++
			case !t.apart(i, len(s.members)) && (len(s.members) > 1 || s.counts(i)):
				told.Compared++
			default:
				pending++
			}
		}
		if pending > 0 {
			told.Why = s.why(i, pending)
		}
		report.Members = append(report.Members, told)
	}
	return report
}

// why is the reason for which buckets of a member were not compared.
func (s *stripe) why(i, pending int) string {
	m := &s.members[i]
	others := 0
	for o := range s.members {
		if o != i && s.counts(o) {
			others++
		}
	}
	switch {
	case m.why != "":
		return m.why
	case !m.known:
		return "it was not asked"
	case m.side.Heals:
		return "it is being healed"
	case m.side.Applied.Less(s.fixed):
		return fmt.Sprintf("it has applied %s, and the stripe was at %s", m.side.Applied, s.fixed)
	case others == 0:
		return "there is no other member to compare it with"
	}
	return fmt.Sprintf("%d of its buckets were written to each time that they were compared", pending)
}
