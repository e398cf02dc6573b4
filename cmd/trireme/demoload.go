package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"trireme/adapter"
	"trireme/internal/localcluster"
)

// A demoLoad is a writer for every document, and a reader for some of them.
type demoLoad struct {
	conns   []*nats.Conn
	clients []*adapter.Client
	docs    []*demoDoc
	wait    sync.WaitGroup

	mu  sync.Mutex // guards what follows, and the documents
	now demoCount  // since the last second
	all demoCount
}

// A demoCount counts what clients were told.
type demoCount struct {
	changes, reads, errors, stale int

	took   []time.Duration
	waited map[string]time.Duration // the longest change that took long, by stripe
	said   string                   // the last error
}

// A demoDoc is one document, which one writer changes.
type demoDoc struct {
	key    string
	stripe string
	head   int32 // as acknowledged
	maybe  bool  // nobody knows of the change after it
}

const (
	demoSpace  = "trireme-demo"
	demoPerLog = 2 // documents of each stripe
	demoPace   = 40 * time.Millisecond
	demoBound  = 30 * time.Second
	// demoPause is how long a change must take to be called a pause.
	demoPause = 500 * time.Millisecond
)

// newDemoLoad makes the documents, some on every stripe.
func newDemoLoad(ctx context.Context, c *localcluster.Cluster) (*demoLoad, error) {
	l := &demoLoad{}
	err := l.open(ctx, c)
	if err != nil {
		l.close()
	}
	return l, err
}

func (l *demoLoad) open(ctx context.Context, c *localcluster.Cluster) error {
	for _, h := range c.Hosts {
		if err := l.connect(c.URLs(h.Name)); err != nil {
			return err
		}
	}
	s, err := c.Hosts[0].Status(ctx)
	if err != nil {
		return err
	}
	if err := l.makeDocs(ctx, s.Stripes); err != nil {
		return fmt.Errorf("make the documents: %w", err)
	}
	return nil
}

// connect reaches the first host that answers, and gives one up within seconds that
// gives no sign of life.
func (l *demoLoad) connect(urls []string) error {
	servers := func(o *nats.Options) error {
		o.Servers, o.NoRandomize = urls, true
		return nil
	}
	nc, err := nats.Connect("", servers, nats.Name("trireme demo"), nats.Timeout(dialLimit),
		nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.ReconnectBufSize(-1),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // calls tell
	if err != nil {
		return err
	}
	l.conns = append(l.conns, nc)
	client, err := adapter.NewClient(nc)
	l.clients = append(l.clients, client)
	return err
}

func (l *demoLoad) makeDocs(ctx context.Context, stripes []localcluster.Stripe) error {
	missing, all := map[string]int{}, 0
	for _, s := range stripes {
		if s.Partitions > 0 {
			missing[s.Name] = demoPerLog
			all += demoPerLog
		}
	}
	run := nuid.Next()
	for i := 0; len(l.docs) < all; i++ {
		key := fmt.Sprintf("%s-%d", run, i)
		at, err := l.clients[0].Locate(ctx, demoSpace, key)
		if err != nil {
			return err
		}
		if missing[at.Stripe] == 0 {
			continue
		}
		if err := l.clients[0].Initialize(ctx, demoSpace, key, demoUpdate(0, 1)); err != nil {
			return err
		}
		missing[at.Stripe]--
		l.docs = append(l.docs, &demoDoc{key: key, stripe: at.Stripe, head: 1})
	}
	return nil
}

func demoUpdate(begin, end int32) adapter.Update {
	return adapter.Update{SeqBegin: begin, SeqEnd: end, Redo: fmt.Sprintf(`{"changes":%d}`, end), Undo: `{}`, UpdateType: adapter.AddUserData}
}

// start lets the clients ask until ctx ends. Requests under way then are waited for.
func (l *demoLoad) start(ctx context.Context) {
	for i, d := range l.docs {
		l.wait.Go(func() { l.repeat(ctx, func() { l.change(l.clients[i%len(l.clients)], d) }) })
	}
	for i, d := range l.docs {
		if i%demoPerLog == 0 {
			l.wait.Go(func() { l.repeat(ctx, func() { l.read(l.clients[(i+1)%len(l.clients)], d) }) })
		}
	}
}

func (l *demoLoad) repeat(ctx context.Context, do func()) {
	tick := time.NewTicker(demoPace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}

// change appends to a document. Its writer is the only one, so the head is known.
func (l *demoLoad) change(client *adapter.Client, d *demoDoc) {
	ctx, cancel := context.WithTimeout(context.Background(), demoBound)
	defer cancel()
	began := time.Now()
	u := demoUpdate(d.head+1, d.head+1)
	err := client.Patch(ctx, demoSpace, d.key, []adapter.Update{u})
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		d.head, d.maybe = u.SeqEnd, false
		l.now.changes++
		l.now.took = append(l.now.took, took)
		l.now.wait(d.stripe, took)
	case errors.Is(err, adapter.ErrHeadDiffers) && d.maybe: // the one before has happened
		d.head, d.maybe = u.SeqEnd, false
	default:
		d.maybe = d.maybe || errors.Is(err, adapter.ErrOutcomeUnknown)
		l.now.fault(err)
	}
}

// read gets a document, which must have every change that was acknowledged before.
func (l *demoLoad) read(client *adapter.Client, d *demoDoc) {
	l.mu.Lock()
	least := d.head
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), demoBound)
	defer cancel()
	doc, err := client.Get(ctx, demoSpace, d.key)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.now.fault(err)
	case doc.Seq < least:
		l.now.stale++
	default:
		l.now.reads++
	}
}

func (c *demoCount) fault(err error) {
	c.errors++
	c.said = err.Error()
}

func (c *demoCount) wait(stripe string, took time.Duration) {
	if took < demoPause {
		return
	}
	if c.waited == nil {
		c.waited = map[string]time.Duration{}
	}
	c.waited[stripe] = max(c.waited[stripe], took)
}

// second returns the counts since the last call, and the sums of the whole load.
func (l *demoLoad) second() (now, all demoCount) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now = l.now
	l.now = demoCount{}
	l.all.changes += now.changes
	l.all.reads += now.reads
	l.all.errors += now.errors
	l.all.stale += now.stale
	return now, l.all
}

// compare reads every document and counts the changes that were acknowledged and are
// not there, and those that are there too often. The load must have ended.
func (l *demoLoad) compare(ctx context.Context) (lost, doubled int, err error) {
	for _, d := range l.docs {
		doc, err := l.clients[0].Get(ctx, demoSpace, d.key)
		if err != nil {
			return 0, 0, fmt.Errorf("compare document %s: %w", d.key, err)
		}
		most := d.head
		if d.maybe {
			most++
		}
		lost += max(0, int(d.head-doc.Seq))
		doubled += max(0, int(doc.Seq-most))
	}
	return lost, doubled, nil
}

func (l *demoLoad) close() {
	for _, nc := range l.conns {
		nc.Close()
	}
}
