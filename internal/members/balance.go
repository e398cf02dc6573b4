package members

import "slices"

// A Move says that a stripe which this host owns should be handed over.
type Move struct {
	Stripe string
	To     string
	Urgent bool // this host should not own it: it drains, closes, or is sick
}

// moveRest is the pause between two moves for the order's sake, in milliseconds.
const moveRest = 3_000

// What a host lacks at most to get a stripe for its place in the order: one read of
// the log, so that the hand-over is a pause of well under a second.
const (
	caughtUpRecords = 4096
	caughtUpBytes   = 4 << 20
)

// What it lacks at most to get one that has to go: seconds of reading.
const (
	nearRecords = 1 << 16
	nearBytes   = 64 << 20
)

// Balance names the stripe that this host should hand over now, if there is one.
//
// A host that drains, closes or is sick for a stripe gives its stripes away, one
// per call, each to whom [Table.Rescue] names. Else a stripe goes to the earliest
// member in its preferred order that has been well (alive, willing, on the same
// layout, caught up) for PreferAfter without a break and has not lost it or failed
// to take it lately; and not before this host has had it for as long. The caller
// tells with [Table.Moved] how it ended before it asks again; after a move stripes
// rest for a while.
func (t *Table) Balance(now int64) (Move, bool) {
	if m, ok := t.urgent(now); ok {
		return m, true
	}
	if now < t.rest {
		return Move{}, false
	}
	for _, s := range t.layout.Stripes {
		if !t.owns(s.Name) || !t.Quorum(now, s.Name) || t.mustGive(s.Name) {
			continue
		}
		if to, ok := t.preferred(now, s.Name); ok {
			return Move{s.Name, to, false}, true
		}
	}
	return Move{}, false
}

// Moved tells how a move ended: whether the other host serves the stripe now.
func (t *Table) Moved(now int64, m Move, ok bool) {
	if !m.Urgent {
		t.rest = now + moveRest
	}
	if !ok {
		t.failed[m.Stripe] = now
		t.strike(now, place{m.Stripe, m.To})
	}
}

// urgent is a move of a stripe that this host should not own; of several, one that
// was not tried lately.
func (t *Table) urgent(now int64) (move Move, found bool) {
	for _, s := range t.layout.Stripes {
		if !t.owns(s.Name) || !t.mustGive(s.Name) || found && t.failed[move.Stripe] <= t.failed[s.Name] {
			continue
		}
		if to, ok := t.successor(now, s.Name); ok {
			move, found = Move{s.Name, to, true}, true
		}
	}
	return move, found
}

// owns tells whether this host calls a stripe its own, and nobody claimed it since.
func (t *Table) owns(name string) bool {
	s := t.stripes[name]
	epoch, ok := epochOf(t.reported(t.self, name))
	return ok && s.owner == t.self && s.epoch == epoch
}

// mustGive tells whether this host should not own a stripe.
func (t *Table) mustGive(name string) bool {
	own := t.hosts[t.self]
	return own != nil && (own.report.Draining || own.report.Closing || own.report.Stripes[name].Sick != "")
}

// preferred is the earliest member before this host in a stripe's order that
// deserves the stripe.
func (t *Table) preferred(now int64, name string) (string, bool) {
	if s := t.stripes[name]; s == nil || now-s.since < t.PreferAfter {
		return "", false
	}
	for _, m := range t.members(name) {
		if m == t.self {
			break
		}
		at := place{name, m}
		since, well := t.well[at]
		if well && now-since >= t.PreferAfter && t.fit(now, name, m) && !t.barred(now, at) {
			return m, true
		}
	}
	return "", false
}

// judge notes who could own what, and since when.
func (t *Table) judge(now int64) {
	if t.looked >= 0 && now-t.looked < markEvery {
		return
	}
	t.looked = now
	for _, s := range t.layout.Stripes {
		if !slices.Contains(s.Hosts, t.self) {
			continue
		}
		for _, m := range s.Hosts {
			at := place{s.Name, m}
			if !t.fit(now, s.Name, m) {
				delete(t.well, at)
				continue
			}
			if since, ok := t.well[at]; !ok || since < t.hosts[m].since {
				t.well[at] = now
			}
		}
	}
}

// fit tells whether a host could take a stripe over without anybody noticing much.
func (t *Table) fit(now int64, name, member string) bool {
	return t.willing(now, name, member) && t.sameLayout(member) &&
		t.Lag(now, name, member).within(caughtUpRecords, caughtUpBytes)
}

// willing tells whether a host is there and may own a stripe, however it lags.
func (t *Table) willing(now int64, name, member string) bool {
	h := t.hosts[member]
	return h != nil && t.Alive(now, member) && !h.report.Draining && t.knows(member, name) && t.reported(member, name).Sick == ""
}

func (l Lag) within(records uint64, bytes int64) bool {
	return l.Known && l.Records <= records && l.Bytes <= bytes
}
