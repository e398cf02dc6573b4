package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"trireme/ops"
)

func (a *app) repairStopCommand() *cobra.Command {
	var f scopeFlags
	c := &cobra.Command{
		Use: "stop", Short: "End what operators have begun: runs, scrubs, plans and their application",
		Long: `End what operators have begun with "repair run", "scrub", "repair plan", "repair
apply" or "verify --deep", at the next document. What was repaired until then stays.
What hosts do by themselves goes on: "repair pause" stops that.`,
		Example: "  trireme repair stop\n  trireme repair stop --host h2",
		Args:    arguments(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.stopJobs(cmd, f.host) },
	}
	f.hostFlag(c)
	return c
}

// A stoppedView is what was ended at a host.
type stoppedView struct {
	hostOutcome
	Stopped []ops.JobKind `json:"stopped"`
}

func (a *app) stopJobs(cmd *cobra.Command, host string) error {
	r, err := a.repairers(cmd, host)
	if err != nil {
		return err
	}
	defer r.watch.close()
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	views := make([]stoppedView, len(r.hosts))
	errs := r.each(func(i int, h *hostStatus) error {
		views[i].Stopped = []ops.JobKind{}
		list, err := r.Jobs(ctx, h.Host)
		for _, j := range list {
			if j.Ended == nil && err == nil && j.Kind != ops.JobRebuild { // a log is made, or it is not
				_, err = r.StopJob(ctx, h.Host, j.ID)
				views[i].Stopped = append(views[i].Stopped, j.Kind)
			}
		}
		views[i].hostOutcome = outcome(h.Host, err)
		return err
	})
	if err := r.alone(errs); err != nil {
		return err
	}
	v := struct {
		Hosts       []stoppedView `json:"hosts"`
		Unreachable []awayHost    `json:"unreachable"`
	}{views, append([]awayHost{}, r.away...)}
	err = a.answer(v, func(w io.Writer) {
		var faults []hostOutcome
		for _, x := range views {
			kinds := make([]string, 0, len(x.Stopped))
			for _, k := range x.Stopped {
				kinds = append(kinds, string(k))
			}
			switch {
			case x.Error != nil:
				faults = append(faults, x.hostOutcome)
			case len(kinds) == 0:
				fmt.Fprintf(w, "host %s: nothing was under way\n", x.Host)
			default:
				fmt.Fprintf(w, "host %s: stopped %s\n", x.Host, strings.Join(kinds, ", "))
			}
		}
		printNotDone(w, faults, r.away)
	})
	if err != nil {
		return err
	}
	return r.notDone(errs)
}
