package ops

import (
	"cmp"
	"fmt"
	"slices"
)

// Thresholds, as parts of a bound.
const (
	logNear      = 80 // percent of a log's bound in bytes
	requestsNear = 80 // percent of the bounds on waiting requests
	diskNear     = 2  // times the reserve
)

// A finding is one place where a condition holds.
type finding struct{ subject, text string }

// A declaration is a condition that a host can be in.
type declaration struct {
	id       string
	severity Severity
	unready  bool // while it holds, a request sent to the host may find no answer
	remedy   string
	find     func(*Status) []finding
}

// declarations lists every condition, worst first.
func declarations() []declaration {
	return []declaration{
		{
			id: "stripe-not-serving", severity: Critical, unready: true, find: stripesNotServing,
			remedy: "read the error and the log of the host; nothing is lost: requests wait, and are refused with a code when they have waited too long",
		},
		{
			id: "disk-below-reserve", severity: Critical, find: diskBelowReserve,
			remedy: "make room on the file system of the data directory: changes are refused until there is more than the reserve; reads go on",
		},
		{
			id: "disk-near-reserve", severity: Warning, find: diskNearReserve,
			remedy: "make room on the file system of the data directory before changes are refused",
		},
		{
			id: "log-near-bound", severity: Warning, find: logsNearBound,
			remedy: "see that the durable position follows the log's end: what lies below it is trimmed; changes are refused when the log is full",
		},
		{
			id: "damaged-rows", severity: Warning, find: damagedRows,
			remedy: "stop the host, check its disk, move the store folder of its data directory aside and start again: the store is made anew from the log if that reaches back far enough; keep the old folder",
		},
		{
			id: "records-skipped", severity: Warning, find: recordsSkipped,
			remedy: "look in the host's log for the positions: what is skipped was never acknowledged, but something wrote it; only the owner may write to a stripe's stream",
		},
		{
			id: "requests-near-limit", severity: Warning, find: requestsNearLimit,
			remedy: "see whether appends are slow (trireme_log_append_seconds) or clients send more than the disk takes; beyond the limit requests are refused with 1500007",
		},
	}
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
			found = append(found, Condition{ID: d.id, Severity: d.severity, Text: f.text, Remedy: d.remedy, Subject: f.subject})
			ready = ready && !d.unready
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

// eachStripe collects what is found of the stripes one by one.
func eachStripe(s *Status, find func(*Stripe) string) (found []finding) {
	for i := range s.Stripes {
		if text := find(&s.Stripes[i]); text != "" {
			found = append(found, finding{s.Stripes[i].Name, text})
		}
	}
	return found
}

func one(holds bool, format string, args ...any) []finding {
	if !holds {
		return nil
	}
	return []finding{{text: fmt.Sprintf(format, args...)}}
}

func stripesNotServing(s *Status) []finding {
	return eachStripe(s, func(p *Stripe) string {
		switch {
		case p.Served(s.Host):
			return ""
		case p.Error != "":
			return fmt.Sprintf("stripe %s does not serve (%s): %s", p.Name, p.Phase, p.Error)
		case p.Owner == "":
			return fmt.Sprintf("stripe %s has no owner; here it is %s", p.Name, p.Phase)
		}
		return fmt.Sprintf("stripe %s does not serve yet: it is %s", p.Name, p.Phase)
	})
}

func diskBelowReserve(s *Status) []finding {
	d := s.Disk
	return one(d.Total > 0 && d.Free < d.Reserve, "the disk has %s free, less than the reserve of %s", Bytes(d.Free), Bytes(d.Reserve))
}

func diskNearReserve(s *Status) []finding {
	d := s.Disk
	near := d.Total > 0 && d.Free >= d.Reserve && d.Free/diskNear < d.Reserve
	return one(near, "the disk has %s free, near the reserve of %s", Bytes(d.Free), Bytes(d.Reserve))
}

func logsNearBound(s *Status) []finding {
	return eachStripe(s, func(p *Stripe) string {
		if !over(p.LogBytes, p.LogMax, logNear) {
			return ""
		}
		return fmt.Sprintf("the log of stripe %s holds %s, %d %% of its bound of %s; the store is durable up to %d of %d",
			p.Name, Bytes(p.LogBytes), percent(p.LogBytes, p.LogMax), Bytes(p.LogMax), p.Durable, p.LogLast)
	})
}

func recordsSkipped(s *Status) []finding {
	return eachStripe(s, func(p *Stripe) string {
		if p.Skipped == 0 {
			return ""
		}
		return fmt.Sprintf("%d records or changes of stripe %s were not applied, since the start", p.Skipped, p.Name)
	})
}

func damagedRows(s *Status) []finding {
	return one(s.Store.Damaged > 0, "%d rows of the store failed their checksum since the start", s.Store.Damaged)
}

func requestsNearLimit(s *Status) []finding {
	r := s.Requests
	near := over(int64(r.InFlight), int64(r.MaxInFlight), requestsNear) || over(int64(r.Bytes), int64(r.MaxBytes), requestsNear)
	return one(near, "%d requests of %s wait for an answer; the limits are %d and %s", r.InFlight, Bytes(r.Bytes), r.MaxInFlight, Bytes(r.MaxBytes))
}

// over tells whether n is over so many percent of a bound; 0 is no bound.
func over(n, bound, limit int64) bool {
	return bound > 0 && float64(n)*100 > float64(bound)*float64(limit)
}

func percent(n, bound int64) int64 { return int64(float64(n) * 100 / float64(bound)) }
