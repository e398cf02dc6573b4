package drill

import (
	"context"
	"fmt"
	"testing"
	"time"

	"trireme/internal/localcluster"
	"trireme/ops"
)

// TestDrillHandOver drains hosts and moves stripes under load. Nobody is told of it,
// and the pause is short.
func TestDrillHandOver(t *testing.T) {
	beside(t)
	n := rounds(1, 10)
	c := runningCluster(t)
	w := startTraffic(c, standard())
	w.awaitAcked(500)
	operator := c.operator()
	var at []time.Time
	var what []string
	for i := range n {
		h := c.Hosts[i%len(c.Hosts)]
		at, what = append(at, time.Now()), append(what, "drain "+h.Name)
		c.drain(operator, h)
		at, what = append(at, time.Now()), append(what, "no longer drain "+h.Name)
		c.told(operator.Drain(c.t.Context(), h.Name, false))
		c.ready()
		w.awaitAcked(200)
		from, stripe, to := c.somewhereElse(operator, i)
		at, what = append(at, time.Now()), append(what, fmt.Sprintf("move %s from %s to %s", stripe, from, to))
		c.told(operator.Move(c.t.Context(), from, stripe, to))
		c.owns(operator, stripe, to)
		w.awaitAcked(200)
	}
	w.stop()
	pauses := w.pauses(append(at, time.Now()))
	for i, p := range pauses {
		t.Logf("%s: the longest request took %v: %s", what[i], p.took.Round(time.Millisecond), p.what)
	}
	most := 10 * time.Second // of a machine that tests other things too
	if long() {
		most = time.Second
	}
	judgePauses(t, pauses, most, most)
	w.noErrors()
	v := w.conclude(c)
	t.Logf("%d drains and moves: %s; %s", n, w.summary(), v)
}

// TestDrillRollingRestart restarts one host after the other, in order, under load.
func TestDrillRollingRestart(t *testing.T) {
	beside(t)
	n := rounds(1, 5)
	c := runningCluster(t)
	w := startTraffic(c, standard())
	w.awaitAcked(500)
	var at []time.Time
	for range n {
		for _, h := range c.Hosts {
			at = append(at, time.Now())
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			code, err := h.Terminate(ctx)
			cancel()
			if err != nil || code != 0 {
				t.Errorf("%s ends with exit code %d, %v\n%s", h.Name, code, err, h.Tail(2000))
			}
			t.Logf("%s took %v to end", h.Name, time.Since(at[len(at)-1]).Round(time.Millisecond))
			c.must(h.Start())
			c.ready()
			w.awaitAcked(200)
		}
	}
	w.stop()
	judgePauses(t, w.pauses(append(at, time.Now())), 30*time.Second, 10*time.Second)
	w.noErrors()
	v := w.conclude(c)
	t.Logf("%d restarts: %s; %s", len(at), w.summary(), v)
}

// told fails the drill when an operator's request was refused.
func (c *cluster) told(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Errorf("an operator was told: %v", err)
	}
}

// drain waits until a host owns nothing.
func (c *cluster) drain(operator ops.Client, h *localcluster.Host) {
	c.t.Helper()
	c.told(operator.Drain(c.t.Context(), h.Name, true))
	ctx, cancel := c.bounded()
	defer cancel()
	c.must(c.AwaitStatus(ctx, h, "a host that owns nothing", func(s localcluster.Status) error {
		for _, stripe := range s.Stripes {
			if stripe.Owner == h.Name || stripe.Owner == "" {
				return fmt.Errorf("stripe %s is owned by %q", stripe.Name, stripe.Owner)
			}
		}
		return nil
	}))
}

// somewhereElse picks a stripe, its owner, and another member.
func (c *cluster) somewhereElse(operator ops.Client, n int) (from, stripe, to string) {
	c.t.Helper()
	s, err := operator.Status(c.t.Context(), "")
	c.must(err)
	for i := range s.Stripes {
		picked := &s.Stripes[(i+n)%len(s.Stripes)]
		for _, m := range picked.MembersState {
			if picked.Owner != "" && m.Alive && m.Sick == "" && m.Host != picked.Owner {
				return picked.Owner, picked.Name, m.Host
			}
		}
	}
	c.t.Fatalf("no stripe can be moved: %+v", s.Stripes)
	return "", "", ""
}

// owns waits until a stripe belongs to a host.
func (c *cluster) owns(operator ops.Client, stripe, host string) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	c.must(c.Await(ctx, stripe+" at "+host, func(ctx context.Context) error {
		s, err := operator.Status(ctx, host)
		if err != nil {
			return err
		}
		for i := range s.Stripes {
			if s.Stripes[i].Name == stripe && s.Stripes[i].Owner == host && s.Stripes[i].Phase == "serving" {
				return nil
			}
		}
		return fmt.Errorf("%+v", s.Stripes)
	}))
}
