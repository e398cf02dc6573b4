package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
	"trireme/repair/plan"
)

// A sim is a cluster of members with real stores and one log, all in this process. Its
// members ask one another without NATS.
type sim struct {
	t       testing.TB
	layout  layout.Layout
	log     *simLog
	members []*simMember
}

// The stripe of a sim has a part of all buckets only, so that a test need not go over
// all of them.
const (
	simStripe     = "s1"
	simPartitions = 2
	simBuckets    = simPartitions * layout.Buckets / 64
)

// newSim makes members h1, h2, ... of one stripe.
func newSim(t testing.TB, hosts int) *sim {
	s := &sim{t: t, log: newSimLog()}
	s.layout = layout.Single("h1")
	s.layout.Stripes[0].Hosts, s.layout.Partitions = nil, s.layout.Partitions[:simPartitions]
	for i := range hosts {
		name := fmt.Sprintf("h%d", i+1)
		s.layout.Stripes[0].Hosts = append(s.layout.Stripes[0].Hosts, name)
		m := &simMember{sim: s, name: name, fs: vfs.NewMem(), dir: t.TempDir()}
		m.peers = &simPeers{asker: m}
		m.open()
		s.members = append(s.members, m)
	}
	t.Cleanup(func() {
		for _, m := range s.members {
			m.close()
		}
	})
	return s
}

func (s *sim) member(name string) *simMember {
	i := slices.IndexFunc(s.members, func(m *simMember) bool { return m.name == name })
	return s.members[i]
}

// feed has members apply the log to its end.
func (s *sim) feed(members ...*simMember) {
	s.t.Helper()
	for _, m := range members {
		m.feedTo(s.log.seq())
	}
}

func (s *sim) feedAll() {
	s.t.Helper()
	s.feed(s.members...)
}

// A simMember is one host.
type simMember struct {
	sim   *sim
	name  string
	fs    *vfs.MemFS
	dir   string // of repair.json
	store *buckets.Store
	r     *Repairer
	peers *simPeers

	over     Peers  // in the place of peers, which ask without NATS
	realDisk string // a directory, in the place of fs

	pauses []time.Duration // of the repairer; short ones when nil

	applying sync.Mutex // held by whoever feeds
	dead     atomic.Bool
	sick     atomic.Pointer[string]
	healed   func(buckets.Applied) error // nil: takes it

	mu     sync.Mutex
	events []Event
}

func (m *simMember) open() {
	m.sim.t.Helper()
	dir, o := "store", buckets.Options{FS: m.fs, CacheBytes: 1 << 20, MergedBytes: -1, MemTableBytes: 8 << 20}
	if m.realDisk != "" {
		dir, o = m.realDisk, buckets.Options{}
	}
	store, err := buckets.Open(dir, o)
	if err != nil {
		m.sim.t.Fatal(err)
	}
	m.store = store
}

func (m *simMember) close() {
	m.sim.t.Helper()
	m.stop()
	if m.store == nil {
		return
	}
	if err := m.store.Close(); err != nil {
		m.sim.t.Error(err)
	}
	m.store = nil
}

// wipe takes the member's disk away.
func (m *simMember) wipe() {
	m.close()
	m.fs = vfs.NewMem()
	m.open()
}

// reopen restarts the store, after a change of the database behind its back.
func (m *simMember) reopen(change func(db *pebble.DB)) {
	m.sim.t.Helper()
	running := m.r != nil
	m.close()
	if change != nil {
		db, err := pebble.Open("store", &pebble.Options{FS: m.fs, FormatMajorVersion: pebble.FormatNewest})
		if err != nil {
			m.sim.t.Fatal(err)
		}
		change(db)
		if err := db.Close(); err != nil {
			m.sim.t.Fatal(err)
		}
	}
	m.open()
	if running {
		m.start(Config{})
	}
}

