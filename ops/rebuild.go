package ops

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"trireme/internal/digest"
	"trireme/internal/position"
)

// A RebuildPlan says from what a new log of a stripe goes on, and what that costs. It is
// made of what every member said of itself.
type RebuildPlan struct {
	Stripe  string          `json:"stripe"`
	Birth   uint32          `json:"birth"`
	Log     string          `json:"log"`     // what is there of the log now, in a sentence
	Members []RebuildMember `json:"members"` // every member of the stripe, in the layout's order

	// From is the member whose store the new log goes on from, at Position: the first
	// record of the new log has the sequence after it. Both are "" when it is refused.
	From     string `json:"from"`
	Position string `json:"position"`

	// Lost are the changes that are known to be lost, and Stake what may be because
	// somebody cannot be asked. Nothing acknowledged is lost when both are empty.
	Lost  []string `json:"lost"`
	Stake []string `json:"stake"`
	// Refused is why it cannot be done now; "" when it can.
	Refused string `json:"refused,omitempty"`
	// Situation is a digest of where the members stand. A plan is not carried out in
	// another situation.
	Situation string `json:"situation"`
}

// A RebuildMember is where a member of the stripe stands. Where it is sick, only that
// has to be known.
type RebuildMember struct {
	Host    string    `json:"host"`
	Unknown string    `json:"unknown,omitempty"` // why it could not be asked; then nothing else is known
	Sick    string    `json:"sick,omitempty"`    // why its copy must not be gone on from
	Applied string    `json:"applied"`           // "<birth>-<sequence>" of the last record applied
	Epoch   string    `json:"epoch"`             // of the owner that wrote it
	Chain   string    `json:"chain"`             // digest of all records up to it
	Time    time.Time `json:"time,omitzero"`     // of that record
	Newest  string    `json:"newest"`            // position of the last change in any of its documents
	Owner   bool      `json:"owner,omitempty"`   // it owned the stripe when that was known last
	Stands  Standing  `json:"stands"`            // set by [DecideRebuild]
}

// A Standing is how a member compares with the one that a new log goes on from.
type Standing string

// The standings. Where nothing can be gone on from, none is known.
const (
	StandsFrom    Standing = "from"    // it is the one
	StandsSame    Standing = "same"    // it has applied the same records
	StandsBehind  Standing = "behind"  // it has applied fewer, and is healed
	StandsDiffers Standing = "differs" // it has applied others: its store has to be set aside
	StandsUnknown Standing = "unknown" // it was not asked, or is sick
)

// DecideRebuild fills in what follows from Stripe, Birth, Log, Members, and from Refused
// where there is a reason already: everything else of the plan.
//
// The new log goes on from the member that has applied most. All members apply the same
// records, so that one has all that the others have, and with it everything that was
// acknowledged, unless somebody who cannot be asked has applied more. Members that have
// applied the same number and not the same records vote.
func DecideRebuild(p RebuildPlan) RebuildPlan {
	p.From, p.Position, p.Lost, p.Stake = "", "", []string{}, []string{}
	p.Members = slices.Clone(p.Members)
	for i := range p.Members {
		p.Members[i].Stands = StandsUnknown
	}
	p.Situation = p.situation()
	best, why := p.furthest()
	if why != "" {
		p.Refused = cmp.Or(p.Refused, why)
		return p
	}
	p.From, p.Position = p.Members[best].Host, p.Members[best].Applied
	for i := range p.Members {
		p.compare(&p.Members[i], &p.Members[best])
	}
	p.Members[best].Stands = StandsFrom
	p.Refused = cmp.Or(p.Refused, p.beyond())
	return p
}

// healthy tells whether a log can go on from the member, and where it stands.
func (m *RebuildMember) healthy(birth uint32) (at position.Position, ok bool) {
	at, err := position.Parse(m.Applied)
	return at, m.Unknown == "" && m.Sick == "" && err == nil && at.Birth == birth
}

