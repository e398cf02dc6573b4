package host

import (
	"context"
	"slices"
	"strings"

	"trireme/ops"
)

// Drain notes whether this host should own nothing. The balance hands its stripes
// over, one after another.
func (h *Host) Drain(_ context.Context, on bool) error {
	if h.cluster == nil {
		return errAlone()
	}
	h.cluster.draining.Store(on)
	h.report()
	for _, s := range h.members() {
		s.poke()
	}
	return nil
}

// Move hands a stripe that this host owns to another member.
func (h *Host) Move(ctx context.Context, stripe, to string) error {
	if h.cluster == nil {
		return errAlone()
	}
	l := h.layout()
	known, ok := l.Stripe(stripe)
	if !ok {
		names := make([]string, 0, len(l.Stripes))
		for _, s := range l.Stripes {
			names = append(names, s.Name)
		}
		return &ops.Refusal{Code: ops.CodeNotFound, Text: "stripe " + stripe + " is not in the layout", Hint: "there are " + strings.Join(names, ", ")}
	}
	if !slices.Contains(known.Hosts, to) {
		return &ops.Refusal{Code: ops.CodeRefused, Text: "host " + to + " is no member of stripe " + stripe, Hint: "its members are " + strings.Join(known.Hosts, ", ")}
	}
	owner, _ := h.cluster.peers.Owner(stripe)
	if owner == to {
		return nil
	}
	s := h.stripe(stripe)
	if s == nil || owner != h.Config.Host {
		return &ops.Refusal{Code: ops.CodeRefused, Text: "host " + h.Config.Host + " does not own stripe " + stripe, Hint: "ask its owner, " + owner}
	}
	if why := h.cluster.peers.unfit(to, stripe); why != "" {
		return &ops.Refusal{Code: ops.CodeRefused, Text: "host " + to + " cannot take stripe " + stripe + ": " + why, Hint: "see trireme status"}
	}
	return s.handOver(ctx, to, "operator")
}

// CheckLayout reads the layout's source now.
func (h *Host) CheckLayout(ctx context.Context) error {
	if h.cluster == nil {
		return errAlone()
	}
	l := h.cluster.layouts
	l.heard(l.source.Read(ctx))
	if err := h.agree(ctx); err != nil {
		return err
	}
	if fault := l.status(); fault != nil {
		return &ops.Refusal{Code: ops.CodeRefused, Text: fault.Text, Hint: "the last good layout stays in force"}
	}
	return nil
}

func errAlone() error {
	return &ops.Refusal{Code: ops.CodeRefused, Text: "this host stands alone", Hint: "a cluster begins with `trireme layout generate`"}
}

var _ ops.Controller = (*Host)(nil)