// start starts the member's repairer, which does nothing by itself within a test but
// heal.
func (m *simMember) start(c Config) {
	m.sim.t.Helper()
	if c.Interval == 0 {
		c.Interval = time.Hour
	}
	if c.ScrubEvery == 0 {
		c.ScrubEvery = -1
	}
	if c.HealRetry == 0 {
		c.HealRetry = 10 * time.Millisecond
	}
	m.r = &Repairer{
		Self: m.name, Store: m.store, Host: m, Peers: m.peers, Config: c, Dir: m.dir,
		Listener: func(e Event) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.events = append(m.events, e)
		},
		pauses: m.pauses,
	}
	if m.over != nil {
		m.r.Peers = m.over
	}
	if m.pauses == nil {
		m.r.pauses = []time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond}
	}
	if err := m.r.Start(m.sim.t.Context()); err != nil {
		m.sim.t.Fatal(err)
	}
}

func (m *simMember) stop() {
	m.sim.t.Helper()
	if m.r == nil {
		return
	}
	if err := m.r.Close(); err != nil {
		m.sim.t.Error(err)
	}
	m.r = nil
}

// happened are the events of one type so far.
func happened[E Event](m *simMember) (list []E) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if is, ok := e.(E); ok {
			list = append(list, is)
		}
	}
	return list
}

func (m *simMember) replica() *buckets.Replica {
	r, err := m.store.Replica(simStripe, 1)
	if err != nil {
		m.sim.t.Fatal(err)
	}
	return r
}

func (m *simMember) feedTo(seq uint64) {
	m.sim.t.Helper()
	m.applying.Lock()
	defer m.applying.Unlock()
	r := m.replica()
	for next := r.Applied().Seq + 1; next <= seq; next++ {
		if err := r.Apply(next, m.sim.log.body(next)); err != nil {
			m.sim.t.Fatalf("%s: apply record %d: %v", m.name, next, err)
		}
	}
}

func (m *simMember) sickness() string {
	if s := m.sick.Load(); s != nil {
		return *s
	}
	return ""
}

func (m *simMember) setSick(why string) { m.sick.Store(&why) }

// Layout is for [Host], as are the methods that follow.
func (m *simMember) Layout() (layout.Layout, string) { return m.sim.layout, m.sim.layout.Digest() }

// Stripes are this member's.
func (m *simMember) Stripes() []Stripe {
	sick, lost := m.sickness(), m.lost()
	if len(lost) > 0 && sick == "" {
		sick = "it has lost rows"
	}
	return []Stripe{{
		Name: simStripe, Members: m.sim.layout.Stripes[0].Hosts, Partitions: m.sim.layout.Partitions,
		Replica: m.replica(), Sick: sick, Follows: len(lost) > 0 && m.sickness() == "",
	}}
}

// lost are the buckets of which rows were lost.
func (m *simMember) lost() []layout.Bucket {
	return m.store.Incomplete(buckets.RangesOf(m.sim.layout.Partitions))
}

// Healthy are the others that are.
func (m *simMember) Healthy(string) []string {
	var names []string
	for _, o := range m.sim.members {
		if o != m && !o.dead.Load() && o.sickness() == "" && len(o.lost()) == 0 {
			names = append(names, o.name)
		}
	}
	return names
}

// Partial are the others that have lost rows.
func (m *simMember) Partial(string) []string {
	var names []string
	for _, o := range m.sim.members {
		if o != m && !o.dead.Load() && o.sickness() == "" && len(o.lost()) > 0 {
			names = append(names, o.name)
		}
	}
	return names
}

// Healed takes the stripe for healthy, and applies what the log has more.
func (m *simMember) Healed(_ context.Context, _ string, at buckets.Applied) error {
	if m.healed != nil {
		if err := m.healed(at); err != nil {
			return err
		}
	}
	m.setSick("")
	return nil
}

// simPeers ask the other members of a sim. Faults come between.
type simPeers struct {
	asker *simMember
	// fault may answer in the place of a peer; it is called before each question.
	fault func(endpoint, host string) error
	// image may change what a peer sends; it is called for each document.
	image func(host string, d *Pulled) (*Pulled, error)

	stand func(at *buckets.Applied) // may change where a peer says it stands

	asked atomic.Int64
}

