package repair

import (
	"context"
	"math/rand/v2"
	"slices"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// A done is what became of an operation.
type done struct {
	op      plan.Op
	settled bool   // nothing is left to do
	changed bool   // the document here was replaced or dropped
	from    string // the member whose copy it is now
	why     string // it is not settled
}

// An execution does operations on one stripe, each from any of the members that may
// have the right copy.
type execution struct {
	r      *Repairer
	stripe *Stripe
	prefer string // the peer to pull from if it may be
	reason func(plan.Op) Reason
	told   func(done)
	urgent bool              // a request waits: neither for its turn nor for the rate
	since  position.Position // nothing may come from before it
	took   func(bytes int)   // of each document that was replaced; nil for nobody

	left []*pullOp
}

// A pullOp is a document to pull.
type pullOp struct {
	plan.Op
	tried []string
	why   string // the last try failed
}

// run does the operations. An error is fatal: a peer's is told, and another peer asked.
func (e *execution) run(ctx context.Context, ops []plan.Op) error {
	e.left = nil
	for _, op := range ops {
		switch op.Kind {
		case plan.Drop:
			if err := e.drop(op); err != nil {
				return err
			}
		case plan.Pull:
			e.left = append(e.left, &pullOp{Op: op})
		}
	}
	for len(e.left) > 0 {
		from, some := e.next()
		if from == "" {
			break
		}
		if err := e.pull(ctx, from, some); err != nil {
			return err
		}
	}
	for _, p := range e.left {
		if p.why == "" {
			p.why = "no member that has the right copy can be asked"
		}
		e.told(done{op: p.Op, why: p.why})
	}
	e.left = nil
	return nil
}

func (e *execution) drop(op plan.Op) error {
	over := op.Here.Digest
	if op.Damaged && op.Here.Position.IsZero() {
		over = digest.Digest{} // its state cannot be read
	}
	gone, err := e.stripe.Replica.Drop(op.Key, over)
	if err != nil {
		return ofStore(err)
	}
	d := done{op: op, settled: gone, changed: gone}
	if gone {
		e.r.changed(e.stripe.Name, op.Bucket)
		e.r.count.add(func(c *Counters) { c.Dropped++ })
		e.r.tell(Dropped{Stripe: e.stripe.Name, Key: op.Key, Rule: op.Rule})
	} else {
		d.why = "the document has changed meanwhile"
	}
	e.told(d)
	return nil
}

// next is whom to pull from now, and what.
func (e *execution) next() (from string, some []*pullOp) {
	askable := e.r.askable(e.stripe.Name)
	for _, p := range e.left {
		if may := p.may(askable); len(may) > 0 {
			from = may[rand.IntN(len(may))]
			if slices.Contains(may, e.prefer) {
				from = e.prefer
			}
			break
		}
	}
	if from == "" {
		return "", nil
	}
	for _, p := range e.left {
		if slices.Contains(p.may(askable), from) {
			some = append(some, p)
		}
	}
	return from, some
}

// may are the members to ask for the document that were not tried.
func (p *pullOp) may(askable []string) []string {
	return slices.DeleteFunc(slices.Clone(p.From), func(h string) bool { return !slices.Contains(askable, h) || slices.Contains(p.tried, h) })
}

func (e *execution) pull(ctx context.Context, from string, some []*pullOp) error {
	wants := make([]wanted, len(some))
	for i, p := range some {
		p.tried = append(p.tried, from)
		p.why = "the pull from " + from + " ended before it came"
		wants[i] = wanted{Want: Want{Key: p.Key, Position: p.Right.Position, Digest: p.Right.Digest}, reason: e.reason(p.Op)}
		if !p.Damaged && !p.Here.Position.IsZero() && !p.Here.Position.Less(p.Right.Position) {
			wants[i].over = &p.Here.Digest // it is outvoted
		}
	}
	if !e.urgent {
		if err := e.r.turn(ctx); err != nil {
			return err
		}
		defer e.r.turnOver()
	}
	settledKeys := map[*pullOp]bool{}
	byKey := make(map[contract.Key]*pullOp, len(some))
	for _, p := range some {
		byKey[p.Key] = p
	}
	err := (&pulling{r: e.r, stripe: e.stripe, from: from, urgent: e.urgent, since: e.since}).pull(ctx, wants, func(s settled) {
		p := byKey[s.Key]
		p.why = s.why
		if s.outcome == buckets.Taken {
			e.r.changed(e.stripe.Name, p.Bucket)
			if e.took != nil {
				e.took(s.bytes)
			}
		}
		if s.done() {
			settledKeys[p] = true
			e.told(done{op: p.Op, settled: true, changed: s.outcome == buckets.Taken, from: from})
		}
	})
	e.left = slices.DeleteFunc(e.left, func(p *pullOp) bool { return settledKeys[p] })
	if err == nil {
		return nil
	}
	if fatal(ctx, err) {
		return causeOf(ctx, err)
	}
	e.r.peerFailed(from, e.stripe.Name, err)
	return nil
}

// changed notes that a document of a bucket was replaced here.
func (r *Repairer) changed(stripe string, b layout.Bucket) { r.clean.pulled(stripe, b) }
