package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
	"trireme/streams"
)

const (
	patience = time.Minute // of a test, for any answer
	holding  = 30 * time.Second
)

// A world is several hosts in one process: services with stores of their own on
// one NATS server, and logs in memory in place of JetStream.
type world struct {
	t      testing.TB
	ns     *server.Server
	layout layout.Layout
	hosts  map[string]*host
	client *nats.Conn

	mu     sync.Mutex
	logs   map[string]*log
	owners map[string]ownership // who has claimed last, for everybody to see
	quorum bool
	change chan struct{}
}

type ownership struct {
	host  string
	epoch position.Position
}

// twoStripes is a layout of three hosts with two stripes of 32 partitions.
func twoStripes() layout.Layout {
	l := layout.Single("h1")
	l.Hosts = []layout.Host{{Name: "h1", Adama: "adama-1"}, {Name: "h2", Adama: "adama-2"}, {Name: "h3"}}
	names := []string{"h1", "h2", "h3"}
	l.Stripes = []layout.Stripe{{Name: "s1", Birth: 1, Hosts: names, Replicas: 3}, {Name: "s2", Birth: 2, Hosts: names, Replicas: 3}}
	for i := range l.Partitions {
		l.Partitions[i].Stripe = []string{"s1", "s2"}[i%2]
	}
	return l
}

func newWorld(t testing.TB, change ...func(*Service)) *world {
	t.Helper()
	ns, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	dirs := map[string]string{} // BEFORE the cleanup that closes what is in them
	for _, h := range twoStripes().Hosts {
		dirs[h.Name] = t.TempDir()
	}
	w := &world{
		t: t, ns: ns, layout: twoStripes(), hosts: map[string]*host{}, quorum: true,
		logs: map[string]*log{}, owners: map[string]ownership{}, change: make(chan struct{}),
	}
	t.Cleanup(func() {
		for _, h := range w.hosts {
			h.stop()
		}
		if w.client != nil {
			w.client.Close()
		}
		ns.Shutdown()
		ns.WaitForShutdown()
		for _, h := range w.hosts {
			if err := h.store.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	for _, s := range w.layout.Stripes {
		w.logs[s.Name] = &log{}
	}
	for _, x := range w.layout.Hosts {
		store, err := buckets.Open(dirs[x.Name], buckets.Options{})
		if err != nil {
			t.Fatal(err)
		}
		w.hosts[x.Name] = &host{w: w, name: x.Name, store: store, change: change}
		w.hosts[x.Name].start()
	}
	w.client = w.connect()
	return w
}

func (w *world) connect() *nats.Conn {
	w.t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(w.ns))
	if err != nil {
		w.t.Fatal(err)
	}
	return nc
}

// Owner, Quorum and Changed make the world the Directory of all hosts.
func (w *world) Owner(stripe string) (string, position.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.owners[stripe]
	return o.host, o.epoch
}

func (w *world) Quorum(string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.quorum
}

func (w *world) setQuorum(there bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quorum = there
}

func (w *world) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.change
}

func (w *world) announce(stripe string, o ownership) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owners[stripe] = o
	close(w.change)
	w.change = make(chan struct{})
}

// claim makes a host the owner of stripes.
func (w *world) claim(name string, stripes ...string) {
	for _, stripe := range stripes {
		w.hosts[name].seat(stripe).claim()
	}
}

// send publishes a request and returns where the answer comes.
func (w *world) send(subject, body string, headers ...string) *nats.Subscription {
	w.t.Helper()
	sub, err := w.client.SubscribeSync(w.client.NewInbox())
	if err != nil {
		w.t.Fatal(err)
	}
	m := &nats.Msg{Subject: contract.SubjectPrefix + subject, Reply: sub.Subject, Data: []byte(body), Header: nats.Header{}}
	for i := 0; i < len(headers); i += 2 {
		m.Header[headers[i]] = []string{headers[i+1]}
	}
	if err := w.client.PublishMsg(m); err != nil {
		w.t.Fatal(err)
	}
	return sub
}

func codeOf(m *nats.Msg) contract.Code {
	n, _ := strconv.Atoi(m.Header.Get(micro.ErrorCodeHeader))
	return contract.Code(n)
}

