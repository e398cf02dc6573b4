package drill

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/localcluster"
)

// TestDrillResend loses the answer to a change that is committed, kills the owner,
// and asks again elsewhere under the same id: success, and applied once.
func TestDrillResend(t *testing.T) {
	beside(t)
	c := runningCluster(t)
	w := startTraffic(c, quiet())
	all := layoutOf(c).Partitions
	for i := range rounds(1, 10) {
		c.loseAnswer(w, all[(i*7)%len(all)], i)
	}
	w.stop()
	w.noErrors()
	v := w.conclude(c)
	t.Logf("%s; %s", w.summary(), v)
}

// quiet is a load that only keeps the logs moving.
func quiet() plan {
	p := standard()
	p.lanes, p.readers, p.pace = 6, 2, 100*time.Millisecond
	return p
}

func (c *cluster) loseAnswer(w *traffic, p layout.Partition, n int) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	owner, err := c.AwaitOwner(ctx, p.ID.String())
	c.must(err)
	d := w.adopt(c, keyOn(w.space, p, n))
	proxy := &localcluster.Proxy{Name: owner.Name, Listen: "127.0.0.1:0", Target: owner.NATS}
	c.must(proxy.Start())
	defer proxy.Close()
	nc := c.straightTo("nats://" + proxy.Address())
	defer nc.Close()
	var dropped atomic.Int64
	proxy.Filter(func(f *localcluster.Frame) localcluster.Verdict {
		if f.From == owner.Name && f.Message != nil {
			dropped.Add(1)
			return localcluster.Drop
		}
		return localcluster.Pass
	})
	in := docInput{true, 2, fmt.Sprintf("lost-answer-%d", n)}
	q, err := d.askPatch(nc, contract.SubjectPrefix+contract.OpPatch, w.space, in)
	c.must(err)
	client := newAdapter(c.t, c.connect())
	c.must(c.Await(ctx, "a lost answer", func(context.Context) error {
		if dropped.Load() == 0 {
			return errors.New("nothing was dropped")
		}
		return nil
	}))
	if seq, ok := w.get(client, d, whoLooks); !ok || seq != 2 {
		c.t.Fatalf("the change is not committed: seq %d", seq)
	}
	c.must(owner.Kill())
	next, err := c.AwaitOwner(ctx, p.ID.String(), owner.Name)
	c.must(err)
	other := c.straight(next)
	again, err := d.askPatch(other, contract.SubjectPrefix+contract.OpPatch, w.space, in)
	c.must(err)
	again.called = q.called // it is one request
	if code, text := d.settle(c.t, again, 30*time.Second); code != 0 {
		c.t.Errorf("a resend to %s after the failover of a committed change: %s", next.Name, text)
	}
	// Then another change, a restart of the first owner, and again.
	if !w.patch(client, d, whoTakes, 2, fmt.Sprintf("after-%d", n)) {
		c.t.Error("the document cannot be changed after the failover")
	}
	c.start()
	again, err = d.askPatch(c.straight(owner), contract.SubjectPrefix+contract.OpPatch, w.space, in)
	c.must(err)
	if a, err := again.answer(30 * time.Second); err != nil || a.code != 0 {
		c.t.Errorf("a resend to %s after its restart: %d %s %v", owner.Name, a.code, a.body, err)
	}
	if seq, ok := w.get(client, d, whoLooks); !ok || seq != 3 {
		c.t.Errorf("the document is at %d after a change, another, and two resends; want 3", seq)
	}
}

// TestDrillBatchHeldBack holds a batch and everything that its owner sends the other
// hosts after it, until others have taken over and gone on, and then delivers it.
func TestDrillBatchHeldBack(t *testing.T) {
	beside(t)
	held := 12 * time.Second
	if long() {
		held = 60 * time.Second
	}
	c := runningCluster(t, func(cfg *localcluster.Config) { cfg.Proxied = true })
	w := startTraffic(c, quiet())
	all := layoutOf(c).Partitions
	for i := range rounds(1, 5) {
		c.holdBack(w, all[(i*11)%len(all)], i, held)
	}
	w.stop()
	v := w.conclude(c)
	t.Logf("%s; %s", w.summary(), v)
}

func (c *cluster) holdBack(w *traffic, p layout.Partition, n int, held time.Duration) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	owner, err := c.AwaitOwner(ctx, p.ID.String())
	c.must(err)
	d := w.adopt(c, keyOn(w.space, p, n))
	nc := c.straight(owner)
	in := docInput{true, 2, fmt.Sprintf("held-back-%d", n)}
	var caught atomic.Int64
	c.Routes.Filter(func(f *localcluster.Frame) localcluster.Verdict {
		if f.From != owner.Name || f.Message == nil {
			return localcluster.Pass
		}
		// Not from the beginning: a batch that is held before it would keep it back.
		if f.Carries(in.id) {
			caught.Add(1)
		}
		if caught.Load() == 0 {
			return localcluster.Pass
		}
		return localcluster.Hold
	})
	until := time.Now().Add(held)
	q, err := d.askPatch(nc, contract.SubjectPrefix+"p."+p.ID.String()+"."+contract.OpPatch, w.space, in)
	c.must(err)
	c.must(c.Await(ctx, "the batch at the proxy", func(context.Context) error {
		if caught.Load() == 0 {
			return fmt.Errorf("%d other frames are held", c.Routes.Held())
		}
		return nil
	}))
	next := c.otherOwner(ctx, p, owner, func() {})
	other := c.straight(next)
	client := newAdapter(c.t, other)
	if seq, ok := w.get(client, d, whoLooks); !ok || seq != 1 || !w.patch(client, d, whoTakes, 1, fmt.Sprintf("instead-%d", n)) {
		c.t.Errorf("%s has taken over, and its document is at %d and cannot be changed: %v", next.Name, seq, w.faults())
	}
	wait(time.Until(until))
	c.t.Logf("%d frames of %s are let go after %v, %d of them with the batch; %s owns the stripe", c.Routes.Held(), owner.Name, held, caught.Load(), next.Name)
	c.Routes.Heal()
	code, text := d.settle(c.t, q, 40*time.Second)
	if code == 0 {
		c.t.Errorf("the change that was held back is acknowledged: %s", text)
	}
	c.t.Logf("the change that was held back: %s", text)
	c.ready()
	if seq, ok := w.get(newAdapter(c.t, c.connect(owner.Name)), d, whoLooks); !ok || seq != 2 {
		c.t.Errorf("the document is at %d, want 2", seq)
	}
}
