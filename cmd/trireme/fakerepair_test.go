package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
	"trireme/ops"
	"trireme/repair"
	"trireme/repair/plan"
)

// repairMoment is when the statuses of the tests are of.
var repairMoment = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// repairLayout has a stripe on three hosts for each half of the buckets.
func repairLayout() layout.Layout {
	l := layout.Layout{Version: 7, Partitions: []layout.Partition{
		{ID: 0, First: 0, Last: layout.Buckets/2 - 1, Stripe: "s1"},
		{ID: 1, First: layout.Buckets / 2, Last: layout.Buckets - 1, Stripe: "s2"},
	}}
	for i, host := range []string{"h1", "h2", "h3"} {
		l.Hosts = append(l.Hosts, layout.Host{Name: host, NATS: host + ":4222", Route: host + ":6222", HTTP: fmt.Sprintf("127.0.0.1:%d", i+1)})
	}
	l.Stripes = []layout.Stripe{
		{Name: "s1", Birth: 1, Hosts: []string{"h1", "h2", "h3"}, Replicas: 3},
		{Name: "s2", Birth: 2, Hosts: []string{"h2", "h3", "h1"}, Replicas: 3},
	}
	return l
}

// A repairCluster is three hosts with real stores that answer what others ask of their
// copies, and do what they are told of repair as the test says. What is written to the
// stripes is in their stores; there is no log.
type repairCluster struct {
	url    string
	layout layout.Layout
	hosts  map[string]*repairHost
}

type repairHost struct {
	*repairCluster
	name  string
	store *buckets.Store
	logs  map[string]*storeLog
	stops []func() error

	mu      sync.Mutex
	held    chan struct{}     // scrubs wait for it; nil for no wait
	sick    map[string]string // stripes
	told    []string
	fail    error     // what everything that it is told ends with
	plan    plan.Plan // what Plan answers
	rebuild ops.RebuildPlan
	repair  *repair.Status // what it tells; nil for a usual one
}

// newRepairCluster starts h1, h2 and h3 with the same documents.
func newRepairCluster(t *testing.T) *repairCluster {
	t.Helper()
	nc, url := testNATS(t)
	c := &repairCluster{url: url, layout: repairLayout(), hosts: map[string]*repairHost{}}
	for _, name := range []string{"h1", "h2", "h3"} {
		c.hosts[name] = c.start(t, nc, name)
	}
	for i := range 20 {
		c.write(t, fmt.Sprint("doc", i))
	}
	return c
}

