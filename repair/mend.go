package repair

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/repair/plan"
)

// mends are the documents that are being mended for requests that wait.
type mends struct {
	mu sync.Mutex
	of map[contract.Key]*mending
}

// A mending is shared by all requests for one document.
type mending struct {
	ended chan struct{}
	err   error // once ended
}

// Mend fetches a document that this host cannot read from a healthy member, for a
// request that waits: bounded by ctx and by [Config.MendTimeout]. nil means that the
// copy is whole now, or gone because most members say that the document is deleted. It
// fails with [ErrUndecided] where no whole copy can be had, and with [ErrNothingHere]
// for a document that no healthy stripe of this host carries. Requests for one document
// share one fetch. Neither a pause nor the rate keeps it waiting.
func (r *Repairer) Mend(ctx context.Context, k contract.Key) error {
	r.mends.mu.Lock()
	m := r.mends.of[k]
	if m == nil {
		m = &mending{ended: make(chan struct{})}
		if !r.begin(func(background context.Context) { r.mendShared(background, k, m) }) {
			r.mends.mu.Unlock()
			return errClosed
		}
		r.mends.of[k] = m
	}
	r.mends.mu.Unlock()
	select {
	case <-m.ended:
		return m.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// mendShared mends a document and tells whoever waits for it.
func (r *Repairer) mendShared(ctx context.Context, k contract.Key, m *mending) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.Config.MendTimeout,
		fmt.Errorf("the repair of the document took longer than %v", r.Config.MendTimeout))
	defer cancel()
	began := time.Now()
	var from string
	var err error
	r.cpu.do(func() { from, err = r.mendNow(ctx, k) })
	r.tell(Mended{Key: k, From: from, Took: time.Since(began), Err: err})
	r.mends.mu.Lock()
	delete(r.mends.of, k)
	r.mends.mu.Unlock()
	m.err = err
	close(m.ended)
}

func (r *Repairer) mendNow(ctx context.Context, k contract.Key) (from string, err error) {
	b := layout.BucketOf(k.Space, k.Key)
	stripes, err := r.within(Scope{})
	if err != nil {
		return "", err
	}
	s := stripeWith(stripes, b)
	if s == nil {
		return "", fmt.Errorf("mend document %q in space %q: %w", k.Key, k.Space, ErrNothingHere)
	}
	if s.Sick != "" {
		return "", fmt.Errorf("mend document %q in space %q: %w: stripe %s is sick: %s", k.Key, k.Space, ErrNothingHere, s.Name, s.Sick)
	}
	return r.mendOne(ctx, s, k, ForRead, true)
}

// mendOne asks all members about a document and does what they decide. Where a request
// waits it does so again after a pause, while the document changes or the others have not
// applied enough yet; else the next round does.
func (r *Repairer) mendOne(ctx context.Context, s *Stripe, k contract.Key, reason Reason, urgent bool) (from string, err error) {
	for i := 0; ; i++ {
		d, err := r.mendTry(ctx, s, k, reason, urgent, i > 0)
		if err != nil {
			return "", causeOf(ctx, err)
		}
		if d.settled {
			if d.changed {
				r.count.verdict(plan.Corruption, 1)
			}
			return d.from, nil
		}
		if !urgent || i == len(r.pauses) {
			r.count.add(func(c *Counters) { c.Undecided++ })
			r.tell(Undecided{Stripe: s.Name, Key: k, Why: d.why})
			return "", fmt.Errorf("mend document %q in space %q: %w: %s", k.Key, k.Space, ErrUndecided, d.why)
		}
		if err := sleep(ctx, r.pauses[i]); err != nil {
			return "", err
		}
	}
}

// mendTry tries once; again, the owner is asked first, which has the newest copy.
func (r *Repairer) mendTry(ctx context.Context, s *Stripe, k contract.Key, reason Reason, urgent, again bool) (done, error) {
	f, decision, err := r.whole(ctx, s, k)
	if err != nil {
		return done{}, err
	}
	switch decision.Action {
	case plan.Nothing:
		return done{settled: true}, r.unnote(s, k, &f)
	case plan.Undecided:
		// More members, or their progress in the log, may decide it in a moment.
		return done{why: decision.Rule}, nil
	}
	became := done{why: "nothing came of it"}
	e := &execution{r: r, stripe: s, urgent: urgent, reason: func(plan.Op) Reason { return reason }, told: func(d done) { became = d }}
	if healthy := r.Host.Healthy(s.Name); again && len(healthy) > 0 && slices.Contains(decision.From, healthy[0]) {
		e.prefer = healthy[0]
	}
	op := opOf(s.Name, layout.BucketOf(k.Space, k.Key), k, &f, &decision)
	err = e.run(ctx, []plan.Op{op})
	return became, err
}

// unnote has the store forget damage that is there no more: a record may have made the
// document whole.
func (r *Repairer) unnote(s *Stripe, k contract.Key, f *plan.Finding) error {
	if _, noted := r.Store.Damage(k); !noted || f.Mine.Damaged != "" {
		return nil
	}
	_, err := s.Replica.CheckBucket(layout.BucketOf(k.Space, k.Key))
	return ofStore(err)
}
