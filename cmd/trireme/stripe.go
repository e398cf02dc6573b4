package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trireme/internal/layout"
	"trireme/ops"
)

func (a *app) stripeCommand() *cobra.Command {
	c := &cobra.Command{Use: "stripe", Short: "Give a stripe a new log whose own is gone", Args: cobra.ArbitraryArgs, RunE: group}
	c.AddCommand(a.rebuildCommand())
	return c
}

func (a *app) rebuildCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "rebuild STRIPE", Short: "Begin a new log of a stripe from the stores of its members",
		Long: `Begin a new log of a stripe whose own is gone for good: its stream was deleted, or the
jetstream folders of a majority of its members are lost. It goes on from the member
that has applied most; the others follow it, or heal from it.

First it asks every member where it stands, and shows that: from which one the new log
would go on, what is known to be lost, and what may be because a member cannot be
asked. Nothing acknowledged is lost when both are empty. Then it asks; --yes does it
without asking. Bring up every member before, whatever it takes: one that cannot be
asked may have more than the others.

While the log is there, or may be, it is refused.`,
		Example: "  trireme stripe rebuild s2          show the plan, and ask\n  trireme stripe rebuild s2 --yes",
		Args:    arguments("STRIPE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := layout.CheckName(args[0]); err != nil {
				return usage("%q is not the name of a stripe: %w", args[0], err)
			}
			return a.rebuild(cmd, args[0], yes)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do it without asking")
	return c
}

// A rebuildView is the plan, and what became of it.
type rebuildView struct {
	Event  string             `json:"event"` // result
	Plan   ops.RebuildPlan    `json:"plan"`
	Result *ops.RebuildResult `json:"result"` // null when nothing was done
}

func (a *app) rebuild(cmd *cobra.Command, stripe string, yes bool) error {
	r, err := a.repairers(cmd, "")
	if err != nil {
		return err
	}
	defer r.watch.close()
	p, host, err := a.rebuildPlan(cmd.Context(), r, stripe)
	if err != nil {
		return err
	}
	v := &rebuildView{Event: "result", Plan: p}
	if p.Refused != "" {
		return a.notRebuilt(v, p.Refused, "`trireme status` tells how the stripe is")
	}
	if !yes {
		if a.output != asJSON {
			v.print(a.out)
		}
		if !a.confirmed("begin a new log of stripe " + stripe) {
			if a.output == asJSON {
				return a.notRebuilt(v, "--yes is missing", "nothing has changed; --yes does it")
			}
			return hint(&failure{exit: exitRefused, err: fmt.Errorf("stripe %s is not rebuilt: --yes is missing", stripe)}, "nothing has changed; --yes does it")
		}
	}
	return a.carryOut(cmd.Context(), r, host, v)
}

// rebuildPlan asks a member of the stripe.
func (a *app) rebuildPlan(ctx context.Context, r *repairers, stripe string) (p ops.RebuildPlan, from *hostStatus, err error) {
	var errs []error
	for _, h := range r.hosts {
		if s := h.stripe(stripe); s == nil || s.Phase == "" {
			continue // it is no member
		}
		ctx, cancel := context.WithTimeout(ctx, max(a.timeout, ops.ControlLimit))
		p, err := r.RebuildPlan(ctx, h.Host, stripe)
		cancel()
		if err == nil {
			return p, h, nil
		}
		errs = append(errs, told(fmt.Errorf("host %s: %w", h.Host, err)))
	}
	if errs == nil {
		none := &ops.Refusal{Code: ops.CodeNotFound, Text: "no host that answers is a member of a stripe " + stripe, Hint: "`trireme owner` lists the stripes and their members"}
		return p, nil, told(none)
	}
	return p, nil, errors.Join(errs...)
}

