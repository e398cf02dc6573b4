package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// election is more than an election takes, on a slow machine as well.
const election = 60 * time.Second

// freeAddresses returns addresses on loopback that were free a moment ago.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all at the end: no two are the same
		addrs[i] = l.Addr().String()
	}
	return addrs
}

// hosts are n servers that are to be one cluster, not started.
func hosts(t *testing.T, n int, host func() *Server, change ...func(*Cluster)) []*Server {
	t.Helper()
	routes := freeAddresses(t, n)
	list := []*Server{}
	for i, route := range routes {
		s := host()
		s.Name, s.Dir, s.Listen = fmt.Sprintf("h%d", i+1), t.TempDir(), "127.0.0.1:-1"
		s.Cluster = &Cluster{Name: "test", Listen: route, Routes: routes, User: "host", Password: "p#1 @:/?", Tags: []string{"all"}}
		for _, c := range change {
			c(s.Cluster)
		}
		list = append(list, s)
	}
	return list
}

// together starts the servers, all at once, and waits until each is healthy.
func together(t *testing.T, servers []*Server) []*Server {
	t.Helper()
	var all sync.WaitGroup
	errs := make([]error, len(servers))
	for i, s := range servers {
		all.Go(func() { errs[i] = s.Start(t.Context()) })
	}
	all.Wait()
	t.Cleanup(func() { closeAll(t, servers) })
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		eventually(t, "healthy "+s.Name, s.Healthy)
	}
	return servers
}

func closeAll(t *testing.T, servers []*Server) {
	t.Helper()
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close %s: %v", s.Name, err)
			}
		})
	}
	all.Wait()
}

// eventually waits until the state is reached, that is, what returns nil.
func eventually(t *testing.T, state string, what func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), election)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := what()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never %s: %v", state, err)
		}
	}
}

// leader waits until the servers agree who of them leads the stream.
func leader(t *testing.T, servers []*Server, stream string) *Server {
	t.Helper()
	var found *Server
	eventually(t, "led "+stream, func() error {
		var names []string
		for _, s := range servers {
			if s.LeadsStream(stream) {
				names, found = append(names, s.Name), s
			}
		}
		if len(names) != 1 {
			return fmt.Errorf("leaders %q", names)
		}
		return nil
	})
	return found
}

// replicated makes a stream of three copies on servers with the tag.
func replicated(t *testing.T, js jetstream.JetStream, stripe, tag string) {
	t.Helper()
	eventually(t, "made "+stripe, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: "trireme-" + stripe, Subjects: []string{"trireme.log." + stripe}, AllowDirect: true,
			Discard: jetstream.DiscardNew, MaxBytes: 1 << 20, Replicas: 3, Placement: &jetstream.Placement{Tags: []string{tag}},
		})
		return err
	})
}

func logOf(t *testing.T, s *Server) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := s.Log()
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// publish appends to a stripe's log, again while there is no leader.
func publish(t *testing.T, js jetstream.JetStream, stripe, text string) {
	t.Helper()
	eventually(t, "published on "+stripe, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := js.Publish(ctx, "trireme.log."+stripe, []byte(text))
		return err
	})
}

// keepers are the names of the servers that keep the stream.
func keepers(t *testing.T, js jetstream.JetStream, stream string) []string {
	t.Helper()
	st, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	c := st.CachedInfo().Cluster
	names := []string{c.Leader}
	for _, r := range c.Replicas {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return names
}
