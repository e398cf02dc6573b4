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
		may := o.aim()
		if !may {
			start = time.Now()
		}
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
		o.note(err)
		if errors.Is(err, errTurned) || errors.Is(err, ErrRefused) && o.at.Seq > before {
			continue // something is new: try at once
		}
		wait := o.cfg.PollEvery
		if may || err != nil {
			wait, pause = pause, min(2*pause, o.cfg.BackoffMax)
		} else {
			pause = o.cfg.BackoffMin
		}
		if err := o.rest(wait, may, err == nil); err != nil {
			return err
		}
	}
}

// aim asks whether this host should own the stripe. When it should not, what
// waits is answered, so that it can go where the owner is.
func (o *Owner) aim() (may bool) {
	may = o.cfg.MayClaim()
	o.mu.Lock()
	o.may = may
	phase, queued := Claiming, []*item(nil)
	if !may {
		phase, queued, o.queue = Waiting, o.queue.items, queue{}
	}
	o.enter(phase, o.why)
	o.mu.Unlock()
	answer(queued, errDeposed)
	return may
}

// errTurned ends a look at the log because MayClaim has changed its mind.
var errTurned = errors.New("whether to own the stripe has changed")

// round catches up and, if it may, claims.
func (o *Owner) round(may bool) error {
	reached, host := o.cfg.Reached() // before the log is looked at, which only grows
	if err := o.look(o.follow); err != nil {
		return err
	}
	if o.at.Seq < reached {
		return &BehindStoreError{Last: o.at.Seq, Applied: reached, Host: host}
	}
	if !may {
		return nil
	}
	if err := o.cfg.Admit(0); err != nil {
		return err
	}
	if !o.cfg.MayClaim() { // catching up may have taken long
		return errTurned
	}
	body := claimRecord(o.at, time.Now().UnixMilli(), &o.cfg)
	o.claimWait = min(max(2*o.claimWait, claimWaitMin), o.cfg.AppendTimeout)
	ctx, cancel := context.WithTimeout(o.soft, o.claimWait)
	defer cancel()
	seq, err := o.log.Append(ctx, o.at.Seq, body)
	if errors.Is(err, ErrFull) {
		return errors.Join(err, o.trim(o.soft, true))
	}
	if err != nil {
		return err
	}
	if err := o.observe(seq, body); err != nil {
		return err
	}
	o.cfg.Broadcast(seq, body)
	return nil
}

// claimWaitMin is how long the first claim waits for its answer; each further one
// twice as long. A claim that goes to a server which has just ceased to lead the
// stream is swallowed, and there is no harm in trying again: if the first comes in
// after all, the second is refused, and a third follows on both.
const claimWaitMin = 300 * time.Millisecond

// look does something that may take long and that [Owner.Poke] may end.
func (o *Owner) look(do func(context.Context) error) error {
	ctx, turn := context.WithCancelCause(o.soft)
	defer turn(nil)
	o.setTurn(func() { turn(errTurned) })
	err := do(ctx)
	o.setTurn(nil)
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errTurned) {
		return errTurned
	}
	return err
}

func (o *Owner) setTurn(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turn = f
}

// follow applies what the log holds and the machine has not seen.
func (o *Owner) follow(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, o.cfg.AppendTimeout)
	defer cancel()
	st, err := o.log.State(asking)
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
	o.claimWait = 0
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

// note keeps why the owner does not serve, or cannot follow.
func (o *Owner) note(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch { // it is tried again and again, and said once
	case err == nil, o.why != nil, errors.Is(err, errTurned):
	case o.may:
		o.cfg.Logger.Warn("the stripe cannot be claimed yet", "err", err)
	default:
		o.cfg.Logger.Warn("the stripe's log cannot be followed yet", "err", err)
	}
	o.why = err
}

func (o *Owner) noteLog(st LogState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	st.Last = max(st.Last, o.logState.Last)
	o.logState = st
}

// rest waits, and goes along with the tail meanwhile. A wish to step down is
// granted at once. calm says that the log was reached before.
func (o *Owner) rest(d time.Duration, may, calm bool) error {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return nil
		case <-o.poke:
			if may || o.cfg.MayClaim() {
				return nil
			}
		case r, ok := <-o.tail:
			if !ok {
				o.tail = nil
				continue
			}
			if again, err := o.take(r, calm); again || err != nil {
				return err
			}
		case done := <-o.ctl:
			o.yield(errHandedOver)
			close(done)
		case <-o.soft.Done():
			return errClosing
		}
	}
}
