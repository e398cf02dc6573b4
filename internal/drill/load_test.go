package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/adapter"
)

// A plan says what clients do to a cluster.
type plan struct {
	space   string
	lanes   int           // documents that are worked on at once
	writers int           // of each lane
	readers int           // of all of them
	pace    time.Duration // how long a client rests between two requests
	bound   time.Duration // the deadline of one request
	roll    int32         // at this head a lane goes on with a new document, so that histories stay short
}

// standard is the load of the acceptance: 64 writers and 16 readers. In the default
// suite they leave other tests something of the machine.
func standard() plan {
	p := plan{space: "drill", lanes: 32, writers: 2, readers: 16, pace: 20 * time.Millisecond, bound: 30 * time.Second, roll: 1500}
	if !long() {
		p.pace = 100 * time.Millisecond
	}
	return p
}

// A traffic is clients that patch and get documents, two or more on each, and
// remember all that they are told.
type traffic struct {
	t      testing.TB
	plan   plan
	space  string
	began  time.Time
	lanes  []*lane
	cancel context.CancelFunc
	wait   sync.WaitGroup

	acked, refused, reads, unknown, failed atomic.Int64

	mu      sync.Mutex
	errors  []error
	slow    []interval // requests that took long
	took    []span     // all of them
	adopted []*ledger  // documents of the drill's own
}

// An interval is from when to when a request was under way.
type interval struct {
	from, to time.Time
	what     string
}

// A span is how long a request took, and when it ended.
type span struct {
	ended time.Time
	took  time.Duration
}

// slowRequest is what a request must take to be remembered.
const slowRequest = 100 * time.Millisecond

// A lane is one document at a time.
type lane struct {
	turn sync.Mutex // held while the next document is made

	mu   sync.Mutex
	docs []*ledger
}

// A ledger is what clients know of one document.
type ledger struct {
	*history
	key string

	mu    sync.Mutex
	acked map[string]int32    // request ids that were answered with success, and their seq
	maybe map[string]struct{} // and those that nobody knows of
}

func newLedger(key string, began time.Time) *ledger {
	return &ledger{history: &history{began: began}, key: key, acked: map[string]int32{}, maybe: map[string]struct{}{}}
}

// startTraffic starts clients, spread over connections that begin at different hosts.
func startTraffic(c *cluster, p plan) *traffic {
	c.t.Helper()
	w := &traffic{t: c.t, plan: p, space: p.space, began: time.Now()}
	var clients []*adapter.Client
	for i := range 9 {
		clients = append(clients, newAdapter(c.t, c.connectFront(c.Hosts[i%len(c.Hosts)].Name)))
	}
	for i := range p.lanes {
		w.lanes = append(w.lanes, &lane{})
		if err := w.extend(clients[i%len(clients)], i, 0); err != nil {
			c.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	c.t.Cleanup(w.stop)
	for i := range p.lanes {
		for n := range p.writers {
			w.wait.Go(func() { w.write(ctx, clients[(i+n)%len(clients)], i, n) })
		}
	}
	for n := range p.readers {
		w.wait.Go(func() { w.read(ctx, clients[n%len(clients)], n) })
	}
	return w
}

func newAdapter(t testing.TB, nc *nats.Conn) *adapter.Client {
	t.Helper()
	c, err := adapter.NewClient(nc, adapter.WithRetryWait(10*time.Millisecond, 250*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stop ends the load; requests under way are waited for.
func (w *traffic) stop() {
	w.cancel()
	w.wait.Wait()
}

// rest is the pause between two requests of a client.
func (w *traffic) rest(ctx context.Context) {
	t := time.NewTimer(w.plan.pace)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// fault notes what a client was told and should not have been.
func (w *traffic) fault(err error) {
	w.failed.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors = append(w.errors, fmt.Errorf("at %v: %w", time.Since(w.began).Round(time.Millisecond), err))
}

// timed notes how long a request took.
func (w *traffic) timed(began time.Time, format string, args ...any) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, span{now, now.Sub(began)})
	if now.Sub(began) >= slowRequest {
		w.slow = append(w.slow, interval{began, now, fmt.Sprintf(format, args...)})
	}
}

func (l *lane) current() (*ledger, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.docs) == 0 {
		return nil, -1
	}
	return l.docs[len(l.docs)-1], len(l.docs) - 1
}

// extend makes the document of a lane that follows so many others.
func (w *traffic) extend(client *adapter.Client, i, after int) error {
	l := w.lanes[i]
	l.turn.Lock()
	defer l.turn.Unlock()
	if _, last := l.current(); last >= after {
		return nil // somebody else has made it
	}
	d := newLedger(fmt.Sprintf("%d-%d", i, after), w.began)
	ctx, cancel := context.WithTimeout(context.Background(), w.plan.bound)
	defer cancel()
	began := time.Now()
	err := client.Initialize(ctx, w.space, d.key, first(), adapter.WithRequestID("first"))
	w.timed(began, "initialize %s", d.key)
	if err != nil {
		return fmt.Errorf("initialize %s: %w", d.key, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.docs = append(l.docs, d)
	return nil
}

// write patches on top of the head it knows, or reads it when it was wrong. The
// writers of a document get in each other's way, on purpose.
func (w *traffic) write(ctx context.Context, client *adapter.Client, i, writer int) {
	head := int32(1)
	d, turn := w.lanes[i].current()
	for n := 0; ctx.Err() == nil; n++ {
		if head >= w.plan.roll {
			if err := w.extend(client, i, turn+1); err != nil {
				w.fault(err)
				w.rest(ctx)
				continue
			}
			d, turn = w.lanes[i].current()
			head = 1
		}
		if w.patch(client, d, i*w.plan.writers+writer, head, fmt.Sprintf("%d-%d-%d", i, writer, n)) {
			head++
		} else if seq, ok := w.get(client, d, i*w.plan.writers+writer); ok {
			head = seq
		}
		w.rest(ctx)
	}
}

// patch appends one change and reports success.
func (w *traffic) patch(client *adapter.Client, d *ledger, who int, head int32, id string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), w.plan.bound)
	defer cancel()
	in := docInput{patch: true, seq: head + 1, id: id}
	began, called := time.Now(), d.now()
	err := client.Patch(ctx, w.space, d.key, []adapter.Update{change(in)}, adapter.WithRequestID(id))
	w.timed(began, "patch %s %s", d.key, id)
	switch {
	case err == nil:
		w.acked.Add(1)
		d.success(in)
		d.add(who, in, called, docOutput{result: success})
		return true
	case errors.Is(err, adapter.ErrOutcomeUnknown):
		w.unknown.Add(1)
		d.unknown(in)
		d.add(who, in, called, docOutput{result: unknown})
		w.fault(err)
	case errors.Is(err, adapter.ErrHeadDiffers):
		w.refused.Add(1)
		d.add(who, in, called, docOutput{result: headDiffers})
	default: // a promise that it did not happen
		w.fault(err)
	}
	return false
}

// first is the update that makes a document.
func first() adapter.Update {
	return adapter.Update{SeqBegin: 0, SeqEnd: 1, Redo: `{"last":"first"}`, Undo: `{}`, UpdateType: adapter.AddUserData}
}

// change is the update of a patch. What it leaves in the document tells the next
// reader who was last.
func change(in docInput) adapter.Update {
	return adapter.Update{SeqBegin: in.seq, SeqEnd: in.seq, Redo: fmt.Sprintf(`{"last":%q}`, in.id), Undo: `{}`, UpdateType: adapter.AddUserData}
}

func (d *ledger) success(in docInput) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.acked[in.id] = in.seq
}

func (d *ledger) unknown(in docInput) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.maybe[in.id] = struct{}{}
}

// refuse notes that a change which was unknown must not be in the log.
func (d *ledger) refuse(in docInput) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.maybe, in.id)
}

