package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"trireme/adapter"
	"trireme/internal/contract"
)

// benchSpace is where a bench keeps its documents.
const benchSpace = "trireme-bench"

// A benchRun is a bench under way.
type benchRun struct {
	plan   benchPlan
	server string
	conns  []*nats.Conn
	hosts  []*adapter.Client // one on each connection
	meters []*meter          // likewise
	keys   []benchDoc
	done   atomic.Int64
}

// A benchDoc is a document and its head. Only one client uses it.
type benchDoc struct {
	key  string
	head int32
	made bool
}

func (r *benchRun) add(nc *nats.Conn) error {
	r.conns = append(r.conns, nc)
	client, err := adapter.NewClient(nc)
	if err != nil {
		return err
	}
	r.hosts = append(r.hosts, client)
	r.meters = append(r.meters, newMeter())
	return nil
}

func (r *benchRun) close() {
	for _, nc := range r.conns {
		nc.Close()
	}
}

// each runs fn once for every client at once and waits for all. Client i uses
// the documents i, i+clients, i+2*clients and so on.
func (r *benchRun) each(fn func(i int) error) error {
	errs := make([]error, r.plan.clients)
	var all sync.WaitGroup
	for i := range r.plan.clients {
		all.Go(func() { errs[i] = fn(i) })
	}
	all.Wait()
	return firstOf(errs)
}

// firstOf many errors is enough to read: they are likely the same.
func firstOf(errs []error) error {
	var first error
	more := 0
	for _, err := range errs {
		switch {
		case err == nil:
		case first == nil:
			first = err
		default:
			more++
		}
	}
	if more > 0 {
		return fmt.Errorf("%w (and %d more like it)", first, more)
	}
	return first
}

func (r *benchRun) client(i int) (*adapter.Client, *meter) {
	n := i % len(r.hosts)
	return r.hosts[n], r.meters[n]
}

// bounded gives one request its time.
func (r *benchRun) bounded(ctx context.Context, fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.plan.timeout)
	defer cancel()
	return fn(ctx)
}

// prepare makes the documents.
func (r *benchRun) prepare(ctx context.Context) error {
	id := nuid.Next()
	r.keys = make([]benchDoc, r.plan.docs)
	for i := range r.keys {
		r.keys[i].key = fmt.Sprintf("%s-%06d", id, i)
	}
	return r.each(func(i int) error {
		client, _ := r.client(i)
		for n := i; n < len(r.keys); n += r.plan.clients {
			d := &r.keys[n]
			d.made = true // perhaps, also when this fails
			err := r.bounded(ctx, func(ctx context.Context) error {
				return client.Initialize(ctx, benchSpace, d.key, benchUpdate(0, 1, payload(r.plan.size, n)))
			})
			if err != nil {
				return err
			}
			d.head = 1
		}
		return nil
	})
}

// cleanup deletes the documents that were made.
func (r *benchRun) cleanup(ctx context.Context) error {
	return r.each(func(i int) error {
		client, _ := r.client(i)
		for n := i; n < len(r.keys); n += r.plan.clients {
			if !r.keys[n].made {
				continue
			}
			if err := client.Delete(ctx, benchSpace, r.keys[n].key); err != nil {
				return err
			}
		}
		return nil
	})
}

// measure lets the clients ask until the time is over or ctx ends. Requests
// under way then are waited for and count.
func (r *benchRun) measure(ctx context.Context) *benchResult {
	began := time.Now()
	end := began.Add(r.plan.took)
	asking := context.WithoutCancel(ctx)
	_ = r.each(func(i int) error {
		w := r.worker(i)
		for ctx.Err() == nil && time.Now().Before(end) {
			w.step(asking)
		}
		return nil // what fails is in the result
	})
	return r.result(time.Since(began))
}

// A benchWorker is one client of a bench.
type benchWorker struct {
	run    *benchRun
	client *adapter.Client
	meter  *meter
	docs   []*benchDoc
	text   string
	turn   int
}

func (r *benchRun) worker(i int) *benchWorker {
	w := &benchWorker{run: r, text: payload(r.plan.size, i)}
	w.client, w.meter = r.client(i)
	for n := i; n < len(r.keys); n += r.plan.clients {
		w.docs = append(w.docs, &r.keys[n])
	}
	return w
}

// step does one request.
func (w *benchWorker) step(ctx context.Context) {
	w.turn++
	d, op := w.docs[w.turn%len(w.docs)], w.run.plan.op
	if op == benchMixed {
		op = [...]string{benchPatch, benchGet}[w.turn/len(w.docs)%2]
	}
	began := time.Now()
	err := w.run.bounded(ctx, func(ctx context.Context) error { return w.ask(ctx, op, d) })
	w.meter.note(op, time.Since(began), err)
	w.run.done.Add(1)
	if err != nil && op == benchPatch {
		w.recover(ctx, d)
	}
}

func (w *benchWorker) ask(ctx context.Context, op string, d *benchDoc) error {
	if op == benchGet {
		_, err := w.client.Get(ctx, benchSpace, d.key)
		return err
	}
	err := w.client.Patch(ctx, benchSpace, d.key, []adapter.Update{benchUpdate(d.head+1, d.head+1, w.text)})
	if err == nil {
		d.head++
	}
	return err
}

// recover finds the head again after a patch of which nobody knows, so that the
// next ones do not fail too.
func (w *benchWorker) recover(ctx context.Context, d *benchDoc) {
	err := w.run.bounded(ctx, func(ctx context.Context) error {
		seq, _, err := head(ctx, w.client, benchSpace, d.key)
		if err == nil {
			d.head = seq
		}
		return err
	})
	if err != nil && !errors.Is(err, adapter.ErrNotFound) {
		w.meter.note("recover", 0, err)
	}
}

// Bounds on the size of a patch: the JSON around its text, and what one entry
// may have.
const (
	minPatch = len(`{"v00":""}`)
	maxPatch = contract.MaxEntry - 1024
)

// payload is a JSON object of so many bytes. Its key is one of 100, so that a
// document does not grow with every patch.
func payload(size, i int) string {
	return fmt.Sprintf(`{"v%02d":"%s"}`, i%100, strings.Repeat("x", size-minPatch))
}

func benchUpdate(begin, end int32, redo string) adapter.Update {
	return adapter.Update{SeqBegin: begin, SeqEnd: end, Request: "{}", Redo: redo, Undo: "{}", UpdateType: adapter.DirectMessageExecute}
}
