package containers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"trireme/adapter"
)

// A load is clients outside, each of which patches a document of its own and reads it
// now and then.
type load struct {
	c     *cluster
	space string
	docs  []*ledger
	end   context.CancelFunc
	wait  sync.WaitGroup

	acked, reads, unknown, refused atomic.Int64

	mu   sync.Mutex
	most time.Duration // that a request took
	errs []error
}

const (
	writers = 12
	pace    = 25 * time.Millisecond // between two requests of a writer
	bound   = 30 * time.Second      // for one request
)

// startLoad makes a document for each writer and starts them. Their connections begin
// at different hosts.
func (c *cluster) startLoad(s scenario) *load {
	c.Helper()
	l := &load{c: c, space: strings.NewReplacer(" ", "-", ",", "").Replace(s.name)}
	ctx, cancel := context.WithCancel(context.Background())
	l.end = cancel
	c.Cleanup(l.stop)
	var clients []*adapter.Client
	for i := range len(c.hosts) {
		client, err := adapter.NewClient(c.connect(i))
		if err != nil {
			c.Fatal(err)
		}
		clients = append(clients, client)
	}
	for i := range writers {
		d := newLedger(l.space, fmt.Sprintf("document-%d", i))
		id := d.id(1)
		limit, done := context.WithTimeout(ctx, patience)
		err := clients[i%len(clients)].Initialize(limit, d.space, d.key, d.update(1), adapter.WithRequestID(id))
		done()
		if err != nil {
			c.Fatalf("initialize %s: %v", d.key, err)
		}
		d.success(id, 1)
		l.docs = append(l.docs, d)
	}
	for i, d := range l.docs {
		l.wait.Go(func() { l.write(ctx, clients[i%len(clients)], d) })
	}
	return l
}

// stop ends the load; requests under way are waited for.
func (l *load) stop() {
	l.end()
	l.wait.Wait()
}

func (l *load) String() string {
	return fmt.Sprintf("%d acknowledged, %d read, %d unknown, %d refused", l.acked.Load(), l.reads.Load(), l.unknown.Load(), l.refused.Load())
}

// write patches the document on top of the head that it knows, until ctx ends.
func (l *load) write(ctx context.Context, client *adapter.Client, d *ledger) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	head, known := int32(1), true
	for n := 1; ctx.Err() == nil; n++ {
		if !known || n%8 == 0 {
			head, known = l.read(client, d, head, known)
		} else {
			known = l.patch(client, d, head+1)
			if known {
				head++
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// patch appends one change, and tells whether the head is known then.
func (l *load) patch(client *adapter.Client, d *ledger, seq int32) bool {
	id := d.id(seq)
	err := l.timed(func(ctx context.Context) error {
		return client.Patch(ctx, d.space, d.key, []adapter.Update{d.update(seq)}, adapter.WithRequestID(id))
	})
	switch {
	case err == nil:
		d.success(id, seq)
		l.acked.Add(1)
		return true
	case errors.Is(err, adapter.ErrOutcomeUnknown):
		d.unknown(id)
		l.unknown.Add(1)
	case errors.Is(err, adapter.ErrHeadDiffers):
		// Nobody else writes here: an earlier patch of unknown outcome must have come in.
		if !d.doubtful() {
			l.fault(fmt.Errorf("%s at seq %d: %w, and nobody else has written", d.key, seq, err))
		}
		return false
	default: // a promise that it did not happen
		l.refused.Add(1)
	}
	l.fault(fmt.Errorf("patch %s at seq %d: %w", d.key, seq, err))
	return false
}

// read asks for the head. It must not be older than what was acknowledged.
func (l *load) read(client *adapter.Client, d *ledger, head int32, known bool) (int32, bool) {
	var seq int32
	err := l.timed(func(ctx context.Context) error {
		doc, err := client.Get(ctx, d.space, d.key)
		if err == nil {
			seq = doc.Seq
		}
		return err
	})
	switch {
	case err != nil:
		l.refused.Add(1)
		l.fault(fmt.Errorf("get %s: %w", d.key, err))
		return head, false
	case seq < d.top() || known && seq != head:
		l.wrong(fmt.Errorf("a read of %s shows seq %d where %d was acknowledged, and %d is known %v", d.key, seq, d.top(), head, known))
	}
	l.reads.Add(1)
	return seq, true
}

// timed makes a request with a bound and notes how long it took.
func (l *load) timed(request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	began := time.Now()
	err := request(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = max(l.most, time.Since(began))
	return err
}

// fault notes what a client was told.
func (l *load) fault(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const kept = 10
	if len(l.errs) < kept {
		l.errs = append(l.errs, err)
	}
}

// wrong fails the test: no fault excuses it.
func (l *load) wrong(err error) {
	l.c.life.Error(err)
	l.fault(err)
}

func (l *load) faults() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.errs...)
}

// longest is the time that the longest request took: the pause that clients have seen.
func (l *load) longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most
}

func (l *load) mustNotHaveFailed() {
	l.c.Helper()
	if err := l.faults(); err != nil {
		l.c.Errorf("clients with a bound of %v were told of errors:\n%v", bound, err)
	}
}

// awaitProgress waits until every document has taken more changes: from whatever
// happened before, all of them have recovered.
func (l *load) awaitProgress() {
	l.c.Helper()
	const more = 5
	goals := make([]int32, len(l.docs))
	for i, d := range l.docs {
		goals[i] = d.top() + more
	}
	l.c.await("changes of every document", func(context.Context) error {
		for i, d := range l.docs {
			if d.top() < goals[i] {
				return fmt.Errorf("%s is at seq %d, not at %d yet; %w", d.key, d.top(), goals[i], l.faults())
			}
		}
		return nil
	})
}
