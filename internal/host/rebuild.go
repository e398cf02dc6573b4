package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"trireme/internal/position"
	"trireme/ops"
	"trireme/repair"
	"trireme/streams"
)

const (
	standLimit   = 5 * time.Second // for a member to say where it stands
	rebuiltLimit = 5 * time.Minute // for a rebuilt stripe to have an owner
)

// RebuildPlan says from what a new log of a stripe would go on.
func (s steering) RebuildPlan(ctx context.Context, stripe string) (ops.RebuildPlan, error) {
	own, err := s.member(stripe)
	if err != nil {
		return ops.RebuildPlan{}, err
	}
	p := ops.RebuildPlan{Stripe: own.Name, Birth: own.Birth}
	p.Log, p.Refused = own.describeLog(ctx)
	owner, _ := s.h.cluster.peers.Owner(stripe)
	// Not the connection of this host's own answers, which does not hear itself.
	peer := &repair.Peer{Conn: s.h.tails, Self: s.h.Config.Host, Layout: repairs(s).Layout, Timeout: standLimit}
	for _, host := range own.Hosts {
		m := ops.RebuildMember{Host: host, Owner: host == owner}
		if err := stand(ctx, peer, own, &m); err != nil {
			m = ops.RebuildMember{Host: host, Owner: m.Owner, Unknown: err.Error()}
		}
		p.Members = append(p.Members, m)
	}
	return ops.DecideRebuild(p), nil
}

// member finds a stripe that this host is a member of, with others.
func (s steering) member(stripe string) (*stripe, error) {
	own := s.h.stripe(stripe)
	if own == nil || s.h.cluster == nil {
		return nil, &ops.Refusal{Code: ops.CodeNotFound, Text: "host " + s.h.Config.Host + " is no member of a stripe " + stripe, Hint: "ask one of its members: trireme layout show"}
	}
	return own, nil
}

// stand asks a member where it stands.
func stand(ctx context.Context, peer *repair.Peer, s *stripe, m *ops.RebuildMember) error {
	roots, err := peer.Roots(ctx, m.Host, s.Name)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(roots, func(r repair.StripeRoot) bool { return r.Stripe == s.Name })
	if i < 0 {
		return fmt.Errorf("host %s has no copy of stripe %s", m.Host, s.Name)
	}
	if m.Sick = roots[i].Sick; m.Sick != "" {
		return nil
	}
	at, err := peer.Stand(ctx, m.Host, s.Name)
	if err != nil {
		return err
	}
	m.Applied = position.Position{Birth: s.Birth, Seq: at.Seq}.String()
	m.Epoch, m.Chain, m.Time = at.Epoch.String(), at.Chain.String(), time.UnixMilli(at.Time).UTC()
	m.Newest = roots[i].Root.Position.String()
	return nil
}

// describeLog tells what is there of the stripe's log, and why a new one may not be
// made beside it, if so.
func (s *stripe) describeLog(ctx context.Context) (what, refused string) {
	ctx, cancel := context.WithTimeout(ctx, standLimit)
	defer cancel()
	log, err := streams.Open(ctx, s.host.log, s.logConfig())
	if errors.Is(err, streams.ErrNoStream) {
		return "there is none", ""
	}
	if err != nil {
		return "it cannot be asked for: " + err.Error(), "whether there is a log is not known: bring a majority of the hosts up and ask again"
	}
	st, err := log.State(ctx)
	if err = errors.Join(err, log.Close()); err != nil {
		return "it is there, and does not answer: " + err.Error(), "the log is there: bring back its members"
	}
	what = fmt.Sprintf("it holds records %d to %d", st.First, st.Last)
	applied, host := s.replica.Applied().Seq, s.host.Config.Host
	if others, other := s.host.cluster.peers.reached(s.Name, log.First()); others > applied {
		applied, host = others, other
	}
	switch {
	case st.Last >= applied:
		return what, "the log is there, and nothing has to be rebuilt"
	case s.logGone() == "":
		return what, "the log seems to end before what host " + host + " has applied, which a leader that was cut off may say for a while: ask again in a minute"
	default:
		return what + fmt.Sprintf(", and host %s has applied up to %d: it was made anew, restored from an older copy, or lost by too many of its members. All that it holds is in the stores; it is removed first", host, applied), ""
	}
}