func (c *repairCluster) start(t *testing.T, nc *nats.Conn, name string) *repairHost {
	t.Helper()
	store, err := buckets.Open(filepath.Join(t.TempDir(), "store"), buckets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := &repairHost{repairCluster: c, name: name, store: store, logs: map[string]*storeLog{}, sick: map[string]string{}}
	for _, s := range c.layout.Stripes {
		h.logs[s.Name] = newStoreLog(t, store, s)
	}
	answers := &repair.Server{Conn: nc, Host: name, Version: "v1.2.3", Source: copies{h}}
	control := &ops.Control{Conn: nc, Host: name, Version: "v1.2.3", Status: h.status, Repair: orders{h}}
	if err := errors.Join(answers.Start(), control.Start()); err != nil {
		t.Fatal(err)
	}
	h.stops = []func() error{control.Close, answers.Close}
	t.Cleanup(func() {
		h.end(t)
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// end has the host answer nobody any more.
func (h *repairHost) end(t *testing.T) {
	t.Helper()
	for _, stop := range h.stops {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	h.stops = nil
}

// write makes a document on all hosts but those named, whose logs have a record without
// it in its place.
func (c *repairCluster) write(t *testing.T, key string, but ...string) {
	t.Helper()
	s, _ := c.layout.StripeOf(layout.BucketOf("game", key))
	for name, h := range c.hosts {
		if slices.Contains(but, name) {
			h.set(func(h *repairHost) { h.logs[s.Name].claim(t) })
		} else {
			h.write(t, key, `{"n":1}`)
		}
	}
}

// write makes a document on this host only.
func (h *repairHost) write(t *testing.T, key, text string) {
	t.Helper()
	k := contract.Key{Space: "game", Key: key}
	s, _ := h.layout.StripeOf(layout.BucketOf(k.Space, k.Key))
	h.set(func(h *repairHost) {
		h.logs[s.Name].apply(t, record.Change{
			Verb: record.Init, Key: k, Writer: "w",
			Updates: []contract.Update{{SeqBegin: 0, SeqEnd: 1, Redo: text, Undo: "{}", Request: "{}", UpdateType: contract.AddUserData}},
		})
	})
}

// A storeLog feeds a replica what a log would.
type storeLog struct {
	replica *buckets.Replica
	birth   uint32
	seq     uint64
	chain   digest.Chain
	epoch   position.Position
}

func newStoreLog(t *testing.T, store *buckets.Store, s layout.Stripe) *storeLog {
	t.Helper()
	r, err := store.Replica(s.Name, s.Birth)
	if err != nil {
		t.Fatal(err)
	}
	l := &storeLog{replica: r, birth: s.Birth}
	l.claim(t)
	return l
}

// claim applies a claim, which changes no document.
func (l *storeLog) claim(t *testing.T) {
	t.Helper()
	l.put(t, record.AppendClaim(nil, &record.Record{Time: 1_000_000, Prev: l.chain, Host: "h1", Boot: "b", Layout: 7}))
	l.epoch = position.Position{Birth: l.birth, Seq: l.seq}
}

func (l *storeLog) apply(t *testing.T, change record.Change) {
	t.Helper()
	var b record.Builder
	b.Add(&change)
	l.put(t, b.Record(l.epoch, 1_000_000+int64(l.seq), l.chain))
}

func (l *storeLog) put(t *testing.T, body []byte) {
	t.Helper()
	l.seq++
	if err := l.replica.Apply(l.seq, body); err != nil {
		t.Fatal(err)
	}
	l.chain = l.chain.Next(body)
}

// set changes what the host does.
func (h *repairHost) set(change func(*repairHost)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

func (h *repairHost) note(format string, args ...any) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, fmt.Sprintf(format, args...))
	return h.fail
}

// toldSoFar is what the host was told.
func (h *repairHost) toldSoFar() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.told, ", ")
}

func (h *repairHost) status() ops.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := ops.Status{
		Host: h.name, At: repairMoment, Version: "v1.2.3", Started: repairMoment.Add(-time.Hour), PID: 11, Phase: ops.PhaseRunning,
		Layout: h.layout.Version, LayoutDigest: h.layout.Digest(), Cluster: "trireme", Repair: h.repair,
	}
	if h.repair == nil {
		s.Repair = &repair.Status{Heals: []repair.Heal{}, Stripes: []repair.Clean{}}
	}
	for _, x := range h.layout.Hosts {
		s.Hosts = append(s.Hosts, ops.HostView{Name: x.Name, Self: x.Name == h.name, Alive: true, Version: "v1.2.3", Layout: 7, LayoutDigest: s.LayoutDigest, NATS: x.NATS, HTTP: x.HTTP})
	}
	for _, x := range h.layout.Stripes {
		log := h.logs[x.Name]
		s.Stripes = append(s.Stripes, ops.Stripe{
			Name: x.Name, Members: x.Hosts, Replicas: 3, Partitions: 1, Owner: x.Hosts[0], Epoch: log.epoch.String(), Phase: "serving",
			Applied: log.seq, Durable: log.seq, LogFirst: 1, LogLast: log.seq, Sick: h.sick[x.Name],
		})
	}
	s.Assess()
	return s
}

// copies are the host's as others ask about them.
type copies struct{ *repairHost }

func (c copies) Layout() (layout.Layout, string) { return c.layout, c.layout.Digest() }

func (c copies) Stripe(name string) (*buckets.Replica, string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	log, ok := c.logs[name]
	if !ok {
		return nil, "", false
	}
	return log.replica, c.sick[name], true
}

// orders are what the host is told of repair.
type orders struct{ *repairHost }

func (o orders) Layout() layout.Layout { return o.layout }

func (o orders) Pause(_ context.Context, d time.Duration) (time.Time, error) {
	return repairMoment.Add(d), o.note("pause %v", d)
}

func (o orders) Resume(context.Context) error { return o.note("resume") }

func (o orders) Throttle(_ context.Context, t ops.Throttle) error {
	rate, rest := "-", "-"
	if t.Rate != nil {
		rate = fmt.Sprint(*t.Rate)
	}
	if t.Tranquility != nil {
		rest = fmt.Sprint(*t.Tranquility)
	}
	return o.note("throttle %s %s", rate, rest)
}

func scopeWords(s repair.Scope) string {
	words := s.Stripe
	if s.Partition != nil {
		words += "/" + s.Partition.String()
	}
	return words
}

func (o orders) Run(_ context.Context, s repair.Scope) (repair.RoundResult, error) {
	err := o.note("run %s", scopeWords(s))
	round := repair.RoundResult{
		Began: repairMoment, TookMS: 57, Verdicts: map[string]uint64{},
		Peers: []repair.PeerResult{{Host: "h1", Stripes: 2, Equal: 2}, {Host: "h3", Stripes: 2, Equal: 1}}, Skipped: []repair.Skipped{},
	}
	if o.name == "h2" {
		round.Verdicts, round.Pulled = map[string]uint64{"missing": 2, "lag": 3}, 2
		round.Peers[0] = repair.PeerResult{Host: "h1", Error: "the peer does not answer"}
	}
	return round, err
}

func (o orders) Scrub(ctx context.Context, s repair.Scope, progress func(repair.ScrubProgress)) (repair.ScrubResult, error) {
	progress(repair.ScrubProgress{Buckets: 16384, Read: 8192, Documents: 10, Bytes: 5000})
	o.mu.Lock()
	held := o.held
	o.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return repair.ScrubResult{}, ctx.Err()
		}
	}
	result := repair.ScrubResult{ScrubProgress: repair.ScrubProgress{Buckets: 16384, Read: 16384, Documents: 20, Bytes: 10_000}, Findings: []repair.ScrubFinding{}}
	if o.name == "h3" {
		result.Damaged = 1
		result.Findings = append(result.Findings, repair.ScrubFinding{Space: "game", Key: "doc7", Why: "row of its base fails its checksum", Repaired: true, From: "h1"})
	}
	return result, o.note("scrub %s", scopeWords(s))
}

