package repair

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// healMost bounds the pause between two tries to heal a stripe.
const healMost = time.Minute

// heals heals the sick stripes, one after another, until ctx ends.
func (r *Repairer) heals(ctx context.Context) {
	last, failures := "", 0
	for ctx.Err() == nil {
		sick := r.sick()
		r.healing.follow(sick)
		if len(sick) == 0 {
			failures = 0
			r.await(ctx, r.Config.Interval, r.looks)
			continue
		}
		s := &sick[max(0, slices.IndexFunc(sick, func(s Stripe) bool { return s.Name > last }))]
		last = s.Name
		switch err := r.healOne(ctx, s); {
		case err == nil:
			failures = 0
		case errors.Is(err, ErrLogPassed):
		default:
			if failures++; failures%len(sick) == 0 { // all had their turn
				r.await(ctx, healPause(r.Config.HealRetry, failures/len(sick)-1, err), r.looks)
			}
		}
	}
}

// healPause grows with the failures, and is as long as a peer asks for.
func healPause(first time.Duration, failures int, err error) time.Duration {
	d := first << min(max(failures, 0), 5)
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		d = max(d, refused.Retry)
	}
	return min(d, max(healMost, first))
}

// sick are the sick stripes in the order of their names.
func (r *Repairer) sick() []Stripe {
	all := r.Host.Stripes()
	r.clean.follow(all)
	sick := slices.DeleteFunc(slices.Clone(all), func(s Stripe) bool { return s.Sick == "" })
	slices.SortFunc(sick, func(a, b Stripe) int { return strings.Compare(a.Name, b.Name) })
	return sick
}

// healOne tries to heal a stripe.
func (r *Repairer) healOne(ctx context.Context, s *Stripe) error {
	h := r.healing.begin(s)
	if err := r.throttle.paused(); err != nil {
		h.phase(HealWaiting, err.Error())
		if err := r.throttle.awaken(ctx); err != nil {
			return err
		}
	}
	peer := r.healFrom(s, h.lastPeer())
	if peer == "" {
		err := fmt.Errorf("heal stripe %s: no other member is alive and healthy", s.Name)
		h.phase(HealWaiting, "no other member is alive and healthy")
		return err
	}
	h.from(peer)
	r.tell(HealBegan{Stripe: s.Name, Sick: s.Sick, Peer: peer})
	try := &healTry{
		look:    look{r: r, stripe: s, peer: peer, heals: true, notes: newNotes(r)},
		healing: h,
	}
	began := time.Now()
	var err error
	r.cpu.do(func() { err = try.run(ctx) })
	if err != nil {
		err = fmt.Errorf("heal stripe %s from %s: %w", s.Name, peer, err)
		h.phase(HealWaiting, err.Error())
	}
	if err != nil && !fatal(ctx, err) && !errors.Is(err, ErrLogPassed) {
		r.peerFailed(peer, s.Name, err)
	}
	state := h.state()
	r.tell(HealEnded{
		Stripe: s.Name, Peer: peer, Position: try.since, Documents: state.Documents, Bytes: state.Bytes,
		Took: time.Since(began), Err: err,
	})
	if err == nil {
		r.healing.end(s.Name)
		kick(r.kicks) // to find it clean
	}
	r.save(true)
	return err
}

// healFrom chooses a healthy member, another one than the last time if there is one.
// While there is none, what was lost here may be whole on one that has lost something else.
func (r *Repairer) healFrom(s *Stripe, last string) string {
	from := r.Host.Healthy(s.Name)
	if len(from) == 0 && s.Follows {
		from = r.Host.Partial(s.Name)
	}
	if others := slices.DeleteFunc(slices.Clone(from), func(h string) bool { return h == last }); len(others) > 0 {
		from = others
	}
	if len(from) == 0 {
		return ""
	}
	return from[rand.IntN(len(from))]
}
