package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"trireme/adapter"
)

// The soak's load. In the long run it keeps as many documents, of as many changes.
const (
	standingDocuments = 300
	soakLanes         = 6
	churners          = 3
	bigDocument       = 400_000
)

// A soakLoad is the clients of a soak. Those of a lane patch and get one document, and
// go on with another one; what they leave is judged and deleted. Churners make documents,
// small and big, read them in all ways, and delete them.
type soakLoad struct {
	*traffic
	c       *cluster
	clients []*adapter.Client

	gate    sync.RWMutex // held for reading while a request is under way
	churned atomic.Int64

	mu   sync.Mutex
	left []*ledger // nobody works on them any more

	verdict verdict // on what was retired
	retired int
}

func startSoakLoad(c *cluster) *soakLoad {
	c.t.Helper()
	p := quiet()
	p.space, p.lanes, p.pace, p.roll = "soak", soakLanes, 100*time.Millisecond, 400
	ctx, cancel := context.WithCancel(context.Background())
	l := &soakLoad{c: c, traffic: &traffic{t: c.t, plan: p, space: p.space, began: time.Now(), cancel: cancel}}
	for _, h := range c.Hosts {
		l.clients = append(l.clients, newAdapter(c.t, c.connect(h.Name)))
	}
	c.t.Cleanup(l.stop)
	for i := range p.lanes {
		l.wait.Go(func() { l.lane(ctx, i) })
	}
	for i := range churners {
		l.wait.Go(func() { l.churn(ctx, i) })
	}
	return l
}

// request makes one request, unless the load settles just now.
func (l *soakLoad) request(send func()) {
	l.gate.RLock()
	defer l.gate.RUnlock()
	send()
}

// settled waits until every request under way has ended, and returns how many have
// failed.
func (l *soakLoad) settled() int64 {
	l.gate.Lock()
	defer l.gate.Unlock()
	return l.failed.Load()
}

// lane works on one document after the other.
func (l *soakLoad) lane(ctx context.Context, i int) {
	for n := 0; ctx.Err() == nil; n++ {
		d := newLedger(fmt.Sprintf("%d-%d", i, n), l.began)
		made := l.until(ctx, "initialize "+d.key, func(ctx context.Context) error { // under one id, however often
			return l.clients[n%len(l.clients)].Initialize(ctx, l.space, d.key, first(), adapter.WithRequestID("first"))
		})
		if !made {
			return
		}
		var all sync.WaitGroup
		for who := range l.plan.writers + 1 {
			all.Go(func() { l.work(ctx, l.clients[(i+n+who)%len(l.clients)], d, who) })
		}
		all.Wait()
		l.mu.Lock()
		l.left = append(l.left, d)
		l.mu.Unlock()
	}
}

// work patches a document, or reads it if it is the last of its clients, until it has
// enough changes.
func (l *soakLoad) work(ctx context.Context, client *adapter.Client, d *ledger, who int) {
	head := int32(1)
	for n := 0; ctx.Err() == nil && head < l.plan.roll; n++ {
		l.request(func() {
			if who < l.plan.writers && l.patch(client, d, who, head, fmt.Sprintf("%d-%d", who, n)) {
				head++
			} else if seq, ok := l.get(client, d, who); ok {
				head = seq
			}
		})
		l.rest(ctx)
	}
}

// until repeats a request that may be repeated until it succeeds, which it reports, or
// ctx ends.
func (l *soakLoad) until(ctx context.Context, what string, send func(context.Context) error) bool {
	for !l.once(what, send) {
		if ctx.Err() != nil {
			return false
		}
		l.rest(ctx)
	}
	return true
}

// once makes a request, notes its error, and reports success.
func (l *soakLoad) once(what string, send func(context.Context) error) (done bool) {
	l.request(func() {
		ctx, cancel := context.WithTimeout(context.Background(), l.plan.bound)
		defer cancel()
		began := time.Now()
		err := send(ctx)
		l.timed(began, "%s", what)
		if done = err == nil; !done {
			l.fault(fmt.Errorf("%s: %w", what, err))
		}
	})
	return done
}

// churn makes, changes, reads and deletes documents, one after the other. Each is gone
// when the load has ended.
func (l *soakLoad) churn(ctx context.Context, who int) {
	for n := 0; ctx.Err() == nil; n++ {
		key, size := fmt.Sprintf("%d-%d", who, n), 200
		if n%10 == 0 {
			size = bigDocument
		}
		l.churnOne(ctx, l.clients[n%len(l.clients)], key, size, n)
		l.churned.Add(1)
	}
}

