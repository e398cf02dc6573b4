package streams

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
	"trireme/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const deadline = 60 * time.Second // of everything that a test waits for

// startServer runs a NATS server with JetStream in this process.
func startServer(t testing.TB) *server.Server {
	t.Helper()
	return startServerSync(t, "always")
}

func startServerSync(t testing.TB, interval string) *server.Server {
	t.Helper()
	opts := &server.Options{}
	conf := fmt.Sprintf(`
		listen: "127.0.0.1:-1"
		server_name: test
		max_payload: 64MB
		jetstream { store_dir: %q, max_mem: 64MB, max_file: 16GB, sync_interval: %q }
	`, t.TempDir(), interval)
	if err := opts.ProcessConfigString(conf); err != nil {
		t.Fatal(err)
	}
	opts.NoLog, opts.NoSigs = true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(deadline) {
		t.Fatal("the server is not ready")
	}
	return s
}

func connect(t testing.TB, s *server.Server) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); <-closed })
	return nc
}

func testConfig() Config { return Config{Stripe: "s1", Birth: 1} }

// createLog makes the test stripe's log on a new connection.
func createLog(t testing.TB, s *server.Server, cfg Config) *Log {
	t.Helper()
	l, err := Create(t.Context(), connect(t, s), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// fill appends n records of the given size.
func fill(t testing.TB, l *Log, n, size int) {
	t.Helper()
	st, err := l.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		body := fmt.Appendf(make([]byte, 0, size), "record %d ", i)
		body = append(body, make([]byte, max(0, size-len(body)))...)
		if _, err := l.Append(t.Context(), st.Last+uint64(i), body); err != nil {
			t.Fatal(err)
		}
	}
}

// A machine is a Machine that remembers the keys of the changes it has applied,
// and checks what a store would check.
type machine struct {
	mu      sync.Mutex
	at      State
	durable uint64
	behind  bool // durable is set by hand
	fail    error
	count   map[string]int // changes applied, by key
	skipped int            // batches of older epochs
	claims  []string       // hosts, in order

	released []position.Position // horizons, in order
}

func newMachine() *machine { return &machine{count: map[string]int{}} }

func (m *machine) Applied() State { m.mu.Lock(); defer m.mu.Unlock(); return m.at }

func (m *machine) Durable() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.behind {
		return m.durable
	}
	return m.at.Seq
}

func (m *machine) setDurable(seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.behind, m.durable = true, seq
}

func (m *machine) Apply(seq uint64, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	r, err := record.Parse(body)
	switch {
	case err != nil:
		return err
	case seq != m.at.Seq+1:
		return fmt.Errorf("record %d comes after %d", seq, m.at.Seq)
	case r.Prev != m.at.Chain:
		return fmt.Errorf("record %d says chain %v, it is %v", seq, r.Prev, m.at.Chain)
	case r.Time < m.at.Time:
		return fmt.Errorf("record %d goes back in time", seq)
	}
	epoch := m.at.Epoch
	if r.Kind == record.Claim {
		epoch = position.Position{Birth: 1, Seq: seq}
		m.claims = append(m.claims, r.Host)
	} else if r.Epoch != epoch {
		m.skipped++ // the conditional append makes this impossible
	} else {
		if r.Kind == record.Release {
			m.released = append(m.released, r.Horizon)
		}
		for i := range r.Changes {
			m.count[r.Changes[i].Key.Key]++
		}
	}
	m.at = State{Seq: seq, Chain: r.Prev.Next(body), Epoch: epoch, Time: r.Time}
	return nil
}

// A request is a Proposal that writes one change, or none.
type request struct {
	key  string // "" writes nothing
	data string
	done chan error // holds one
	mu   sync.Mutex
	prep int
}

func newRequest(key string) *request { return &request{key: key, done: make(chan error, 1)} }

func (r *request) Prepare(b *record.Builder) bool {
	r.mu.Lock()
	r.prep++
	r.mu.Unlock()
	if r.key != "" {
		b.Add(&record.Change{Verb: record.Delete, Key: contract.Key{Space: "s" + r.data, Key: r.key}, Phase: record.PhaseRemove})
	}
	return true
}

func (r *request) Done(err error) {
	select {
	case r.done <- err:
	default:
		panic("Done was called twice")
	}
}

func (r *request) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(deadline):
		return errors.New("the proposal was never answered")
	}
}

func ownerConfig() OwnerConfig {
	return OwnerConfig{Host: "h1", Boot: "b1", Birth: 1, BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond}
}

// startOwner starts an owner that is closed at the end of the test.
func startOwner(t testing.TB, log Stream, m Machine, cfg OwnerConfig) *Owner {
	t.Helper()
	o, err := NewOwner(log, m, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeOwner(t, o) })
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := o.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return o
}

func closeOwner(t testing.TB, o *Owner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := o.Close(ctx); err != nil {
		t.Error(err)
	}
}

// submit submits and waits for the answer.
func submit(t testing.TB, o *Owner, key string) error {
	t.Helper()
	r := newRequest(key)
	if err := o.Submit(r, 64); err != nil {
		return err
	}
	return r.wait(t)
}

// readAll reads a log from its first record to its last.
func readAll(t testing.TB, log Stream) map[string]int {
	t.Helper()
	st, err := log.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var chain digest.Chain
	keys := map[string]int{}
	err = log.Read(t.Context(), st.First, st.Last, func(seq uint64, body []byte) error {
		r, err := record.Parse(body)
		if err != nil {
			return err
		}
		if st.First == 1 && r.Prev != chain {
			return fmt.Errorf("record %d does not continue the chain", seq)
		}
		chain = chain.Next(body)
		for i := range r.Changes {
			keys[r.Changes[i].Key.Key]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// eventually waits for a state.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(deadline)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("never: %s", what)
		}
	}
}

func wantIs(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}
