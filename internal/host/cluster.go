package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"trireme/embedded"
	"trireme/internal/config"
	"trireme/internal/layout"
	"trireme/internal/register"
	"trireme/ops"
)

// cluster is what a host has besides when it is one of several.
type cluster struct {
	layouts  *layouts
	peers    *peers
	news     chan struct{} // there is something to report
	seen     chan struct{} // something was seen that should be on disk soon
	draining atomic.Bool   // it should own nothing
	reports  uint64        // made; of tellOthers alone

	mu       sync.Mutex
	register *register.Register
}

// errLogGone is a log that there was and that the cluster does not know any more.
var errLogGone = errors.New("the stripe's log is gone")

// stripeTag marks the servers that keep a stripe's log.
func stripeTag(s layout.Stripe) string {
	return fmt.Sprintf("stripe.%s.%d", strings.ToLower(s.Name), s.Birth)
}

// clusterOf is how the NATS server of a host joins those of a layout.
func clusterOf(cfg config.Config, l layout.Layout) embedded.Cluster {
	self, _ := l.Host(cfg.Host)
	c := embedded.Cluster{
		Name: cfg.Cluster.Name, Listen: cfg.Cluster.Listen, Advertise: self.NATS,
		User: cfg.Cluster.User, Password: cfg.Cluster.Password,
	}
	if c.Listen == "" {
		c.Listen = self.Route
	}
	for _, host := range l.Hosts {
		c.Routes = append(c.Routes, host.Route)
	}
	for _, s := range l.StripesOn(self.Name) {
		c.Tags = append(c.Tags, stripeTag(s))
	}
	return c
}

// openRegister finds the register, once. It is made only by a host that has never run
// a layout: else there was one.
func (h *Host) openRegister(ctx context.Context) (*register.Register, error) {
	h.cluster.mu.Lock()
	defer h.cluster.mu.Unlock()
	if h.cluster.register != nil {
		return h.cluster.register, nil
	}
	var err error
	if h.cluster.layouts.inForce().Version > 0 {
		h.cluster.register, err = register.Find(ctx, h.tails)
	} else {
		h.cluster.register, err = register.Open(ctx, h.tails, len(h.cluster.layouts.first().Hosts))
	}
	return h.cluster.register, err
}

// unborn makes sure that a stripe without a stream has never had one: else its
// records are gone, and an empty log in their place would hide that.
func (h *Host) unborn(ctx context.Context, s layout.Stripe, cause error) error {
	if h.cluster == nil {
		return nil
	}
	r, err := h.openRegister(ctx)
	if err != nil {
		return err
	}
	state, err := r.State(ctx)
	if err != nil {
		return err
	}
	if birth, born := state.Born[s.Name]; born {
		return fmt.Errorf("%w: %w, and host %s has made it as birth %d: nothing was overwritten; bring back the jetstream folders of a majority of its members", errLogGone, cause, birth.Host, birth.Birth)
	}
	return nil
}

// born has the register know that the stripe's log exists. Nothing may be written
// to the log before; so a store that has applied anything need not ask.
func (h *Host) born(ctx context.Context, s *stripe) error {
	if h.cluster == nil || s.replica.Applied().Seq > 0 {
		return nil
	}
	r, err := h.openRegister(ctx)
	if err != nil {
		return err
	}
	_, err = r.Bear(ctx, s.Name, s.Birth, h.Config.Host)
	return err
}

// describe tells what a host of a cluster is besides.
func (c *cluster) describe(st *ops.Status, cfg config.Config, l layout.Layout) {
	st.Cluster, st.LayoutSource, st.LayoutError = cfg.Cluster.Name, cfg.Layout, c.layouts.status()
	st.Draining = c.draining.Load()
	if l.Version == 0 {
		l = c.layouts.first() // addresses, while nothing is agreed on
	}
	st.Hosts = c.peers.hosts(l)
}

// save has what was seen of the others made durable soon.
func (c *cluster) save() {
	select {
	case c.seen <- struct{}{}:
	default:
	}
}

// saveEvery is how often what was seen of the others, and how far the stores have come,
// is made durable when nothing presses.
const saveEvery = 2 * time.Second

func (h *Host) keepSeen(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.cluster.seen:
		}
		h.id.Remember(h.durable())
		if err := h.id.Save(); err != nil {
			h.Logger.Error("identity", "error", err)
		}
	}
}

// durable is how far the stores of this host's stripes have durably come.
func (h *Host) durable() map[string]uint64 {
	durable := map[string]uint64{}
	for _, s := range h.members() {
		durable[s.Name] = s.replica.Durable()
	}
	return durable
}

// remembered is how far a stripe's store has durably come in this boot, as the disk
// remembers apart from the store: else a store that loses that would make the disk look
// old to whoever was told. See internal/identity.
func (s *stripe) remembered() uint64 {
	own, self := s.host.id.Own(), s.host.id.Self()
	if own.Disk != self.Disk || own.Boot != self.Boot {
		return 0
	}
	return own.Durable[s.Name]
}