// furthest finds the member to go on from, or says why there is none.
func (p *RebuildPlan) furthest() (best int, why string) {
	var top position.Position
	votes := map[string]int{} // of those at the top, by chain
	for i := range p.Members {
		at, ok := p.Members[i].healthy(p.Birth)
		switch {
		case !ok || at.Less(top):
			continue
		case top.Less(at):
			top = at
			clear(votes)
		}
		votes[p.Members[i].Chain]++
	}
	if len(votes) == 0 {
		return 0, "no healthy member can be asked where it stands: bring one up"
	}
	chain, most := "", 0
	for c, n := range votes {
		if n > most {
			chain, most = c, n
		}
	}
	tie := 0
	for _, n := range votes {
		if n == most {
			tie++
		}
	}
	if tie > 1 {
		return 0, "the members that have applied most have not applied the same records, and no majority says which are right: bring the others up"
	}
	best = -1
	for i := range p.Members {
		at, ok := p.Members[i].healthy(p.Birth)
		if ok && at == top && p.Members[i].Chain == chain && (best < 0 || p.Members[i].Owner) {
			best = i
		}
	}
	return best, ""
}

// compare says how a member stands to the one that is gone on from, and what it costs.
func (p *RebuildPlan) compare(m, from *RebuildMember) {
	at, ok := m.healthy(p.Birth)
	top, _ := from.healthy(p.Birth)
	owned := ""
	if m.Owner {
		owned = "; it owned the stripe, so what was acknowledged last is there"
	}
	switch {
	case m.Unknown != "":
		p.Stake = append(p.Stake, fmt.Sprintf("%s cannot be asked: changes after %s that only it has are lost%s", m.Host, from.Applied, owned))
	case !ok:
		p.Stake = append(p.Stake, fmt.Sprintf("%s is sick (%s): changes after %s that only it has are lost%s", m.Host, cmp.Or(m.Sick, "it stands nowhere in this log"), from.Applied, owned))
	case at == top && m.Chain == from.Chain:
		m.Stands = StandsSame
	case at == top:
		m.Stands = StandsDiffers
		p.Lost = append(p.Lost, fmt.Sprintf("what %s has applied up to %s and the others have not: most of them have applied other records", m.Host, m.Applied))
	default:
		m.Stands = StandsBehind
	}
}

// beyond says whose documents are further than the log could go on from. A new log
// would use these positions again for other changes.
func (p *RebuildPlan) beyond() string {
	top, err := position.Parse(p.Position)
	if err != nil {
		return ""
	}
	var hosts []string
	for i := range p.Members {
		_, ok := p.Members[i].healthy(p.Birth)
		newest, err := position.Parse(p.Members[i].Newest)
		if ok && err == nil && top.Less(newest) {
			hosts = append(hosts, fmt.Sprintf("%s (%s)", p.Members[i].Host, newest))
		}
	}
	if hosts == nil {
		return ""
	}
	return fmt.Sprintf("documents of %s are newer than %s, the furthest that a member has applied: bring up the member that they were copied from", strings.Join(hosts, ", "), p.Position)
}

// situation is a digest of what the decision rests on: not of how a reason is worded,
// which may differ from one question to the next.
func (p *RebuildPlan) situation() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %d", p.Stripe, p.Birth)
	for _, m := range p.Members {
		fmt.Fprintf(&b, "\n%q %t %t %q %q %q", m.Host, m.Unknown != "", m.Sick != "", m.Applied, m.Chain, m.Newest)
	}
	return digest.Of([]byte(b.String())).String()
}

// RebuildProgress is what a rebuilding is at.
type RebuildProgress struct {
	Step string `json:"step"` // in a sentence
}

// RebuildResult is a stripe's new log.
type RebuildResult struct {
	Stripe string   `json:"stripe"`
	From   string   `json:"from"`
	First  uint64   `json:"first"` // sequence of its first record
	Heals  []string `json:"heals"` // members that are healed from the others before they take part
	// Differ are members that have applied other records. They do not take part before
	// an operator has set their store aside.
	Differ []string `json:"differ"`
}
