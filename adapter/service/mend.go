package service

import (
	"context"
	"errors"

	"trireme/internal/contract"
)

// A damaged copy that a request meets is fetched from another host while the request
// waits; it is tried again then, once. Only when that fails it is told to be damaged.

// mendable says whether an error may go away by mending this host's copy.
func (r *request) mendable(err error) bool {
	return err != nil && contract.CodeOf(err) == contract.Damaged && r.svc.Mend != nil && r.op.keyed && !r.mended
}

// mend has the copy of the request's document mended, within the request's hold.
func (r *request) mend() error {
	r.mended = true
	ctx, cancel := context.WithDeadline(r.svc.ctx, r.due)
	defer cancel()
	return r.svc.Mend(ctx, r.key)
}

// readSound reads, from a mended copy if need be.
func (r *request) readSound() (reply, error) {
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
	if body, err = r.read(); err != nil {
		return reply{}, refusal(err)
	}
	return body, nil
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
	var e *contract.Error
	if errors.As(damaged, &e) {
		return contract.Errorf(contract.Damaged, "%s; not mended: %v", e.Message, failed)
	}
	return contract.Errorf(contract.Damaged, "%v; not mended: %v", damaged, failed)
}