// ask finds a member, which must not have lost rows of the ranges.
func (p *simPeers) ask(ctx context.Context, endpoint, host string, ranges ...buckets.Range) (*simMember, error) {
	p.asked.Add(1)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if p.fault != nil {
		if err := p.fault(endpoint, host); err != nil {
			return nil, err
		}
	}
	m := p.asker.sim.member(host)
	if m.dead.Load() {
		return nil, fmt.Errorf("%s: %w", host, ErrUnreachable)
	}
	if why := m.sickness(); why != "" && endpoint != EndpointDocument && endpoint != EndpointRoots {
		return nil, &RefusedError{Host: host, Code: CodeSick, Why: why}
	}
	if why := m.replica().Losses(ranges...); why != "" {
		return nil, &RefusedError{Host: host, Code: CodeSick, Why: why}
	}
	return m, nil
}

func (m *simMember) root(parts []layout.Partition) (plan.Side, plan.Root) {
	side, states := m.survey(parts)
	return side, plan.RootOf(states)
}

func (m *simMember) survey(parts []layout.Partition) (plan.Side, []plan.BucketState) {
	return surveyOf(m.name, &Stripe{Replica: m.replica()}, parts, false)
}

// Roots is for [Peers], as are the methods that follow.
func (p *simPeers) Roots(ctx context.Context, host string, _ ...string) ([]StripeRoot, error) {
	m, err := p.ask(ctx, EndpointRoots, host)
	if err != nil {
		return nil, err
	}
	if why := cmp.Or(m.sickness(), m.replica().Losses(buckets.RangesOf(p.asker.sim.layout.Partitions)...)); why != "" {
		return []StripeRoot{{Stripe: simStripe, Sick: why}}, nil
	}
	side, root := m.root(p.asker.sim.layout.Partitions)
	return []StripeRoot{{Stripe: simStripe, Side: side, Root: root}}, nil
}

// Partitions are those of one moment.
func (p *simPeers) Partitions(ctx context.Context, host, _ string) (StripeRoot, error) {
	m, err := p.ask(ctx, EndpointRoots, host, buckets.RangesOf(p.asker.sim.layout.Partitions)...)
	if err != nil {
		return StripeRoot{}, err
	}
	side, states := m.survey(p.asker.sim.layout.Partitions)
	root := StripeRoot{Stripe: simStripe, Side: side, Root: plan.RootOf(states)}
	for _, part := range p.asker.sim.layout.Partitions {
		root.Partitions = append(root.Partitions, PartitionRoot{part.ID, plan.RootOf(states[:size(part)])})
		states = states[size(part):]
	}
	return root, nil
}

// Buckets are those of one moment.
func (p *simPeers) Buckets(ctx context.Context, host, _ string, ids ...layout.PartitionID) (plan.Side, []plan.BucketState, error) {
	parts := make([]layout.Partition, len(ids))
	for i, id := range ids {
		parts[i], _ = p.asker.sim.layout.Partition(id)
	}
	m, err := p.ask(ctx, EndpointBuckets, host, buckets.RangesOf(parts)...)
	if err != nil {
		return plan.Side{}, nil, err
	}
	side, states := m.survey(parts)
	return side, states, nil
}

// Index is that of one moment.
func (p *simPeers) Index(ctx context.Context, host string, b layout.Bucket) (plan.Side, []plan.Doc, error) {
	m, err := p.ask(ctx, EndpointIndex, host, oneBucket(b))
	if err != nil {
		return plan.Side{}, nil, err
	}
	moment, err := m.replica().Moment()
	if err != nil {
		return plan.Side{}, nil, err
	}
	defer moment.Close()
	list, _, err := moment.Index(b, contract.Key{}, 1<<20)
	docs := make([]plan.Doc, len(list))
	for i := range list {
		docs[i] = docOf(&list[i])
	}
	return sideOf(host, moment.Position(), moment.Horizon(), false), docs, err
}

// Document is read whole.
func (p *simPeers) Document(ctx context.Context, host string, k contract.Key) (Copy, error) {
	m, err := p.ask(ctx, EndpointDocument, host)
	if err != nil {
		return Copy{}, err
	}
	moment, err := m.replica().Moment()
	if err != nil {
		return Copy{}, err
	}
	defer moment.Close()
	d, err := moment.Document(k)
	c := Copy{Side: sideOf(host, moment.Position(), moment.Horizon(), false), Sick: cmp.Or(m.sickness(), m.replica().Losses(bucketsOf(k)...)), Doc: docOf(&d)}
	c.Doc.Key = k
	return c, err
}

