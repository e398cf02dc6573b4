package embedded

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestSetClusterOnRunningServers adds a tag to three of four servers, and the fourth to
// the routes of the others, while a client reads and a host writes.
func TestSetClusterOnRunningServers(t *testing.T) {
	t.Parallel() // it waits for elections
	servers := hosts(t, 4, withUsers)
	all := servers[0].Cluster.Routes
	for _, s := range servers[:3] {
		s.Cluster.Routes = all[:3]
	}
	together(t, servers[:3])
	_, js := logOf(t, servers[0])
	replicated(t, js, "s1", "all")
	publish(t, js, "s1", "first")
	leads := leader(t, servers[:3], "trireme-s1")
	nc, js := logOf(t, leads)
	outside, errs := dial(t, servers[1], nats.UserInfo("adama", "p1"))
	before := leads.NATS().JetStreamConfig()

	together(t, servers[3:])
	busy := make(chan struct{})
	refusals := make(chan error, 1)
	go func() {
		for ctx := t.Context(); ; {
			select {
			case <-busy:
				refusals <- nil
				return
			default:
				if _, err := js.Publish(ctx, "trireme.log.s1", []byte("more")); err != nil {
					refusals <- err
					return
				}
			}
		}
	}()
	for i, s := range servers {
		c := *s.Cluster
		c.Routes, c.Advertise = all, fmt.Sprintf("127.0.0.1:%d", 40000+i)
		if i > 0 {
			c.Tags = []string{"all", "S2.b4"}
		}
		for range 2 { // the second time there is nothing to do
			if err := s.SetCluster(c); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(*s.Cluster, c) {
			t.Errorf("the field says %+v", s.Cluster)
		}
	}
	close(busy)
	if err := <-refusals; err != nil && leads.LeadsStream("trireme-s1") { // a slow machine may have had an election
		t.Errorf("publish meanwhile: %v", err)
	}
	if nc.Stats().Reconnects != 0 || outside.Stats().Reconnects != 0 || len(errs) != 0 {
		t.Error("a connection was cut")
	}
	if after := leads.NATS().JetStreamConfig(); !reflect.DeepEqual(after, before) {
		t.Errorf("JetStream had %+v and has %+v", before, after)
	}

	replicated(t, js, "s2", "s2.b4")
	if got := strings.Join(keepers(t, js, "trireme-s2"), " "); got != "h2 h3 h4" {
		t.Errorf("the stream is on %s", got)
	}
	publish(t, js, "s2", "first")
	leader(t, servers[1:], "trireme-s2")
	// The accounts are what they were: a client reads, and changes nothing.
	eventually(t, "read", func() error {
		m, err := outside.Request("$JS.API.DIRECT.GET.trireme-s2", []byte(`{"seq":1}`), time.Second)
		if err == nil && string(m.Data) != "first" {
			err = fmt.Errorf("%q %v", m.Data, m.Header)
		}
		return err
	})
	if err := outside.Publish("$JS.API.STREAM.DELETE.trireme-s2", nil); err != nil {
		t.Fatal(err)
	}
	refused(t, errs)
}

func TestSetClusterRefuses(t *testing.T) {
	s := hosts(t, 2, func() *Server { return &Server{} })[0]
	if err := s.SetCluster(*s.Cluster); !errors.Is(err, ErrNotRunning) {
		t.Errorf("before Start: %v", err)
	}
	solitary(t, s)
	tests := []struct {
		name   string
		change func(*Cluster)
		want   string
	}{
		{"name", func(c *Cluster) { c.Name = "other" }, `cluster name "other": it cannot change from "test"`},
		{"listen", func(c *Cluster) { c.Listen = "127.0.0.1:1" }, `cluster listen "127.0.0.1:1": it cannot change`},
		{"user", func(c *Cluster) { c.User = "other" }, `cluster user "other": it cannot change from "host"`},
		{"password", func(c *Cluster) { c.Password = "sesame" }, "cluster password: it cannot change while the server runs; restart the server"},
		{"tls", func(c *Cluster) { c.TLS = "timeout: 5" }, `cluster tls "timeout: 5": it cannot change`},
		{"fault", func(c *Cluster) { c.Routes = []string{"x"} }, `routes[0] "x"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := *s.Cluster.settled()
			tt.change(&c)
			err := s.SetCluster(c)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Error("it shows the password")
			}
		})
	}
	alone := started(t, &Server{})
	if err := alone.SetCluster(*s.Cluster); err == nil || !strings.Contains(err.Error(), "it stands alone") {
		t.Errorf("on a server that stands alone: %v", err)
	}
	if alone.Cluster != nil {
		t.Error("it has a cluster now")
	}
}

// solitary starts one server of a cluster whose others are not there.
func solitary(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(t, []*Server{s}) })
}
