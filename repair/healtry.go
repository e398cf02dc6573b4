package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// A healTry makes a sick stripe equal to that of one peer, or fills what was lost from it.
type healTry struct {
	look    // since: where the peer stood
	healing *healing
}

// fills is how often the buckets are compared, in one try, that have changed meanwhile.
const fills = 4

// run does it. The order is what makes it right: where the peer stands is asked BEFORE
// its buckets, so whatever comes is at least as new; and the replica is set there AFTER
// every bucket is equal.
func (t *healTry) run(ctx context.Context) error {
	s := t.stripe
	var at buckets.Applied
	for i, left := 0, 1; left > 0; i++ {
		if i == fills {
			return fmt.Errorf("%d buckets have changed while they were compared", left)
		}
		stand, err := t.r.Peers.Stand(ctx, t.peer, s.Name)
		if err != nil {
			return err
		}
		if here := s.Replica.Applied().Seq; stand.Seq < here {
			return fmt.Errorf("%s has applied its log up to record %d, this host up to %d: it must come as far first", t.peer, stand.Seq, here)
		}
		t.since = position.Position{Birth: s.Replica.Survey(nil).Position.Birth, Seq: stand.Seq}
		if len(stand.Lost) > 0 {
			left, err = t.fill(ctx, stand.Lost)
			at = s.Replica.Applied() // which the log has brought
		} else {
			left, err = t.copy(ctx)
			at = stand.Applied
		}
		if err != nil {
			return err
		}
	}
	t.healing.phase(HealOpening, "")
	if at.Seq > s.Replica.Applied().Seq {
		if err := s.Replica.Adopt(at); err != nil {
			return ofStore(err)
		}
	}
	// Rounds find out anew how far the stripe is clean. What was reported before it fell
	// sick was said of another store.
	t.r.clean.forget(s.Name)
	t.r.unreport(s.Name)
	return t.r.Host.Healed(ctx, s.Name, at)
}

// copy makes every bucket equal to the peer's, and takes those for complete again that
// had lost rows. It returns how many have to be compared once more: what a record changes
// in such a bucket is not here, and perhaps the peer was asked before that record.
func (t *healTry) copy(ctx context.Context) (left int, err error) {
	since := t.stripe.Replica.Compare(t.since)
	suspect, err := t.suspect(ctx)
	if err != nil {
		return 0, err
	}
	differ, err := t.differ(ctx, suspect)
	if err != nil {
		return 0, err
	}
	if err := t.equalize(ctx, differ); err != nil {
		return 0, err
	}
	return t.complete(since, t.incomplete())
}

// fill does the same for those of the buckets that have lost rows here and not there. The
// others have followed the log, so they need not be compared; but it fails as long as
// there are buckets that have lost rows on both sides.
func (t *healTry) fill(ctx context.Context, lost []buckets.Range) (left int, err error) {
	if !t.stripe.Follows {
		return 0, fmt.Errorf("%s has lost rows itself, and cannot be copied", t.peer)
	}
	since := t.stripe.Replica.Compare(t.since)
	here := t.incomplete()
	whole := func(b layout.Bucket) bool {
		return !slices.ContainsFunc(lost, func(g buckets.Range) bool { return g.First <= b && b <= g.Last })
	}
	todo := slices.DeleteFunc(slices.Clone(here), func(b layout.Bucket) bool { return !whole(b) })
	t.healing.begun(len(here), len(todo))
	if err := t.check(ctx, todo); err != nil {
		return 0, err
	}
	if err := t.equalize(ctx, todo); err != nil {
		return 0, err
	}
	if left, err = t.complete(since, todo); err == nil && len(todo) < len(here) {
		err = fmt.Errorf("rows of %d buckets were lost on this host and on %s: another member has to tell what was in them", len(here)-len(todo), t.peer)
	}
	return left, err
}

func (t *healTry) incomplete() []layout.Bucket {
	return t.stripe.Replica.Incomplete(buckets.RangesOf(t.stripe.Partitions)...)
}

