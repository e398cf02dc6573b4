package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"trireme/internal/layout"
	"trireme/repair"
)

// InForce is the layout that a host has in force.
func (c Client) InForce(ctx context.Context, host string) (layout.Layout, error) {
	a, err := asking[inForceAnswer](ctx, c, host, VerbInForce, struct{}{})
	if err != nil {
		return layout.Layout{}, err
	}
	if got := a.Layout.Digest(); got != a.LayoutDigest {
		return layout.Layout{}, fmt.Errorf("host %s tells a layout with digest %s and says that it is %s: this program and the host read layouts differently; use one version of trireme", host, got, a.LayoutDigest)
	}
	return a.Layout, nil
}

// Pause has a host repair nothing for a time, and returns when that ends by itself.
func (c Client) Pause(ctx context.Context, host string, d time.Duration) (until time.Time, err error) {
	a, err := asking[pauseAnswer](ctx, c, host, VerbPause, pauseRequest{d.String()})
	return a.Until, err
}

// Resume ends a pause.
func (c Client) Resume(ctx context.Context, host string) error {
	_, err := c.ask(ctx, HostSubject(host, VerbResume), struct{}{})
	return err
}

// Throttle changes how eagerly a host repairs.
func (c Client) Throttle(ctx context.Context, host string, t Throttle) error {
	_, err := c.ask(ctx, HostSubject(host, VerbThrottle), t)
	return err
}

// BeginRun begins a round on a host.
func (c Client) BeginRun(ctx context.Context, host string, s repair.Scope) (Job, error) {
	return asking[Job](ctx, c, host, VerbRun, s)
}

// BeginScrub begins to re-read a host's store.
func (c Client) BeginScrub(ctx context.Context, host string, s repair.Scope) (Job, error) {
	return asking[Job](ctx, c, host, VerbScrub, s)
}

// BeginPlan begins to plan what a round would do on a host.
func (c Client) BeginPlan(ctx context.Context, host string, s repair.Scope) (Job, error) {
	return asking[Job](ctx, c, host, VerbPlan, s)
}

// BeginApply begins to do on a host what a plan says. plan is its file.
func (c Client) BeginApply(ctx context.Context, host string, plan []byte) (Job, error) {
	return asking[Job](ctx, c, host, VerbApply, planRequest{plan})
}

// RebuildPlan asks a host from what a new log of a stripe would go on.
func (c Client) RebuildPlan(ctx context.Context, host, stripe string) (RebuildPlan, error) {
	return asking[RebuildPlan](ctx, c, host, VerbRebuildPlan, rebuildPlanRequest{stripe})
}

// BeginRebuild begins a new log, as the plan says.
func (c Client) BeginRebuild(ctx context.Context, host string, p RebuildPlan) (Job, error) {
	return asking[Job](ctx, c, host, VerbRebuild, rebuildRequest{&p})
}

// Job is a job as it is now. A host that was started again does not know of it: a
// [Refusal] with [CodeNotFound].
func (c Client) Job(ctx context.Context, host, id string) (Job, error) {
	return asking[Job](ctx, c, host, VerbJob, jobRequest{Job: id})
}

// Jobs are those of a host that it remembers, the oldest first, without their results.
func (c Client) Jobs(ctx context.Context, host string) ([]Job, error) {
	return asking[[]Job](ctx, c, host, VerbJob, jobRequest{})
}

// StopJob has a job end early, and returns it as it is then.
func (c Client) StopJob(ctx context.Context, host, id string) (Job, error) {
	return asking[Job](ctx, c, host, VerbJob, jobRequest{Job: id, Stop: true})
}

// asking sends a request and reads its answer.
func asking[T any](ctx context.Context, c Client, host, verb string, request any) (answer T, err error) {
	data, err := c.ask(ctx, HostSubject(host, verb), request)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return answer, fmt.Errorf("read the answer of %s to %s: %w", host, verb, err)
	}
	return answer, nil
}
