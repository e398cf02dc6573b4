package register

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"trireme/embedded"
)

func start(t testing.TB, s *embedded.Server) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func startSingle(t testing.TB) *embedded.Server {
	t.Helper()
	s := &embedded.Server{Dir: t.TempDir(), Listen: embedded.NoListener}
	start(t, s)
	return s
}

// freeAddresses returns addresses on loopback that were free a moment ago.
func freeAddresses(t testing.TB, n int) (addrs []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // all at the end: no two are the same
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// startThree runs three servers that are one cluster.
func startThree(t testing.TB) []*embedded.Server {
	t.Helper()
	routes := freeAddresses(t, 3)
	var servers []*embedded.Server
	for i, route := range routes {
		s := &embedded.Server{
			Name: fmt.Sprint("h", i+1), Dir: t.TempDir(), Listen: "127.0.0.1:-1",
			Cluster: &embedded.Cluster{Name: "test", Listen: route, Routes: routes},
		}
		start(t, s)
		servers = append(servers, s)
	}
	return servers
}

// logConn is a connection to where the streams are; the server closes it.
func logConn(t testing.TB, s *embedded.Server) *nats.Conn {
	t.Helper()
	nc, err := s.Log()
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// openOn opens the register through a server, as soon as that can.
func openOn(t testing.TB, s *embedded.Server, hosts int) *Register {
	t.Helper()
	nc := logConn(t, s)
	var r *Register
	eventually(t, s.Name+" opens the register", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var err error
		if r, err = Open(ctx, nc, hosts); errors.Is(err, ErrConfig) {
			t.Fatal(err)
		}
		return err == nil
	})
	return r
}

func TestOneHost(t *testing.T) {
	server := startSingle(t)
	_, err := Find(t.Context(), logConn(t, server))
	wantIs(t, err, ErrNone)
	r := openOn(t, server, 1)
	s, err := r.State(t.Context())
	if err != nil || s.Version != 0 || s.Seq != 0 || s.Born == nil {
		t.Fatalf("%+v, %v", s, err)
	}
	text := []byte("version: 1\nhosts: [h1]\n")
	if _, err := r.Propose(t.Context(), 1, "abc", text, always); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-time.Minute)
	if _, err = r.Bear(t.Context(), "s1", 1, "h1"); err != nil {
		t.Fatal(err)
	}
	_, err = r.Bear(t.Context(), "s1", 2, "h2")
	wantIs(t, err, ErrConflict)

	other, err := Find(t.Context(), logConn(t, server))
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.Bear(t.Context(), "s1", 2, "h2")
	wantIs(t, err, ErrConflict)
	s, err = other.Bear(t.Context(), "s1", 1, "h2")
	b := s.Born["s1"]
	if err != nil || s.Version != 1 || s.Digest != "abc" || string(s.Layout) != string(text) || s.Seq != 2 || b.Birth != 1 || b.Host != "h1" || b.Time.Before(before) {
		t.Fatalf("%+v, %v", s, err)
	}
	js, err := jetstream.New(logConn(t, server))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), StreamName)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err == nil {
		t.Fatal("it was purged")
	}
	if err := stream.DeleteMsg(t.Context(), 1); err == nil {
		t.Fatal("a record was deleted")
	}
	m, err := stream.GetMsg(t.Context(), 1)
	if err != nil || m.Subject != layoutSubject || m.Header.Get(headerVersion) != "1" || !strings.HasPrefix(m.Header.Get(headerBy), "h1") {
		t.Fatal(m, err)
	}

	// What a later program has written stops this one.
	later := &nats.Msg{Subject: "trireme.cluster.what", Header: nats.Header{headerFormat: {"2"}}}
	if _, err := js.PublishMsg(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	_, err = r.Propose(t.Context(), 2, "d", []byte("x"), always)
	wantIs(t, err, ErrFormat)
	s, err = r.State(t.Context())
	wantIs(t, err, ErrFormat)
	if s.Version != 1 {
		t.Fatalf("%+v", s)
	}
	if err := js.DeleteStream(t.Context(), StreamName); err != nil {
		t.Fatal(err)
	}
	_, err = r.State(t.Context())
	wantIs(t, err, ErrNone)
}

