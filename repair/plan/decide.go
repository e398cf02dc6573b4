package plan

import (
	"fmt"
	"slices"
	"strings"

	"trireme/internal/digest"
	"trireme/internal/position"
)

// An Action is what a member does about a document.
type Action uint8

// The actions.
const (
	// Nothing: the copy here is right, or the log brings what it lacks.
	Nothing Action = iota + 1
	// Pull an image of the document from one of [Decision.From].
	Pull
	// Drop every row of the document.
	Drop
	// Undecided: no copy can be told to be right, so nothing is done, and told.
	Undecided
)

var actionNames = [...]string{Nothing: "nothing", Pull: "pull", Drop: "drop", Undecided: "undecided"}

func (a Action) String() string {
	if int(a) < len(actionNames) && actionNames[a] != "" {
		return actionNames[a]
	}
	return fmt.Sprintf("action %d", uint8(a))
}

// A Decision is what one member does about a document, and why.
type Decision struct {
	Action  Action
	Verdict Verdict
	From    []string // hosts that have the right copy, for Pull; in the order of their names
	Right   Doc      // the right copy, for Pull and Nothing; zero when there is none
	// Over is the digest of the copy here that is to be replaced although it is whole
	// (for Pull, an outvoted one) or dropped (zero where its state cannot be read);
	// otherwise nil.
	Over *digest.Digest
	Rule string   // the rule that decided, in a sentence
	Asks []string // hosts whose answer, or progress in the log, might change Undecided
}

// Decide says what a host does about a document, from what the members of the stripe
// say of it. members has a view of every member, the host's own one too, in any order;
// a member that has not been asked, or has not answered, is [Unknown]. All hosts that
// see the same decide for the same copy.
//
// Copies that fail their own check never count. The newest of the others is right. Where
// copies contradict each other, the one that more than half of all members hold is right:
// copies at the same position that differ, and a newer one that does not continue what
// another member has that has applied as much. A member that heals has no vote.
func Decide(host string, members []View) Decision {
	c := council{members: slices.SortedFunc(slices.Values(members), func(a, b View) int { return strings.Compare(a.Host, b.Host) })}
	i := slices.IndexFunc(c.members, func(v View) bool { return v.Host == host })
	if i < 0 || c.members[i].Unknown != "" {
		return Decision{Action: Undecided, Verdict: Same, Rule: nothingKnown, Asks: []string{host}}
	}
	c.me = &c.members[i]
	return c.decide()
}

// A council is the members of a stripe, as one of them sees their copies of one document.
type council struct {
	members []View // in the order of their names
	me      *View
}

func (c *council) decide() Decision {
	top := c.newest()
	if top == nil {
		return c.withoutAny()
	}
	right, rule := top, winsAlone
	if c.contested(top) {
		if right = c.elected(); right == nil {
			return c.undecided(top)
		}
		rule = winsByVote
	}
	return c.follow(right, rule)
}

// newest is a sound copy at the highest position; nil when there is none.
func (c *council) newest() *Doc {
	var top *Doc
	for i := range c.members {
		if d := &c.members[i].Doc; d.sound() && (top == nil || top.Position.Less(d.Position)) {
			top = d
		}
	}
	return top
}

// contested reports whether a sound copy says that the newest one is wrong.
func (c *council) contested(top *Doc) bool {
	for i := range c.members {
		v := &c.members[i]
		switch d := &v.Doc; {
		case !d.sound() || d.same(top):
		case d.Position == top.Position, !v.Heals && !v.behind(top.Position) && !continues(top, d):
			return true
		}
	}
	return false
}

// elected is the copy that more than half of all members hold; nil when there is none.
func (c *council) elected() *Doc {
	for i := range c.members {
		if d := &c.members[i].Doc; d.sound() && 2*c.votes(d) > len(c.members) {
			return d
		}
	}
	return nil
}

func (c *council) votes(d *Doc) (n int) {
	for i := range c.members {
		if v := &c.members[i]; !v.Heals && v.Doc.same(d) {
			n++
		}
	}
	return n
}

// sources are the other members that have the copy to pull. A live one of a member that
// may not know yet of its deletion is none.
func (c *council) sources(d *Doc) (hosts []string) {
	for i := range c.members {
		v := &c.members[i]
		if v != c.me && v.Doc.same(d) && (!d.Live || !c.doubted(v)) {
			hosts = append(hosts, v.Host)
		}
	}
	return hosts
}

// doubted reports whether a member may have forgotten the deletion of what another one
// holds.
func (c *council) doubted(holder *View) bool {
	for i := range c.members {
		v := &c.members[i]
		if v.Unknown != "" || !v.Doc.Absent() {
			continue
		}
		if verdict, _ := forgotten(&holder.Side, &v.Side, &holder.Doc); verdict != 0 {
			return true
		}
	}
	return false
}

// follow says what to do here when it is known which copy is right.
func (c *council) follow(right *Doc, rule string) Decision {
	d := Decision{Action: Nothing, Verdict: Same, Right: *right, Rule: rule}
	mine := &c.me.Doc
	switch {
	case mine.Damaged != "" && right.Position.Less(mine.Position):
		return c.noneAsNew()
	case mine.Damaged != "":
		d.Action, d.Verdict = Pull, Corruption
	case mine.same(right):
		if d = c.keep(d); d.Action == Nothing && c.unvouched() {
			return c.noneAsNew()
		}
		return d
	case mine.Position.Less(right.Position) && c.me.behind(right.Position):
		d.Verdict, d.Rule = Lag, lagHere
		return d
	case mine.Absent():
		return c.fetch(d)
	case mine.Position.Less(right.Position) && (c.me.Heals || continues(right, mine)):
		d.Action, d.Verdict = Pull, Missing
	default:
		d.Action, d.Verdict = Pull, Divergence
	}
	return c.replace(d)
}

