package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trireme/internal/config"
	"trireme/internal/identity"
)

func (a *app) hostCommand() *cobra.Command {
	c := &cobra.Command{Use: "host", Short: "Let a host in that is held back", Args: cobra.ArbitraryArgs, RunE: group}
	c.AddCommand(a.readmitCommand())
	return c
}

func (a *app) readmitCommand() *cobra.Command {
	var file string
	var yes bool
	c := &cobra.Command{
		Use: "readmit", Short: "Let the host of this machine in, although it is held back",
		Long: `Let the host of this machine in, although it is held back or waits for others. Run
it on that machine, while the host runs: it asks the host why it takes no part, and
shows what is at stake. With --yes it puts an order into the data directory, for
exactly what was shown; the host finds it within a second. What the host sets aside
is moved to a folder of the data directory and never deleted.`,
		Example: "  trireme host readmit --config /etc/trireme/h1.conf\n  trireme host readmit --config /etc/trireme/h1.conf --yes",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usage("%s: --config is missing: name the host's configuration file", cmd.CommandPath())
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			return a.readmit(cmd.Context(), cfg, yes)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the host's configuration `file`")
	c.Flags().BoolVar(&yes, "yes", false, "give the order")
	return c
}

// A readmitView is a host that takes no part, and what was done about it.
type readmitView struct {
	Host    string   `json:"host"`
	State   string   `json:"state"`  // of the host, in the end
	Reason  string   `json:"reason"` // why it took no part
	Next    string   `json:"next_step"`
	Stake   []string `json:"stake"`   // what letting it in risks, by stripe
	Missing []string `json:"missing"` // hosts that would have to answer, or be well
	Ordered bool     `json:"ordered"`
}

func (v *readmitView) print(w io.Writer) {
	fmt.Fprintf(w, "host %s takes no part: %s\n", v.Host, v.Reason)
	if v.Ordered {
		fmt.Fprintf(w, "the order to let it in is given; it is %s\n", v.State)
		return
	}
	fmt.Fprintf(w, "next step: %s\n", v.Next)
	if len(v.Missing) > 0 {
		fmt.Fprintf(w, "missing: %s\n", strings.Join(v.Missing, ", "))
	}
	if len(v.Stake) == 0 {
		fmt.Fprintln(w, "at stake: nothing that is known")
		return
	}
	fmt.Fprintln(w, "at stake:")
	for _, line := range v.Stake {
		fmt.Fprintf(w, "  %s\n", line)
	}
}

func (a *app) readmit(ctx context.Context, cfg config.Config, yes bool) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	answer, err := whoAmI(ctx, cfg)
	if err != nil {
		return err
	}
	verdict := answer.Verdict
	if verdict == nil || verdict.Situation == "" {
		return &failure{exit: exitRefused, hint: "there is nothing to override", err: fmt.Errorf("host %s is not held back: it is %s", answer.Host, answer.State)}
	}
	v := &readmitView{
		Host: answer.Host, State: string(answer.State), Reason: verdict.Reason, Next: verdict.Next,
		Stake: append([]string{}, verdict.Stake...), Missing: append([]string{}, verdict.Missing...), Ordered: yes,
	}
	if !yes {
		if err := a.answer(v, v.print); err != nil {
			return err
		}
		return &failure{exit: exitRefused, hint: "--yes gives the order", err: fmt.Errorf("host %s is not let in: --yes is missing", v.Host)}
	}
	if err := identity.WriteOrder(cfg.Data, verdict.Order(time.Now())); err != nil {
		return fmt.Errorf("give the order: %w", err)
	}
	a.say("the order is in %s", cfg.Data)
	in := a.letIn(ctx, cfg, v)
	if err := a.answer(v, v.print); err != nil {
		return err
	}
	return degraded(!in)
}

// whoAmI asks the host of this machine.
func whoAmI(ctx context.Context, cfg config.Config) (identity.Answer, error) {
	var none identity.Answer
	if cfg.HTTP == config.NoHTTP || cfg.Layout == "" {
		return none, usage("the configuration is of a host that stands alone: it is never held back")
	}
	raw, err := httpGet(ctx, cfg.HTTP, "/identity")
	if err != nil {
		return none, &failure{exit: exitUnreachable, hint: "the host must run while it is readmitted: `trireme serve --config FILE`", err: err}
	}
	answer, err := identity.ParseAnswer(raw)
	switch {
	case err != nil:
		return none, err
	case answer.Host != cfg.Host:
		return none, fmt.Errorf("at %s answers host %s, the configuration is that of %s", cfg.HTTP, answer.Host, cfg.Host)
	}
	return answer, nil
}

// letIn waits until the host takes part, as far as --timeout lets it.
func (a *app) letIn(ctx context.Context, cfg config.Config, v *readmitView) bool {
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for {
		if answer, err := whoAmI(ctx, cfg); err == nil {
			v.State = string(answer.State)
			if answer.State != identity.HeldBack {
				return true
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}
