package ops

import (
	"cmp"
	"fmt"
	"slices"
)

// A finding is one place where a condition holds.
type finding struct {
	subject, text string

	remedy   string // "" for the declaration's
	bearable bool   // requests wait for its end, and find an answer
}

// A declaration is a condition that a host can be in.
type declaration struct {
	id       string
	severity Severity
	scope    Scope // ScopeHost when it is ""
	unready  bool  // while it holds, a request sent to the host may find no answer
	remedy   string
	find     func(*Status) []finding
}

// declarations lists every condition.
func declarations() []declaration {
	return slices.Concat(hostDeclarations(), stripeDeclarations(), clusterDeclarations(), layoutDeclarations(), repairDeclarations())
}

// Conditions tells what is wrong with a host, worst first and by ID and subject
// among equals; nothing when all is well.
func Conditions(s Status) []Condition {
	found, _ := assess(&s)
	return found
}

// Assess fills in Conditions and Ready from the rest of the status.
func (s *Status) Assess() {
	s.Conditions, s.Ready = assess(s)
}

func assess(s *Status) (found []Condition, ready bool) {
	found, ready = []Condition{}, true
	for _, d := range declarations() {
		for _, f := range d.find(s) {
			found = append(found, Condition{
				ID: d.id, Severity: d.severity, Scope: cmp.Or(d.scope, ScopeHost),
				Text: f.text, Remedy: cmp.Or(f.remedy, d.remedy), Subject: f.subject,
			})
			ready = ready && (!d.unready || f.bearable)
		}
	}
	slices.SortStableFunc(found, func(a, b Condition) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Subject, b.Subject))
	})
	return found, ready
}

func (s Severity) rank() int {
	if s == Critical {
		return 0
	}
	return 1
}

func one(holds bool, format string, args ...any) []finding {
	if !holds {
		return nil
	}
	return []finding{{text: fmt.Sprintf(format, args...)}}
}

// over tells whether n is over so many percent of a bound; 0 is no bound.
func over(n, bound, limit int64) bool {
	return bound > 0 && float64(n)*100 > float64(bound)*float64(limit)
}

func percent(n, bound int64) int64 { return int64(float64(n) * 100 / float64(bound)) }
