package streams

import (
	"context"
	"errors"
	"time"
)

// claim brings the owner to serving: it returns nil then. Until then it catches
// up and claims, again and again, or follows the log while it may not claim.
func (o *Owner) claim() error {
	start, pause := time.Now(), o.cfg.BackoffMin
	for {
		before := o.at.Seq
		may := o.cfg.MayClaim()
		err := o.round(may)
		switch {
		case o.soft.Err() != nil:
			return errClosing
		case err == nil && may:
			o.serving(time.Since(start))
			return nil
		case err != nil && o.fatal(err):
			return err
		case err == nil:
			o.following()
		}
		o.note(may, err)
		if errors.Is(err, ErrRefused) && o.at.Seq > before {
			continue // it has seen something new: try at once
		}
		wait := o.cfg.PollEvery
		if may {
			wait, pause = pause, min(2*pause, o.cfg.BackoffMax)
		}
		if err := o.rest(wait); err != nil {
			return err
		}
	}
}

// round catches up and, if it may, claims.
func (o *Owner) round(may bool) error {
	ctx := o.soft
	if err := o.follow(ctx); err != nil || !may {
		return err
	}
	if err := o.cfg.Admit(0); err != nil {
		return err
	}
	body := claimRecord(o.at, time.Now().UnixMilli(), &o.cfg)
	ctx, cancel := context.WithTimeout(ctx, o.cfg.AppendTimeout)
	defer cancel()
	seq, err := o.log.Append(ctx, o.at.Seq, body)
	if errors.Is(err, ErrFull) {
		return errors.Join(err, o.trim(o.soft, true))
	}
	if err != nil {
		return err
	}
	return o.observe(seq, body)
}

// follow applies what the log holds and the machine has not seen.
func (o *Owner) follow(ctx context.Context) error {
	st, err := o.log.State(ctx)
	if err != nil {
		return err
	}
	o.noteLog(st)
	if !o.verified {
		if err := verify(ctx, o.log, st, o.at); err != nil {
			return err
		}
		o.verified = true
	}
	return replay(ctx, o.log, o.machine, st, o.observe, o.cfg.Progress)
}

// observe applies a record that the log holds, and settles with its help what
// became of the record whose fate is unknown. The fate is told by the first
// record at that place, and by nothing else: while the log does not move, a
// record under way may still come in.
func (o *Owner) observe(seq uint64, body []byte) error {
	a := o.attempt
	if a == nil {
		return o.apply(seq, body)
	}
	switch fateOf(a.expected, a.body, seq, body) {
	case fateStored:
		a.took = 0
		if err := o.settle(a); err != nil {
			return err
		}
	case fateMissed:
		if err := o.apply(seq, body); err != nil {
			return err
		}
		o.putBack(a.items)
	default:
		return o.apply(seq, body)
	}
	o.attempt = nil
	return nil
}

// serving begins an epoch: the claim is the record applied last.
func (o *Owner) serving(took time.Duration) {
	o.mu.Lock()
	o.epoch = epochOf(o.cfg.Birth, o.at.Seq)
	o.enter(Serving, nil)
	epoch := o.epoch
	o.mu.Unlock()
	o.doubt = time.Time{}
	o.cfg.Logger.Info("ownership claimed", "epoch", epoch.String(), "took", took)
	o.cfg.Listener(Claimed{Epoch: epoch, Took: took})
	o.begun()
}

func (o *Owner) following() {
	o.doubt = time.Time{}
	o.begun()
}

// begun lets Start return.
func (o *Owner) begun() {
	select {
	case <-o.ready:
	default:
		close(o.ready)
	}
}

// fatal says whether an error ends the owner for good.
func (o *Owner) fatal(err error) bool {
	switch {
	case errors.Is(err, ErrApply), errors.Is(err, ErrForeign), errors.Is(err, ErrTrimmed):
		return true
	case errors.Is(err, ErrBehindStore), errors.Is(err, ErrNoStream):
		if o.doubt.IsZero() {
			o.doubt = time.Now()
		}
		return time.Since(o.doubt) >= o.cfg.Grace
	}
	o.doubt = time.Time{}
	return false
}

// note keeps why the owner does not serve.
func (o *Owner) note(may bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil && o.why == nil { // it is tried again and again, and said once
		o.cfg.Logger.Warn("the stripe cannot be claimed yet", "err", err)
	}
	if may {
		o.enter(Claiming, err)
	} else {
		o.enter(Waiting, err)
	}
}

func (o *Owner) noteLog(st LogState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	st.Last = max(st.Last, o.logState.Last)
	o.logState = st
}

// rest waits; a wish to step down is granted at once.
func (o *Owner) rest(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return nil
		case done := <-o.ctl:
			o.yield(done)
		case <-o.soft.Done():
			return errClosing
		}
	}
}