// want waits for an answer with a code and checks that it is the only one.
func (w *world) want(sub *nats.Subscription, codes ...contract.Code) *nats.Msg {
	w.t.Helper()
	m, err := sub.NextMsg(patience)
	if err != nil {
		w.t.Fatal(err)
	}
	if !slices.Contains(codes, codeOf(m)) {
		w.t.Fatalf("answered %s %s, want one of %v", m.Header, m.Data, codes)
	}
	if err := w.client.Flush(); err != nil {
		w.t.Fatal(err)
	}
	if n, _, _ := sub.Pending(); n != 0 {
		w.t.Fatalf("%d more answers", n)
	}
	return m
}

// keyOn makes a key whose document lives on a stripe.
func (w *world) keyOn(stripe, prefix string) contract.Key {
	for i := 0; ; i++ {
		k := contract.Key{Space: "s", Key: fmt.Sprint(prefix, i)}
		if p, _ := w.layout.PartitionOf(layout.BucketOf(k.Space, k.Key)); p.Stripe == stripe {
			return k
		}
	}
}

func createBody(k contract.Key) string {
	return fmt.Sprintf(`{"space":%q,"key":%q,"patch":{"seq_begin":0,"seq_end":1,"redo":"{}","undo":"{}"}}`, k.Space, k.Key)
}

func patchBody(k contract.Key, seq int, redo string) string {
	return fmt.Sprintf(`{"space":%q,"key":%q,"patches":[{"seq_begin":%d,"seq_end":%d,"redo":%q,"undo":"{}"}]}`, k.Space, k.Key, seq, seq, redo)
}

func keyBody(k contract.Key) string { return fmt.Sprintf(`{"space":%q,"key":%q}`, k.Space, k.Key) }

// A log is a stripe's log.
type log struct {
	mu      sync.Mutex
	records [][]byte
}

func (l *log) append(expected int, body []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.records) != expected {
		return false
	}
	l.records = append(l.records, body)
	return true
}

func (l *log) all() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}

// A host can be stopped without a word, and started again on its store.
type host struct {
	w      *world
	name   string
	store  *buckets.Store
	change []func(*Service)

	svc atomic.Pointer[Service]

	mu    sync.Mutex
	conn  *nats.Conn
	seats map[string]*seat
}

func (h *host) start() {
	h.w.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seats = map[string]*seat{}
	for _, s := range h.w.layout.Stripes {
		replica, err := h.store.Replica(s.Name, s.Birth)
		if err != nil {
			h.w.t.Fatal(err)
		}
		h.seats[s.Name] = newSeat(h, s, replica)
	}
	seats := h.seats
	h.conn = h.w.connect()
	svc := &Service{
		Conn: h.conn, Store: h.store, Host: h.name, Directory: h.w, Hold: holding,
		Layout:    func() layout.Layout { return h.w.layout },
		Committer: func(stripe string) Committer { return seats[stripe] },
	}
	for _, f := range h.change {
		f(svc)
	}
	h.svc.Store(svc) // the seats know it from the first request on
	if err := svc.Start(); err != nil {
		h.w.t.Fatal(err)
	}
}

func (h *host) seat(stripe string) *seat {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seats[stripe]
}

func (h *host) service() *Service { return h.svc.Load() }

// stop ends the host as a crash does: nobody hears anything of it any more.
func (h *host) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == nil {
		return
	}
	h.conn.Close()
	for _, s := range h.seats {
		s.close()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = h.service().Close(ctx) // its connection is closed
	h.conn = nil
}

// A seat is the owner of one stripe at one host, or who could be.
type seat struct {
	h       *host
	stripe  layout.Stripe
	replica *buckets.Replica
	wake    chan struct{}
	done    chan struct{}

	mu      sync.Mutex
	held    sync.Mutex // held while the seat is frozen
	queue   []streams.Proposal
	serving bool
	closed  bool
	loseAck bool // the next batch is committed, and nobody is told
	epoch   position.Position
}