func (o orders) Plan(_ context.Context, s repair.Scope) (plan.Plan, error) {
	err := o.note("plan %s", scopeWords(s))
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.plan
	p.Host, p.Layout, p.LayoutDigest = o.name, o.layout.Version, o.layout.Digest()
	at := position.Position{Birth: 1, Seq: 20}
	p.Stripes = []plan.StripeSeen{{Stripe: "s1", Birth: 1, Applied: at, Root: digest.Of([]byte("root")), Peers: []string{"h1", "h3"}}}
	return p, err
}

func (o orders) Apply(_ context.Context, p plan.Plan, progress func(ops.ApplyProgress)) (ops.ApplyResult, error) {
	progress(ops.ApplyProgress{Ops: len(p.Ops), Done: 1})
	return ops.ApplyResult{Pulled: len(p.Ops), Skipped: []repair.Skipped{}}, o.note("apply %d", len(p.Ops))
}

func (o orders) RebuildPlan(_ context.Context, stripe string) (ops.RebuildPlan, error) {
	err := o.note("rebuild plan %s", stripe)
	o.mu.Lock()
	defer o.mu.Unlock()
	return ops.DecideRebuild(o.rebuild), err
}

func (o orders) Rebuild(_ context.Context, p ops.RebuildPlan, progress func(ops.RebuildProgress)) (ops.RebuildResult, error) {
	progress(ops.RebuildProgress{Step: "making a log"})
	return ops.RebuildResult{Stripe: p.Stripe, From: p.From, First: 121, Heals: []string{"h3"}, Differ: []string{}}, o.note("rebuild %s", p.Stripe)
}