// Documents are those of one moment.
func (p *simPeers) Documents(ctx context.Context, host, _ string, wants []Want, visit func(*Pulled) error) (missed []Missed, err error) {
	keys := make([]contract.Key, len(wants))
	for i := range wants {
		keys[i] = wants[i].Key
	}
	m, err := p.ask(ctx, EndpointDocuments, host, bucketsOf(keys...)...)
	if err != nil {
		return nil, err
	}
	moment, err := m.replica().Moment()
	if err != nil {
		return nil, err
	}
	defer moment.Close()
	side := sideOf(host, moment.Position(), moment.Horizon(), false)
	for _, w := range wants {
		if ctx.Err() != nil {
			return missed, context.Cause(ctx)
		}
		im, err := moment.Image(w.Key)
		switch {
		case errors.Is(err, buckets.ErrAbsent):
			missed = append(missed, Missed{Want: w, Side: side})
			continue
		case errors.Is(err, buckets.ErrDamaged):
			missed = append(missed, Missed{Want: w, Side: side, Damaged: err.Error()})
			continue
		case err != nil:
			return missed, err
		}
		state, err := im.Check()
		if err != nil {
			return missed, err
		}
		d := &Pulled{Want: w, Side: side, Doc: docOf(&state), Image: im}
		if p.image != nil {
			if d, err = p.image(host, d); err != nil {
				return missed, err
			}
		}
		if err := visit(d); err != nil {
			return missed, err
		}
	}
	return missed, nil
}

// Stand is where the peer is.
func (p *simPeers) Stand(ctx context.Context, host, _ string) (Stand, error) {
	m, err := p.ask(ctx, EndpointStand, host)
	if err != nil {
		return Stand{}, err
	}
	at := Stand{Applied: m.replica().Applied()}
	for _, b := range m.lost() {
		at.Lost = append(at.Lost, oneBucket(b))
	}
	if p.stand != nil {
		p.stand(&at.Applied)
	}
	return at, nil
}

// A simLog is a log in memory, properly chained, with documents that are patched,
// deleted and made again.
type simLog struct {
	mu     sync.RWMutex
	bodies [][]byte
	chain  digest.Chain
	epoch  position.Position
	time   int64
	heads  map[contract.Key]int32 // of live documents
}

func newSimLog() *simLog {
	l := &simLog{time: 1_000_000, heads: map[contract.Key]int32{}}
	l.add(record.AppendClaim(nil, &record.Record{Time: l.time, Prev: l.chain, Host: "h1", Boot: "b", Layout: 1}))
	l.epoch = position.Position{Birth: 1, Seq: 1}
	return l
}

func (l *simLog) add(body []byte) {
	l.bodies = append(l.bodies, body)
	l.chain = l.chain.Next(body)
}

func (l *simLog) seq() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return uint64(len(l.bodies))
}

func (l *simLog) body(seq uint64) []byte {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.bodies[seq-1]
}

func (l *simLog) batch(changes ...record.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b record.Builder
	for i := range changes {
		b.Add(&changes[i])
	}
	l.time++
	l.add(b.Record(l.epoch, l.time, l.chain))
}

// simKey is the name of document i, which the stripe carries.
func simKey(i int) contract.Key {
	for n := 0; ; n++ {
		k := contract.Key{Space: "space", Key: fmt.Sprintf("key-%06d-%d", i, n)}
		if layout.BucketOf(k.Space, k.Key) < simBuckets {
			return k
		}
	}
}

// edit is the next change of a document: its beginning, or a patch of so many bytes.
func (l *simLog) edit(k contract.Key, size int) record.Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	head, live := l.heads[k]
	u := contract.Update{Redo: `{"x":"` + strings.Repeat("y", size) + `"}`, Undo: "{}", Request: "{}", UpdateType: contract.AddUserData}
	if !live {
		u.SeqBegin, u.SeqEnd = 0, 1
		l.heads[k] = 1
		return record.Change{Verb: record.Init, Key: k, Writer: "w", Updates: []contract.Update{u}}
	}
	u.SeqBegin, u.SeqEnd = head+1, head+1
	l.heads[k] = head + 1
	return record.Change{Verb: record.Patch, Key: k, Writer: "w", Updates: []contract.Update{u}}
}

