package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"trireme/internal/layout"
	"trireme/repair"
)

// askLimit bounds one question about copies. Whoever does not answer is asked again
// while there is time.
const askLimit = 5 * time.Second

// A comparer asks hosts about their copies, under the layout that one of them has in
// force.
type comparer struct {
	*repairers
	layout layout.Layout
	digest string
	peer   *repair.Peer
}

// comparer reaches the hosts. The caller closes watch.
func (a *app) comparer(cmd *cobra.Command) (*comparer, error) {
	r, err := a.repairers(cmd, "")
	if err != nil {
		return nil, err
	}
	if len(r.cluster.first.Hosts) < 2 {
		r.watch.close()
		alone := fmt.Errorf("host %s stands alone: there is no other copy to compare with", r.cluster.first.Host)
		return nil, hint(&failure{exit: exitRefused, err: alone}, "`trireme scrub` has it re-read and check its disk")
	}
	c := &comparer{repairers: r}
	if err := c.inForce(cmd.Context(), min(statusLimit, a.timeout)); err != nil {
		r.watch.close()
		return nil, err
	}
	c.peer = &repair.Peer{Conn: r.Conn, Timeout: min(askLimit, a.timeout), Layout: func() (layout.Layout, string) { return c.layout, c.digest }}
	return c, nil
}

// inForce finds out which layout is in force.
func (c *comparer) inForce(ctx context.Context, limit time.Duration) error {
	var errs []error
	for _, h := range c.hosts {
		ctx, cancel := context.WithTimeout(ctx, limit)
		l, err := c.InForce(ctx, h.Host)
		cancel()
		if err == nil {
			c.layout, c.digest = l, l.Digest()
			return nil
		}
		if errors.Is(err, nats.ErrNoResponders) {
			err = fmt.Errorf("host %s (trireme %s) does not tell its layout: it does not repair", h.Host, h.Version)
		}
		errs = append(errs, err)
	}
	return told(errors.Join(errs...))
}
