package streams

import (
	"context"
	"fmt"
	"time"

	"trireme/internal/contract"
)

const (
	coarseTrim = 8 << 20                // bytes that make a trim worth its while
	tendPause  = 200 * time.Millisecond // at least, between two looks
)

// tend trims the log while the owner serves.
func (o *Owner) tend() {
	tick := time.NewTicker(o.cfg.TrimEvery)
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-o.soft.Done():
			return
		case <-tick.C:
		case <-o.kick:
			if time.Since(last) < tendPause {
				continue // the next record kicks again
			}
		}
		last = time.Now()
		if o.Status().Phase != Serving {
			continue
		}
		if err := o.trim(o.soft, false); err != nil && o.soft.Err() == nil {
			o.cfg.Logger.Warn("trim failed", "err", err)
		}
	}
}

// trim removes from the log what nobody needs. It never touches a record that a
// crash could undo in the store.
func (o *Owner) trim(ctx context.Context, pressed bool) error {
	o.trimming.Lock()
	defer o.trimming.Unlock()
	ctx, cancel := context.WithTimeout(ctx, o.cfg.AppendTimeout)
	defer cancel()
	st, err := o.log.State(ctx)
	if err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	o.noteLog(st)
	keep, coarse := o.cfg.KeepBytes, int64(coarseTrim)
	if st.MaxBytes > 0 {
		keep, coarse = min(keep, st.MaxBytes/2), min(coarse, st.MaxBytes/16)
		pressed = pressed || over(trimMark, st.Bytes, 0, st.MaxBytes)
	}
	below := trimBelow(st, o.cfg.TrimFloor(), keep, coarse, pressed)
	if below == 0 {
		return nil
	}
	if err := o.log.Trim(ctx, below); err != nil {
		return err
	}
	o.cfg.Listener(Trimmed{Below: below, Log: st})
	if st, err = o.log.State(ctx); err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	o.noteLog(st)
	return nil
}

// expire answers what has waited too long while nothing commits.
func (o *Owner) expire() {
	tick := time.NewTicker(min(max(o.cfg.Hold/16, time.Millisecond), 250*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-o.soft.Done():
			return
		case now := <-tick.C:
			o.expireOlder(now.Add(-o.cfg.Hold))
		}
	}
}

func (o *Owner) expireOlder(than time.Time) {
	o.mu.Lock()
	queued := o.queue.takeOlder(than)
	var sent []*item
	if o.phase != Serving { // else the append under way is bounded by itself
		for _, it := range o.flight {
			if !it.done && it.at.Before(than) {
				it.done = true
				sent = append(sent, it)
			}
		}
	}
	phase, why := o.phase, o.why
	o.mu.Unlock()

	for _, it := range sent {
		it.p.Done(contract.Errorf(contract.OutcomeUnknown, "the log has not told within %v whether it holds the request: %v", o.cfg.Hold, why))
	}
	if len(queued) > 0 {
		answer(queued, o.heldTooLong(phase, why))
	}
}

func (o *Owner) heldTooLong(phase Phase, why error) error {
	if phase == Serving {
		return contract.Errorf(contract.Overloaded, "the request's turn has not come within %v", o.cfg.Hold)
	}
	return contract.Errorf(contract.NoQuorum, "the log has not committed anything for %v: %v", o.cfg.Hold, why)
}
