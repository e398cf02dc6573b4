package repair

import (
	"context"
	"slices"
	"sync"
	"time"

	"trireme/buckets"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// A comparison is that of one stripe with one peer: roots, partitions, buckets,
// documents, the finer only where the coarser differ.
type comparison struct {
	look
	dry  *plan.Plan // takes the operations instead of their being done; nil for none
	open []*comparing
}

// A comparing is a partition whose roots differ.
type comparing struct {
	layout.Partition
	pending []layout.Bucket   // to be looked at; nil for all
	stuck   int               // buckets that stay different whatever is done here
	afresh  bool              // a document was replaced: all is to be looked at again
	up      position.Position // the lowest at which any of its buckets was found equal
	seen    plan.Pulls        // of the clean table, when the first of them was
}

// lookPauses are those between two looks at what lags, in one round.
func lookPauses() []time.Duration {
	return []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second}
}

// run compares, and tells whether the roots were equal. whole says that the stripe has
// all of its partitions, so that its root can be compared.
func (c *comparison) run(ctx context.Context, root StripeRoot, whole bool) (equal bool, err error) {
	if whole && c.rootEqual(root) {
		return true, nil
	}
	if err := c.partitions(ctx); err != nil {
		return false, err
	}
	for i := 0; len(c.open) > 0; i++ {
		if err := c.again(ctx); err != nil {
			return false, err
		}
		if i == len(c.r.pauses) || !slices.ContainsFunc(c.open, (*comparing).undone) {
			break
		}
		if err := sleep(ctx, c.r.pauses[i]); err != nil {
			return false, err
		}
	}
	for _, p := range c.open {
		c.r.clean.lagged(c.stripe.Name, p.ID, p.stuck+len(p.pending))
	}
	return false, nil
}

// undone tells whether another look may show something else.
func (p *comparing) undone() bool { return p.afresh || len(p.pending) > 0 }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// rootEqual compares the stripe as a whole.
func (c *comparison) rootEqual(root StripeRoot) bool {
	seen := c.seenAll()
	mine, states := c.survey(c.stripe.Partitions)
	if plan.RootOf(states).Digest != root.Root.Digest {
		return false
	}
	for i, p := range c.stripe.Partitions {
		c.clean(p.ID, earlier(mine.Applied, root.Side.Applied), seen[i])
	}
	return true
}

func (c *comparison) seenAll() []plan.Pulls {
	seen := make([]plan.Pulls, len(c.stripe.Partitions))
	for i, p := range c.stripe.Partitions {
		seen[i] = c.r.clean.seen(c.stripe.Name, p.ID)
	}
	return seen
}

func (c *comparison) clean(id layout.PartitionID, up position.Position, seen plan.Pulls) {
	c.r.clean.found(c.stripe.Name, id, up, seen, time.Now(), c.peer)
}

func earlier(p, q position.Position) position.Position {
	if p.Less(q) {
		return p
	}
	return q
}

// survey is what this host keeps of partitions, all of one moment.
func (c *comparison) survey(partitions []layout.Partition) (plan.Side, []plan.BucketState) {
	return surveyOf(c.r.Self, c.stripe, partitions, c.heals)
}

func surveyOf(self string, s *Stripe, partitions []layout.Partition, heals bool) (plan.Side, []plan.BucketState) {
	ranges := buckets.RangesOf(partitions)
	survey := s.Replica.Survey(ranges)
	return sideOf(self, survey.Position, survey.Horizon, heals), statesOf(&survey, ranges)
}

func size(p layout.Partition) int { return int(p.Last) - int(p.First) + 1 }

// partitions compares the roots of the partitions; those that differ are open then.
func (c *comparison) partitions(ctx context.Context) error {
	seen := c.seenAll()
	root, err := c.r.Peers.Partitions(ctx, c.peer, c.stripe.Name)
	if err != nil {
		return err
	}
	theirs := make(map[layout.PartitionID]plan.Root, len(root.Partitions))
	for _, p := range root.Partitions {
		theirs[p.Partition] = p.Root
	}
	mine, states := c.survey(c.stripe.Partitions)
	for i, p := range c.stripe.Partitions {
		told, ok := theirs[p.ID]
		if !ok {
			return lied(c.peer, "partition %v of stripe %s is missing", p.ID, c.stripe.Name)
		}
		if plan.RootOf(states[:size(p)]).Digest == told.Digest {
			c.clean(p.ID, earlier(mine.Applied, root.Side.Applied), seen[i])
		} else {
			c.open = append(c.open, &comparing{Partition: p})
		}
		states = states[size(p):]
	}
	return nil
}

// again looks at the open partitions once more.
func (c *comparison) again(ctx context.Context) error {
	var undone []*comparing
	for _, p := range c.open {
		if p.pending == nil || p.undone() {
			undone = append(undone, p)
		}
	}
	for group := range groups(undone) {
		if err := c.buckets(ctx, group); err != nil {
			return err
		}
	}
	c.open = slices.DeleteFunc(c.open, func(p *comparing) bool {
		if p.afresh || len(p.pending) > 0 || p.stuck > 0 {
			return false
		}
		c.clean(p.ID, p.up, p.seen)
		return true
	})
	return nil
}

// bucketsAtOnce is how many buckets are asked for in one question, unless one partition
// has more: half a megabyte of answer.
const bucketsAtOnce = 4096

