package service

import (
	"context"
	"errors"
	"time"

	"trireme/internal/contract"
)

// A damaged copy that a request meets is fetched from another host while the request
// waits, and the request is tried again. It may meet damage anew, as when a file is cut
// out of the store that holds more than this document; so it is tried some times, with
// pauses in which the stripe heals or goes to another host. Only when that fails, or the
// hold is nearly over, the document is told to be damaged.

const (
	mendTries    = 10
	mendPauseMin = 20 * time.Millisecond // after the first time
	mendPauseMax = time.Second
)

// mendable says whether an error may go away by mending this host's copy.
func (r *request) mendable(err error) bool {
	return err != nil && contract.CodeOf(err) == contract.Damaged && r.svc.Mend != nil && r.op.keyed &&
		r.mended < mendTries && !r.ending()
}

// mend has the copy of the request's document mended, within the request's hold.
func (r *request) mend() error {
	r.mended++
	ctx, cancel := context.WithDeadline(r.svc.ctx, r.due)
	defer cancel()
	if r.mended > 1 {
		pause := time.NewTimer(min(mendPauseMax, mendPauseMin<<(r.mended-2)))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
	return r.svc.Mend(ctx, r.key)
}

// readSound reads, from a mended copy if need be.
func (r *request) readSound() (reply, error) {
	for {
		body, err := r.read()
		if err == nil {
			return body, nil
		}
		if err = refusal(err); !r.mendable(err) {
			return body, err
		}
		if failed := r.mend(); failed != nil {
			return reply{}, unmended(err, failed)
		}
	}
}

// rerun decides a change anew on a mended copy. What was decided on the damaged one
// was not handed to the log.
func (r *request) rerun() {
	refused := r.refused
	if failed := r.mend(); failed != nil {
		r.answer(reply{}, unmended(refused, failed))
		r.leave()
		return
	}
	if r.phase.Load() == answered {
		r.leave()
		return
	}
	r.run()
}

// unmended tells what is damaged, and why it stays so.
func unmended(damaged, failed error) error {
	if e, ok := errors.AsType[*contract.Error](damaged); ok {
		return contract.Errorf(contract.Damaged, "%s; not mended: %v", e.Message, failed)
	}
	return contract.Errorf(contract.Damaged, "%v; not mended: %v", damaged, failed)
}