// churnSpace is where churners work.
const churnSpace = "churn"

func (l *soakLoad) churnOne(ctx context.Context, client *adapter.Client, key string, size, n int) {
	steps := []struct {
		what    string
		changes int64
		do      func(context.Context) error
	}{
		{"initialize", 1, func(ctx context.Context) error {
			return client.Initialize(ctx, churnSpace, key, adapter.Update{SeqBegin: 0, SeqEnd: 1, UpdateType: adapter.AddUserData, Redo: filled(size, n), Undo: `{}`})
		}},
		{"patch", 1, func(ctx context.Context) error {
			return client.Patch(ctx, churnSpace, key, []adapter.Update{change(docInput{seq: 2, id: "a"}), change(docInput{seq: 3, id: "b"})})
		}},
		{"get", 0, func(ctx context.Context) error {
			doc, err := client.Get(ctx, churnSpace, key)
			if err != nil {
				return err
			}
			return churnedText(doc, size, n)
		}},
		{"history", 0, func(ctx context.Context) error { return churnedHistory(ctx, client, key) }},
	}
	for _, step := range steps { // what fails leaves nothing that the next step could tell
		if !l.once("churn: "+step.what+" "+key, step.do) {
			break
		}
		l.acked.Add(step.changes)
		l.rest(ctx)
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience) // also when the load ends
	defer cancel()
	l.until(ending, "churn: delete "+key, func(ctx context.Context) error { return client.Delete(ctx, churnSpace, key) })
	l.once("churn: get deleted "+key, func(ctx context.Context) error {
		if doc, err := client.Get(ctx, churnSpace, key); !errors.Is(err, adapter.ErrNotFound) {
			return fmt.Errorf("it is deleted, and is answered with seq %d, %w", doc.Seq, err)
		}
		return nil
	})
}

// churnedText checks what a churner reads before it deletes.
func churnedText(doc adapter.Document, size, n int) error {
	var body struct {
		T, Last string
		N       int
	}
	if err := json.Unmarshal([]byte(doc.Patch), &body); err != nil {
		return err
	}
	if doc.Seq != 3 || body.N != n || len(body.T) != size || body.Last != "b" {
		return fmt.Errorf("it has seq %d, n %d, %d bytes, last %q; want 3, %d, %d, b", doc.Seq, body.N, len(body.T), body.Last, n, size)
	}
	return nil
}

func churnedHistory(ctx context.Context, client *adapter.Client, key string) error {
	entries := 0
	for page, err := range client.History(ctx, adapter.HistoryRequest{Space: churnSpace, Key: key}) {
		if err != nil {
			return err
		}
		entries += len(page.Entries)
	}
	if entries != 3 {
		return fmt.Errorf("its history has %d entries, want 3", entries)
	}
	return nil
}

// retire judges the documents that were left, as a drill does in its end, and deletes
// them. The cluster must be whole.
func (l *soakLoad) retire() {
	l.t.Helper()
	l.mu.Lock()
	left := l.left
	l.left = nil
	l.mu.Unlock()
	client := l.clients[0]
	for _, d := range left {
		v, present := l.account(client, d)
		d.resolve(present)
		if !d.judge(l.t, "document "+d.key, docState{1, "first"}) {
			v.stale++
		}
		l.verdict.lost, l.verdict.doubled = l.verdict.lost+v.lost, l.verdict.doubled+v.doubled
		l.verdict.ghosts, l.verdict.stale = l.verdict.ghosts+v.ghosts, l.verdict.stale+v.stale
		l.retired++
		ctx, cancel := l.c.bounded()
		l.c.must(client.Delete(ctx, l.space, d.key))
		cancel()
	}
}

// inventory fails the test unless the documents that were never deleted are there, and
// no others. The load must have ended and be retired.
func (l *soakLoad) inventory() {
	l.t.Helper()
	ctx, cancel := l.c.bounded()
	defer cancel()
	standing := 0
	for key, err := range l.clients[0].Inventory(ctx, adapter.InventoryRequest{Scope: adapter.ScopeAll}) {
		l.c.must(err)
		if key.Space == "standing" {
			standing++
		} else {
			l.t.Errorf("document %s of space %s was deleted, and is there", key.Key, key.Space)
		}
	}
	if standing != standingDocuments {
		l.t.Errorf("of %d documents that stand, %d are there", standingDocuments, standing)
	}
}
