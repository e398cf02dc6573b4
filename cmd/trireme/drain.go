package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trireme/internal/layout"
	"trireme/ops"
)

func (a *app) drainCommand() *cobra.Command {
	var undo, wait bool
	c := &cobra.Command{
		Use: "drain HOST", Short: "Have a host give its stripes away, before work on it",
		Long: `Have a host give its stripes away and take none, before work on it. It stays a
member, follows the logs and answers requests, which it passes on. A restart ends
it, and so does --undo.`,
		Example: "  trireme drain h2 --wait\n  trireme drain h2 --undo",
		Args:    arguments("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := layout.CheckName(args[0]); err != nil {
				return usage("%q is not the name of a host: %w", args[0], err)
			}
			if undo && wait {
				return usage("--wait does not go with --undo: there is nothing to wait for")
			}
			return a.drain(cmd, args[0], !undo, wait)
		},
	}
	c.Flags().BoolVar(&undo, "undo", false, "let the host own stripes again")
	c.Flags().BoolVar(&wait, "wait", false, "wait until it owns nothing; --timeout says how long")
	return c
}

// A drainView is a host that was drained, or not any more.
type drainView struct {
	Host     string   `json:"host"`
	Draining bool     `json:"draining"`
	Owns     []string `json:"owns"`  // stripes, still
	Moved    []moved  `json:"moved"` // while this program waited
}

type moved struct {
	Stripe string `json:"stripe"`
	To     string `json:"to"`
	Epoch  string `json:"epoch"`
}

func (v *drainView) print(w io.Writer) {
	switch {
	case !v.Draining:
		fmt.Fprintf(w, "host %s may own stripes again; those that prefer it come back one after another\n", v.Host)
	case len(v.Owns) == 0:
		fmt.Fprintf(w, "host %s owns nothing\n", v.Host)
	default:
		fmt.Fprintf(w, "host %s is drained; it still owns %s\n", v.Host, strings.Join(v.Owns, ", "))
	}
}

func (a *app) drain(cmd *cobra.Command, host string, on, wait bool) error {
	nc, err := a.connect(cmd)
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	c := ops.Client{Conn: nc}
	before, err := c.Status(ctx, host) // also says whether it is there
	if err != nil {
		return told(err)
	}
	if err := c.Drain(ctx, host, on); err != nil {
		return told(err)
	}
	v := &drainView{Host: host, Draining: on, Owns: owns(&before), Moved: []moved{}}
	if on && wait {
		err = a.emptied(ctx, c, v)
	} else if s, failed := c.Status(ctx, host); failed == nil {
		v.Owns = owns(&s)
	}
	if err != nil {
		return err
	}
	return a.answer(v, v.print)
}

// owns are the stripes that a host says it owns.
func owns(s *ops.Status) []string {
	names := []string{}
	for _, p := range s.Stripes {
		if p.Owner == s.Host {
			names = append(names, p.Name)
		}
	}
	return names
}

// drainEvery is how often a drained host is asked how far it is.
const drainEvery = 100 * time.Millisecond

// emptied waits until the host owns nothing, and nothing that it gave away is
// without an owner. It says what moves.
func (a *app) emptied(ctx context.Context, c ops.Client, v *drainView) error {
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	left := append([]string{}, v.Owns...) // not seen at another host yet
	if len(left) > 0 {
		a.say("host %s owns %s", v.Host, strings.Join(left, ", "))
	}
	for {
		asked, cancel := context.WithTimeout(ctx, peerLimit)
		s, err := c.Status(asked, v.Host)
		cancel()
		if err == nil {
			v.Owns = owns(&s)
			left = a.follow(&s, v, left)
		}
		if err == nil && len(v.Owns)+len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			why := fmt.Errorf("host %s still owns %s, or nobody does yet: %w", v.Host, strings.Join(left, ", "), ctx.Err())
			return &failure{exit: exitFailed, hint: "`trireme status` tells whether another member could take it; the host stays drained until --undo", err: why}
		case <-tick.C:
		}
	}
}

// follow notes which of the stripes have a new owner, and returns the others.
func (a *app) follow(s *ops.Status, v *drainView, left []string) (still []string) {
	for _, name := range left {
		p := (&hostStatus{Status: *s}).stripe(name)
		if p == nil || p.Owner == "" || p.Owner == v.Host {
			still = append(still, name)
			continue
		}
		v.Moved = append(v.Moved, moved{name, p.Owner, p.Epoch})
		a.say("stripe %s: %s -> %s, epoch %s", name, v.Host, p.Owner, p.Epoch)
	}
	return still
}
