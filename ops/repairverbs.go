package ops

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/repair"
	"trireme/repair/plan"
)

// The bodies of requests about repair, and of answers.
type (
	pauseRequest struct {
		For string `json:"for"` // as Go writes durations: "90m"
	}
	pauseAnswer struct {
		Until time.Time `json:"until"`
	}
	planRequest struct {
		Plan json.RawMessage `json:"plan"`
	}
	rebuildPlanRequest struct {
		Stripe string `json:"stripe"`
	}
	rebuildRequest struct {
		Plan *RebuildPlan `json:"plan"`
	}
	jobRequest struct {
		Job  string `json:"job,omitempty"`
		Stop bool   `json:"stop,omitempty"`
	}
	inForceAnswer struct {
		LayoutDigest string        `json:"layout_digest"`
		Layout       layout.Layout `json:"layout"`
	}
)

// What a job is told to be about, where that is not its whole request.
type (
	appliedPlan struct {
		Plan       string `json:"plan"` // digest of its file
		Operations int    `json:"operations"`
	}
	rebuiltStripe struct {
		Stripe    string `json:"stripe"`
		From      string `json:"from"`
		Situation string `json:"situation"`
	}
)

// repairRefusals are the errors of package repair that a caller can decide by.
func repairRefusals() []struct {
	is   error
	code int
	hint string
} {
	return []struct {
		is   error
		code int
		hint string
	}{
		{repair.ErrPaused, CodeRefused, "`trireme repair resume` ends the pause"},
		{repair.ErrMoved, CodeRefused, "make a new plan: `trireme repair plan`"},
		{repair.ErrNothingHere, CodeNotFound, "`trireme status` lists the stripes and their members; a sick one is healed, which `trireme repair status` shows"},
	}
}

func (c *Control) repairVerbs() map[string]verb {
	return map[string]verb{
		VerbInForce: c.inForce, VerbPause: c.pause, VerbResume: c.resume, VerbThrottle: c.throttle,
		VerbRun: c.run, VerbScrub: c.scrub, VerbPlan: c.plan, VerbApply: c.apply,
		VerbRebuildPlan: c.rebuildPlan, VerbRebuild: c.rebuild, VerbJob: c.job,
	}
}

func (c *Control) inForce(_ context.Context, body []byte) (any, error) {
	if err := parse(body, &struct{}{}); err != nil {
		return nil, err
	}
	l := c.Repair.Layout()
	return inForceAnswer{l.Digest(), l}, nil
}

func (c *Control) pause(ctx context.Context, body []byte) (any, error) {
	var r pauseRequest
	if err := parse(body, &r); err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(r.For)
	if err != nil || d <= 0 || d > MaxPause {
		return nil, malformed("for %q: send a duration up to %v, such as 90m: a pause ends by itself", r.For, MaxPause)
	}
	until, err := c.Repair.Pause(ctx, d)
	return pauseAnswer{until}, err
}

// MaxPause bounds a pause: what is not repaired for longer is not repaired.
const MaxPause = 7 * 24 * time.Hour

func (c *Control) resume(ctx context.Context, body []byte) (any, error) {
	if err := parse(body, &struct{}{}); err != nil {
		return nil, err
	}
	return struct{}{}, c.Repair.Resume(ctx)
}

// MaxTranquility is the longest rest that repair takes after its work.
const MaxTranquility = 100

func (c *Control) throttle(ctx context.Context, body []byte) (any, error) {
	var t Throttle
	if err := parse(body, &t); err != nil {
		return nil, err
	}
	switch {
	case t.Rate == nil && t.Tranquility == nil:
		return nil, malformed("nothing is asked for: send bytes_per_second, tranquility or both")
	case t.Rate != nil && *t.Rate < 0:
		return nil, malformed("bytes_per_second is %d: want 0 for no bound, or more", *t.Rate)
	case t.Tranquility != nil && !(*t.Tranquility >= 0 && *t.Tranquility <= MaxTranquility):
		return nil, malformed("tranquility is %v: want 0 to %d", *t.Tranquility, MaxTranquility)
	}
	return struct{}{}, c.Repair.Throttle(ctx, t)
}

