package host

import (
	"context"
	"errors"
	"time"

	"trireme/internal/layout"
	"trireme/ops"
	"trireme/repair"
	"trireme/repair/plan"
)

// A steering is what operators ask of this host's repair.
type steering struct{ h *Host }

// errNoRepair is for what comes while the host starts or closes.
func errNoRepair() error {
	return &ops.Refusal{Code: ops.CodeNotNow, Text: "repair has not begun on this host yet", Hint: "ask again when the host runs: trireme status"}
}

func (s steering) repairer() (*repair.Repairer, error) {
	if r := s.h.repairing(); r != nil {
		return r, nil
	}
	return nil, errNoRepair()
}

func (s steering) Layout() layout.Layout { return s.h.layout() }

func (s steering) Pause(_ context.Context, d time.Duration) (time.Time, error) {
	r, err := s.repairer()
	if err != nil {
		return time.Time{}, err
	}
	if err := r.Pause(d); err != nil {
		return time.Time{}, err
	}
	return time.Now().Add(d), nil
}

func (s steering) Resume(context.Context) error {
	r, err := s.repairer()
	if err != nil {
		return err
	}
	return r.Resume()
}

func (s steering) Throttle(_ context.Context, t ops.Throttle) error {
	r, err := s.repairer()
	if err != nil {
		return err
	}
	var errs []error
	if t.Rate != nil {
		errs = append(errs, r.SetRate(*t.Rate))
	}
	if t.Tranquility != nil {
		errs = append(errs, r.SetTranquility(*t.Tranquility))
	}
	return errors.Join(errs...)
}

func (s steering) Run(ctx context.Context, scope repair.Scope) (repair.RoundResult, error) {
	r, err := s.repairer()
	if err != nil {
		return repair.RoundResult{}, err
	}
	return r.Run(ctx, scope)
}

func (s steering) Scrub(ctx context.Context, scope repair.Scope, progress func(repair.ScrubProgress)) (repair.ScrubResult, error) {
	r, err := s.repairer()
	if err != nil {
		return repair.ScrubResult{}, err
	}
	return r.Scrub(ctx, scope, progress)
}

func (s steering) Plan(ctx context.Context, scope repair.Scope) (plan.Plan, error) {
	r, err := s.repairer()
	if err != nil {
		return plan.Plan{}, err
	}
	return r.Plan(ctx, scope)
}

func (s steering) Apply(ctx context.Context, p plan.Plan, progress func(ops.ApplyProgress)) (ops.ApplyResult, error) {
	r, err := s.repairer()
	if err != nil {
		return ops.ApplyResult{}, err
	}
	return r.Apply(ctx, p, progress)
}

var _ ops.RepairController = steering{}
