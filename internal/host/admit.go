package host

import (
	"context"
	"time"

	"trireme/internal/identity"
	"trireme/ops"
)

// askEvery is how often the others are asked while this host may not take part.
const askEvery = 500 * time.Millisecond

// openIdentity reads who this host is.
func (h *Host) openIdentity() error {
	name := ""
	if h.Config.Layout != "" {
		name = h.Config.Cluster.Name
	}
	id, err := identity.Open(h.Config.Data, h.Config.Host, name)
	if err != nil {
		return err
	}
	h.id = id
	return nil
}

// admission waits until this host may take part: its disk must not be older than
// what the others have seen of it. See internal/identity.
func (h *Host) admission(ctx context.Context) error {
	for {
		verdict, err := h.judge(ctx)
		if err != nil {
			return err
		}
		h.setVerdict(&verdict)
		switch verdict.Kind {
		case identity.Reset:
			if err := h.reset(verdict); err != nil {
				return err
			}
			fallthrough
		case identity.Start:
			h.Logger.Info("taking part", "reason", verdict.Reason)
			_, err := h.id.Begin()
			return err
		}
		if !rest(ctx, askEvery) {
			return context.Cause(ctx)
		}
	}
}

// judge gathers what is known and decides.
func (h *Host) judge(ctx context.Context) (identity.Verdict, error) {
	facts := identity.Facts{Self: h.id.Self(), Own: h.id.Own(), Applied: map[string]uint64{}, Stripes: map[string][]string{}}
	log, _, err := h.id.Contents()
	if err != nil {
		return identity.Verdict{}, err
	}
	facts.NoLog = !log
	if h.cluster == nil {
		return identity.Admit(facts), nil
	}
	l, addresses := h.cluster.layouts.first(), map[string]string{}
	for _, s := range l.StripesOn(h.Config.Host) {
		replica, err := h.replica(s)
		if err != nil {
			return identity.Verdict{}, err
		}
		facts.Applied[s.Name], facts.Stripes[s.Name] = replica.Applied().Seq, s.Hosts
		for _, member := range s.Hosts {
			if host, ok := l.Host(member); ok && member != h.Config.Host {
				addresses[member] = host.HTTP
			}
		}
	}
	if facts.Order, err = identity.ReadOrder(h.Config.Data); err != nil {
		return identity.Verdict{}, err
	}
	facts.Replies = identity.Ask(ctx, addresses)
	return identity.Admit(facts), nil
}

// reset sets aside what this host has, so that it comes in empty.
func (h *Host) reset(v identity.Verdict) error {
	h.Logger.Warn("coming in empty: the data is set aside, not deleted", "reason", v.Reason)
	h.mu.Lock()
	store := h.store
	h.store = nil
	h.mu.Unlock()
	if err := store.Close(); err != nil {
		return err
	}
	if err := h.id.Reset(v, time.Now()); err != nil {
		return err
	}
	return h.openStore()
}

// setVerdict has status and identity tell why this host does not run yet.
func (h *Host) setVerdict(v *identity.Verdict) {
	h.mu.Lock()
	before := h.verdict
	h.verdict = v
	h.phase = ops.PhaseStarting
	if v.Kind == identity.Held || v.Kind == identity.Wait {
		h.phase = ops.PhaseHeld
	}
	h.mu.Unlock()
	if before == nil || before.Reason != v.Reason {
		h.Logger.Info("asked the other hosts", "verdict", v.Kind, "reason", v.Reason, "next", v.Next)
	}
}

// held is why this host takes no part, nil when it does.
func (h *Host) held() *ops.Held {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase != ops.PhaseHeld || h.verdict == nil {
		return nil
	}
	return &ops.Held{Reason: h.verdict.Reason, NextStep: h.verdict.Next}
}

// answerIdentity is what other hosts are told.
func (h *Host) answerIdentity() identity.Answer {
	h.mu.Lock()
	phase, verdict := h.phase, h.verdict
	server := h.server
	h.mu.Unlock()
	state := identity.Starting
	switch {
	case server != nil:
		state, verdict = identity.Serving, nil
	case phase == ops.PhaseHeld:
		state = identity.HeldBack
	}
	return h.id.Answer(state, phase == ops.PhaseRunning && h.wholesome(), verdict)
}

// wholesome says whether this host is a member in order of all its stripes, and each
// of them can commit.
func (h *Host) wholesome() bool {
	l := h.layout()
	for _, s := range l.StripesOn(h.Config.Host) {
		if len(l.PartitionsOf(s.Name)) == 0 {
			continue
		}
		own := h.stripe(s.Name)
		if owner, _ := h.ownerOf(s.Name); own == nil || owner == "" || !own.inOrder() {
			return false
		}
	}
	return true
}

// inOrder says whether this member has all of the log that it should.
func (s *stripe) inOrder() bool {
	const few = 1 << 12
	lag := s.lag()
	return s.sickness() == "" && lag.Known && lag.Records < few
}

func (h *Host) httpOptions() ops.Options {
	o := ops.Options{Routing: h}
	if h.cluster != nil {
		o.Identity = identity.Handler(h.answerIdentity)
	}
	return o
}
