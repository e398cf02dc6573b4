package repair

import (
	"context"
	"errors"
	"slices"

	"trireme/internal/contract"
	"trireme/repair/plan"
)

// A vote gathers what the members of a stripe say of one document.
type vote struct {
	r      *Repairer
	stripe *Stripe
	views  []plan.View // one of each member
	asked  map[string]bool
}

const notAsked = "not asked"

func newVote(r *Repairer, s *Stripe) *vote {
	v := &vote{r: r, stripe: s, asked: map[string]bool{}}
	for _, m := range s.Members {
		v.views = append(v.views, plan.Unknown(m, notAsked))
	}
	return v
}

func (v *vote) set(view plan.View) {
	i := slices.IndexFunc(v.views, func(o plan.View) bool { return o.Host == view.Host })
	if i < 0 {
		v.views = append(v.views, view)
		return
	}
	v.views[i] = view
}

// unasked are the members, other than this one, of which nothing is known.
func (v *vote) unasked() []string {
	var hosts []string
	for i := range v.views {
		if w := &v.views[i]; w.Unknown != "" && !v.asked[w.Host] && w.Host != v.r.Self {
			hosts = append(hosts, w.Host)
		}
	}
	return hosts
}

// ask has members read and check their copies. That one does not answer is its view.
func (v *vote) ask(ctx context.Context, k contract.Key, hosts []string) error {
	askable := v.r.askable(v.stripe.Name)
	for _, h := range hosts {
		if v.asked[h] {
			continue
		}
		v.asked[h] = true
		if !slices.Contains(askable, h) {
			v.set(plan.Unknown(h, "not alive, or sick"))
			continue
		}
		c, err := v.r.Peers.Document(ctx, h, k)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			v.r.peerFailed(h, v.stripe.Name, err)
			v.set(plan.Unknown(h, err.Error()))
		case c.Sick != "":
			v.set(plan.Unknown(h, "sick: "+c.Sick))
		default:
			c.Side.Host = h
			v.set(plan.View{Side: c.Side, Doc: c.Doc})
		}
	}
	return nil
}

// askable are the other members that can be asked about single documents.
func (r *Repairer) askable(stripe string) []string {
	return slices.Concat(r.Host.Healthy(stripe), r.Host.Partial(stripe))
}

// decide asks the other members and decides.
func (v *vote) decide(ctx context.Context, k contract.Key) (plan.Decision, error) {
	if err := v.ask(ctx, k, v.unasked()); err != nil {
		return plan.Decision{}, err
	}
	return plan.Decide(v.r.Self, v.views), nil
}

// whole asks all members about a document and decides what to do about it here.
func (r *Repairer) whole(ctx context.Context, s *Stripe, k contract.Key) (plan.Finding, plan.Decision, error) {
	var f plan.Finding
	var d plan.Decision
	moment, err := s.Replica.Moment()
	if err != nil {
		return f, d, ofStore(err)
	}
	defer moment.Close()
	self, err := moment.Document(k)
	if err != nil {
		return f, d, ofStore(err)
	}
	r.count.read()
	f.Mine = docOf(&self)
	f.Mine.Key = k
	v := newVote(r, s)
	v.set(plan.View{Side: sideOf(r.Self, moment.Position(), moment.Horizon(), s.Sick != ""), Doc: f.Mine})
	d, err = v.decide(ctx, k)
	return f, d, err
}

// fatal tells whether an error is no peer's: another peer would not help.
func fatal(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, errStore) || errors.Is(err, ErrPaused)
}
