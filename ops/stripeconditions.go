package ops

import (
	"fmt"
	"slices"
	"strings"
)

// logNear is the percentage of a log's bound in bytes that is near it.
const logNear = 80

// A member lags when it is further behind than reports and batches under full load
// explain: those are at most about a second, or a thousand records.
const (
	lagRecords = 5000
	lagMS      = 10_000
)

// stripeDeclarations are the conditions of stripes and their members.
func stripeDeclarations() []declaration {
	return []declaration{
		{
			id: "stripe-not-serving", severity: Critical, unready: true, find: eachStripe(stripeNotServing),
			remedy: "read the error and the log of the host; nothing is lost: requests wait, and are refused with a code when they have waited too long",
		},
		{
			id: "stripe-no-quorum", severity: Critical, scope: ScopeCluster, unready: true, find: eachStripe(stripeNoQuorum),
			remedy: "bring one of these hosts back: the stripe then goes on by itself; until then changes and linearizable reads end in 1500002, and local reads work",
		},
		{
			id: "stripe-no-owner", severity: Critical, scope: ScopeCluster, unready: true, find: eachStripe(stripeNoOwner),
			remedy: "wait: an election takes 4 to 9 s, and requests wait for it; if it lasts, look for members that are down, sick or opening, and read the logs of the others",
		},
		{
			id: "stripe-opening", severity: Warning, find: eachStripe(stripeOpening),
			remedy: "wait: the host finds the stripe's log and reads what it lacks of it, while others serve the stripe; if it lasts, read the log of the host",
		},
		{
			id: "member-sick", severity: Warning, scope: ScopeCluster, find: eachMember(memberSick),
			remedy: "keep the other members of the stripe up: this one is healed from them by itself (`trireme repair status` shows how far), cannot own the stripe until then, and does not count when another one fails; where log and store do not belong together, stop the host, move the folder `store` of its data aside, and start it: it is filled anew",
		},
		{
			id: "member-lagging", severity: Warning, scope: ScopeCluster, find: eachMember(memberLagging),
			remedy: "see whether it gets closer: a host that was down catches up by itself; one that falls further behind has a disk or a network that is too slow",
		},
		{
			id: "log-near-bound", severity: Warning, find: eachStripe(logNearBound),
			remedy: "see that the durable position follows the log's end: what lies below that of all healthy members is trimmed; changes are refused when the log is full",
		},
		{
			id: "records-skipped", severity: Warning, find: eachStripe(recordsSkipped),
			remedy: "look in the host's log for the positions: what is skipped was never acknowledged, but something wrote it; only the owner may write to a stripe's stream",
		},
	}
}

// eachStripe asks of the stripes one by one. One without a text is well.
func eachStripe(find func(*Status, *Stripe) finding) func(*Status) []finding {
	return func(s *Status) (found []finding) {
		for i := range s.Stripes {
			if f := find(s, &s.Stripes[i]); f.text != "" && s.takesPart() {
				f.subject = s.Stripes[i].Name
				found = append(found, f)
			}
		}
		return found
	}
}

// eachMember asks of the members of the stripes one by one.
func eachMember(find func(*Status, *Stripe, MemberView) string) func(*Status) []finding {
	return func(s *Status) (found []finding) {
		for i := range s.Stripes {
			p := &s.Stripes[i]
			for _, m := range p.MembersState {
				if text := find(s, p, m); text != "" && s.takesPart() {
					found = append(found, finding{subject: p.Name + "/" + m.Host, text: text})
				}
			}
		}
		return found
	}
}

// takesPart tells whether the host can know anything of its cluster.
func (s *Status) takesPart() bool { return s.Held == nil && s.Phase != PhaseHeld }

// hears tells whether what the host says of others rests on anything: one that has
// just begun has heard nobody yet.
func (s *Status) hears() bool {
	return s.Phase != PhaseStarting || slices.ContainsFunc(s.Hosts, func(h HostView) bool { return !h.Self && h.HeardMS >= 0 })
}

