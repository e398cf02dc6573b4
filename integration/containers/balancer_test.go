package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/internal/contract"
)

// A balancer knows of hosts what ops/haproxy.cfg does: which of them answers /owner/PP
// with 200. A request goes to that host, and while there is none to any that is ready.
type balancer struct {
	c     *cluster
	conns []*nats.Conn   // one to each host, and to no other
	sent  map[string]int // changes that went straight to their owner, by its name

	partition string
	found     [3]atomic.Int32 // by the checks, of each host
}

func newBalancer(c *cluster) *balancer {
	c.Helper()
	b := &balancer{c: c, sent: map[string]int{}}
	for _, h := range c.hosts {
		nc, err := nats.Connect("nats://"+h.at("4222"), nats.UserInfo("trireme", password), nats.IgnoreDiscoveredServers(),
			nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.ReconnectBufSize(-1), quiet())
		if err != nil {
			c.Fatal(err)
		}
		c.Cleanup(nc.Close)
		b.conns = append(b.conns, nc)
	}
	return b
}

// route asks any host where a document belongs.
func (b *balancer) route(space, key string) (partition string) {
	b.c.Helper()
	b.c.await("a route to "+key, func(ctx context.Context) error {
		for _, h := range b.c.hosts {
			code, body, err := h.get(ctx, "/route?"+url.Values{"space": {space}, "key": {key}}.Encode())
			if err != nil || code != http.StatusOK {
				continue
			}
			var to struct {
				Host      string
				Partition int
			}
			partition = ""
			if err := json.Unmarshal(body, &to); err != nil {
				return err
			}
			partition = fmt.Sprintf("%02d", to.Partition)
			return nil
		}
		return errors.New("no host tells")
	})
	return partition
}

// What the checks of a host have found last.
const (
	down int32 = iota
	ready
	owner
)

// checkEvery is the time between two checks of a host.
const checkEvery = 250 * time.Millisecond

// check asks a host again and again whether it is the owner, or ready at least, as a
// balancer does beside the requests.
func (b *balancer) check(ctx context.Context, h *host, found *atomic.Int32) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		is := down
		if code, _, err := h.get(ctx, "/owner/"+b.partition); err == nil && code == http.StatusOK {
			is = owner
		} else if err == nil {
			if code, _, err := h.get(ctx, "/readyz"); err == nil && code == http.StatusOK {
				is = ready
			}
		}
		found.Store(is)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// start begins the checks for a partition. They end with the scenario.
func (b *balancer) start(partition string) {
	b.partition = partition
	ctx, cancel := context.WithCancel(context.Background())
	var checks sync.WaitGroup
	b.c.Cleanup(func() { cancel(); checks.Wait() })
	for i, h := range b.c.hosts {
		checks.Go(func() { b.check(ctx, h, &b.found[i]) })
	}
}

// pick is the place of the host that the checks choose: the owner, else one that is
// ready, or -1.
func (b *balancer) pick() (at int, isOwner bool) {
	at = -1
	for i := range b.found {
		switch b.found[i].Load() {
		case owner:
			return i, true
		case ready:
			at = i
		}
	}
	return at, false
}

// request sends a change where the checks say, once, under an id that makes it safe to
// send it again.
func (b *balancer) request(ctx context.Context, op, id string, body any) error {
	at, isOwner := b.pick()
	if at < 0 {
		return errors.New("no host is ready")
	}
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: "adama.v1." + op, Data: data, Header: nats.Header{contract.HeaderRequestID: {id}}}
	ctx, cancel := context.WithTimeout(ctx, balancedLimit)
	defer cancel()
	reply, err := b.conns[at].RequestMsgWithContext(ctx, m)
	if err != nil {
		return err
	}
	if code := reply.Header.Get(micro.ErrorCodeHeader); code != "" {
		return errors.New("refused with " + code)
	}
	if isOwner {
		b.sent[b.c.hosts[at].name]++
	}
	return nil
}

// balancedLimit is how long one try may take; a host that died says nothing.
const balancedLimit = 5 * time.Second

// append writes the next changes of a document, each until it is acknowledged.
func (b *balancer) append(d *ledger, changes int) {
	b.c.Helper()
	for range changes {
		seq := d.top() + 1
		id := d.id(seq)
		var body any = contract.PatchRequest{Space: d.space, Key: d.key, Patches: []contract.Update{d.update(seq)}}
		op := "patch"
		if seq == 1 {
			op, body = "initialize", contract.InitializeRequest{Space: d.space, Key: d.key, Patch: d.update(seq)}
		}
		b.c.await("an answer to "+id, func(ctx context.Context) error { return b.request(ctx, op, id, body) })
		d.success(id, seq)
	}
}

// balancedClient follows the owner of a document by HTTP checks alone: when it is moved,
// and when it dies.
func balancedClient(c *cluster, l *load) {
	b := newBalancer(c)
	d := newLedger(l.space, "balanced")
	partition := b.route(d.space, d.key)
	b.start(partition)
	b.append(d, 20)

	first := c.awaitOwner(partition)
	stripe := first.stripeOf(partition)
	to := c.others(first)[0]
	first.run("trireme", "owner", "move", stripe, to.name, "--timeout", "2m")
	b.append(d, 20)

	dying := c.awaitOwner(partition)
	dying.kill()
	began := time.Now()
	b.append(d, 1)
	suite.tell(fmt.Sprintf("a client by way of a load balancer, from the owner's death to the next acknowledgement: %.1f s", time.Since(began).Seconds()))
	heir := c.awaitOwner(partition, dying)
	c.await("checks that find the new owner", func(context.Context) error {
		if at, isOwner := b.pick(); !isOwner || c.hosts[at] != heir {
			return errors.New("they do not")
		}
		return nil
	})
	before := b.sent[heir.name]
	b.append(d, 20)
	if b.sent[heir.name] == before {
		c.Errorf("no request went straight to %s, which owns the document now: %v", heir.name, b.sent)
	}
	if len(b.sent) < 2 {
		c.Errorf("the owner has changed, and all requests went to one host: %v", b.sent)
	}
	dying.start()
	c.past = append(c.past, d)
}

// stripeOf is the stripe that carries a partition.
func (h *host) stripeOf(partition string) string {
	h.Helper()
	var to struct{ Stripe string }
	_, body, err := h.get(h.Context(), "/owner/"+partition)
	h.must("ask for the owner at", err)
	h.must("read the owner from", json.Unmarshal(body, &to))
	return to.Stripe
}
