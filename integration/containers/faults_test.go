package containers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"trireme/adapter"
)

// TestFaults breaks hosts and the network between them, one thing after another.
func TestFaults(t *testing.T) {
	playAll(t, []scenario{
		{name: "first start", play: firstStart},
		{name: "failover by kill", play: killOwner},
		{name: "pause of the owner", play: pauseOwner},
		{name: "network cut from a follower", play: cutFollower},
		{name: "network cut from the owner", play: cutOwner},
		{name: "network cut from two hosts", play: cutTwo, refusals: true},
	})
}

// probed is the partition whose owner is broken.
const probed = "00"

// firstStart is a cluster as it comes up: the clients work already.
func firstStart(c *cluster, _ *load) {
	suite.tell(fmt.Sprintf("three hosts from nothing to serving: %.1f s", time.Since(c.began).Seconds()))
	for _, h := range c.hosts {
		c.await("a healthy container "+h.name, func(ctx context.Context) error {
			state, err := h.container.State(ctx)
			if err == nil && (state.Health == nil || state.Health.Status != container.Healthy) {
				err = fmt.Errorf("its health is %+v", state.Health)
			}
			return err
		})
		h.run("trireme", "healthcheck", "--config", "/etc/trireme/trireme.conf", "--ready")
		if s, err := h.status(c.Context()); err != nil || s.Version != presentVersion {
			c.Errorf("%s runs version %q, want %q; %v", h.name, s.Version, presentVersion, err)
		}
	}
	if out := c.hosts[2].run("trireme", "status"); !strings.Contains(out, "3 of 3 hosts answer") {
		c.Errorf("the status, as it is told in a container:\n%s", out)
	}
}

// killOwner has the two others go on.
func killOwner(c *cluster, l *load) { withoutOwner(c, l, (*host).kill, (*host).start) }

// pauseOwner freezes a host that believes, when it is thawed, that it still owns.
func pauseOwner(c *cluster, l *load) { withoutOwner(c, l, (*host).pause, (*host).unpause) }

// withoutOwner takes an owner away until the others have gone on without it.
func withoutOwner(c *cluster, l *load, away, back func(*host)) {
	owner := c.awaitOwner(probed)
	away(owner)
	c.awaitOwner(probed, owner)
	l.awaitProgress()
	back(owner)
}

// cutFollower cuts off a host that owns nothing: only its clients see that.
func cutFollower(c *cluster, l *load) {
	follower := c.others(c.awaitOwner(probed))[0]
	follower.run("trireme", "drain", follower.name, "--wait", "--timeout", "2m")
	follower.cut()
	for _, h := range c.others(follower) {
		c.await("word that a host is away", func(ctx context.Context) error { return h.tellsOf(ctx, "host-down") })
	}
	l.awaitProgress()
	follower.join()
	c.await("the return of "+follower.name, func(ctx context.Context) error { return follower.tellsOf(ctx, "draining") })
	follower.run("trireme", "drain", follower.name, "--undo")
}

// cutOwner cuts off a host that goes on believing that it owns.
func cutOwner(c *cluster, l *load) {
	owner := c.awaitOwner(probed)
	owner.cut()
	c.awaitOwner(probed, owner)
	l.awaitProgress()
	// Its container is not restarted for that: the process lives, it is not ready.
	owner.run("trireme", "healthcheck", "--config", "/etc/trireme/trireme.conf")
	c.await("a host that is not ready", func(context.Context) error {
		if code, out := owner.exec("trireme", "healthcheck", "--config", "/etc/trireme/trireme.conf", "--ready"); code != 3 {
			return fmt.Errorf("healthcheck --ready ends with %d: %s", code, out)
		}
		return nil
	})
	owner.join()
}

// cutTwo leaves nobody with a quorum: nothing may be acknowledged until one returns.
func cutTwo(c *cluster, l *load) {
	left := c.hosts[2]
	for _, h := range c.others(left) {
		h.cut()
	}
	c.await("word that there is no quorum", func(ctx context.Context) error { return left.tellsOf(ctx, "stripe-no-quorum") })
	before := l.acked.Load() // whatever had a quorum has been answered by now
	if code, _, err := left.get(c.Context(), "/readyz"); err != nil || code != 503 {
		c.Errorf("without a quorum /readyz answers %d, %v; want 503", code, err)
	}
	d := newLedger(l.space, "without-quorum")
	client, err := adapter.NewClient(c.connect(2))
	if err != nil {
		c.Fatal(err)
	}
	id := d.id(1)
	ctx, cancel := context.WithTimeout(c.Context(), bound)
	defer cancel()
	err = client.Initialize(ctx, d.space, d.key, d.update(1), adapter.WithRequestID(id))
	switch {
	case err == nil:
		c.Error("a document was made without a quorum")
	case errors.Is(err, adapter.ErrNotFound), errors.Is(err, adapter.ErrExists):
		c.Errorf("without a quorum a client is told of documents: %v", err)
	case errors.Is(err, adapter.ErrOutcomeUnknown):
		d.unknown(id)
	}
	c.past = append(c.past, d)
	if now := l.acked.Load(); now != before {
		c.Errorf("%d changes were acknowledged without a quorum", now-before)
	}
	c.host("h1").join()
	l.awaitProgress() // two of three suffice
	c.host("h2").join()
}
