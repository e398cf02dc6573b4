package repair

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/nats-io/nats.go"

	"trireme/buckets"
	"trireme/embedded"
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
)

// wirePatience bounds every wait for something that must happen.
const wirePatience = 20 * time.Second

// six is a layout of 64 partitions on six stripes, each on three hosts.
func six() layout.Layout {
	hosts := []string{"h1", "h2", "h3"}
	l := layout.Layout{Version: 12}
	for i, h := range hosts {
		l.Hosts = append(l.Hosts, layout.Host{Name: h, NATS: fmt.Sprintf("127.0.0.1:%d", 4222+i), Route: fmt.Sprintf("127.0.0.1:%d", 6222+i), HTTP: fmt.Sprintf("127.0.0.1:%d", 8222+i)})
	}
	for i := range 6 {
		l.Stripes = append(l.Stripes, layout.Stripe{Name: fmt.Sprintf("s%d", i+1), Birth: uint32(i + 1), Hosts: hosts, Replicas: 3})
	}
	const each = layout.Buckets / 64
	for i := range 64 {
		first := layout.Bucket(i * each)
		l.Partitions = append(l.Partitions, layout.Partition{ID: layout.PartitionID(i), First: first, Last: first + each - 1, Stripe: l.Stripes[i%6].Name})
	}
	return l
}

// A servedStore is a store with what a test says of it.
type servedStore struct {
	layout atomic.Pointer[layout.Layout]
	dir    string
	store  *buckets.Store
	sick   map[string]string
	none   string // a stripe that is not open
	logs   map[string]*logWriter
}

func (f *servedStore) Layout() (layout.Layout, string) {
	l := *f.layout.Load()
	return l, l.Digest()
}

func (f *servedStore) Stripe(name string) (*buckets.Replica, string, bool) {
	s, ok := f.layout.Load().Stripe(name)
	if !ok || name == f.none {
		return nil, "", false
	}
	r, err := f.store.Replica(name, s.Birth)
	return r, f.sick[name], err == nil
}

// newServedStore is an empty store under a layout.
func newServedStore(t testing.TB, l layout.Layout) *servedStore {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	store, err := buckets.Open(dir, buckets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &servedStore{dir: dir, store: store, sick: map[string]string{}, logs: map[string]*logWriter{}}
	f.layout.Store(&l)
	t.Cleanup(func() {
		if err := f.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// quiet is a database's log that nobody reads.
type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// rot spoils a byte of each row whose key holds the document's name, in a table.
func (f *servedStore) rot(t testing.TB, table byte, k contract.Key) {
	t.Helper()
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := pebble.Open(f.dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{table}, UpperBound: []byte{table + 1}})
	if err != nil {
		t.Fatal(err)
	}
	spoilt := 0
	for ok := it.First(); ok; ok = it.Next() {
		if bytes.Contains(it.Key(), []byte(k.Key)) {
			value := bytes.Clone(it.Value())
			value[len(value)/2] ^= 4
			if err := db.Set(it.Key(), value, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			spoilt++
		}
	}
	if err := errors.Join(it.Close(), db.Close()); err != nil || spoilt == 0 {
		t.Fatalf("%d rows spoilt: %v", spoilt, err)
	}
	if f.store, err = buckets.Open(f.dir, buckets.Options{}); err != nil {
		t.Fatal(err)
	}
}

// A logWriter feeds a replica a log of its own.
type logWriter struct {
	stripe layout.Stripe
	r      *buckets.Replica
	seq    uint64
	chain  digest.Chain
	epoch  position.Position
}

// writer writes on in a stripe's log.
func (f *servedStore) writer(t testing.TB, stripe string) *logWriter {
	t.Helper()
	if w := f.logs[stripe]; w != nil {
		return w
	}
	s, ok := f.layout.Load().Stripe(stripe)
	if !ok {
		t.Fatalf("no stripe %s", stripe)
	}
	r, err := f.store.Replica(stripe, s.Birth)
	if err != nil {
		t.Fatal(err)
	}
	w := &logWriter{stripe: s, r: r}
	f.logs[stripe] = w
	w.record(t, record.AppendClaim(nil, &record.Record{Time: 1_000_000, Prev: w.chain, Host: "h1", Boot: "b", Layout: 1}))
	w.epoch = w.at()
	return w
}

func (w *logWriter) at() position.Position {
	return position.Position{Birth: w.stripe.Birth, Seq: w.seq}
}

func (w *logWriter) record(t testing.TB, body []byte) {
	t.Helper()
	w.seq++
	if err := w.r.Apply(w.seq, body); err != nil {
		t.Fatal(err)
	}
	w.chain = w.chain.Next(body)
}

func (w *logWriter) batch(t testing.TB, changes ...record.Change) {
	t.Helper()
	var b record.Builder
	for i := range changes {
		b.Add(&changes[i])
	}
	w.record(t, b.Record(w.epoch, 1_000_000+int64(w.seq), w.chain))
}

// create is the change that begins a document, with a redo of so many bytes.
func create(k contract.Key, size int) record.Change {
	redo := []byte(`{"x":"`) // no two parts of it are alike
	for i := 0; len(redo) < size-2; i++ {
		redo = strconv.AppendInt(append(redo, ' '), int64(i), 10)
	}
	redo = append(redo, `"}`...)
	return record.Change{
		Verb: record.Init, Key: k, ID: "id of " + k.Key, Writer: "w",
		Updates: []contract.Update{{SeqBegin: 0, SeqEnd: 1, Redo: string(redo), Undo: "{}", Request: "{}", UpdateType: contract.AddUserData}},
	}
}

func remove(k contract.Key) record.Change {
	return record.Change{Verb: record.Delete, Key: k, Writer: "w", Phase: record.PhaseRemove}
}

// keysIn are n documents of a stripe, in the order of buckets and names.
func keysIn(l layout.Layout, stripe string, n int) []contract.Key {
	var keys []contract.Key
	for i := 0; len(keys) < n; i++ {
		k := contract.Key{Space: "space", Key: fmt.Sprintf("key-%06d", i)}
		if s, ok := l.StripeOf(layout.BucketOf(k.Space, k.Key)); ok && s.Name == stripe {
			keys = append(keys, k)
		}
	}
	return keys
}

// aServer is a NATS server in this process.
func aServer(t testing.TB) *embedded.Server {
	t.Helper()
	s := &embedded.Server{Dir: t.TempDir(), Listen: "127.0.0.1:-1"}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func logConn(t testing.TB, s *embedded.Server) *nats.Conn {
	t.Helper()
	nc, err := s.Log()
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// serving has h1 answer from a source.
func serving(t testing.TB, nc *nats.Conn, source Source, limits Limits) *Server {
	t.Helper()
	s := &Server{Conn: nc, Host: "h1", Version: "v1.2.3", Source: source, Limits: limits}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// asker is the peer h2 that asks under the source's layout.
func asker(nc *nats.Conn, source Source) *Peer {
	return &Peer{Conn: nc, Self: "h2", Layout: source.Layout, Timeout: wirePatience, Stall: wirePatience}
}

// reached waits until the state is reached, that is, what returns nil.
func reached(t testing.TB, state string, what func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wirePatience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
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

// A byteMeter counts what a connection moves, protocol and all.
type byteMeter struct{ sent, received atomic.Int64 }

type meteredConn struct {
	net.Conn
	m *byteMeter
}

func (c meteredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.m.received.Add(int64(n))
	return n, err
}

func (c meteredConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.m.sent.Add(int64(n))
	return n, err
}

// Dial is for [nats.SetCustomDialer].
func (m *byteMeter) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	return meteredConn{c, m}, err
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
