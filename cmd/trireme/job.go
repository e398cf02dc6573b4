package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"trireme/ops"
)

// How often a host is asked how far its work is: soon at first, for work that is short.
const (
	jobPollMin = 20 * time.Millisecond
	jobPollMax = 500 * time.Millisecond
)

// A jobOutcome is what became of a job at a host.
type jobOutcome struct {
	hostOutcome
	Job    string          `json:"job,omitempty"` // its ID
	Result json.RawMessage `json:"result,omitempty"`

	last ops.Job
	err  error
	seen time.Time // that the host answered last
}

// jobs begins one at every host and waits for their ends, telling how far they are. A
// host that does not answer for --timeout is waited for no longer; its work goes on.
func (a *app) jobs(ctx context.Context, r *repairers, begin func(ctx context.Context, host string) (ops.Job, error), at func([]jobOutcome) step) ([]jobOutcome, error) {
	all := make([]jobOutcome, len(r.hosts))
	r.each(func(i int, h *hostStatus) error {
		x := &all[i]
		asked, cancel := context.WithTimeout(ctx, a.timeout)
		defer cancel()
		x.Host, x.seen = h.Host, time.Now()
		x.last, x.err = begin(asked, h.Host)
		x.Job = x.last.ID
		return nil
	})
	p := a.progress()
	defer p.end()
	for pause := jobPollMin; ; pause = min(jobPollMax, 2*pause) {
		if a.poll(ctx, r, all) {
			return settledJobs(all), nil
		}
		p.at(at(all))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			a.goesOn(all)
			return nil, ctx.Err()
		}
	}
}

// goesOn tells whoever does not want to wait what becomes of the work.
func (a *app) goesOn(all []jobOutcome) {
	var hosts []string
	for i := range all {
		if all[i].running() {
			hosts = append(hosts, all[i].Host)
		}
	}
	if len(hosts) > 0 {
		a.say("it goes on at %s: `trireme repair status` shows it, the same command waits for it again, `trireme repair stop` ends it", strings.Join(hosts, ", "))
	}
}

func (x *jobOutcome) running() bool { return x.err == nil && x.last.Ended == nil }

// poll asks about what is under way, and says whether nothing is any more.
func (a *app) poll(ctx context.Context, r *repairers, all []jobOutcome) (over bool) {
	r.each(func(i int, _ *hostStatus) error {
		x := &all[i]
		if !x.running() {
			return nil
		}
		asked, cancel := context.WithTimeout(ctx, peerLimit)
		defer cancel()
		now, err := r.Job(asked, x.Host, x.Job)
		_, refused := errors.AsType[*ops.Refusal](err)
		switch {
		case err == nil:
			x.last, x.seen = now, time.Now()
		case refused:
			x.err = err
		case ctx.Err() == nil && time.Since(x.seen) > a.timeout:
			x.err = hint(fmt.Errorf("host %s was asked for %v how far it is: %w", x.Host, a.timeout, err), "its work goes on if it lives; the same command waits for it again")
		}
		return nil
	})
	for i := range all {
		if all[i].running() {
			return false
		}
	}
	return true
}

// settledJobs puts what the hosts have said where it is told.
func settledJobs(all []jobOutcome) []jobOutcome {
	for i := range all {
		x := &all[i]
		if x.err == nil && x.last.Error != nil {
			x.err = x.last.Error
		}
		x.Result = x.last.Result
		x.hostOutcome = outcome(x.Host, x.err)
	}
	return all
}

// errorsOf are those of the hosts, nil for none.
func errorsOf(all []jobOutcome) []error {
	errs := make([]error, len(all))
	for i := range all {
		errs[i] = all[i].err
	}
	return errs
}

// read reads what a job has found.
func read[T any](x *jobOutcome) (v T, ok bool) {
	if x.Error != nil || json.Unmarshal(x.Result, &v) != nil {
		return v, false
	}
	return v, true
}

// A jobsView is what became of work at several hosts.
type jobsView struct {
	Event       string       `json:"event"` // result
	Hosts       []jobOutcome `json:"hosts"`
	Unreachable []awayHost   `json:"unreachable"`
}

func viewOf(all []jobOutcome, r *repairers) jobsView {
	return jobsView{"result", all, append([]awayHost{}, r.away...)}
}

// printNotDone writes why something was not done somewhere.
func printNotDone(w io.Writer, all []hostOutcome, away []awayHost) {
	for _, x := range all {
		if x.Error != nil {
			fmt.Fprintf(w, "host %s: %s\n", x.Host, oneLine(x.Error.Text, 300))
			if x.Error.Hint != "" {
				fmt.Fprintf(w, "  hint: %s\n", x.Error.Hint)
			}
		}
	}
	for _, h := range away {
		fmt.Fprintf(w, "%s\n", h.Error)
	}
}

func outcomes(all []jobOutcome) []hostOutcome {
	list := make([]hostOutcome, len(all))
	for i := range all {
		list[i] = all[i].hostOutcome
	}
	return list
}

// asRefusal tells an error as hosts do.
func asRefusal(err error) *ops.Refusal {
	if r, ok := errors.AsType[*ops.Refusal](err); ok {
		return r
	}
	r := &ops.Refusal{Code: ops.CodeFailed, Text: err.Error()}
	if exitOf(err) == exitUnreachable {
		r.Code = ops.CodeNotNow
	}
	if f, ok := errors.AsType[*failure](err); ok {
		r.Hint = f.hint
	}
	return r
}