// stripeNotServing is about what only this host can mend: it stands alone, or others
// send it what it does not answer.
func stripeNotServing(s *Status, p *Stripe) finding {
	switch {
	case p.Served(s.Host) || p.Owner != s.Host && len(p.MembersState) > 0:
		return finding{}
	case p.Error != "":
		return finding{text: fmt.Sprintf("stripe %s does not serve (%s): %s", p.Name, p.Phase, p.Error)}
	case s.Phase == PhaseStarting:
		return finding{} // host-starting tells it
	case p.Owner == "":
		return finding{text: fmt.Sprintf("stripe %s has no owner; here it is %s", p.Name, p.Phase)}
	}
	return finding{text: fmt.Sprintf("stripe %s does not serve yet: it is %s", p.Name, p.Phase)}
}

func stripeNoQuorum(s *Status, p *Stripe) finding {
	if p.Quorum() || !s.hears() {
		return finding{}
	}
	var away []string
	for _, m := range p.MembersState {
		if !m.Alive {
			away = append(away, m.Host)
		}
	}
	return finding{text: fmt.Sprintf("stripe %s has no quorum: %d of its %d members are not heard: %s",
		p.Name, len(away), len(p.MembersState), strings.Join(away, ", "))}
}

func stripeNoOwner(s *Status, p *Stripe) finding {
	if len(p.MembersState) == 0 || !p.Quorum() || p.Owner == s.Host || p.Served(s.Host) || !s.hears() {
		return finding{} // well, or another condition tells it
	}
	since := p.NoOwnerMS
	var f finding
	if p.Owner == "" {
		f.text = fmt.Sprintf("stripe %s has no owner for %s", p.Name, span(since))
	} else {
		since = max(since, s.heard(p.Owner))
		f.text = fmt.Sprintf("stripe %s has no owner: %s, which was it, is not heard for %s", p.Name, p.Owner, span(since))
	}
	// Whoever asks now waits, and most likely finds the next owner.
	f.bearable = since < s.Requests.HoldMS
	if p.Error != "" {
		f.text += "; on this host: " + p.Error
	}
	return f
}

// heard is for how many milliseconds a host was not heard.
func (s *Status) heard(host string) int64 {
	for _, h := range s.Hosts {
		if h.Name == host {
			return h.HeardMS
		}
	}
	return 0
}

func stripeOpening(_ *Status, p *Stripe) finding {
	if p.Phase != StripeOpening || len(p.MembersState) == 0 {
		return finding{}
	}
	f := finding{text: fmt.Sprintf("stripe %s is being opened on this host", p.Name)}
	if p.Error != "" {
		f.text += ": " + p.Error
	}
	return f
}

func memberSick(s *Status, p *Stripe, m MemberView) string {
	if m.Host == s.Host && p.Sick != "" {
		m.Sick = p.Sick
	}
	if m.Sick == "" {
		return ""
	}
	text := fmt.Sprintf("member %s of stripe %s must not own it: %s", m.Host, p.Name, m.Sick)
	if h := s.heal(p.Name); h != nil && m.Host == s.Host {
		text += "; " + s.healing(h)
	}
	return text
}

func memberLagging(s *Status, p *Stripe, m MemberView) string {
	var behind string
	switch {
	case !m.Alive || m.Owner || m.Sick != "":
		return ""
	case m.Host == s.Host && p.Phase != "" && (p.LagRecords > lagRecords || p.LagMS > lagMS):
		behind = fmt.Sprintf("%d records, %s and %s", p.LagRecords, Bytes(p.LagBytes), span(p.LagMS))
	case m.LagRecords > lagRecords:
		behind = fmt.Sprintf("%d records", m.LagRecords)
	default:
		return ""
	}
	return fmt.Sprintf("member %s of stripe %s is %s behind", m.Host, p.Name, behind)
}

func logNearBound(_ *Status, p *Stripe) finding {
	if !over(p.LogBytes, p.LogMax, logNear) {
		return finding{}
	}
	return finding{text: fmt.Sprintf("the log of stripe %s holds %s, %d %% of its bound of %s; the store is durable up to %d of %d",
		p.Name, Bytes(p.LogBytes), percent(p.LogBytes, p.LogMax), Bytes(p.LogMax), p.Durable, p.LogLast)}
}

func recordsSkipped(_ *Status, p *Stripe) finding {
	if p.Skipped == 0 {
		return finding{}
	}
	return finding{text: fmt.Sprintf("%d records or changes of stripe %s were not applied, since the start", p.Skipped, p.Name)}
}
