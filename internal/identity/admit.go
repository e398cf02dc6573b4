package identity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Facts are what is known when a host wants to take part.
type Facts struct {
	Self    Self
	NoLog   bool                // there is nothing in jetstream/
	Applied map[string]uint64   // of each stripe, the last record that the store holds, as it was opened
	Own     Sighting            // what the disk remembers of itself
	Stripes map[string][]string // the members of each stripe that this host is a member of
	Replies map[string]Reply    // by host; one that is not here has not answered
	Order   *Order              // to readmit the host, nil for none
}

// A Kind is what a host should do.
type Kind string

// What a host should do.
const (
	Start Kind = "start" // take part with what it has
	Wait  Kind = "wait"  // too few have answered to know: ask again
	Held  Kind = "held"  // it must not take part with what it has: ask again, tell people
	Reset Kind = "reset" // set aside what it has, and come in empty
)

// A Verdict is what a host should do, and why.
type Verdict struct {
	Kind    Kind     `json:"kind"`
	Reason  string   `json:"reason"`
	Next    string   `json:"next,omitempty"`    // what will happen, and what people can do
	Stake   []string `json:"stake,omitempty"`   // what an order to readmit the host would risk, by stripe
	Missing []string `json:"missing,omitempty"` // hosts that would have to answer, or be well
	// Situation names what is the case, for an order that overrides it.
	Situation string `json:"situation,omitempty"`

	Boot   uint64   `json:"-"` // for Reset: the highest boot of this host that anybody knows
	Former []string `json:"-"` // for Reset: disks that others know as this host's
}

// Admit decides whether a host may take part. It is pure: the same facts give the
// same verdict.
//
//   - An empty disk starts when every other member of its stripes has answered and
//     nobody has seen a host of this name. When somebody has, the disk was lost.
//   - A disk older than what somebody has seen of it, or not the one that was seen,
//     comes from the past.
//   - A store that has lost what the disk itself remembers of it was damaged, and says
//     nothing of the disk's age: the boot does, and the logs are what they were.
//   - A lost or older disk is held back, and comes in empty as soon as every other
//     member of its stripes is up and healthy.
//   - Any other disk starts when so many members of each of its stripes have
//     answered that it could be part of a majority with them.
//   - An order of people overrides waiting and holding back, in its one situation.
func Admit(f Facts) Verdict {
	if f.Self.Cluster == "" {
		return Verdict{Kind: Start, Reason: "the host stands alone"}
	}
	c := gather(&f)
	switch {
	case c.empty && c.seen():
		return c.heldBack("the disk is empty, but " + c.evidence[0])
	case c.empty:
		return c.newcomer()
	case f.NoLog:
		return c.heldBack("the store holds documents, but the logs in jetstream/ are gone")
	case c.seen():
		return c.heldBack("the disk is older than what others have seen: " + c.evidence[0])
	}
	return c.returning()
}

// newcomer judges an empty disk that nobody knows.
func (c *facts) newcomer() Verdict {
	missing := c.absent(c.others, func(*Answer) bool { return true })
	if len(missing) == 0 {
		return Verdict{Kind: Start, Reason: "the disk is empty, and no other host has seen this one"}
	}
	v := Verdict{
		Kind: Wait, Missing: missing,
		Reason: "the disk is empty, and it is not known whether it always was: no answer from " + c.names(missing),
		Next:   "start " + strings.Join(missing, ", ") + "; this host goes on by itself",
		Stake:  c.stake(missing),
	}
	return c.ordered(v, Start)
}

// returning judges a disk against which nobody has said anything.
func (c *facts) returning() Verdict {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(c.Stripes)) {
		members := c.Stripes[name]
		others := without(members, c.Self.Host)
		absent := c.absent(others, func(a *Answer) bool { return a.Begun })
		if heard := len(others) - len(absent); heard < len(members)/2 {
			missing = append(missing, absent...)
		}
	}
	if len(missing) == 0 {
		return Verdict{Kind: Start, Reason: "the disk is not older than what the others have seen"}
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	v := Verdict{
		Kind: Wait, Missing: missing,
		Reason: "too few members of its stripes have answered to know whether the disk is the newest: no answer from " + c.names(missing),
		Next:   "start " + strings.Join(missing, ", ") + ", not all need to; this host goes on by itself",
	}
	return c.ordered(v, Start)
}

// heldBack judges a disk that must not take part as it is.
func (c *facts) heldBack(reason string) Verdict {
	v := Verdict{Boot: c.boot, Former: c.disks}
	unwell := c.absent(c.others, func(a *Answer) bool { return a.State == Serving && a.Healthy })
	sole := c.sole()
	if len(unwell) == 0 && len(sole) == 0 {
		v.Kind, v.Reason = Reset, reason+"; all others are well, so it comes in empty"
		return v
	}
	v.Kind, v.Reason, v.Missing, v.Stake = Held, reason, unwell, c.stake(unwell)
	const order = "trireme host readmit lets it come in empty now"
	if len(sole) > 0 {
		v.Next = fmt.Sprintf("nobody else has a copy of %s: bring the right disk back; %s, without those documents", strings.Join(sole, ", "), order)
	} else {
		v.Next = fmt.Sprintf("it comes in empty by itself once %s healthy; bring the right disk back, or %s", c.names(unwell), order)
	}
	return c.ordered(v, Reset)
}

// ordered lets an order override a verdict.
func (c *facts) ordered(v Verdict, to Kind) Verdict {
	v.Situation = c.situation(v.Kind)
	switch {
	case c.Order.fits(&v):
		return Verdict{Kind: to, Reason: v.Reason + "; it was ordered to come in all the same", Boot: v.Boot, Former: v.Former}
	case c.Order != nil:
		v.Next += "; the order to readmit that was given is for another situation"
	}
	return v
}