// unvouched: the copy here is that of a member that heals, and another member has one
// that is damaged and may be newer.
func (c *council) unvouched() bool {
	mine := &c.me.Doc
	if !c.me.Heals || c.votes(mine) > 0 {
		return false
	}
	return slices.ContainsFunc(c.members, func(v View) bool {
		d := &v.Doc
		return d.Damaged != "" && (d.Position.IsZero() || mine.Position.Less(d.Position))
	})
}

// replace takes the right copy in the place of the one here. A tombstone that has been
// released here is not put back.
func (c *council) replace(d Decision) Decision {
	mine := &c.me.Doc
	d.From = c.sources(&d.Right)
	switch {
	case !d.Right.Live && !c.me.Horizon.Less(d.Right.Position):
		d.Action, d.From, d.Over = Drop, nil, &mine.Digest
	case len(d.From) == 0 && d.Verdict == Corruption:
		d.Action, d.Asks = Undecided, c.lacking(c.me.Applied)
	case len(d.From) == 0:
		d.Action, d.Verdict, d.Rule = Nothing, Lag, lagRemembers
	case mine.sound() && !mine.Position.Less(d.Right.Position):
		d.Over = &mine.Digest
	}
	return d
}

// fetch decides about a copy where there is nothing here. A tombstone that anybody has
// released is not worth it.
func (c *council) fetch(d Decision) Decision {
	d.From = c.sources(&d.Right)
	if len(d.From) == 0 || !d.Right.Live && !c.horizon().Less(d.Right.Position) {
		d.Verdict, d.Rule, d.From = Lag, lagRemembers, nil
		return d
	}
	d.Action, d.Verdict = Pull, Missing
	return d
}

// horizon is the highest of any member.
func (c *council) horizon() (up position.Position) {
	for i := range c.members {
		up = later(up, c.members[i].Horizon)
	}
	return up
}

// keep decides about the copy here when it is the right one: it stays, unless its
// deletion has been forgotten.
func (c *council) keep(d Decision) Decision {
	var why Verdict
	var rule string
	for i := range c.members {
		v := &c.members[i]
		switch {
		case v == c.me, v.Unknown == "" && v.Doc.same(&d.Right):
		case v.Unknown == "" && v.Doc.Absent():
			if verdict, r := forgotten(&c.me.Side, &v.Side, &c.me.Doc); verdict != 0 {
				why, rule = verdict, r
			}
		case !c.me.Heals:
			return d // somebody else still has to learn of the deletion, or might
		}
	}
	switch {
	case why == Lag:
		d.Verdict, d.Rule = Lag, rule
	case why == Gone && !c.vouched():
		d.Action, d.Verdict, d.Rule, d.Over = Drop, Gone, rule, &c.me.Doc.Digest
	}
	return d
}

// vouched reports whether another member is known to have a live document that everybody's
// horizon is past: it would know if that were deleted.
func (c *council) vouched() bool {
	horizon := c.horizon()
	return slices.ContainsFunc(c.members, func(v View) bool {
		return !v.Heals && v.Doc.sound() && v.Doc.Live && !v.Applied.Less(horizon)
	})
}

// withoutAny decides when no member is known to have a sound copy.
func (c *council) withoutAny() Decision {
	mine := &c.me.Doc
	d := Decision{Action: Nothing, Verdict: Same, Rule: equalCopies}
	damaged := slices.ContainsFunc(c.members, func(v View) bool { return v.Doc.Damaged != "" })
	absent := slices.ContainsFunc(c.members, func(v View) bool { return v.Unknown == "" && !v.Heals && v.Doc.Absent() })
	switch {
	case mine.Damaged == "" && damaged && absent: // this one is absent, or heals and another one is
		d.Verdict, d.Rule = Theirs, damagedThere
	case !damaged:
	case c.nowhereElse():
		d.Action, d.Verdict, d.Rule, d.Over = Drop, Corruption, nowhereElse, &mine.Digest
	default:
		d.Action, d.Verdict, d.Rule = Undecided, Corruption, noGood
		d.Asks = c.lacking(later(c.me.Applied, mine.Position))
	}
	return d
}

// nowhereElse: every other member has applied as much as this one and has nothing of
// the document, and they are more than half.
func (c *council) nowhereElse() bool {
	up := later(c.me.Applied, c.me.Doc.Position)
	for i := range c.members {
		v := &c.members[i]
		if v != c.me && (v.Unknown != "" || v.Heals || !v.Doc.Absent() || v.behind(up)) {
			return false
		}
	}
	return 2*(len(c.members)-1) > len(c.members)
}

// noneAsNew: the sound copies are all older than a damaged one, or may be.
func (c *council) noneAsNew() Decision {
	return Decision{Action: Undecided, Verdict: Corruption, Rule: noneAsNew, Asks: c.lacking(c.me.Doc.Position)}
}

func (c *council) undecided(top *Doc) Decision {
	return Decision{Action: Undecided, Verdict: Divergence, Rule: noMajority, Asks: c.lacking(top.Position)}
}

// lacking are the other members that nothing is known of, or that have not applied a
// position.
func (c *council) lacking(up position.Position) (hosts []string) {
	for i := range c.members {
		if v := &c.members[i]; v != c.me && (v.Unknown != "" || v.behind(up)) {
			hosts = append(hosts, v.Host)
		}
	}
	return hosts
}