func (l *simLog) remove(k contract.Key) record.Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.heads, k)
	return remove(k)
}

// fill makes documents, a hundred in each record.
func (l *simLog) fill(documents, size int) {
	for i := 0; i < documents; i += 100 {
		var list []record.Change
		for j := i; j < min(i+100, documents); j++ {
			list = append(list, l.edit(simKey(j), size))
		}
		l.batch(list...)
	}
}

// release lets all tombstones up to a horizon go.
func (s *sim) release(horizon position.Position) {
	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(record.AppendRelease(nil, &record.Record{Epoch: l.epoch, Time: l.time, Prev: l.chain, Horizon: horizon}))
}

// same wants members to have the same documents, whole.
func (s *sim) same(members ...*simMember) {
	s.t.Helper()
	_, want := members[0].root(s.layout.Partitions)
	for _, m := range members {
		if err := m.store.Verify(); err != nil {
			s.t.Errorf("%s: %v", m.name, err)
		}
		if _, root := m.root(s.layout.Partitions); root.Digest != want.Digest {
			s.t.Errorf("%s and %s differ", members[0].name, m.name)
		}
	}
}

// doc is a member's copy of a document.
func (m *simMember) doc(k contract.Key) buckets.DocState {
	m.sim.t.Helper()
	moment, err := m.replica().Moment()
	if err != nil {
		m.sim.t.Fatal(err)
	}
	defer moment.Close()
	d, err := moment.Document(k)
	if err != nil {
		m.sim.t.Fatal(err)
	}
	return d
}

func (m *simMember) image(k contract.Key) *buckets.Image {
	m.sim.t.Helper()
	moment, err := m.replica().Moment()
	if err != nil {
		m.sim.t.Fatal(err)
	}
	defer moment.Close()
	im, err := moment.Image(k)
	if err != nil {
		m.sim.t.Fatal(err)
	}
	return im
}

// loses removes a member's copy of a document, as if its first change had been skipped.
func (m *simMember) loses(k contract.Key) {
	m.sim.t.Helper()
	if gone, err := m.replica().Drop(k, m.doc(k).Digest); err != nil || !gone {
		m.sim.t.Fatalf("drop: %v, %v", gone, err)
	}
}

// fallsBack replaces a member's copy by an older one, as if later changes had been
// skipped, or by another one, as if they had been applied otherwise.
func (m *simMember) fallsBack(to *buckets.Image) {
	m.sim.t.Helper()
	m.loses(to.Key)
	result, err := m.replica().Put([]buckets.Put{{Image: to, AsOf: position.Position{Birth: 1, Seq: 1 << 40}}})
	if err != nil || result.Taken != 1 {
		m.sim.t.Fatalf("put: %+v, %v", result, err)
	}
}

// otherwise is an image of a document at the position that it has here, with other
// content: that of a log in which its last change said something else.
func (s *sim) otherwise(k contract.Key) *buckets.Image {
	s.t.Helper()
	other := &simMember{sim: &sim{t: s.t, layout: s.layout, log: newSimLog()}, name: "other", fs: vfs.NewMem()}
	other.open()
	defer other.close()
	at := s.members[0].doc(k).Position
	if at.Seq < 2 {
		s.t.Fatalf("%v is not there", k)
	}
	for other.sim.log.seq() < at.Seq-1 {
		other.sim.log.batch(other.sim.log.edit(contract.Key{Space: "fill", Key: "x"}, 1))
	}
	other.sim.log.batch(other.sim.log.edit(k, 77))
	other.feedTo(at.Seq)
	return other.image(k)
}

// flip changes a bit of a row whose key begins with prefix and has a text in it.
func flipRow(t testing.TB, db *pebble.DB, table byte, within string) {
	t.Helper()
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{table}, UpperBound: []byte{table + 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if strings.Contains(string(it.Key()), within) {
			value := slices.Clone(it.Value())
			value[len(value)/2] ^= 4
			if err := db.Set(it.Key(), value, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no row in table %q with %q", table, within)
}

// until waits for a named state.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("waited too long: %s", what)
		case <-tick.C:
		}
	}
}

func containsAny(s string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
}
