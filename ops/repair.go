package ops

import (
	"context"
	"time"

	"trireme/internal/layout"
	"trireme/repair"
	"trireme/repair/plan"
)

// A RepairController does what operators ask of a host's repair. An error that is a
// [Refusal] reaches them with its hint, and so do the errors of package repair that a
// caller can decide by. Calls may come at once.
//
// Run, Scrub, Plan, Apply and Rebuild may take hours. They are begun as a [Job], which
// ends when it is done, when an operator stops it or when the host closes: never
// because whoever has begun it has gone. Their ctx is that of the job. The others are
// given up after [ControlLimit].
type RepairController interface {
	// Layout is the layout in force. Whoever compares hosts has to know it.
	Layout() layout.Layout

	// Pause stops rounds, healing and scrubbing for a time, and returns when it ends by
	// itself.
	Pause(ctx context.Context, d time.Duration) (until time.Time, err error)
	// Resume ends a pause.
	Resume(ctx context.Context) error
	// Throttle changes how eagerly the host repairs. It holds over restarts.
	Throttle(ctx context.Context, t Throttle) error

	// Run does a round now, and repairs what it finds.
	Run(ctx context.Context, scope repair.Scope) (repair.RoundResult, error)
	// Scrub re-reads the store now, and has repaired what is damaged. progress is called
	// as it goes on.
	Scrub(ctx context.Context, scope repair.Scope, progress func(repair.ScrubProgress)) (repair.ScrubResult, error)
	// Plan says what a round would do, and does nothing.
	Plan(ctx context.Context, scope repair.Scope) (plan.Plan, error)
	// Apply does what a plan of this host says. When the state is not the one that the
	// plan was made from, it does nothing: the error is [repair.ErrMoved], and its text
	// says what has moved.
	Apply(ctx context.Context, p plan.Plan, progress func(ApplyProgress)) (ApplyResult, error)

	// RebuildPlan says from what a new log of a stripe would go on. It asks all members
	// where they stand, hands that to [DecideRebuild], and changes nothing.
	RebuildPlan(ctx context.Context, stripe string) (RebuildPlan, error)
	// Rebuild begins a new log of p.Stripe, as p says. It is refused when a plan that is
	// made now has another Situation. Doing it again after it was cut short at any point
	// goes on from there.
	Rebuild(ctx context.Context, p RebuildPlan, progress func(RebuildProgress)) (RebuildResult, error)
}

// Throttle bounds repair. What is nil stays as it is.
type Throttle struct {
	Rate        *int64   `json:"bytes_per_second,omitempty"` // of images pulled; 0 for no bound
	Tranquility *float64 `json:"tranquility,omitempty"`      // rest after each piece of work, in multiples of what it took
}

// ApplyProgress is how far a plan is done.
type ApplyProgress = repair.ApplyProgress

// ApplyResult tells what became of a plan.
type ApplyResult = repair.ApplyResult