// Rebuild begins a new log of a stripe after what its members have applied.
func (s steering) Rebuild(ctx context.Context, p ops.RebuildPlan, progress func(ops.RebuildProgress)) (ops.RebuildResult, error) {
	own, err := s.member(p.Stripe)
	if err != nil {
		return ops.RebuildResult{}, err
	}
	from, err := position.Parse(p.Position)
	if err != nil || from.Birth != own.Birth {
		return ops.RebuildResult{}, &ops.Refusal{Code: ops.CodeRefused, Text: fmt.Sprintf("the plan goes on from position %q, which is none of stripe %s", p.Position, own.Name), Hint: "make a new plan"}
	}
	result := ops.RebuildResult{Stripe: own.Name, From: p.From, First: from.Seq + 1, Heals: []string{}, Differ: []string{}}
	for _, m := range p.Members {
		switch m.Stands {
		case ops.StandsFrom, ops.StandsSame:
		case ops.StandsDiffers:
			result.Differ = append(result.Differ, m.Host)
		default:
			result.Heals = append(result.Heals, m.Host)
		}
	}
	if !own.rebuilt(ctx, result.First) {
		if err := s.sameSituation(ctx, p); err != nil {
			return ops.RebuildResult{}, err
		}
		if err := streams.Remove(ctx, s.h.log, own.logConfig(), from.Seq); err != nil && !errors.Is(err, streams.ErrNoStream) {
			return ops.RebuildResult{}, err
		}
		progress(ops.RebuildProgress{Step: fmt.Sprintf("making a log of stripe %s that begins at %d", own.Name, result.First)})
		cfg := own.logConfig()
		cfg.First = result.First
		log, err := streams.Create(ctx, s.h.log, cfg)
		if err != nil {
			return ops.RebuildResult{}, err
		}
		if err := log.Close(); err != nil {
			return ops.RebuildResult{}, err
		}
		s.h.Logger.Warn("the stripe has a new log", "stripe", own.Name, "from", p.From, "first", result.First)
	}
	progress(ops.RebuildProgress{Step: "waiting for an owner of stripe " + own.Name})
	return result, own.awaitOwner(ctx)
}

// rebuilt says whether the log that a rebuilding makes is there already.
func (s *stripe) rebuilt(ctx context.Context, first uint64) bool {
	log, err := streams.Open(ctx, s.host.log, s.logConfig())
	if err != nil {
		return false
	}
	created := log.First()
	return log.Close() == nil && created == first
}

// sameSituation refuses a plan that was made of another one.
func (s steering) sameSituation(ctx context.Context, p ops.RebuildPlan) error {
	now, err := s.RebuildPlan(ctx, p.Stripe)
	switch {
	case err != nil:
		return err
	case now.Refused != "":
		return &ops.Refusal{Code: ops.CodeRefused, Text: "stripe " + p.Stripe + " cannot be rebuilt now: " + now.Refused, Hint: "make a new plan when that has changed"}
	case now.Situation != p.Situation:
		return &ops.Refusal{Code: ops.CodeRefused, Text: "the members of stripe " + p.Stripe + " do not stand any more where the plan saw them", Hint: "make a new plan: trireme stripe rebuild " + p.Stripe}
	}
	return nil
}

// awaitOwner waits until somebody serves the stripe.
func (s *stripe) awaitOwner(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rebuiltLimit)
	defer cancel()
	s.again()
	for {
		if owner, _ := s.host.cluster.peers.Owner(s.Name); owner != "" && s.host.cluster.peers.Quorum(s.Name) {
			return nil
		}
		if !rest(ctx, leadershipEvery) {
			return fmt.Errorf("stripe %s has its new log, and no owner yet: %w", s.Name, ctx.Err())
		}
	}
}
