package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"trireme/internal/layout"
	"trireme/ops"
	"trireme/repair"
)

// A scopeFlags says which hosts do something, and about what.
type scopeFlags struct {
	host      string
	stripe    string
	partition string
}

func (f *scopeFlags) hostFlag(c *cobra.Command) {
	c.Flags().StringVar(&f.host, "host", "", "only this `host`; all of them when it is not given")
}

func (f *scopeFlags) flags(c *cobra.Command) {
	f.hostFlag(c)
	c.Flags().StringVar(&f.stripe, "stripe", "", "only this `stripe`")
	c.Flags().StringVar(&f.partition, "partition", "", "only this `partition`, as in 07")
}

// scope is what the flags leave of everything.
func (f *scopeFlags) scope() (repair.Scope, error) {
	s := repair.Scope{Stripe: f.stripe}
	if f.stripe != "" {
		if err := layout.CheckName(f.stripe); err != nil {
			return s, usage("--stripe %q is not the name of a stripe: %w", f.stripe, err)
		}
	}
	if f.partition != "" {
		id, err := layout.ParsePartitionID(f.partition)
		if err != nil {
			return s, usage("--partition %q: %w", f.partition, err)
		}
		s.Partition = &id
	}
	return s, nil
}

// A repairers is the hosts that an operator speaks to about repair.
type repairers struct {
	ops.Client
	watch   *watcher
	cluster *clusterStatus
	hosts   []*hostStatus // those that are meant and answer on NATS, in the order of the layout
	away    []awayHost    // those that are meant and do not
}

// repairers finds the hosts that are meant. The caller closes watch.
func (a *app) repairers(cmd *cobra.Command, host string) (*repairers, error) {
	if host != "" {
		if err := layout.CheckName(host); err != nil {
			return nil, usage("--host %q is not the name of a host: %w", host, err)
		}
	}
	if t, err := a.target(); err != nil {
		return nil, err
	} else if overHTTP(t.urls) {
		return nil, usage("--server %s: over HTTP a host tells its status only; give the NATS URL of a host", t.urls)
	}
	w, err := a.watcher(cmd)
	if err != nil {
		return nil, err
	}
	r := &repairers{Client: ops.Client{Conn: w.nc}, watch: w}
	if err := r.look(cmd.Context(), host); err != nil {
		w.close()
		return nil, err
	}
	return r, nil
}

func (r *repairers) look(ctx context.Context, host string) error {
	c, err := r.watch.cluster(ctx)
	if err != nil {
		return err
	}
	r.cluster, r.hosts, r.away = c, nil, nil
	for _, h := range c.hosts {
		switch {
		case host != "" && h.Host != host:
		case h.Held != nil || h.Phase == ops.PhaseHeld: // it answers over HTTP only
			r.away = append(r.away, awayHost{Host: h.Host, NATS: h.NATS, HTTP: h.HTTP, Error: "host " + h.Host + " is held back and takes no part"})
		default:
			r.hosts = append(r.hosts, h)
		}
	}
	for _, h := range c.away {
		if host == "" || h.Host == host {
			r.away = append(r.away, h)
		}
	}
	switch {
	case len(r.hosts) > 0:
		return nil
	case len(r.away) > 0:
		return &failure{exit: exitUnreachable, hint: "`trireme status` tells why", err: fmt.Errorf("%s", r.away[0].Error)}
	}
	return &failure{exit: exitUnreachable, hint: "`trireme status` lists the hosts", err: fmt.Errorf("host %s is not in the layout", host)}
}

// each does something at every host at once, and gives the errors in the order of the
// hosts.
func (r *repairers) each(do func(i int, h *hostStatus) error) []error {
	errs := make([]error, len(r.hosts))
	var all sync.WaitGroup
	for i, h := range r.hosts {
		all.Go(func() { errs[i] = do(i, h) })
	}
	all.Wait()
	return errs
}

// A hostOutcome is what became of something at a host.
type hostOutcome struct {
	Host  string       `json:"host"`
	Error *ops.Refusal `json:"error,omitempty"` // why it was not done
}

// outcome tells an error as hosts do.
func outcome(host string, err error) hostOutcome {
	if err == nil {
		return hostOutcome{Host: host}
	}
	return hostOutcome{host, asRefusal(err)}
}

// notDone sorts errors of hosts into the exit codes: that of the only host that was asked,
// and otherwise bad news, when the answer has told them.
func (r *repairers) notDone(errs []error) error {
	if len(errs) == 1 && errs[0] != nil && len(r.away) == 0 {
		return told(errs[0])
	}
	return degraded(len(r.away) > 0 || slices.ContainsFunc(errs, func(err error) bool { return err != nil }))
}

// alone reports an error at once where only one host was meant.
func (r *repairers) alone(errs []error) error {
	if len(errs) == 1 && len(r.away) == 0 && errs[0] != nil {
		return told(errs[0])
	}
	return nil
}