// groups cuts partitions into lots of as many buckets as are asked for at once.
func groups(all []*comparing) func(yield func([]*comparing) bool) {
	return func(yield func([]*comparing) bool) {
		for len(all) > 0 {
			n, has := 1, size(all[0].Partition)
			for n < len(all) && has+size(all[n].Partition) <= bucketsAtOnce {
				has += size(all[n].Partition)
				n++
			}
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// buckets compares the pending buckets of some partitions, and the documents of those
// that differ.
func (c *comparison) buckets(ctx context.Context, group []*comparing) error {
	ids := make([]layout.PartitionID, len(group))
	parts := make([]layout.Partition, len(group))
	for i, p := range group {
		ids[i], parts[i] = p.ID, p.Partition
		if p.pending == nil || p.afresh {
			p.pending, p.stuck, p.afresh = nil, 0, false
			p.up, p.seen = position.Position{}, c.r.clean.seen(c.stripe.Name, p.ID)
		}
	}
	theirs, t, err := c.r.Peers.Buckets(ctx, c.peer, c.stripe.Name, ids...)
	if err != nil {
		return err
	}
	mine, m := c.survey(parts)
	if len(m) != len(t) {
		return lied(c.peer, "%d buckets of stripe %s came, %d were asked for", len(t), c.stripe.Name, len(m))
	}
	var differ []layout.Bucket
	of := map[layout.Bucket]*comparing{}
	for _, p := range group {
		n, first := size(p.Partition), p.pending == nil
		look, lag, err := p.compare(mine, theirs, m[:n], t[:n])
		if err != nil {
			return lied(c.peer, "buckets of stripe %s: %w", c.stripe.Name, err)
		}
		if first {
			c.notes.lagging(len(lag))
		}
		p.pending = append([]layout.Bucket{}, lag...)
		for _, b := range look {
			of[b] = p
		}
		differ = append(differ, look...)
		m, t = m[n:], t[n:]
	}
	for lot := range slices.Chunk(differ, lookLot) {
		if err := c.documents(ctx, lot, of); err != nil {
			return err
		}
	}
	return nil
}

// compare compares what is pending of the partition.
func (p *comparing) compare(mine, theirs plan.Side, m, t []plan.BucketState) (look, lag []layout.Bucket, err error) {
	if p.pending != nil {
		var mp, tp []plan.BucketState
		for _, b := range p.pending {
			i := int(b) - int(p.First)
			mp, tp = append(mp, m[i]), append(tp, t[i])
		}
		m, t = mp, tp
	}
	look, lag, _, err = plan.Buckets(mine, theirs, m, t)
	if up := earlier(mine.Applied, theirs.Applied); p.up.IsZero() || up.Less(p.up) {
		p.up = up
	}
	return look, lag, err
}

// lookLot is how many buckets are looked at, and then repaired, at a time.
const lookLot = 64

// documents looks at the documents of buckets that differ, and has done what is decided.
func (c *comparison) documents(ctx context.Context, lot []layout.Bucket, of map[layout.Bucket]*comparing) error {
	if err := c.r.throttle.paused(); err != nil && c.dry == nil {
		return err
	}
	began := time.Now()
	all, err := c.lookAt(ctx, lot)
	if err != nil {
		return err
	}
	var ops []plan.Op
	for i := range all {
		l := &all[i]
		for j := range l.open {
			c.notes.undecided(&l.open[j].Open)
			if c.dry != nil {
				c.dry.Undecided = append(c.dry.Undecided, l.open[j].Open)
			}
		}
		p := of[l.bucket]
		switch {
		case c.dry != nil && len(l.ops)+len(l.open) > 0, len(l.open) > 0:
			p.stuck++
		case len(l.ops) == 0 && l.lag == 0 && l.theirs > 0:
			p.stuck++
		default:
			p.pending = append(p.pending, l.bucket)
		}
		ops = append(ops, l.ops...)
		if c.dry != nil {
			c.dry.Ops = append(c.dry.Ops, l.ops...)
		}
	}
	if c.dry != nil || len(ops) == 0 {
		return nil
	}
	e := &execution{r: c.r, stripe: c.stripe, prefer: c.peer, reason: reasonOf, told: func(d done) {
		c.notes.done(d)
		if d.changed {
			// What was equal was so without it: look at all of the partition again.
			of[d.op.Bucket].afresh = true
		}
	}}
	if err := e.run(ctx, ops); err != nil {
		return err
	}
	return c.r.throttle.rest(ctx, time.Since(began))
}

// reasonOf is why an operation of a round is done.
func reasonOf(op plan.Op) Reason { return Reason(op.Verdict.String()) }

// lookAt looks at several buckets at a time.
func (l *look) lookAt(ctx context.Context, lot []layout.Bucket) ([]looked, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	all := make([]looked, len(lot))
	var next sync.Mutex
	i := 0
	take := func() int {
		next.Lock()
		defer next.Unlock()
		i++
		return i - 1
	}
	var wait sync.WaitGroup
	for range min(l.r.Config.Parallel, len(lot)) {
		wait.Go(func() {
			l.r.cpu.do(func() {
				for j := take(); j < len(lot) && ctx.Err() == nil; j = take() {
					is, err := l.bucket(ctx, lot[j])
					if err != nil {
						end(err)
					}
					all[j] = is
				}
			})
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return all, nil
}
