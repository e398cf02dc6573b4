package ops

import (
	"cmp"
	"time"
)

// Thresholds, as parts of a bound.
const (
	requestsNear = 80 // percent of the bounds on waiting requests
	diskNear     = 2  // times the reserve
)

// hostDeclarations are the conditions of the host itself.
func hostDeclarations() []declaration {
	return []declaration{
		{
			id: "host-held", severity: Critical, scope: ScopeCluster, unready: true, find: hostHeld,
			remedy: "read the reason; `trireme host readmit --config FILE` on that machine shows what is at stake, and lets the host in with --yes",
		},
		{
			id: "host-starting", severity: Warning, unready: true, find: hostStarting,
			remedy: "wait: it takes requests when its log is applied; if it stays at one step, read the log of the host",
		},
		{
			id: "host-closing", severity: Warning, unready: true, find: hostClosing,
			remedy: "none: it was told to end; its stripes go to other hosts first",
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
			id: "damaged-rows", severity: Warning, find: damagedRows,
			remedy: "stop the host, check its disk, move the store folder of its data directory aside and start again: the store is made anew from the log if that reaches back far enough; keep the old folder",
		},
		{
			id: "requests-near-limit", severity: Warning, find: requestsNearLimit,
			remedy: "see whether appends are slow (trireme_log_append_seconds) or clients send more than the disk takes; beyond the limit requests are refused with 1500007",
		},
	}
}

func hostHeld(s *Status) []finding {
	switch {
	case s.Held != nil:
		return []finding{{subject: s.Host, text: "host " + s.Host + " is held back: " + s.Held.Reason, remedy: s.Held.NextStep}}
	case s.Phase == PhaseHeld:
		return []finding{{subject: s.Host, text: "host " + s.Host + " is held back"}}
	}
	return nil
}

func hostStarting(s *Status) []finding {
	return one(s.Phase == PhaseStarting, "host %s does not take requests yet: %s", s.Host, cmp.Or(s.Step, "it is starting"))
}

func hostClosing(s *Status) []finding {
	return one(s.Phase == PhaseClosing, "host %s is about to end: %s", s.Host, cmp.Or(s.Step, "it hands over what it has"))
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

func damagedRows(s *Status) []finding {
	found := one(s.Store.Damaged > 0, "%d rows of the store failed their checksum since the start", s.Store.Damaged)
	if found != nil && s.Repair != nil {
		found[0].remedy = "check the disk of this host: the documents are repaired from other members by themselves, but a disk that damages rows does it again; `trireme verify --deep` reads everything once more"
	}
	return found
}

func requestsNearLimit(s *Status) []finding {
	r := s.Requests
	near := over(int64(r.InFlight), int64(r.MaxInFlight), requestsNear) || over(int64(r.Bytes), int64(r.MaxBytes), requestsNear)
	return one(near, "%d requests of %s wait for an answer; the limits are %d and %s", r.InFlight, Bytes(r.Bytes), r.MaxInFlight, Bytes(r.MaxBytes))
}

// span writes so many milliseconds for people.
func span(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Second:
		return d.String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
