package streams

import (
	"context"
	"fmt"
	"time"

	"trireme/internal/position"
	"trireme/internal/record"
)

// Release appends a record that lets the tombstones at or below a horizon go, when
// its turn comes among what was submitted, and returns when it is committed and
// applied. The horizon is a position in this log that has been applied; whether all
// members of the stripe are past it is the caller's to know. A release may come in
// twice or late without harm.
//
// The errors are those of [Owner.Submit] and of a proposal's Done; with any but
// contract.OutcomeUnknown the record is not in the log. When ctx ends first the
// error is ctx's, and the record may come in or not.
func (o *Owner) Release(ctx context.Context, horizon position.Position) error {
	if err := o.checkHorizon(horizon); err != nil {
		return err
	}
	const size = 128 // of the record, about
	done := make(told, 1)
	if err := o.submit(&item{p: done, size: size, at: time.Now(), horizon: horizon}); err != nil {
		return fmt.Errorf("release up to %v: %w", horizon, err)
	}
	select {
	case err := <-done:
		if err != nil {
			err = fmt.Errorf("release up to %v: %w", horizon, err)
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("release up to %v: %w", horizon, ctx.Err())
	}
}

func (o *Owner) checkHorizon(h position.Position) error {
	o.mu.Lock()
	at := epochOf(o.cfg.Birth, o.at.Seq)
	o.mu.Unlock()
	if h.Birth != at.Birth || h.Seq == 0 || at.Less(h) {
		return fmt.Errorf("release up to %v: want a position of this log that has been applied: birth %d, sequence 1 to %d", h, at.Birth, at.Seq)
	}
	return nil
}

// told is a proposal that adds nothing and hands its end on. It holds one.
type told chan error

func (told) Prepare(*record.Builder) bool { return true }

func (t told) Done(err error) { t <- err }
