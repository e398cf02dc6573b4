package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

const zombieLong = `Freeze the owner of a stripe on a running test cluster on this machine, and show that
it can change nothing when it goes on.

It makes a few documents, stops the process of their owner with SIGSTOP, and sends
it a patch of each: they wait in its sockets. When another host has taken over it
patches the same documents there, at the same heads. Then the frozen host goes on
(SIGCONT) and answers. PASS means that each of its patches was refused, that the
documents have the others, and that no older epoch wrote anything into the log after
the new owner's claim.

Clients of the stripe wait while that lasts, about ten seconds. The hosts must be
processes of this user, with addresses on loopback.

The exit code is 3 for FAIL.`

// A zombiePlan is what a zombie drill does.
type zombiePlan struct {
	stripe string
	docs   int
	yes    bool
	keep   bool
	wait   time.Duration
}

func (a *app) zombieCommand() *cobra.Command {
	var p zombiePlan
	c := &cobra.Command{
		Use: "zombie-drill", Short: "Freeze an owner and show that it can change nothing later", Long: zombieLong,
		Example: `  trireme zombie-drill -s nats://127.0.0.1:4001          say which process would be frozen
  trireme zombie-drill -s nats://127.0.0.1:4001 --yes    do it`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case p.docs < 1 || p.docs > 1000:
				return usage("--docs %d: want 1 to 1000", p.docs)
			case p.wait < time.Second:
				return usage("--takeover %v: want 1s or more", p.wait)
			}
			r, err := a.zombieDrill(cmd, p)
			if err != nil {
				return err
			}
			if err := a.answer(r, r.print); err != nil {
				return err
			}
			return degraded(!r.Pass)
		},
	}
	f := c.Flags()
	f.StringVar(&p.stripe, "stripe", "", "whose owner is frozen; any that is well when it is not given")
	f.IntVar(&p.docs, "docs", 5, "how many documents are patched")
	f.BoolVar(&p.yes, "yes", false, "do it; without it, only say what would be done")
	f.BoolVar(&p.keep, "keep", false, "leave the documents")
	f.DurationVar(&p.wait, "takeover", time.Minute, "how long to wait for another owner")
	return c
}

// zombieDrill does one step after the other. However it ends, the host goes on.
func (a *app) zombieDrill(cmd *cobra.Command, p zombiePlan) (*zombieReport, error) {
	nc, err := a.connect(cmd)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	ctx := cmd.Context()
	victim, err := a.findVictim(ctx, nc, p.stripe)
	if err != nil {
		return nil, err
	}
	if !p.yes {
		err := fmt.Errorf("host %s, which owns stripe %s, would be frozen: process %d", victim.host.Name, victim.stripe.Name, victim.process.Pid)
		return nil, hint(&failure{exit: exitRefused, err: err}, "nothing has been done; --yes does it")
	}
	z, err := a.newZombie(victim)
	if err != nil {
		return nil, err
	}
	defer z.close()
	if err := z.makeDocs(ctx, p.docs); err != nil {
		return nil, fmt.Errorf("make the documents: %w", err)
	}
	if !p.keep {
		defer z.deleteDocs(context.WithoutCancel(ctx))
	}
	if err := z.freeze(ctx, p.wait); err != nil {
		return nil, err
	}
	if err := z.hear(ctx); err != nil {
		return nil, err
	}
	return z.report(ctx)
}