// complete takes buckets for complete again, and returns how many it must not.
func (t *healTry) complete(since buckets.Comparison, filled []layout.Bucket) (left int, err error) {
	if len(filled) == 0 {
		return 0, nil
	}
	again, err := t.stripe.Replica.ClearIncomplete(since, filled...)
	if err != nil {
		return 0, ofStore(err)
	}
	return len(again), nil
}

// differ are the buckets that are not known to be equal to the peer's, the suspect ones
// among them.
func (t *healTry) differ(ctx context.Context, suspect map[layout.Bucket]bool) ([]layout.Bucket, error) {
	var differ []layout.Bucket
	total := 0
	all := make([]*comparing, len(t.stripe.Partitions))
	for i, p := range t.stripe.Partitions {
		all[i] = &comparing{Partition: p}
		total += size(p)
	}
	for group := range groups(all) {
		ids := make([]layout.PartitionID, len(group))
		parts := make([]layout.Partition, len(group))
		for i, p := range group {
			ids[i], parts[i] = p.ID, p.Partition
		}
		side, theirs, err := t.r.Peers.Buckets(ctx, t.peer, t.stripe.Name, ids...)
		if err != nil {
			return nil, err
		}
		if side.Applied.Less(t.since) {
			return nil, fmt.Errorf("%s: %w: it has fallen back to %v, from %v", t.peer, ErrUnreachable, side.Applied, t.since)
		}
		_, mine := surveyOf(t.r.Self, t.stripe, parts, true)
		if len(mine) != len(theirs) {
			return nil, lied(t.peer, "%d buckets of stripe %s came, %d were asked for", len(theirs), t.stripe.Name, len(mine))
		}
		for i := range mine {
			if mine[i].Bucket != theirs[i].Bucket {
				return nil, lied(t.peer, "bucket %v of stripe %s came where %v belongs", theirs[i].Bucket, t.stripe.Name, mine[i].Bucket)
			}
			if mine[i].Digest != theirs[i].Digest || suspect[mine[i].Bucket] {
				differ = append(differ, mine[i].Bucket)
			}
		}
	}
	t.healing.begun(total, len(differ))
	return differ, nil
}

// suspect are the buckets of which this host knows that something is wrong, whatever
// their digests say: these are of what is kept, not of what can be read.
func (t *healTry) suspect(ctx context.Context) (map[layout.Bucket]bool, error) {
	suspect := map[layout.Bucket]bool{}
	lost := t.incomplete()
	for _, b := range lost {
		suspect[b] = true
	}
	if err := t.check(ctx, lost); err != nil {
		return nil, err
	}
	for _, d := range t.r.Store.Damaged() {
		suspect[layout.BucketOf(d.Key.Space, d.Key.Key)] = true
	}
	return suspect, nil
}

// check reads buckets, so that each damaged document in them is known.
func (t *healTry) check(ctx context.Context, list []layout.Bucket) error {
	for _, b := range list {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := t.stripe.Replica.CheckBucket(b); err != nil {
			return ofStore(err)
		}
		t.r.count.read()
	}
	return nil
}

// healPasses is how often documents are tried that do not come, in one try.
const healPasses = 4

// equalize pulls until no bucket differs from what the peer had when it was asked. In
// the last pass all members are asked about what does not come.
func (t *healTry) equalize(ctx context.Context, differ []layout.Bucket) error {
	for i := 0; len(differ) > 0; i++ {
		if i > 0 {
			if err := sleep(ctx, t.r.pauses[min(i, len(t.r.pauses)-1)]); err != nil {
				return err
			}
		}
		left, why, err := t.pass(ctx, differ, i+1 == healPasses)
		if err != nil {
			return err
		}
		if len(left) > 0 && i+1 == healPasses {
			return fmt.Errorf("%d buckets are not equal yet: %s", len(left), why)
		}
		differ = left
	}
	return nil
}

