package localcluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// tails is how much of every log a failed wait shows.
const tails = 3000

// Await is [Await], and shows the ends of the hosts' logs when it fails.
func (c *Cluster) Await(ctx context.Context, what string, check func(context.Context) error) error {
	err := Await(ctx, what, check)
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, c.Tails(tails))
	}
	return err
}

// Tails are the ends of the hosts' logs, at most n bytes of each.
func (c *Cluster) Tails(n int64) string {
	var b strings.Builder
	for _, h := range c.Hosts {
		state := "running"
		switch {
		case h.Frozen():
			state = "frozen"
		case !h.Running():
			state = "not running"
		}
		fmt.Fprintf(&b, "--- %s (%s), the end of %s:\n%s", h.Name, state, h.Log, h.Tail(n))
	}
	return b.String()
}

// AwaitReady waits until every running host says that a request sent to it would be
// answered.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	return c.Await(ctx, "ready hosts", func(ctx context.Context) error {
		var errs []error
		for _, h := range c.awake() {
			errs = append(errs, h.Ready(ctx))
		}
		return errors.Join(errs...)
	})
}

// AwaitStatus waits until a host's status is as check wants it.
func (c *Cluster) AwaitStatus(ctx context.Context, h *Host, what string, check func(Status) error) error {
	return c.Await(ctx, what+" at "+h.Name, func(ctx context.Context) error {
		s, err := h.Status(ctx)
		if err != nil {
			return err
		}
		return check(s)
	})
}

// Owner finds the one host that says that it owns a partition. It fails when none
// does, and when two do.
func (c *Cluster) Owner(ctx context.Context, partition string) (*Host, error) {
	var owner *Host
	for _, h := range c.awake() {
		owns, err := h.Owns(ctx, partition)
		if err != nil || !owns {
			continue
		}
		if owner != nil {
			return nil, fmt.Errorf("%s and %s both say that they own partition %s", owner.Name, h.Name, partition)
		}
		owner = h
	}
	if owner == nil {
		return nil, fmt.Errorf("no host says that it owns partition %s", partition)
	}
	return owner, nil
}

// AwaitOwner waits until a partition has an owner that can answer, other than those
// named.
func (c *Cluster) AwaitOwner(ctx context.Context, partition string, but ...string) (*Host, error) {
	var owner *Host
	err := c.Await(ctx, "an owner of partition "+partition, func(ctx context.Context) (err error) {
		if owner, err = c.Owner(ctx, partition); err != nil {
			return err
		}
		for _, name := range but {
			if owner.Name == name {
				return fmt.Errorf("%s owns it", name)
			}
		}
		return nil
	})
	return owner, err
}

// AwaitCaughtUp waits until all hosts have applied, and made durable, the same
// records of every stripe, and there are no more. It wants an idle cluster.
func (c *Cluster) AwaitCaughtUp(ctx context.Context) error {
	return c.Await(ctx, "hosts that have applied the same", func(ctx context.Context) error {
		stands := map[string]Stripe{} // by stripe, as the first host tells
		for _, h := range c.Hosts {
			s, err := h.Status(ctx)
			if err != nil {
				return err
			}
			for _, stripe := range s.Stripes {
				first, seen := stands[stripe.Name]
				switch {
				case !seen:
					stands[stripe.Name] = stripe
				case first.Applied != stripe.Applied:
					return fmt.Errorf("stripe %s: %s has applied %d, %s %d", stripe.Name, c.Hosts[0].Name, first.Applied, h.Name, stripe.Applied)
				}
				if stripe.Durable != stripe.Applied || stripe.LogLast > stripe.Applied {
					return fmt.Errorf("stripe %s at %s: %d applied, %d durable, the log ends at %d", stripe.Name, h.Name, stripe.Applied, stripe.Durable, stripe.LogLast)
				}
			}
		}
		return nil
	})
}