// scope reads what a run, a scrub or a plan is about.
func scope(body []byte) (repair.Scope, error) {
	var s repair.Scope
	if err := parse(body, &s); err != nil {
		return s, err
	}
	if s.Stripe != "" {
		if err := layout.CheckName(s.Stripe); err != nil {
			return s, malformed("stripe %q: %v", s.Stripe, err)
		}
	}
	return s, nil
}

func (c *Control) run(_ context.Context, body []byte) (any, error) {
	s, err := scope(body)
	if err != nil {
		return nil, err
	}
	return answered(c.jobs.begin(JobRun, s, func(ctx context.Context, _ func(any)) (any, error) {
		return answered(c.Repair.Run(ctx, s))
	}))
}

func (c *Control) scrub(_ context.Context, body []byte) (any, error) {
	s, err := scope(body)
	if err != nil {
		return nil, err
	}
	return answered(c.jobs.begin(JobScrub, s, func(ctx context.Context, progress func(any)) (any, error) {
		return answered(c.Repair.Scrub(ctx, s, func(p repair.ScrubProgress) { progress(p) }))
	}))
}

func (c *Control) plan(_ context.Context, body []byte) (any, error) {
	s, err := scope(body)
	if err != nil {
		return nil, err
	}
	return answered(c.jobs.begin(JobPlan, s, func(ctx context.Context, _ func(any)) (any, error) {
		return answered(c.Repair.Plan(ctx, s))
	}))
}

func (c *Control) apply(_ context.Context, body []byte) (any, error) {
	var r planRequest
	if err := parse(body, &r); err != nil {
		return nil, err
	}
	p, err := plan.Parse(r.Plan)
	if err != nil {
		return nil, malformed("the plan is not one: %v", err)
	}
	if p.Host != c.Host {
		return nil, &Refusal{Code: CodeRefused, Text: "the plan is for host " + p.Host + ", this is " + c.Host, Hint: "a plan changes the store of one host: send it there"}
	}
	about := appliedPlan{digest.Of(r.Plan).String(), len(p.Ops)}
	return answered(c.jobs.begin(JobApply, about, func(ctx context.Context, progress func(any)) (any, error) {
		return answered(c.Repair.Apply(ctx, p, func(at ApplyProgress) { progress(at) }))
	}))
}

func (c *Control) rebuildPlan(ctx context.Context, body []byte) (any, error) {
	var r rebuildPlanRequest
	if err := parse(body, &r); err != nil {
		return nil, err
	}
	if err := layout.CheckName(r.Stripe); err != nil {
		return nil, malformed("stripe %q: %v", r.Stripe, err)
	}
	return answered(c.Repair.RebuildPlan(ctx, r.Stripe))
}

func (c *Control) rebuild(_ context.Context, body []byte) (any, error) {
	var r rebuildRequest
	if err := parse(body, &r); err != nil {
		return nil, err
	}
	switch {
	case r.Plan == nil:
		return nil, malformed("plan is missing: send the answer to %s", VerbRebuildPlan)
	case r.Plan.Stripe == "" || r.Plan.Situation == "":
		return nil, malformed("stripe %q, situation %q: send the whole answer to %s", r.Plan.Stripe, r.Plan.Situation, VerbRebuildPlan)
	case r.Plan.Refused != "":
		return nil, &Refusal{Code: CodeRefused, Text: r.Plan.Refused, Hint: "`trireme stripe rebuild` shows why"}
	}
	p := *r.Plan
	return answered(c.jobs.begin(JobRebuild, rebuiltStripe{p.Stripe, p.From, p.Situation}, func(ctx context.Context, progress func(any)) (any, error) {
		return answered(c.Repair.Rebuild(ctx, p, func(at RebuildProgress) { progress(at) }))
	}))
}

func (c *Control) job(_ context.Context, body []byte) (any, error) {
	var r jobRequest
	if err := parse(body, &r); err != nil {
		return nil, err
	}
	switch {
	case r.Job == "" && r.Stop:
		return nil, malformed("job is missing: say which one to stop")
	case r.Job == "":
		return c.jobs.list(), nil
	case r.Stop:
		return answered(c.jobs.stop(strings.TrimSpace(r.Job)))
	}
	return answered(c.jobs.get(strings.TrimSpace(r.Job)))
}

// answered is a result, or nothing but the error.
func answered[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}
