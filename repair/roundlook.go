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
	plans  bool // nothing is changed, not even a digest that is wrong
	// since is what the peer must have applied, so that nothing comes from before it.
	since position.Position
	notes *notes
}

// A looked is what a look has shown of one bucket.
type looked struct {
	bucket layout.Bucket
	ops    []plan.Op
	open   []undecided
	lag    int // documents that cannot be compared yet
	theirs int // documents that the peer has to repair
}

// An undecided is a document about which nothing can be done.
type undecided struct {
	plan.Open
	verdict plan.Verdict
}

// mayBeOld tells whether what is here may lack something that a member which cannot be
// asked now has.
func (u *undecided) mayBeOld() bool { return u.verdict != plan.Divergence && len(u.Asks) > 0 }

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
	if theirs.Applied.Less(l.since) {
		return is, fmt.Errorf("%s: %w: it has fallen back to %v, from %v", l.peer, ErrUnreachable, theirs.Applied, l.since)
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
	if err := l.sum(moment, b, m); err != nil {
		return is, ofStore(err)
	}
	for _, f := range plan.Documents(mine, theirs, m, t) {
		if err := l.finding(ctx, &is, moment, mine, f); err != nil {
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

// sideOf is where a host stands.
func sideOf(self string, applied, horizon position.Position, heals bool) plan.Side {
	return plan.Side{Host: self, Applied: applied, Horizon: horizon, Heals: heals}
}

// sum has a bucket re-read whose kept digest is not that of its documents: nobody
// would find it equal.
func (l *look) sum(moment *buckets.Moment, b layout.Bucket, docs []plan.Doc) error {
	kept := l.stripe.Replica.Survey([]buckets.Range{{First: b, Last: b}})
	if l.plans || kept.Position != moment.Position() || kept.Buckets[0].Digest == plan.Sum(docs) {
		return nil
	}
	l.r.count.read()
	_, err := l.stripe.Replica.CheckBucket(b)
	return err
}

// finding counts a document that differs, and decides.
func (l *look) finding(ctx context.Context, is *looked, moment *buckets.Moment, mine plan.Side, f plan.Finding) error {
	key := keyOf(&f)
	if f.Verdict == plan.Same {
		return nil
	}
	l.notes.found(l, is.bucket, key, &f)
	there := f.Theirs.Damaged == "" && !f.Theirs.Position.IsZero()
	switch {
	case f.Verdict == plan.Lag:
		is.lag++
		return nil
	case f.Verdict == plan.Theirs:
		is.theirs++
		return nil
	case there && (f.Verdict == plan.Missing || l.heals && f.Verdict == plan.Corruption):
		is.ops = append(is.ops, opOf(l.stripe.Name, is.bucket, key, &f, &plan.Decision{
			Action: plan.Pull, Verdict: f.Verdict, From: []string{l.peer}, Right: f.Theirs, Rule: f.Rule,
		}))
		return nil
	case l.heals && f.Verdict == plan.Gone:
		is.ops = append(is.ops, opOf(l.stripe.Name, is.bucket, key, &f, &plan.Decision{Action: plan.Drop, Verdict: f.Verdict, Rule: f.Rule}))
		return nil
	}
	d, err := l.decide(ctx, moment, key, mine, &f)
	if err != nil {
		return err
	}
	switch d.Action {
	case plan.Pull, plan.Drop:
		is.ops = append(is.ops, opOf(l.stripe.Name, is.bucket, key, &f, &d))
	case plan.Undecided:
		is.open = append(is.open, openOf(l.stripe.Name, is.bucket, key, &d))
	}
	return nil
}

func openOf(stripe string, b layout.Bucket, k contract.Key, d *plan.Decision) undecided {
	return undecided{plan.Open{Stripe: stripe, Bucket: b, Key: k, Rule: d.Rule, Asks: d.Asks}, d.Verdict}
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

// decide asks all members. An index reads no more than states, and who votes should
// have a whole copy, so everybody reads theirs.
func (l *look) decide(ctx context.Context, moment *buckets.Moment, k contract.Key, mine plan.Side, f *plan.Finding) (plan.Decision, error) {
	self, err := moment.Document(k)
	if err != nil {
		return plan.Decision{}, ofStore(err)
	}
	l.r.count.read()
	if noted := f.Mine.Damaged; noted != "" && self.Damaged == "" {
		self.Damaged = noted
	}
	f.Mine = docOf(&self)
	f.Mine.Key = k
	v := newVote(l.r, l.stripe)
	v.set(plan.View{Side: mine, Doc: f.Mine})
	return v.decide(ctx, k)
}
