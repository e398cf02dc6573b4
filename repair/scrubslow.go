package repair

import (
	"context"
	"slices"
	"time"
)

// scrubSlowly reads the whole store once in every [Config.ScrubEvery], until ctx ends.
// It goes on where it was after a restart.
func (r *Repairer) scrubSlowly(ctx context.Context) {
	if r.Config.ScrubEvery < 0 {
		return
	}
	for ctx.Err() == nil {
		list, err := r.toScrub(Scope{})
		if err != nil || len(list) == 0 {
			r.await(ctx, r.Config.Interval, nil)
			continue
		}
		if !r.await(ctx, r.scrubDue(len(list)), nil) || r.throttle.awaken(ctx) != nil {
			return
		}
		if err := r.scrubs.turn.lock(ctx); err != nil {
			return
		}
		err = r.scrubNext(ctx, list)
		r.scrubs.turn.unlock()
		if err != nil && ctx.Err() == nil {
			r.Logger.Warn("the scrub goes on behind a fault", "error", err)
		}
		r.save(false)
	}
}

// scrubDue is how long to wait before the next bucket, so that a pass takes as long as
// it should. A pass that is behind, as after a time in which the host was down, catches up at
// four times the speed.
func (r *Repairer) scrubDue(buckets int) (wait time.Duration) {
	each := r.Config.ScrubEvery / time.Duration(buckets)
	r.scrubs.edit(func(is *keptScrub) {
		now := time.Now().UTC()
		if is.Began == nil {
			is.Began = &now
		}
		due := is.Began.Add(time.Duration(float64(r.Config.ScrubEvery) * float64(is.Read) / float64(buckets)))
		wait = max(due.Sub(now), each/4)
		r.scrubs.begins = buckets
	})
	return min(wait, each)
}

// scrubNext re-reads the next bucket of the pass, or ends the pass. A bucket that fails is
// passed over: it must not hold up the others.
func (r *Repairer) scrubNext(ctx context.Context, list []scrubBucket) error {
	at := r.scrubs.keep()
	i := slices.IndexFunc(list, func(one scrubBucket) bool { return one.bucket >= at.Next })
	if i < 0 {
		return r.scrubPassed(ctx)
	}
	s := &scrubbing{r: r}
	err := s.bucket(ctx, list[i])
	if ctx.Err() != nil {
		return context.Cause(ctx) // it is read again after a restart
	}
	r.scrubs.edit(func(is *keptScrub) {
		is.Read++
		is.Next = list[i].bucket + 1
		is.add(&s.result.ScrubProgress)
	})
	if err != nil {
		return err
	}
	if i+1 == len(list) {
		return r.scrubPassed(ctx)
	}
	return nil
}

func (k *keptScrub) add(p *ScrubProgress) {
	k.Documents += p.Documents
	k.Bytes += p.Bytes
	k.Damaged += p.Damaged
	k.Mended += p.Mended
}

// scrubPassed ends a pass with what goes over the whole store.
func (r *Repairer) scrubPassed(ctx context.Context) error {
	s := &scrubbing{r: r}
	err := s.names(ctx)
	if err == nil {
		whole := float64(max(r.Store.DiskBytes(), 1))
		err = s.files(ctx, func(bytes int) time.Duration {
			return time.Duration(float64(r.Config.ScrubEvery) / 10 * float64(bytes) / whole)
		})
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	now := time.Now().UTC()
	var result ScrubResult
	r.scrubs.edit(func(is *keptScrub) {
		is.add(&s.result.ScrubProgress)
		result.ScrubProgress = is.progress(is.Read)
		*is = keptScrub{Ended: &now}
	})
	result.Findings = s.result.Findings
	r.tell(ScrubEnded{ScrubResult: result, Err: err})
	return err
}

func (k *keptScrub) progress(buckets int) ScrubProgress {
	return ScrubProgress{
		Began: k.Began, Buckets: buckets, Read: k.Read,
		Documents: k.Documents, Bytes: k.Bytes, Damaged: k.Damaged, Mended: k.Mended,
	}
}
