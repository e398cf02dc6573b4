package members

import (
	"slices"

	"trireme/internal/layout"
	"trireme/internal/position"
)

// DeadAfter is how long after its last report a host is taken for dead, in
// milliseconds. Reports come each second, so three in a row were lost and half a
// second of jitter has passed. It is shorter than the shortest election of
// JetStream (4 s): by the time that a successor exists nobody looks to the dead.
const DeadAfter = 3500

// A Table is what a host knows of all hosts.
type Table struct {
	// PreferAfter is for how long, in milliseconds, a host must have been well
	// before a stripe is given to it for its place in the preferred order; 30 s.
	PreferAfter int64

	self    string
	layout  layout.Layout
	hosts   map[string]*host
	stripes map[string]*stripe

	heard     int64 // the last report of anybody
	listening int64 // since when without a break; see resume
	looked    int64 // when wellness was judged last

	well    map[place]int64  // since when a host could own a stripe
	strikes map[place]strike // of hosts that lost a stripe or failed to take it
	told    map[string]told  // of each stripe, where its leadership was sent last
	failed  map[string]int64 // when a move of a stripe failed last
	rest    int64            // no stripe is moved for the order's sake before
}

// A host is what is known of one.
type host struct {
	report Report
	heard  int64
	since  int64 // alive without a break
}

// A stripe is what is known of one, besides what its members report.
type stripe struct {
	owner   string            // who claimed last
	since   int64             // when that was heard
	epoch   position.Position // of that claim; it never goes back
	letGo   bool              // it ceased to own by itself, rather than by an end of its process
	first   uint64            // of the owner's last report: what the log holds
	last    uint64
	bytes   int64
	history history
}

// A place is a host as a possible owner of a stripe.
type place struct{ stripe, host string }

// New returns a table that has heard nothing yet.
func New(self string, l layout.Layout) *Table {
	return &Table{
		PreferAfter: 30_000, self: self, layout: l,
		hosts: map[string]*host{}, stripes: map[string]*stripe{},
		well: map[place]int64{}, strikes: map[place]strike{}, told: map[string]told{}, failed: map[string]int64{},
		heard: -1, looked: -1,
	}
}

// SetLayout takes a newer layout. What is known of hosts and stripes that it does
// not name is forgotten; if they live they report again.
func (t *Table) SetLayout(l layout.Layout) {
	t.layout = l
	for name := range t.hosts {
		if _, ok := l.Host(name); !ok && name != t.self {
			delete(t.hosts, name)
		}
	}
	for name := range t.stripes {
		if _, ok := l.Stripe(name); !ok {
			delete(t.stripes, name)
			delete(t.told, name)
			delete(t.failed, name)
		}
	}
	for at := range t.well {
		if !t.has(at) {
			delete(t.well, at)
		}
	}
	for at := range t.strikes {
		if !t.has(at) {
			delete(t.strikes, at)
		}
	}
}

func (t *Table) has(at place) bool { return slices.Contains(t.members(at.stripe), at.host) }

// members are the hosts of a stripe in preferred order, none of a stripe that is
// not in the layout.
func (t *Table) members(stripe string) []string {
	s, _ := t.layout.Stripe(stripe)
	return s.Hosts
}

// Alive tells whether a host was heard within [DeadAfter] and is not closing. This
// host itself is alive until it reports that it closes.
func (t *Table) Alive(now int64, name string) bool {
	h := t.hosts[name]
	switch {
	case h == nil:
		return name == t.self
	case h.report.Closing:
		return false
	}
	return name == t.self || now-h.heard <= DeadAfter
}

// maybeAlive is Alive, with the benefit of the doubt for hosts that could not be
// heard because this one has just begun to listen.
func (t *Table) maybeAlive(now int64, name string) bool {
	if h := t.hosts[name]; h != nil && h.heard >= t.listening {
		return t.Alive(now, name)
	}
	return name == t.self || now-t.listening <= DeadAfter
}

// Owner names who serves a stripe, with the epoch; "" when nobody alive does. A
// host whose claim is not the newest known one owns nothing, whatever it believes.
func (t *Table) Owner(now int64, name string) (string, position.Position) {
	s := t.stripes[name]
	if s == nil || s.owner == "" || !t.Alive(now, s.owner) {
		return "", position.Position{}
	}
	if epoch, ok := epochOf(t.reported(s.owner, name)); !ok || epoch != s.epoch {
		return "", position.Position{}
	}
	return s.owner, s.epoch
}

// Quorum tells whether so many members of a stripe are alive that it can commit.
func (t *Table) Quorum(now int64, name string) bool {
	members := t.members(name)
	alive := 0
	for _, m := range members {
		if t.Alive(now, m) {
			alive++
		}
	}
	return len(members) > 0 && alive >= majority(len(members))
}

func majority(members int) int { return members/2 + 1 }

// reported is what a host told of a stripe last; the zero value for nothing.
func (t *Table) reported(name, stripe string) Stripe {
	if h := t.hosts[name]; h != nil {
		return h.report.Stripes[stripe]
	}
	return Stripe{}
}

// knows tells whether a host has told anything of a stripe.
func (t *Table) knows(name, stripe string) bool {
	h := t.hosts[name]
	if h == nil {
		return false
	}
	_, ok := h.report.Stripes[stripe]
	return ok
}

func epochOf(s Stripe) (position.Position, bool) {
	if s.Owner == nil {
		return position.Position{}, false
	}
	epoch, err := position.Parse(s.Owner.Epoch)
	return epoch, err == nil
}
