package ops

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"trireme/repair"
)

// A partition's clean position is old after so many rounds that could have renewed it. One
// with buckets that are written to each time that they are compared is given longer.
const (
	oldRounds = 10
	hotRounds = 120
)

// usualInterval is the time between rounds where the status does not tell it.
const usualInterval = 30 * time.Second

// repairDeclarations are the conditions of documents that are not as they should be.
func repairDeclarations() []declaration {
	return []declaration{
		{
			id: "log-gone", severity: Critical, scope: ScopeCluster, find: eachStripe(logGone),
			remedy: "bring back the jetstream folders of a majority of its members if they exist; if not, `trireme stripe rebuild STRIPE` shows from which member's documents a new log can go on, and begins it with --yes; until then documents stay readable and cannot be changed",
		},
		{
			id: "documents-undecided", severity: Critical, find: documentsUndecided,
			remedy: "`trireme doc explain SPACE KEY` shows every member's copy and why none can be told to be right; bring up the members that are down, and it is decided by itself; keep the disks of all members until then",
		},
		{
			id: "documents-damaged", severity: Warning, find: documentsDamaged,
			remedy: "none, unless it lasts: good copies are fetched from other members; `trireme repair run` does it now, `trireme repair status` tells what keeps it from being done",
		},
		{
			id: "repair-paused", severity: Warning, find: repairPaused,
			remedy: "`trireme repair resume` when the reason for the pause is over; it ends by itself",
		},
		{
			id: "partition-not-compared", severity: Warning, find: eachClean(notCompared),
			remedy: "`trireme repair status --host HOST` tells what was skipped and why; `trireme verify` compares everything now",
		},
		{
			id: "store-set-aside", severity: Warning, find: storeSetAside,
			remedy: "look at the host's log and its disk for the reason; when `trireme verify` passes and nobody wants to look into the folder any more, remove it: the host never does",
		},
	}
}

func logGone(_ *Status, p *Stripe) finding {
	if p.LogGone == "" {
		return finding{}
	}
	return finding{text: fmt.Sprintf("the log of stripe %s is gone: %s", p.Name, p.LogGone)}
}

// documentsUndecided counts the documents of the last round.
func documentsUndecided(s *Status) []finding {
	if s.Repair == nil || s.Repair.Round.Last == nil {
		return nil
	}
	var first repair.Skipped
	n := 0
	for _, x := range s.Repair.Round.Last.Skipped {
		if x.Key != "" {
			if n++; n == 1 {
				first = x
			}
		}
	}
	return one(n > 0, "%s between members or damaged, and no copy can be told to be right; the first is %s %s: %s",
		counted(n, "document that differs", "documents that differ"), first.Space, first.Key, first.Why)
}

func documentsDamaged(s *Status) []finding {
	if s.Repair == nil {
		return nil
	}
	return one(s.Repair.Damaged > 0, "%s of this host, damaged and not repaired yet", counted(s.Repair.Damaged, "document", "documents"))
}

// counted is a number with its noun.
func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func repairPaused(s *Status) []finding {
	if s.Repair == nil || s.Repair.Paused == nil {
		return nil
	}
	return one(true, "repair is paused on this host until %s: nothing is compared, healed or scrubbed", s.Repair.Paused.UTC().Format(time.RFC3339))
}

func storeSetAside(s *Status) []finding {
	return one(len(s.Store.SetAside) > 0, "the document store could not be opened and was set aside; it is in %s", strings.Join(s.Store.SetAside, ", "))
}

// eachClean asks of the stripes that rounds compare one by one.
func eachClean(find func(*Status, *repair.Clean) string) func(*Status) []finding {
	return func(s *Status) (found []finding) {
		if s.Repair == nil || s.Repair.Paused != nil || !s.takesPart() {
			return nil
		}
		for i := range s.Repair.Stripes {
			c := &s.Repair.Stripes[i]
			if text := find(s, c); text != "" {
				found = append(found, finding{subject: c.Stripe, text: text})
			}
		}
		return found
	}
}

// notCompared is about rounds that fail although nothing known keeps them from working:
// the stripe is healthy here, and so are all members.
func notCompared(s *Status, c *repair.Clean) string {
	p := s.stripe(c.Stripe)
	if s.At.IsZero() || c.Sick != "" || p == nil || len(p.MembersState) < 2 || p.Sick != "" {
		return ""
	}
	if slices.ContainsFunc(p.MembersState, func(m MemberView) bool { return !m.Alive || m.Sick != "" }) {
		return ""
	}
	every := cmp.Or(time.Duration(s.RepairEveryMS)*time.Millisecond, usualInterval)
	n := 0
	var worst repair.CleanPartition
	var longest time.Duration
	for _, x := range c.Partitions {
		since := s.Started // it is compared anew after a start
		if x.At != nil && since.Before(*x.At) {
			since = *x.At
		}
		rounds := oldRounds
		if x.Lagging > 0 {
			rounds = hotRounds
		}
		if age := s.At.Sub(since); age > time.Duration(rounds)*every {
			if n++; age > longest {
				worst, longest = x, age
			}
		}
	}
	if n == 0 {
		return ""
	}
	last := "not since this host was started, " + span(longest.Milliseconds()) + " ago"
	if worst.At != nil && s.Started.Before(*worst.At) {
		last = "last " + span(longest.Milliseconds()) + " ago"
	}
	text := fmt.Sprintf("partition %s of stripe %s was found equal to another member's %s", worst.Partition, c.Stripe, last)
	if worst.Lagging > 0 {
		text += fmt.Sprintf("; %d of its buckets could not be compared in the last round", worst.Lagging)
	}
	if n > 1 {
		text += fmt.Sprintf(" (and %d more partitions)", n-1)
	}
	return text
}

func (s *Status) stripe(name string) *Stripe {
	for i := range s.Stripes {
		if s.Stripes[i].Name == name {
			return &s.Stripes[i]
		}
	}
	return nil
}

// heal is this host's healing of a stripe; nil when there is none.
func (s *Status) heal(stripe string) *repair.Heal {
	if s.Repair == nil {
		return nil
	}
	for i := range s.Repair.Heals {
		if s.Repair.Heals[i].Stripe == stripe {
			return &s.Repair.Heals[i]
		}
	}
	return nil
}

// healing tells how far the healing of a stripe is.
func (s *Status) healing(h *repair.Heal) string {
	if h.Phase == repair.HealWaiting {
		text := "it waits to be healed"
		if h.Why != "" {
			text += ": " + h.Why
		}
		return text
	}
	text := fmt.Sprintf("it heals from %s: %d of %d buckets are equal, %d documents and %s pulled", h.Peer, h.Verified, h.Buckets, h.Documents, Bytes(h.Bytes))
	if h.ETA != nil && !s.At.IsZero() && s.At.Before(*h.ETA) {
		text += ", about " + span(h.ETA.Sub(s.At).Milliseconds()) + " left"
	}
	if h.Phase == repair.HealOpening {
		text += "; its log is being opened"
	}
	return text
}
