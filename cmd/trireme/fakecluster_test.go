package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"trireme/ops"
)

// fakeCluster is four hosts: h1 and h2 answer on NATS and do what they are told, h3
// is held back and answers over HTTP, h4 is down. s1 is preferred by h1, s2 by h2, s3
// by h4.
type fakeCluster struct {
	url  string
	held string // where h3 answers

	mu       sync.Mutex
	owner    map[string]string // of stripes
	drained  map[string]bool
	stubborn error // what a move ends with
}

func newFakeCluster(t *testing.T) *fakeCluster {
	t.Helper()
	nc, url := testNATS(t)
	f := &fakeCluster{url: url, owner: map[string]string{"s1": "h1", "s2": "h1", "s3": "h2"}, drained: map[string]bool{}}
	status := func() ops.Status { return f.heldStatus() }
	held := httptest.NewServer(ops.Handler(status, ops.NewMetrics(status, ""), ops.Options{}))
	t.Cleanup(held.Close)
	f.held = strings.TrimPrefix(held.URL, "http://")
	for _, host := range []string{"h1", "h2"} {
		c := &ops.Control{Conn: nc, Host: host, Version: "v1.2.3", Status: func() ops.Status { return f.status(host) }, Controller: fakeControl{f, host}}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return f
}

// reset gives the stripes back.
func (f *fakeCluster) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owner["s1"], f.owner["s2"] = "h1", "h1"
}

// refuse lets moves end so; a drained host keeps what it has.
func (f *fakeCluster) refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stubborn = err
}

func (f *fakeCluster) drain(host string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drained[host] = true
}

type fakeControl struct {
	*fakeCluster
	host string
}

func (c fakeControl) Drain(_ context.Context, on bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drained[c.host] = on
	for stripe, owner := range c.owner {
		if on && owner == c.host && c.stubborn == nil {
			c.owner[stripe] = map[string]string{"h1": "h2", "h2": "h1"}[c.host]
		}
	}
	return nil
}

func (c fakeControl) Move(_ context.Context, stripe, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stubborn != nil {
		return c.stubborn
	}
	c.owner[stripe] = to
	return nil
}

func (c fakeControl) CheckLayout(context.Context) error { return nil }

func (f *fakeCluster) heldStatus() ops.Status {
	s := ops.Status{
		Host: "h3", Version: "v1.2.3", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), PID: 33, Phase: ops.PhaseHeld,
		Layout: 7, Cluster: "trireme", Stripes: []ops.Stripe{}, Hosts: []ops.HostView{},
		Held: &ops.Held{Reason: "the disk is empty, but h1 has seen this host with disk d3 at boot 4", NextStep: "it comes in empty by itself once h4 (no route to host) is healthy"},
	}
	s.Assess()
	return s
}

// status is what h1 or h2 tells.
func (f *fakeCluster) status(host string) ops.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := ops.Status{
		Host: host, Version: "v1.2.3", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), PID: 11, Phase: ops.PhaseRunning,
		Layout: 7, LayoutDigest: "c0ffee", LayoutSource: "/etc/trireme/layout.conf", Cluster: "trireme", DiskID: "d" + host, Boot: 3,
		NATS: "nats://" + host + ":4222", HTTP: "http://" + host + ":7422", Draining: f.drained[host],
		Store: ops.Store{DiskBytes: 4 << 20}, Disk: ops.Disk{Free: 50 << 30, Total: 100 << 30, Reserve: 1 << 30},
		Requests: ops.Requests{MaxInFlight: 100, MaxBytes: 10000, HoldMS: 15_000},
	}
	for _, name := range []string{"h1", "h2", "h3", "h4"} {
		h := ops.HostView{
			Name: name, Self: name == host, Alive: name == "h1" || name == "h2", HeardMS: 300, Version: "v1.2.3", Layout: 7, LayoutDigest: "c0ffee",
			Draining: f.drained[name], NATS: name + ":4222", HTTP: name + ":7422", Adama: name + ":8080",
		}
		switch {
		case h.Self:
			h.HeardMS = 0
		case name == "h3":
			h.HTTP, h.HeardMS = f.held, 61_000
		case name == "h4":
			h.HTTP, h.HeardMS, h.Version, h.Layout, h.LayoutDigest = net.JoinHostPort("127.0.0.1", "1"), -1, "", 0, ""
		}
		s.Hosts = append(s.Hosts, h)
	}
	for i, name := range []string{"s1", "s2", "s3"} {
		members := [][]string{{"h1", "h2", "h3"}, {"h2", "h1", "h3"}, {"h4", "h2", "h1"}}[i]
		s.Stripes = append(s.Stripes, f.stripe(host, name, members))
	}
	s.Stripes[2].Partitions = 20
	s.Assess()
	return s
}

func (f *fakeCluster) stripe(host, name string, members []string) ops.Stripe {
	p := ops.Stripe{
		Name: name, Members: members, Replicas: 3, Partitions: 22, Owner: f.owner[name], Epoch: "1-7", Phase: "waiting",
		Applied: 120, Durable: 100, LogFirst: 1, LogLast: 120, LogBytes: 900, LogMax: 1000 << 10,
	}
	if p.Owner == host {
		p.Phase, p.LeaderHere = "serving", true
	}
	if p.Owner == "h2" {
		p.Epoch = "1-99"
	}
	if host == "h2" && name == "s1" && p.Owner != host {
		p.Applied, p.LagRecords, p.LagBytes, p.LagMS = 108, 12, 4000, 250
	}
	for _, m := range members {
		up := slices.Contains([]string{"h1", "h2"}, m)
		p.MembersState = append(p.MembersState, ops.MemberView{Host: m, Alive: up, Owner: m == p.Owner, Applied: p.Applied, Durable: p.Durable})
	}
	return p
}

// A host of nothing but HTTP answers.
func heldServer(t *testing.T, handler http.Handler) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}