// notRebuilt answers with the plan, and refuses.
func (a *app) notRebuilt(v *rebuildView, why, remedy string) error {
	if err := a.result(v, v.print); err != nil {
		return err
	}
	return hint(&failure{exit: exitRefused, err: fmt.Errorf("stripe %s is not rebuilt: %s", v.Plan.Stripe, why)}, "%s", remedy)
}

// carryOut has a host do what the plan says, and waits.
func (a *app) carryOut(ctx context.Context, r *repairers, host *hostStatus, v *rebuildView) error {
	r.hosts, r.away = []*hostStatus{host}, nil
	all, err := a.jobs(ctx, r, func(ctx context.Context, host string) (ops.Job, error) { return r.BeginRebuild(ctx, host, v.Plan) }, rebuilding)
	if err != nil {
		return err
	}
	if err := r.alone(errorsOf(all)); err != nil {
		return err
	}
	result, ok := read[ops.RebuildResult](&all[0])
	if !ok {
		return fmt.Errorf("the answer of host %s cannot be read: `trireme status` tells how the stripe is", host.Host)
	}
	v.Result = &result
	return a.result(v, func(w io.Writer) {
		fmt.Fprintf(w, "stripe %s has a new log, from what %s had; it begins at %d\n", result.Stripe, result.From, result.First)
		if len(result.Heals) > 0 {
			fmt.Fprintf(w, "%s heal from the others: `trireme repair status --watch`\n", strings.Join(result.Heals, ", "))
		}
		if len(result.Differ) > 0 {
			fmt.Fprintf(w, "%s applied other records: stop it, move the folder store of its data aside, start it; it is filled from the others\n", strings.Join(result.Differ, ", "))
		}
	})
}

// rebuilding is what a rebuilding is at.
func rebuilding(all []jobOutcome) step {
	s := step{Doing: "rebuilding", Of: 1}
	var p ops.RebuildProgress
	if json.Unmarshal(all[0].last.Progress, &p) == nil {
		s.Note = p.Step
	}
	return s
}

func (v *rebuildView) print(w io.Writer) {
	p := &v.Plan
	fmt.Fprintf(w, "stripe %s, birth %d; its log: %s\n\n", p.Stripe, p.Birth, p.Log)
	lines := [][]string{{"MEMBER", "STANDS", "APPLIED", "AT", "CHAIN", "NEWEST DOCUMENT", "OWNED IT"}}
	for _, m := range p.Members {
		at, owned := "-", "no"
		if !m.Time.IsZero() {
			at = m.Time.UTC().Format(time.RFC3339)
		}
		if m.Owner {
			owned = "yes"
		}
		lines = append(lines, []string{m.Host, string(m.Stands), orNone(m.Applied), at, orNone(m.Chain[:min(12, len(m.Chain))]), orNone(m.Newest), owned})
	}
	rows(w, lines)
	fmt.Fprintln(w)
	for _, m := range p.Members {
		switch {
		case m.Unknown != "":
			fmt.Fprintf(w, "%s could not be asked: %s\n", m.Host, oneLine(m.Unknown, 200))
		case m.Sick != "":
			fmt.Fprintf(w, "%s is sick: %s\n", m.Host, oneLine(m.Sick, 200))
		}
	}
	if p.From != "" {
		fmt.Fprintf(w, "the new log goes on from %s at %s\n", p.From, p.Position)
		printLosses(w, "known to be lost", p.Lost, "nothing")
		printLosses(w, "at stake", p.Stake, "nothing: every member was asked")
	}
	if p.Refused != "" {
		fmt.Fprintf(w, "it cannot be done now: %s\n", p.Refused)
	}
}

func printLosses(w io.Writer, what string, list []string, none string) {
	if len(list) == 0 {
		fmt.Fprintf(w, "%s: %s\n", what, none)
		return
	}
	fmt.Fprintf(w, "%s, %s:\n", what, strconv.Itoa(len(list)))
	for _, line := range list {
		fmt.Fprintf(w, "  %s\n", line)
	}
}