// pass goes over buckets once. While the documents of one lot come, the next lot is
// looked at. It returns the buckets in which something did not come, and why.
func (t *healTry) pass(ctx context.Context, differ []layout.Bucket, last bool) (left []layout.Bucket, why string, err error) {
	ctx, end := context.WithCancelCause(ctx)
	lots := make(chan []looked)
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer close(lots)
		for lot := range slices.Chunk(differ, lookLot) {
			all, err := t.lookAt(ctx, lot)
			if err != nil {
				end(err)
				return
			}
			select {
			case lots <- all:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() {
		end(nil)
		<-over
	}()
	for all := range lots {
		began := time.Now()
		lotLeft, lotWhy, err := t.do(ctx, all, last)
		if err == nil {
			err = t.r.throttle.rest(ctx, time.Since(began))
		}
		if err != nil {
			return nil, "", causeOf(ctx, err)
		}
		left = append(left, lotLeft...)
		if lotWhy != "" {
			why = lotWhy
		}
	}
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	return left, why, nil
}

// do does what was decided of a lot of buckets, and returns those in which something is
// left to do, and why.
func (t *healTry) do(ctx context.Context, all []looked, last bool) (left []layout.Bucket, why string, err error) {
	came, why, err := t.pull(ctx, all)
	if err != nil {
		return nil, "", err
	}
	equal := 0
	for i := range all {
		l := &all[i]
		waits := ""
		for j := range l.open {
			t.notes.undecided(&l.open[j].Open)
			if l.open[j].mayBeOld() {
				waits = t.waitsFor(&l.open[j])
			}
		}
		for j := range l.ops {
			if op := &l.ops[j]; waits == "" && !came[op.Key] {
				if waits, err = t.without(ctx, op, last, why); err != nil {
					return nil, "", err
				}
			}
		}
		if waits != "" {
			left, why = append(left, l.bucket), waits
		} else if len(l.open) == 0 {
			equal++
		}
	}
	t.healing.verified(equal)
	t.r.save(false)
	return left, why, nil
}

func (t *healTry) waitsFor(u *undecided) string {
	return fmt.Sprintf("document %q in space %q: %s; waits for %s", u.Key.Key, u.Key.Space, u.Rule, strings.Join(u.Asks, ", "))
}

// without says why a stripe cannot be healed without a document that did not come, ""
// when it can: all members were asked, and none has a copy that is to be here.
func (t *healTry) without(ctx context.Context, op *plan.Op, last bool, why string) (string, error) {
	if !last {
		return why, nil
	}
	_, d, err := t.r.whole(ctx, t.stripe, op.Key)
	if err != nil {
		return "", err
	}
	switch d.Action {
	case plan.Nothing:
		return "", nil
	case plan.Undecided:
		u := openOf(t.stripe.Name, op.Bucket, op.Key, &d)
		t.notes.undecided(&u.Open)
		if u.mayBeOld() {
			return t.waitsFor(&u), nil
		}
		return "", nil
	}
	return why, nil
}

// pull does the operations on a lot of buckets, and tells of which documents nothing is
// left to do. A pause interrupts it; afterwards it goes on.
func (t *healTry) pull(ctx context.Context, all []looked) (came map[contract.Key]bool, why string, err error) {
	var ops []plan.Op
	for i := range all {
		ops = append(ops, all[i].ops...)
	}
	came = make(map[contract.Key]bool, len(ops))
	e := &execution{
		r: t.r, stripe: t.stripe, prefer: t.peer, since: t.since, took: t.healing.took,
		reason: func(plan.Op) Reason { return ForHeal },
		told: func(d done) {
			if d.settled {
				came[d.op.Key] = true
			} else {
				why = fmt.Sprintf("document %q in space %q: %s", d.op.Key.Key, d.op.Key.Space, d.why)
			}
		},
	}
	for {
		err := e.run(ctx, slices.DeleteFunc(slices.Clone(ops), func(op plan.Op) bool { return came[op.Key] }))
		if !errors.Is(err, ErrPaused) {
			return came, why, err
		}
		t.healing.phase(HealWaiting, err.Error())
		if err := t.r.throttle.awaken(ctx); err != nil {
			return nil, "", err
		}
		t.healing.phase(HealPulling, "")
	}
}