func newSeat(h *host, s layout.Stripe, replica *buckets.Replica) *seat {
	x := &seat{h: h, stripe: s, replica: replica, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go x.run()
	return x
}

func (x *seat) Submit(p streams.Proposal, _ int) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || !x.serving {
		return contract.Errorf(contract.NoOwner, "not the owner")
	}
	x.queue = append(x.queue, p)
	x.nudge()
	return nil
}

func (x *seat) Epoch() (position.Position, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.epoch, x.serving
}

func (x *seat) Behind() uint64 {
	return uint64(len(x.h.w.logs[x.stripe.Name].all())) - x.replica.Applied().Seq
}

func (x *seat) nudge() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

func (x *seat) run() {
	defer close(x.done)
	for range x.wake {
		x.held.Lock()
		for x.commit() {
			continue
		}
		x.held.Unlock()
	}
}

// commit commits what waits. It says whether there was anything.
func (x *seat) commit() bool {
	x.mu.Lock()
	queue := x.queue
	x.queue = nil
	epoch, lose := x.epoch, x.loseAck && len(queue) > 0
	x.loseAck = x.loseAck && !lose
	x.mu.Unlock()
	if len(queue) == 0 {
		return false
	}
	var b record.Builder
	batch := slices.DeleteFunc(queue, func(p streams.Proposal) bool { return !p.Prepare(&b) })
	at := x.replica.Applied()
	body := b.Record(epoch, time.Now().UnixMilli(), at.Chain)
	var err error
	switch {
	case !x.h.w.logs[x.stripe.Name].append(int(at.Seq), body):
		err = contract.Errorf(contract.Deposed, "the log has moved")
	case lose:
		err = contract.Errorf(contract.OutcomeUnknown, "the acknowledgement was lost")
	default:
		if err := x.replica.Apply(at.Seq+1, body); err != nil {
			x.h.w.t.Error(err)
		}
	}
	if err != nil {
		x.depose()
	}
	for _, p := range batch {
		p.Done(err)
	}
	return true
}

// lose has the next acknowledgement lost.
func (x *seat) lose(ack bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.loseAck = ack
}

// depose ends the ownership. What waits is told so.
func (x *seat) depose() {
	x.mu.Lock()
	queue := x.queue
	x.queue, x.serving = nil, false
	x.mu.Unlock()
	x.h.service().Release(x.stripe.Name)
	for _, p := range queue {
		p.Done(contract.Errorf(contract.Deposed, "handed over"))
	}
}

// claim applies the log and goes on from there.
func (x *seat) claim() {
	x.held.Lock() // as a real owner it does one thing at a time
	defer x.held.Unlock()
	t := x.h.w.t
	x.depose()
	for {
		records := x.h.w.logs[x.stripe.Name].all()
		for i, body := range records {
			if err := x.replica.Apply(uint64(i+1), body); err != nil {
				t.Error(err)
			}
		}
		at := x.replica.Applied()
		claim := record.AppendClaim(nil, &record.Record{Kind: record.Claim, Host: x.h.name, Boot: "b", Prev: at.Chain, Time: time.Now().UnixMilli()})
		if !x.h.w.logs[x.stripe.Name].append(int(at.Seq), claim) {
			continue
		}
		if err := x.replica.Apply(at.Seq+1, claim); err != nil {
			t.Error(err)
		}
		break
	}
	x.mu.Lock()
	x.epoch, x.serving = position.Position{Birth: x.stripe.Birth, Seq: x.replica.Applied().Seq}, true
	epoch := x.epoch
	x.mu.Unlock()
	if err := x.h.service().Serve(x.stripe.Name); err != nil {
		t.Error(err)
	}
	x.h.w.announce(x.stripe.Name, ownership{x.h.name, epoch})
}

func (x *seat) close() {
	x.mu.Lock()
	queue := x.queue
	x.queue, x.serving, x.closed = nil, false, true
	x.mu.Unlock()
	for _, p := range queue {
		p.Done(contract.Errorf(contract.NoOwner, "closing"))
	}
	close(x.wake)
	<-x.done
}

func (w *world) names() []string { return slices.Sorted(maps.Keys(w.hosts)) }
