package host

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/adapter"
	"trireme/internal/config"
	"trireme/internal/layout"
	"trireme/internal/layoutfile"
)

// A trio is three hosts of one cluster in this process.
type trio struct {
	t     testing.TB
	dir   string
	cfgs  []config.Config
	hosts []*Host // nil where one is down
}

func freeAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func newTrio(t testing.TB, change ...func(*config.Config)) *trio {
	t.Helper()
	c := &trio{t: t, dir: t.TempDir(), hosts: make([]*Host, 3)}
	var hosts []layout.Host
	for i := range 3 {
		hosts = append(hosts, layout.Host{
			Name: fmt.Sprintf("h%d", i+1), NATS: freeAddress(t), Route: freeAddress(t), HTTP: freeAddress(t), Adama: fmt.Sprintf("10.0.0.%d:8080", i+1),
		})
	}
	l, err := layout.Generate(layout.Plan{Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	c.publish(l)
	for _, h := range hosts {
		cfg := testConfig(t)
		cfg.Host, cfg.Listen, cfg.HTTP, cfg.Layout = h.Name, h.NATS, h.HTTP, c.source()
		cfg.Cluster.User, cfg.Cluster.Password = "route", "secret"
		cfg.Cluster.Poll, cfg.Cluster.PreferAfter = 200*time.Millisecond, 5*time.Second
		cfg.Requests.Hold = 15 * time.Second
		for _, f := range change {
			f(&cfg)
		}
		c.cfgs = append(c.cfgs, cfg)
	}
	t.Cleanup(func() { c.stop(0, 1, 2) })
	return c
}

func (c *trio) source() string { return filepath.Join(c.dir, "layout.conf") }

func (c *trio) publish(l layout.Layout) {
	c.t.Helper()
	if err := os.WriteFile(c.source(), layoutfile.Format(l), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// start starts hosts, all at once.
func (c *trio) start(which ...int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all sync.WaitGroup
	for _, i := range which {
		all.Go(func() {
			h := &Host{Config: c.cfgs[i], Version: "1.2.3", Logger: testLogger(c.t).With("host", c.cfgs[i].Host)}
			if err := h.Start(ctx); err != nil {
				c.t.Errorf("start %s: %v", c.cfgs[i].Host, err)
				return
			}
			c.hosts[i] = h
		})
	}
	all.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

func (c *trio) stop(which ...int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all sync.WaitGroup
	for _, i := range which {
		if h := c.hosts[i]; h != nil {
			c.hosts[i] = nil
			all.Go(func() {
				if err := h.Close(ctx); err != nil {
					c.t.Errorf("close %s: %v", c.cfgs[i].Host, err)
				}
			})
		}
	}
	all.Wait()
}

// client is a client of one host.
func (c *trio) client(i int) *adapter.Client {
	c.t.Helper()
	nc, err := nats.Connect(c.hosts[i].NATS(), nats.Timeout(10*time.Second), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(nc.Close)
	client, err := adapter.NewClient(nc)
	if err != nil {
		c.t.Fatal(err)
	}
	return client
}

func first(n int) adapter.Update {
	return adapter.Update{SeqEnd: 1, Redo: fmt.Sprintf(`{"n":%d}`, n), Undo: `{}`, UpdateType: "Internal"}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	limit := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(limit) {
			t.Fatalf("not after %v: %s", patience, what)
		}
		<-tick.C
	}
}

// TestThreeHosts has each host answer for the documents of all, and read them after
// one of them was closed and after it has come back.
func TestThreeHosts(t *testing.T) {
	c := newTrio(t)
	c.start(0, 1, 2)
	const documents = 60
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	clients := []*adapter.Client{c.client(0), c.client(1), c.client(2)}
	for n := range documents {
		if err := clients[n%3].Initialize(ctx, "s", fmt.Sprint(n), first(n)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(which ...int) {
		t.Helper()
		for n := range documents {
			for _, i := range which {
				d, err := clients[i].Get(ctx, "s", fmt.Sprint(n))
				if want := fmt.Sprintf(`{"n":%d}`, n); err != nil || d.Patch != want {
					t.Fatalf("%s of document %d: %q, %v; want %q", c.cfgs[i].Host, n, d.Patch, err, want)
				}
			}
		}
	}
	read(0, 1, 2)

	c.stop(1)
	read(0, 2)
	c.start(1)
	clients[1] = c.client(1)
	read(0, 1, 2)
	eventually(t, "every stripe is back at its preferred host", func() bool {
		for _, s := range c.hosts[0].Status().Stripes {
			if s.Owner != s.Members[0] {
				return false
			}
		}
		return true
	})
	read(0, 1, 2)
}
