package streams

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const account = "TRIREME"

// A host is one of three NATS servers with an owner of the one stripe.
type host struct {
	name    string
	conf    string
	nats    *server.Server
	nc      *nats.Conn
	log     *Log
	tail    *Tail
	machine *machine
	owner   *Owner
	stop    func()
}

// startHosts runs three servers that form a cluster.
func startHosts(t *testing.T) []*host {
	t.Helper()
	hosts := make([]*host, 3)
	var routes []string
	var ports []int
	for range hosts {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		routes = append(routes, fmt.Sprintf("nats://%s", l.Addr()))
	}
	for i := range hosts {
		name := fmt.Sprint("h", i+1)
		hosts[i] = &host{name: name, machine: newMachine(), conf: fmt.Sprintf(`
			listen: "127.0.0.1:-1"
			server_name: %s
			max_payload: 64MB
			jetstream { store_dir: %q, max_mem: 64MB, max_file: 4GB, sync_interval: always }
			cluster { name: test, listen: "127.0.0.1:%d", routes: [%s], ping_interval: 1s, ping_max: 3 }
			accounts { %s { jetstream: enabled, users: [{user: u, password: p}] }, SYS {} }
			system_account: SYS
		`, name, t.TempDir(), ports[i], strings.Join(routes, ","), account)}
	}
	return hosts
}

func (h *host) start(t *testing.T) {
	t.Helper()
	opts := &server.Options{}
	if err := opts.ProcessConfigString(h.conf); err != nil {
		t.Fatal(err)
	}
	opts.NoLog, opts.NoSigs = true, true
	var err error
	if h.nats, err = server.NewServer(opts); err != nil {
		t.Fatal(err)
	}
	h.nats.Start()
	if !h.nats.ReadyForConnections(deadline) {
		t.Fatal("the server is not ready")
	}
	closed := make(chan struct{})
	h.nc, err = nats.Connect("", nats.InProcessServer(h.nats), nats.UserInfo("u", "p"), nats.NoEcho(), nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	nc, s := h.nc, h.nats
	h.stop = func() {
		h.stop = func() {}
		if h.owner != nil {
			closeOwner(t, h.owner)
			if err := errors.Join(h.tail.Close(), h.log.Close()); err != nil {
				t.Error(err)
			}
		}
		nc.Close()
		<-closed
		s.Shutdown()
		s.WaitForShutdown()
	}
	t.Cleanup(func() { h.stop() })
}

// leads says whether the host's server leads the stripe's stream.
func (h *host) leads() bool { return h.nats.JetStreamIsStreamLeader(account, StreamName("s1")) }

// open has the host take part in the stripe. It counts claims.
func (h *host) open(t *testing.T, claims *atomic.Int32) {
	t.Helper()
	cfg := testConfig()
	cfg.Replicas = 3
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	eventually(t, h.name+" opens the log", func() bool {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		var err error
		h.log, err = Create(ctx, h.nc, cfg)
		if err != nil && errors.Is(err, ErrConfig) {
			t.Fatal(err)
		}
		return err == nil
	})
	var err error
	if h.tail, err = h.log.Tail(1024, 16<<20); err != nil {
		t.Fatal(err)
	}
	oc := ownerConfig()
	oc.Host = h.name
	oc.Grace = 25 * time.Second
	oc.MayClaim = h.leads
	oc.Tail = h.tail.C
	log := h.log
	oc.Broadcast = func(seq uint64, body []byte) { _ = log.Publish(seq, body) }
	oc.Listener = func(e Event) {
		if _, ok := e.(Claimed); ok {
			claims.Add(1)
		}
	}
	h.owner = startOwner(t, h.log, h.machine, oc)
}
