package repair

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/repair/plan"
)

// ApplyProgress is how far a plan is done.
type ApplyProgress struct {
	Ops  int `json:"operations"`
	Done int `json:"done"`
}

// ApplyResult is what became of a plan.
type ApplyResult struct {
	Pulled  int       `json:"pulled"`
	Dropped int       `json:"dropped"`
	Already int       `json:"already"` // documents that were as they should be by then
	Skipped []Skipped `json:"skipped"` // operations that could not be done, and why
}

// Plan says what a round over a part of the stripes would do, and does nothing. Peers
// that cannot be asked are not among those that the plan names.
func (r *Repairer) Plan(ctx context.Context, scope Scope) (plan.Plan, error) {
	return joined(ctx, r, func(ctx context.Context) (plan.Plan, error) {
		l, digest := r.Host.Layout()
		p := plan.Plan{Host: r.Self, Layout: l.Version, LayoutDigest: digest}
		stripes, err := r.within(scope)
		if err != nil {
			return plan.Plan{}, err
		}
		// Where the stripes stand is noted BEFORE they are compared: what moves on
		// meanwhile is noticed.
		for i := range stripes {
			s := &stripes[i].Stripe
			if s.Sick != "" {
				continue
			}
			side, states := surveyOf(r.Self, s, s.Partitions, false)
			p.Stripes = append(p.Stripes, plan.StripeSeen{
				Stripe: s.Name, Birth: side.Applied.Birth, Applied: side.Applied, Horizon: side.Horizon, Root: plan.RootOf(states).Digest,
			})
		}
		if _, err := r.round(ctx, scope, &p); err != nil {
			return plan.Plan{}, err
		}
		once(&p)
		p.Sort()
		return p, nil
	})
}

// once leaves one operation of each document, which several peers may have shown.
func once(p *plan.Plan) {
	seen := map[contract.Key]bool{}
	p.Ops = slices.DeleteFunc(p.Ops, func(op plan.Op) bool {
		again := seen[op.Key]
		seen[op.Key] = true
		return again
	})
	p.Undecided = slices.DeleteFunc(p.Undecided, func(o plan.Open) bool {
		again := seen[o.Key]
		seen[o.Key] = true
		return again
	})
}

// Apply does what a plan of this host says. When the state is not the one that the plan
// was made from, it does nothing and fails with [ErrMoved], telling what has moved: the
// layout, the horizon of a stripe, or a document that the plan changes. What a plan has
// done already is as it should be, so one that was cut short can be applied again. It
// fails with [ErrPaused] during a pause.
func (r *Repairer) Apply(ctx context.Context, p plan.Plan, progress func(ApplyProgress)) (ApplyResult, error) {
	if p.Host != r.Self {
		return ApplyResult{}, fmt.Errorf("the plan is for host %s, this is %s: send it there", p.Host, r.Self)
	}
	if err := r.throttle.paused(); err != nil {
		return ApplyResult{}, err
	}
	if progress == nil {
		progress = func(ApplyProgress) {}
	}
	return joined(ctx, r, func(ctx context.Context) (result ApplyResult, err error) {
		if err := r.rounds.lock(ctx); err != nil {
			return result, err
		}
		defer r.rounds.unlock()
		a := &applying{r: r, plan: &p, progress: progress, result: ApplyResult{Skipped: []Skipped{}}}
		r.cpu.do(func() { err = a.run(ctx) })
		r.save(true)
		return a.result, err
	})
}

// An applying is a plan that is being done.
type applying struct {
	r        *Repairer
	plan     *plan.Plan
	progress func(ApplyProgress)
	result   ApplyResult
	done     int
}

func (a *applying) run(ctx context.Context) error {
	stripes, err := a.r.within(Scope{})
	if err != nil {
		return err
	}
	todo, err := a.check(stripes)
	if err != nil {
		return err
	}
	a.told(0)
	for i := range stripes {
		s := &stripes[i].Stripe
		ops := todo[s.Name]
		if len(ops) == 0 {
			continue
		}
		e := &execution{r: a.r, stripe: s, reason: func(plan.Op) Reason { return ForPlan }, told: a.became}
		if err := e.run(ctx, ops); err != nil {
			return err
		}
	}
	return nil
}

func (a *applying) told(n int) {
	a.done += n
	a.progress(ApplyProgress{Ops: len(a.plan.Ops), Done: a.done})
}

func (a *applying) became(d done) {
	switch {
	case !d.settled:
		a.result.Skipped = append(a.result.Skipped, Skipped{
			Stripe: d.op.Stripe, Bucket: d.op.Bucket.String(), Space: d.op.Key.Space, Key: d.op.Key.Key, Why: d.why,
		})
	case !d.changed:
		a.result.Already++
	case d.op.Kind == plan.Drop:
		a.result.Dropped++
	default:
		a.result.Pulled++
	}
	a.told(1)
}

// check compares the state with the one that the plan was made from. It returns what is
// left to do, by stripe.
func (a *applying) check(stripes []scoped) (map[string][]plan.Op, error) {
	var moved []string
	if l, digest := a.r.Host.Layout(); l.Version != a.plan.Layout || digest != a.plan.LayoutDigest {
		moved = append(moved, fmt.Sprintf("the plan is of layout %d, %d is in force", a.plan.Layout, l.Version))
	}
	moments := map[string]*buckets.Moment{}
	defer func() {
		for _, m := range moments {
			m.Close()
		}
	}()
	for _, seen := range a.plan.Stripes {
		i := slices.IndexFunc(stripes, func(s scoped) bool { return s.Name == seen.Stripe && s.Sick == "" })
		if i < 0 {
			moved = append(moved, "this host has no healthy copy of stripe "+seen.Stripe)
			continue
		}
		m, err := stripes[i].Replica.Moment()
		if err != nil {
			return nil, ofStore(err)
		}
		moments[seen.Stripe] = m
		if m.Position().Birth != seen.Birth || m.Position().Less(seen.Applied) || m.Horizon() != seen.Horizon {
			moved = append(moved, fmt.Sprintf("stripe %s stands at %v with tombstones released up to %v, at the time of the plan %v and %v",
				seen.Stripe, m.Position(), m.Horizon(), seen.Applied, seen.Horizon))
		}
	}
	todo := map[string][]plan.Op{}
	for _, op := range a.plan.Ops {
		m := moments[op.Stripe]
		if m == nil {
			moved = append(moved, "stripe "+op.Stripe+" is not among the stripes of the plan, or not here")
			continue
		}
		here, err := m.Document(op.Key)
		if err != nil {
			return nil, ofStore(err)
		}
		a.r.count.read()
		switch op.Standing(docOf(&here)) {
		case plan.Done:
			a.became(done{op: op, settled: true})
		case plan.Todo:
			todo[op.Stripe] = append(todo[op.Stripe], op)
		default:
			moved = append(moved, fmt.Sprintf("document %q in space %q (stripe %s) is at %v, at the time of the plan at %v", op.Key.Key, op.Key.Space, op.Stripe, here.Position, op.Here.Position))
		}
	}
	if len(moved) > 0 {
		const most = 5
		text := strings.Join(moved[:min(most, len(moved))], "; ")
		if len(moved) > most {
			text += fmt.Sprintf("; and %d more", len(moved)-most)
		}
		a.result = ApplyResult{Skipped: []Skipped{}}
		return nil, fmt.Errorf("%w: %s", ErrMoved, text)
	}
	return todo, nil
}
