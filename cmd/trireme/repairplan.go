package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"trireme/internal/layoutfile"
	"trireme/ops"
	"trireme/repair/plan"
)

func (a *app) repairPlanCommand() *cobra.Command {
	var f scopeFlags
	var out string
	var yes bool
	c := &cobra.Command{
		Use: "plan", Short: "Say what a round would repair, and do nothing",
		Long: `Say what a round would repair now: which documents of a host it would pull or drop,
from whom and by which rule. Nothing is done.

With --out the plan is written to a file, which people can read and "repair apply"
does. A plan is of one host: give --host, unless only one has anything to repair.
It is refused later if what it rests on has changed by then.

The exit code is 3 when documents differ and no copy can be told to be right.`,
		Example: "  trireme repair plan\n  trireme repair plan --host h2 --out plan.json\n  trireme repair apply plan.json",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			scope, err := f.scope()
			if err != nil {
				return err
			}
			r, err := a.repairers(cmd, f.host)
			if err != nil {
				return err
			}
			defer r.watch.close()
			all, err := a.jobs(cmd.Context(), r, func(ctx context.Context, host string) (ops.Job, error) {
				return r.BeginPlan(ctx, host, scope)
			}, func(all []jobOutcome) step { return counted("comparing", all) })
			if err != nil {
				return err
			}
			return a.planned(r, all, out, yes)
		},
	}
	f.flags(c)
	c.Flags().StringVar(&out, "out", "", "write the plan to this `file`")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "overwrite a file that exists")
	return c
}

// A hostPlan is what a host would repair.
type hostPlan struct {
	hostOutcome
	Plan json.RawMessage `json:"plan,omitempty"` // as it goes into a file

	plan plan.Plan
}

// A plansView is what hosts would repair.
type plansView struct {
	Hosts       []hostPlan `json:"hosts"`
	Unreachable []awayHost `json:"unreachable"`
	File        string     `json:"file,omitempty"` // that was written
}

func (a *app) planned(r *repairers, all []jobOutcome, out string, yes bool) error {
	if err := r.alone(errorsOf(all)); err != nil {
		return err
	}
	v := plansView{Hosts: make([]hostPlan, len(all)), Unreachable: append([]awayHost{}, r.away...)}
	open := 0
	for i := range all {
		x := &v.Hosts[i]
		x.hostOutcome = all[i].hostOutcome
		if x.Error != nil {
			continue
		}
		var err error
		if x.plan, err = plan.Parse(all[i].Result); err != nil {
			return fmt.Errorf("read the plan of host %s: %w", x.Host, err)
		}
		x.Plan = all[i].Result
		open += len(x.plan.Undecided)
	}
	if out != "" {
		if err := v.write(out, yes); err != nil {
			return err
		}
		v.File = out
	}
	if err := a.answer(v, v.print); err != nil {
		return err
	}
	if err := r.notDone(errorsOf(all)); err != nil {
		return err
	}
	return degraded(open > 0)
}

// write writes the plan of the one host that has something to repair.
func (v *plansView) write(path string, yes bool) error {
	var which []*hostPlan
	for i := range v.Hosts {
		if x := &v.Hosts[i]; x.Error == nil && (len(v.Hosts) == 1 || len(x.plan.Ops) > 0) {
			which = append(which, x)
		}
	}
	switch {
	case len(which) == 0:
		return &failure{exit: exitRefused, hint: "nothing was written", err: fmt.Errorf("no host has anything to repair")}
	case len(which) > 1:
		hosts := make([]string, 0, len(which))
		for _, x := range which {
			hosts = append(hosts, x.Host)
		}
		return usage("--out: %s have something to repair, and a plan is of one host: add --host", strings.Join(hosts, " and "))
	}
	if _, err := os.Lstat(path); err == nil && !yes {
		return &failure{exit: exitRefused, err: fmt.Errorf("%s exists", path), hint: "--yes overwrites it"}
	}
	text, err := indented(which[0].Plan)
	if err == nil {
		err = layoutfile.WriteFile(path, text, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

func (v plansView) print(w io.Writer) {
	var faults []hostOutcome
	for i := range v.Hosts {
		x := &v.Hosts[i]
		if x.Error != nil {
			faults = append(faults, x.hostOutcome)
			continue
		}
		printPlan(w, &x.plan)
	}
	printNotDone(w, faults, v.Unreachable)
	if v.File != "" {
		fmt.Fprintf(w, "wrote %s\n", v.File)
	}
}

// maxPlanLines bounds what is shown of a plan; its file has all.
const maxPlanLines = 100

func printPlan(w io.Writer, p *plan.Plan) {
	lines := strings.SplitAfter(p.Describe(), "\n")
	shown := lines[:min(len(lines), maxPlanLines)]
	fmt.Fprint(w, strings.Join(shown, ""))
	if more := len(lines) - len(shown); more > 0 {
		fmt.Fprintf(w, "... and %d lines more: -o json and --out have all\n", more)
	}
}

func (a *app) repairApplyCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "apply FILE", Short: "Do what a plan says",
		Long: `Do what a plan says that "repair plan --out" has written. It shows the plan and asks;
--yes does it without asking. The host does nothing, and says what has moved, if a
document is not as the plan saw it any more: make a new plan then. Done again after
it was interrupted, it does the rest.

The exit code is 3 when some of it could not be done.`,
		Example: "  trireme repair apply plan.json\n  trireme repair apply plan.json --yes",
		Args:    arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return usage("%w", err)
			}
			p, err := plan.Parse(text)
			if err != nil {
				return usage("%s is not a plan: %w", args[0], err)
			}
			return a.applyPlan(cmd, text, &p, yes)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do it without asking")
	return c
}

func (a *app) applyPlan(cmd *cobra.Command, text []byte, p *plan.Plan, yes bool) error {
	if len(p.Ops) == 0 {
		return a.result(viewOf([]jobOutcome{}, &repairers{}), func(w io.Writer) { printPlan(w, p) })
	}
	if !yes {
		if a.output != asJSON {
			printPlan(a.out, p)
		}
		if !a.confirmed("do it") {
			return hint(&failure{exit: exitRefused, err: fmt.Errorf("the plan for host %s is not applied: --yes is missing", p.Host)}, "nothing has changed; --yes does it")
		}
	}
	r, err := a.repairers(cmd, p.Host)
	if err != nil {
		return err
	}
	defer r.watch.close()
	all, err := a.jobs(cmd.Context(), r, func(ctx context.Context, host string) (ops.Job, error) { return r.BeginApply(ctx, host, text) }, applying)
	if err != nil {
		return err
	}
	if err := r.alone(errorsOf(all)); err != nil {
		return err
	}
	done, _ := read[ops.ApplyResult](&all[0])
	err = a.result(viewOf(all, r), func(w io.Writer) {
		fmt.Fprintf(w, "host %s pulled %s and dropped %d; %d were as they should be already\n", p.Host, many(done.Pulled, "document"), done.Dropped, done.Already)
		printSkipped(w, p.Host, done.Skipped)
	})
	if err != nil {
		return err
	}
	return degraded(len(done.Skipped) > 0)
}

// applying is how far a plan is done.
func applying(all []jobOutcome) step {
	s := step{Doing: "applying"}
	for i := range all {
		var p ops.ApplyProgress
		if json.Unmarshal(all[i].last.Progress, &p) == nil {
			s.Done, s.Of = s.Done+p.Done, s.Of+p.Ops
		}
	}
	s.Note = strconv.Itoa(s.Done) + " of " + strconv.Itoa(s.Of) + " documents"
	return s
}
