package identity

import (
	"maps"

	"trireme/internal/members"
)

// Seen is what a host remembers of the others, so that it can tell them when they
// come back.
type Seen struct {
	Layout uint64              `json:"layout"` // the newest version of the layout that any host ran
	Hosts  map[string]Sighting `json:"hosts"`
}

// A Sighting is what was seen of one host.
type Sighting struct {
	Disk    string            `json:"disk"`
	Boot    uint64            `json:"boot"`
	Durable map[string]uint64 `json:"durable"` // last durable record of each stripe
}

// see takes a report in that a running host has sent, and tells whether anything is
// new, and whether it should be on disk soon: that a host has begun, or has another
// disk. In one boot of a disk everything only grows. Another disk, or a later boot,
// takes the place of what was before: a host runs only after it was admitted, with
// less in its store perhaps.
func (s *Seen) see(r *members.Report) (changed, soon bool) {
	if r.Layout.Version > s.Layout {
		s.Layout, changed = r.Layout.Version, true
	}
	known, ok := s.Hosts[r.Host]
	if !ok || known.Disk != r.Disk {
		known = Sighting{Disk: r.Disk, Durable: map[string]uint64{}}
		changed, soon = true, true
	}
	if r.Boot > known.Boot {
		known.Boot, known.Durable, changed, soon = r.Boot, map[string]uint64{}, true, true
	}
	for name, stripe := range r.Stripes {
		if stripe.Durable > known.Durable[name] {
			known.Durable[name], changed = stripe.Durable, true
		}
	}
	s.Hosts[r.Host] = known
	return changed, soon
}

func (s *Seen) clone() Seen {
	c := Seen{Layout: s.Layout, Hosts: make(map[string]Sighting, len(s.Hosts))}
	for name, h := range s.Hosts {
		h.Durable = maps.Clone(h.Durable)
		c.Hosts[name] = h
	}
	return c
}

// whole makes the maps that JSON may have left out.
func (s *Seen) whole() {
	if s.Hosts == nil {
		s.Hosts = map[string]Sighting{}
	}
	for name, h := range s.Hosts {
		if h.Durable == nil {
			h.Durable = map[string]uint64{}
			s.Hosts[name] = h
		}
	}
}
