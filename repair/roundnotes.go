package repair

import (
	"slices"
	"sync"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/repair/plan"
)

// notes gather what one round, or one try to heal, has found and done.
type notes struct {
	r *Repairer

	mu       sync.Mutex
	seen     map[seenFinding]bool
	verdicts map[string]uint64
	pulled   uint64
	dropped  uint64
	skipped  []Skipped
}

// A seenFinding is one that was counted: it may be met again in the same round.
type seenFinding struct {
	peer    string
	key     contract.Key
	verdict plan.Verdict
}

// maxSkipped bounds what one result tells of in words.
const maxSkipped = 100

func newNotes(r *Repairer) *notes {
	return &notes{r: r, seen: map[seenFinding]bool{}, verdicts: map[string]uint64{}}
}

// found counts a finding and tells of it. What a sick stripe lacks is counted as it is
// pulled, and lag is nothing to tell of.
func (n *notes) found(l *look, b layout.Bucket, k contract.Key, f *plan.Finding) {
	if l.heals && (f.Verdict == plan.Missing || f.Verdict == plan.Lag) {
		return
	}
	n.mu.Lock()
	s := seenFinding{l.peer, k, f.Verdict}
	again := n.seen[s]
	n.seen[s] = true
	if !again {
		n.verdicts[f.Verdict.String()]++
	}
	n.mu.Unlock()
	if again {
		return
	}
	n.r.count.verdict(f.Verdict, 1)
	if f.Verdict != plan.Lag {
		n.r.tell(Found{Stripe: l.stripe.Name, Bucket: b, Key: k, Verdict: f.Verdict, Peer: l.peer, Mine: f.Mine, Theirs: f.Theirs, Rule: f.Rule})
	}
}

// lagging counts buckets whose differences the log will bring.
func (n *notes) lagging(buckets int) {
	if buckets == 0 {
		return
	}
	n.mu.Lock()
	n.verdicts[plan.Lag.String()] += uint64(buckets)
	n.mu.Unlock()
	n.r.count.verdict(plan.Lag, buckets)
}

// done counts what became of an operation.
func (n *notes) done(d done) {
	n.mu.Lock()
	switch {
	case d.changed && d.op.Kind == plan.Drop:
		n.dropped++
	case d.changed:
		n.pulled++
	}
	n.mu.Unlock()
	if !d.settled {
		n.skip(Skipped{Stripe: d.op.Stripe, Bucket: d.op.Bucket.String(), Space: d.op.Key.Space, Key: d.op.Key.Key, Why: d.why})
	}
}

// undecided tells of a document about which nothing is done.
func (n *notes) undecided(o *plan.Open) {
	s := Skipped{Stripe: o.Stripe, Bucket: o.Bucket.String(), Space: o.Key.Space, Key: o.Key.Key, Why: o.Rule}
	if n.skip(s) {
		n.r.count.add(func(c *Counters) { c.Undecided++ })
		n.r.tell(Undecided{Stripe: o.Stripe, Key: o.Key, Why: o.Rule})
	}
}

// skip notes what could not be compared or repaired; false when it has been.
func (n *notes) skip(s Skipped) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if slices.Contains(n.skipped, s) {
		return false
	}
	if len(n.skipped) < maxSkipped {
		n.skipped = append(n.skipped, s)
	}
	return true
}

// into writes the notes into a result.
func (n *notes) into(result *RoundResult) {
	n.mu.Lock()
	defer n.mu.Unlock()
	result.Verdicts, result.Pulled, result.Dropped = n.verdicts, n.pulled, n.dropped
	result.Skipped = append([]Skipped{}, n.skipped...)
}

// mended notes a document whose damage was known before it was compared. The Repairer
// has counted it.
func (n *notes) mended() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.verdicts[plan.Corruption.String()]++
}
