package repair

import (
	"context"
	"fmt"
	"slices"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// A look compares documents of one stripe with those of one peer, and decides what is
// to be done about each that differs. It changes nothing.
type look struct {
	r      *Repairer
	stripe *Stripe
	peer   string
	heals  bool // the stripe is sick: what lags here is missing
	notes  *notes
}

// A looked is what a look has shown of one bucket.
type looked struct {
	bucket layout.Bucket
	ops    []plan.Op
	open   []plan.Open
	lag    int // documents that cannot be compared yet
	theirs int // documents that the peer has to repair
}

// bucket looks at the documents of one bucket.
func (l *look) bucket(ctx context.Context, b layout.Bucket) (looked, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.r.Config.BucketTimeout,
		fmt.Errorf("%w: bucket %v took longer than %v", ErrUnreachable, b, l.r.Config.BucketTimeout))
	defer cancel()
	is := looked{bucket: b}
	theirs, t, err := l.r.Peers.Index(ctx, l.peer, b)
	if err != nil {
		return is, causeOf(ctx, err)
	}
	// Ours AFTER theirs: then this side has more likely applied what they speak of.
	moment, err := l.stripe.Replica.Moment()
	if err != nil {
		return is, ofStore(err)
	}
	defer moment.Close()
	mine, m, err := l.index(moment, b)
	if err != nil {
		return is, ofStore(err)
	}
	for _, f := range plan.Documents(mine, theirs, m, t) {
		if err := l.finding(ctx, &is, moment, mine, theirs, f); err != nil {
			return is, causeOf(ctx, err)
		}
	}
	return is, nil
}

// causeOf is why a context ended rather than that it did.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// indexPage is how many documents of a bucket are read at once.
const indexPage = 1024

// index reads this host's documents of a bucket.
func (l *look) index(moment *buckets.Moment, b layout.Bucket) (plan.Side, []plan.Doc, error) {
	var docs []plan.Doc
	var after contract.Key
	for {
		page, more, err := moment.Index(b, after, indexPage)
		if err != nil {
			return plan.Side{}, nil, err
		}
		l.r.count.read()
		docs = slices.Grow(docs, len(page))
		for i := range page {
			docs = append(docs, docOf(&page[i]))
		}
		if !more {
			return l.side(moment), docs, nil
		}
		after = page[len(page)-1].Key
	}
}

func (l *look) side(moment *buckets.Moment) plan.Side {
	return sideOf(l.r.Self, moment.Position(), moment.Horizon(), l.heals)
}

// sideOf is where this host stands. A sick one is taken to have nothing: whatever its
// copies lack may be missing.
func sideOf(self string, applied, horizon position.Position, heals bool) plan.Side {
	if heals {
		return plan.Side{Host: self, Applied: position.Position{Birth: applied.Birth}, Horizon: horizon, Heals: true}
	}
	return plan.Side{Host: self, Applied: applied, Horizon: horizon}
}

// finding counts a document that differs, and decides.
func (l *look) finding(ctx context.Context, is *looked, moment *buckets.Moment, mine, theirs plan.Side, f plan.Finding) error {
	key := keyOf(&f)
	if f.Verdict == plan.Same {
		return nil
	}
	l.notes.found(l, is.bucket, key, &f)
	switch f.Verdict {
	case plan.Lag:
		is.lag++
		return nil
	case plan.Theirs:
		is.theirs++
		return nil
	}
	d, err := l.decide(ctx, moment, key, mine, theirs, &f)
	if err != nil {
		return err
	}
	switch d.Action {
	case plan.Pull, plan.Drop:
		is.ops = append(is.ops, opOf(l.stripe.Name, is.bucket, key, &f, &d))
	case plan.Undecided:
		is.open = append(is.open, plan.Open{Stripe: l.stripe.Name, Bucket: is.bucket, Key: key, Rule: d.Rule, Asks: d.Asks})
	}
	return nil
}

func keyOf(f *plan.Finding) contract.Key {
	if f.Mine.Key != (contract.Key{}) {
		return f.Mine.Key
	}
	return f.Theirs.Key
}

func opOf(stripe string, b layout.Bucket, k contract.Key, f *plan.Finding, d *plan.Decision) plan.Op {
	op := plan.Op{
		Kind: d.Action, Verdict: d.Verdict, Stripe: stripe, Bucket: b, Key: k,
		Here: plan.Seen{Position: f.Mine.Position, Digest: f.Mine.Digest}, Damaged: f.Mine.Damaged != "",
		From: d.From, Rule: d.Rule,
	}
	if d.Action == plan.Pull {
		op.Right = plan.Seen{Position: d.Right.Position, Digest: d.Right.Digest}
	}
	return op
}

// decide asks as many members as the decision takes.
func (l *look) decide(ctx context.Context, moment *buckets.Moment, k contract.Key, mine, theirs plan.Side, f *plan.Finding) (plan.Decision, error) {
	v := newVote(l.r, l.stripe)
	v.set(plan.View{Side: mine, Doc: f.Mine})
	v.set(plan.View{Side: theirs, Doc: f.Theirs})
	if f.Verdict == plan.Divergence || f.Verdict == plan.Gone {
		// An index reads no more than states. Who is outvoted should have a whole copy.
		self, err := moment.Document(k)
		if err != nil {
			return plan.Decision{}, ofStore(err)
		}
		l.r.count.read()
		f.Mine = docOf(&self)
		v.set(plan.View{Side: mine, Doc: f.Mine})
		if err := v.ask(ctx, k, append(v.unasked(), l.peer)); err != nil {
			return plan.Decision{}, err
		}
	}
	return v.decide(ctx, k)
}
