package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"trireme/internal/layout"
	"trireme/ops"
)

func (a *app) ownerCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "owner", Short: "Say who owns what, and move a stripe to another host",
		Long: `Say which host owns which stripe, and which one would, if all were well.

The exit code is 3 when a stripe has no owner.`,
		Example: "  trireme owner\n  trireme owner move s1 h2",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return group(cmd, args)
			}
			return a.owners(cmd)
		},
	}
	c.AddCommand(a.ownerMoveCommand())
	return c
}

// An ownerView is who owns a stripe.
type ownerView struct {
	Stripe     string   `json:"stripe"`
	Owner      string   `json:"owner"` // "" while nobody does
	Preferred  string   `json:"preferred"`
	Epoch      string   `json:"epoch"`
	Members    []string `json:"members"` // the preferred owner first
	Partitions int      `json:"partitions"`
}

func (a *app) owners(cmd *cobra.Command) error {
	w, err := a.watcher(cmd)
	if err != nil {
		return err
	}
	defer w.close()
	c, err := w.cluster(cmd.Context())
	if err != nil {
		return err
	}
	views, none := []ownerView{}, false
	for _, p := range c.stripes() {
		v := ownerView{Stripe: p.Name, Owner: p.Owner, Epoch: p.Epoch, Members: append([]string{}, p.Members...), Partitions: p.Partitions}
		if len(p.Members) > 0 {
			v.Preferred = p.Members[0]
		}
		views, none = append(views, v), none || p.Owner == ""
	}
	err = a.answer(views, func(out io.Writer) {
		lines := [][]string{{"STRIPE", "OWNER", "PREFERRED", "EPOCH", "PARTITIONS", "MEMBERS"}}
		for _, v := range views {
			lines = append(lines, []string{v.Stripe, orNone(v.Owner), orNone(v.Preferred), orNone(v.Epoch), strconv.Itoa(v.Partitions), strings.Join(v.Members, ", ")})
		}
		rows(out, lines)
	})
	if err != nil {
		return err
	}
	return degraded(none)
}

func (a *app) ownerMoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "move STRIPE HOST", Short: "Hand a stripe to another of its members",
		Long: `Hand a stripe to another of its members, and wait until that one serves. Requests
wait meanwhile. The balance takes the stripe back to its preferred owner some time
later, unless that one is drained.

It prints for how long no host said that it serves the stripe, as seen from here.`,
		Example: "  trireme owner move s1 h2",
		Args:    arguments("STRIPE", "HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for i, what := range []string{"stripe", "host"} {
				if err := layout.CheckName(args[i]); err != nil {
					return usage("%q is not the name of a %s: %w", args[i], what, err)
				}
			}
			nc, err := a.connect(cmd)
			if err != nil {
				return err
			}
			defer nc.Close()
			ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
			defer cancel()
			v, err := moveStripe(ctx, ops.Client{Conn: nc}, args[0], args[1])
			if err != nil {
				return told(err)
			}
			return a.answer(v, v.print)
		},
	}
}

// A moveView is a stripe that was handed over.
type moveView struct {
	Stripe string  `json:"stripe"`
	From   string  `json:"from"`
	To     string  `json:"to"`
	Before string  `json:"epoch_before"`
	Epoch  string  `json:"epoch"`
	Pause  float64 `json:"pause_ms"` // at most; 0 when nothing had to be done
}

func (v *moveView) print(w io.Writer) {
	if v.From == v.To {
		fmt.Fprintf(w, "stripe %s is owned by %s already, epoch %s\n", v.Stripe, v.To, v.Epoch)
		return
	}
	fmt.Fprintf(w, "stripe %s: %s -> %s, epoch %s -> %s, paused for %.0f ms at most\n", v.Stripe, v.From, v.To, v.Before, v.Epoch, v.Pause)
}

// moveStripe has a stripe's owner hand it over, and waits until the other one serves.
func moveStripe(ctx context.Context, c ops.Client, stripe, to string) (*moveView, error) {
	s, err := c.Status(ctx, "")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(s.Stripes, func(p ops.Stripe) bool { return p.Name == stripe })
	if i < 0 {
		return nil, &ops.Refusal{Code: ops.CodeNotFound, Text: "stripe " + stripe + " is not in the layout", Hint: "`trireme owner` lists the stripes"}
	}
	p := s.Stripes[i]
	v := &moveView{Stripe: stripe, From: p.Owner, To: to, Before: p.Epoch, Epoch: p.Epoch}
	switch {
	case !slices.Contains(p.Members, to):
		return nil, &ops.Refusal{Code: ops.CodeRefused, Text: "host " + to + " is no member of stripe " + stripe, Hint: "its members are " + strings.Join(p.Members, ", ")}
	case p.Owner == "":
		return nil, &ops.Refusal{Code: ops.CodeNotNow, Text: "stripe " + stripe + " has no owner now", Hint: "`trireme status` tells why"}
	case p.Owner == to:
		return v, nil
	}
	watch, end := context.WithCancel(ctx)
	defer end()
	served := make(chan error, 1)
	go func() { served <- v.watch(watch, c) }()
	if err := c.Move(ctx, p.Owner, stripe, to); err != nil {
		end()
		if <-served != nil {
			return nil, err
		}
		return v, nil // it serves, whatever became of the answer
	}
	return v, <-served
}

// pollEvery is how often hosts are asked while something happens.
const pollEvery = 10 * time.Millisecond

// watch asks the two hosts until the new one serves, and measures the time in which
// neither may have: from the last question that the old one has answered as the
// owner to the first answer of the new one.
func (v *moveView) watch(ctx context.Context, c ops.Client) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last := time.Now()
	for {
		asked := time.Now()
		if _, ok := serves(ctx, c, v.From, v.Stripe); ok {
			last = asked
		}
		if p, ok := serves(ctx, c, v.To, v.Stripe); ok {
			v.Pause, v.Epoch = float64(time.Since(last).Microseconds())/1000, p.Epoch
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s to serve stripe %s: %w", v.To, v.Stripe, ctx.Err())
		case <-tick.C:
		}
	}
}

// serves asks a host whether it serves a stripe as its owner.
func serves(ctx context.Context, c ops.Client, host, stripe string) (p ops.Stripe, yes bool) {
	ctx, cancel := context.WithTimeout(ctx, peerLimit)
	defer cancel()
	s, err := c.Status(ctx, host)
	if err != nil {
		return p, false // it is asked again
	}
	for _, p := range s.Stripes {
		if p.Name == stripe {
			return p, p.Owner == host && p.Served(host)
		}
	}
	return p, false
}

// told sorts what a host has answered into the exit codes.
func told(err error) error {
	if r, ok := errors.AsType[*ops.Refusal](err); ok {
		exit := exitRefused
		switch r.Code {
		case ops.CodeFailed, ops.CodeTimeout:
			exit = exitFailed
		case ops.CodeNotNow:
			exit = exitUnreachable
		}
		return &failure{exit: exit, hint: cmp.Or(r.Hint, "`trireme status` tells how things are"), err: err}
	}
	if errors.Is(err, nats.ErrNoResponders) {
		return hint(fmt.Errorf("the host is not there: %w", err), "`trireme status` lists the hosts and their states")
	}
	return err
}