func TestOpenNamesEveryDifference(t *testing.T) {
	server := startSingle(t)
	nc := logConn(t, server)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: StreamName, Subjects: []string{"other"}, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), nc, 3)
	wantIs(t, err, ErrConfig)
	for _, fault := range []string{
		"subjects is [other], want [trireme.cluster.>]", "max_age is 1h0m0s", "deny_delete is false", "deny_purge is false", "discard is DiscardOld", "metadata trireme.format is , want 1",
	} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("%q is not named in: %v", fault, err)
		}
	}
}

// race has every register propose a layout of its own under the same version, many
// times, and checks that there is one for each.
func race(t *testing.T, registers []*Register, rounds uint64) {
	t.Helper()
	first := registers[0].Known().Version
	for round := range rounds {
		version := first + 1 + round
		states, errs := make([]State, len(registers)), make([]error, len(registers))
		var wg sync.WaitGroup
		for i, r := range registers {
			wg.Go(func() {
				digest := fmt.Sprintf("%d by %d", version, i)
				states[i], errs[i] = r.Propose(t.Context(), version, digest, []byte(digest), always)
			})
		}
		wg.Wait()
		won := 0
		for i, s := range states {
			if errs[i] == nil {
				won++
			} else {
				wantIs(t, errs[i], ErrConflict)
			}
			if s.Version != version || s.Digest != states[0].Digest || string(s.Layout) != s.Digest {
				t.Fatalf("layout %d: host %d has %+v, host 0 has %+v", version, i, s, states[0])
			}
		}
		if won != 1 {
			t.Fatalf("layout %d was accepted %d times: %v", version, won, errs)
		}
	}
}

func TestProposersRace(t *testing.T) {
	server := startSingle(t)
	race(t, []*Register{openOn(t, server, 1), openOn(t, server, 1)}, 100)
}

// Three hosts agree, also while the register's leader moves or stops.
func TestThreeHosts(t *testing.T) {
	servers := startThree(t)
	registers := make([]*Register, len(servers))
	var wg sync.WaitGroup
	for _, s := range servers {
		eventually(t, s.Name+" is healthy", func() bool { return s.Healthy() == nil })
	}
	for _, s := range servers { // all at once: one makes it
		nc := logConn(t, s)
		wg.Go(func() { _, _ = Open(t.Context(), nc, len(servers)) })
	}
	wg.Wait()
	for i, s := range servers {
		registers[i] = openOn(t, s, len(servers))
	}
	info, err := registers[0].journal.(*stream).stream.Info(t.Context())
	if err != nil || info.Config.Replicas != 3 {
		t.Fatalf("%+v, %v", info, err)
	}
	race(t, registers, 20)
	leader := func() (found int) {
		eventually(t, "a server leads the register", func() bool {
			for i, s := range servers {
				if s.LeadsStream(StreamName) {
					found = i
					return true
				}
			}
			return false
		})
		return found
	}
	nc := logConn(t, servers[0])
	for range 5 {
		moving := make(chan struct{})
		wg.Go(func() {
			defer close(moving)
			_, _ = nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+StreamName, nil, 2*time.Second)
		})
		race(t, registers, 4)
		<-moving
	}
	down := leader()
	if err := servers[down].Close(); err != nil {
		t.Fatal(err)
	}
	up := append(append([]*Register(nil), registers[:down]...), registers[down+1:]...)
	race(t, up, 10)
	start(t, servers[down])
	back := openOn(t, servers[down], len(servers))
	var s State
	eventually(t, "it reads to the end", func() bool {
		s, err = back.State(t.Context())
		return err == nil && s.Seq == up[0].Known().Seq
	})
	if s.Digest != up[0].Known().Digest {
		t.Fatalf("%+v", s)
	}
	race(t, append(up, back), 3)
}
