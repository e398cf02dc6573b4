package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/localcluster"
)

// TestDrillOwnersAreCutOff takes an owner off the network between the hosts, while
// clients still reach it: it goes on, believes, and is asked all the while. When it is
// back its documents are those of the others.
func TestDrillOwnersAreCutOff(t *testing.T) {
	beside(t)
	length := 12 * time.Second
	if long() {
		length = 40 * time.Second
	}
	c := runningCluster(t, func(cfg *localcluster.Config) { cfg.Proxied = true })
	w := startTraffic(c, quiet())
	all := layoutOf(c).Partitions
	for i := range rounds(1, 5) {
		c.cutOff(w, all[(i*17)%len(all)], i, length)
	}
	w.stop()
	v := w.conclude(c)
	t.Logf("%s; %s", w.summary(), v)
}

func (c *cluster) cutOff(w *traffic, p layout.Partition, n int, length time.Duration) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	owner, err := c.AwaitOwner(ctx, p.ID.String())
	c.must(err)
	d := w.adopt(c, keyOn(w.space, p, n))
	nc := c.straight(owner)
	c.Routes.Isolate(owner.Name)
	over := time.Now().Add(length)
	var asked []*question
	ask := func() {
		patch, err := d.askPatch(nc, contract.SubjectPrefix+contract.OpPatch, w.space, docInput{true, 2, fmt.Sprintf("cut-off-%d", len(asked))})
		c.must(err)
		get, err := d.askGet(nc, contract.SubjectPrefix+contract.OpGet, w.space)
		c.must(err)
		asked = append(asked, patch, get)
	}
	next := c.otherOwner(ctx, p, owner, ask)
	client := newAdapter(c.t, c.straight(next))
	if seq, ok := w.get(client, d, whoLooks); !ok || seq != 1 || !w.patch(client, d, whoTakes, 1, fmt.Sprintf("instead-%d", n)) {
		c.t.Errorf("%s has taken over, and its document is at %d and cannot be changed: %v", next.Name, seq, w.faults())
	}
	for time.Now().Before(over) {
		ask()
		wait(200 * time.Millisecond)
	}
	c.Routes.Heal()
	deadline := time.Now().Add(40 * time.Second)
	told := map[string]int{}
	for _, q := range asked {
		code, text := d.settle(c.t, q, time.Until(deadline))
		told[fmt.Sprintf("patch %v %d", q.in.patch, code)]++
		if q.in.patch && !slices.Contains(append(notHappened(), contract.OutcomeUnknown), code) {
			c.t.Errorf("%s, cut off, answers a patch with %s", owner.Name, text)
		}
	}
	c.t.Logf("%s was cut off for %v, %s took over; it has answered %v", owner.Name, length, next.Name, told)
	c.ready()
	if seq, ok := w.get(newAdapter(c.t, c.connect(owner.Name)), d, whoLooks); !ok || seq != 2 {
		c.t.Errorf("the document is at %d, want 2", seq)
	}
}

// otherOwner waits until another host says that it owns a partition, whatever the one
// before says; meanwhile is called now and then.
func (c *cluster) otherOwner(ctx context.Context, p layout.Partition, before *localcluster.Host, meanwhile func()) *localcluster.Host {
	c.t.Helper()
	var next *localcluster.Host
	looks := 0
	c.must(c.Await(ctx, "another owner than "+before.Name, func(ctx context.Context) error {
		if looks++; looks%10 == 0 {
			meanwhile()
		}
		for _, h := range c.Hosts {
			if owns, err := h.Owns(ctx, p.ID.String()); err == nil && owns && h != before {
				next = h
				return nil
			}
		}
		return errors.New("none")
	}))
	return next
}
