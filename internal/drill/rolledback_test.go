package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"trireme/adapter"
	"trireme/internal/localcluster"
)

// TestDrillLogRolledBack takes from a log what was acknowledged: of three members the
// first was down, the second has lost JetStream's newest files, and only the third has
// all of it, and is away. The first and the second are a majority, and agree that the log
// ends where it does not. The document store of the second knows better: nobody may go
// on with that log. When the third is back, the log is rebuilt from the stores, and
// nothing is lost.
func TestDrillLogRolledBack(t *testing.T) {
	beside(t)
	c := runningCluster(t)
	h1, h2, h3 := c.Hosts[0], c.Hosts[1], c.Hosts[2]
	w := startTraffic(c, quiet())
	w.awaitAcked(100)
	w.stop()
	ctx, cancel := c.bounded()
	defer cancel()
	c.must(c.AwaitCaughtUp(ctx))

	c.stopHost(h2)
	logs, old := filepath.Join(h2.Data, "jetstream"), filepath.Join(c.Dir, "old-jetstream")
	c.copy(logs, old)
	c.start()
	c.must(h1.Kill())
	after := startTraffic(c, again("after"))
	after.awaitAcked(200)
	after.stop()
	// In order: what a killed host had applied last would be in its log only, and the log
	// of the third is cut back when it comes to the other two.
	c.stopHost(h2)
	c.stopHost(h3)
	c.must(errors.Join(os.RemoveAll(logs), os.Rename(old, logs)))

	c.must(errors.Join(h1.Start(), h2.Start()))
	gone := c.logsGone(h1, h2)
	t.Logf("%s and %s say of stripes %v that their logs have lost records", h1.Name, h2.Name, gone)
	d := after.documents()[0]
	asking, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	err := newAdapter(t, c.connect(h1.Name)).Patch(asking, after.space, d.key, []adapter.Update{change(docInput{seq: 2, id: "instead"})})
	if err == nil {
		t.Error("a change was taken that the lost ones have made impossible")
	}

	c.must(h3.Start())
	c.rebuild(c.logsGone(c.Hosts...))
	c.ready()
	last := startTraffic(c, again("last"))
	last.awaitAcked(100)
	last.stop()
	c.verified("--deep")
	t.Logf("%s; %s; %s", w.judge(c), after.judge(c), last.judge(c))
	c.compareStores()
}

// rebuild begins logs anew, as an operator does.
func (c *cluster) rebuild(stripes []string) {
	c.t.Helper()
	for _, stripe := range stripes {
		code, said := c.trireme("stripe", "rebuild", stripe, "--yes")
		c.t.Logf("trireme stripe rebuild %s ends with %d:\n%s", stripe, code, said)
		if code != 0 {
			c.t.Errorf("stripe %s is not rebuilt", stripe)
		}
	}
}

// serveAgain waits until all hosts are ready. When logs have lost records, which takes
// damage to several hosts, that takes an operator.
func (x *strike) serveAgain() {
	x.t.Helper()
	ctx, cancel := x.bounded()
	defer cancel()
	var gone []string
	x.must(x.Await(ctx, "ready hosts, or logs to rebuild", func(ctx context.Context) error {
		if gone, _ = x.gone(ctx, x.Hosts); len(gone) > 0 {
			return nil
		}
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return x.AwaitReady(soon)
	}))
	if len(gone) > 0 {
		x.rebuilt += len(gone)
		x.rebuild(gone)
		x.ready()
	}
}

// logsGone waits until hosts say of the same stripes that their logs cannot be gone on
// with, and of no other one that it has no owner.
func (c *cluster) logsGone(hosts ...*localcluster.Host) (gone []string) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	c.must(c.Await(ctx, "hosts that say which logs are gone", func(ctx context.Context) (err error) {
		gone, err = c.gone(ctx, hosts)
		return err
	}))
	return gone
}

// gone are the stripes of which hosts say, all of them, that the log cannot be gone on
// with. It is an error when there is none, when they do not agree, and when another
// stripe has no owner.
func (c *cluster) gone(ctx context.Context, hosts []*localcluster.Host) (gone []string, err error) {
	says := map[string]int{}
	for _, h := range hosts {
		s, err := status(ctx, h)
		if err != nil {
			return nil, err
		}
		for _, stripe := range s.Stripes {
			if stripe.LogGone != "" {
				says[stripe.Name]++
			} else if stripe.Owner == "" {
				return nil, fmt.Errorf("%s has heard of no owner of %s", h.Name, stripe.Name)
			}
		}
	}
	for name, n := range says {
		if n < len(hosts) {
			return nil, fmt.Errorf("%d of %d hosts say that the log of %s is gone", n, len(hosts), name)
		}
		gone = append(gone, name)
	}
	if len(gone) == 0 {
		return nil, errors.New("no log is gone")
	}
	return gone, nil
}
