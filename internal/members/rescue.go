package members

import "cmp"

// A told is where the leadership of a stripe was sent last.
type told struct {
	to string
	at int64
}

// When a member that Rescue has named and that does not serve the stripe counts as
// having failed to take it, in milliseconds since then.
const (
	failedAfter = 2_000
	failedUntil = 20_000 // later it may have served, and lost it again
)

// Rescue names the member that should own or lead a stripe in place of this host,
// which may not: it drains, closes, or is sick. It is the willing member that lacks
// least of the log, the earlier one in the preferred order among equals; members
// that failed to take the stripe lately come last. Nobody is named who is dead, sick, draining
// or far behind: better an owner that drains than none. Only when this host closes,
// and so the stripe goes in any case, one that is far behind is better than chance.
//
// Whoever is named and does not serve the stripe when Rescue is asked again, seconds
// later, has failed to take it.
func (t *Table) Rescue(now int64, name string) (string, bool) {
	last, ok := t.told[name]
	if age := now - last.at; ok && age >= failedAfter {
		if owner, _ := t.Owner(now, name); owner != last.to && age < failedUntil {
			t.strike(now, place{name, last.to})
		}
		ok = false
	}
	to, found := t.successor(now, name)
	if found && (!ok || last.to != to) {
		t.told[name] = told{to, now}
	}
	return to, found
}

// successor is the best member but this host to own a stripe.
func (t *Table) successor(now int64, name string) (string, bool) {
	to, ok := t.best(now, name, func(l Lag) bool { return l.within(nearRecords, nearBytes) })
	if own := t.hosts[t.self]; !ok && own != nil && own.report.Closing {
		to, ok = t.best(now, name, func(Lag) bool { return true })
	}
	return to, ok
}

// A candidate is a willing member with what is held against it.
type candidate struct {
	host    string
	strikes int
	differs bool
	lag     uint64
}

func (c candidate) compare(d candidate) int {
	return cmp.Or(cmp.Compare(c.strikes, d.strikes), compareBool(c.differs, d.differs), cmp.Compare(c.lag, d.lag))
}

// best is the best willing member but this host whose lag will do, the earliest in
// the preferred order of equals.
func (t *Table) best(now int64, name string, will func(Lag) bool) (string, bool) {
	var best candidate
	for _, m := range t.members(name) {
		lag := t.Lag(now, name, m)
		if m == t.self || !t.willing(now, name, m) || !will(lag) {
			continue
		}
		c := candidate{host: m, differs: !t.sameLayout(m), lag: lag.Records}
		if at := (place{name, m}); t.barred(now, at) {
			c.strikes = t.strikes[at].count
		}
		if best.host == "" || c.compare(best) < 0 {
			best = c
		}
	}
	return best.host, best.host != ""
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