// get reads the head, linearizably.
func (w *traffic) get(client *adapter.Client, d *ledger, who int) (int32, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), w.plan.bound)
	defer cancel()
	began, called := time.Now(), d.now()
	doc, err := client.Get(ctx, w.space, d.key)
	w.timed(began, "get %s", d.key)
	if err == nil {
		err = d.read(who, called, doc.Seq, doc.Patch)
	}
	if err != nil {
		w.fault(fmt.Errorf("get %s: %w", d.key, err))
		return 0, false
	}
	w.reads.Add(1)
	return doc.Seq, true
}

// read adds to the history what a get has answered.
func (d *ledger) read(who int, called int64, seq int32, text string) error {
	var body struct{ Last string }
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		return err
	}
	d.add(who, docInput{}, called, docOutput{head: seq, last: body.Last})
	return nil
}

// read gets one document after the other.
func (w *traffic) read(ctx context.Context, client *adapter.Client, n int) {
	who := w.plan.lanes*w.plan.writers + n
	for i := n; ctx.Err() == nil; i++ {
		d, _ := w.lanes[i%len(w.lanes)].current()
		w.get(client, d, who)
		w.rest(ctx)
	}
}

// awaitAcked waits until so many more changes are acknowledged.
func (w *traffic) awaitAcked(more int64) {
	w.t.Helper()
	goal := w.acked.Load() + more
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for w.acked.Load() < goal {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatalf("%d changes are acknowledged after %v, waiting for %d; %v", w.acked.Load(), patience, goal, w.faults())
		}
	}
}

// p99 is the time that 99 of 100 requests took at most, of those that ended in a span of
// time, and how many these were.
func (w *traffic) p99(from, to time.Time) (time.Duration, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []time.Duration
	for _, s := range w.took {
		if s.ended.After(from) && !s.ended.After(to) {
			all = append(all, s.took)
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)*99/100], len(all)
}

// longest is the longest request that ended in a span of time: one that was under way
// when something broke belongs to what broke.
func (w *traffic) longest(from, to time.Time) (time.Duration, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var most time.Duration
	what := "-"
	for _, s := range w.slow {
		if s.to.After(from) && !s.to.After(to) && s.to.Sub(s.from) > most {
			most, what = s.to.Sub(s.from), fmt.Sprintf("%s, from %s on", s.what, s.from.UTC().Format("15:04:05.000"))
		}
	}
	return most, what
}

// faults are the errors that clients have met, at most a few of them.
func (w *traffic) faults() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	const shown = 10
	errs := w.errors[:min(shown, len(w.errors))]
	if n := len(w.errors) - len(errs); n > 0 {
		errs = append(errs[:shown:shown], fmt.Errorf("and %d more", n))
	}
	return errors.Join(errs...)
}

// wait is a pause of a length that the drill is about. The load goes on meanwhile.
func wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}

func itoa(n int) string { return strconv.Itoa(n) }
