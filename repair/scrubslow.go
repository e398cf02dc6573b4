package repair

import (
	"context"
	"time"
)

// scrubSlowly reads the whole store once in every [Config.ScrubEvery], until ctx ends.
// It goes on where it was after a restart.
func (r *Repairer) scrubSlowly(ctx context.Context) {
	if r.Config.ScrubEvery < 0 {
		return
	}
	for ctx.Err() == nil {
		next, all := r.nextScrub()
		if all == 0 {
			r.await(ctx, r.Config.Interval, nil)
			continue
		}
		if !r.await(ctx, r.scrubDue(all), nil) || r.throttle.awaken(ctx) != nil {
			return
		}
		if err := r.scrubs.turn.lock(ctx); err != nil {
			return
		}
		err := r.scrubNext(ctx, next)
		r.scrubs.turn.unlock()
		if err != nil && ctx.Err() == nil {
			r.Logger.Warn("the scrub goes on behind a fault", "error", err)
		}
		r.save(false)
	}
}

// nextScrub is the bucket to read next, without a stripe where the pass is through, and
// how many there are.
func (r *Repairer) nextScrub() (next scrubBucket, all int) {
	from := r.scrubs.now().Next
	for _, s := range r.Host.Stripes() {
		if s.Sick != "" {
			continue
		}
		for _, p := range s.Partitions {
			all += size(p)
			if b := max(p.First, from); b <= p.Last && (next.stripe == nil || b < next.bucket) {
				next = scrubBucket{&s, b}
			}
		}
	}
	return next, all
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
func (r *Repairer) scrubNext(ctx context.Context, next scrubBucket) error {
	if next.stripe == nil {
		return r.scrubPassed(ctx)
	}
	s := &scrubbing{r: r}
	err := s.bucket(ctx, next)
	if ctx.Err() != nil {
		return context.Cause(ctx) // it is read again after a restart
	}
	r.scrubs.edit(func(is *keptScrub) {
		is.Read++
		is.Next = next.bucket + 1
		is.add(&s.result.ScrubProgress)
	})
	return err
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
