package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// A benchPlan is what a bench does.
type benchPlan struct {
	clients int
	conns   int
	docs    int
	size    int
	op      string
	took    time.Duration
	timeout time.Duration
	keep    bool
}

// What a bench's clients do.
const (
	benchPatch = "patch"
	benchGet   = "get"
	benchMixed = "mixed"
)

const benchLong = `Measure a running host: clients that send one request after another, each on
documents of its own, for a time.

Patches are of --size bytes of redo. The documents are made before the clock
starts, in the space ` + benchSpace + `, and deleted after it has stopped.
Percentiles are of the time from sending a request to reading its answer,
retries included. The exit code is 3 when a request failed.`

func (a *app) benchCommand() *cobra.Command {
	var p benchPlan
	c := &cobra.Command{
		Use: "bench", Short: "Measure throughput and latency of a running host", Long: benchLong,
		Example: `  trireme bench
  trireme bench --clients 1 --time 5s
  trireme bench --op mixed --clients 256 --docs 10000 -o json`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.timeout = a.timeout
			if err := p.settle(); err != nil {
				return err
			}
			result, err := a.bench(cmd, p)
			if result == nil {
				return err
			}
			if err := a.answer(result, result.print); err != nil {
				return err
			}
			if err == nil && len(result.Errors) > 0 {
				return &failure{exit: exitDegraded, err: errDegraded}
			}
			return err
		},
	}
	f := c.Flags()
	f.IntVar(&p.clients, "clients", 64, "how many clients ask at once")
	f.IntVar(&p.conns, "conns", 0, "over how many connections; one for 16 clients when it is not given")
	f.IntVar(&p.docs, "docs", 0, "on how many documents; one for each client when it is not given")
	f.IntVar(&p.size, "size", 256, "`bytes` of a patch")
	f.StringVar(&p.op, "op", benchPatch, "what they ask: patch, get, or mixed for half and half")
	f.DurationVar(&p.took, "time", 10*time.Second, "for how long")
	f.BoolVar(&p.keep, "keep", false, "leave the documents")
	return c
}

// settle fills in what follows from the rest and refuses what makes no sense.
func (p *benchPlan) settle() error {
	const perConn = 16
	if p.conns == 0 {
		p.conns = (p.clients + perConn - 1) / perConn
	}
	if p.docs == 0 {
		p.docs = p.clients
	}
	switch {
	case p.clients < 1:
		return usage("--clients %d: want 1 or more", p.clients)
	case p.conns < 1 || p.conns > p.clients:
		return usage("--conns %d: want 1 to %d, the number of clients", p.conns, p.clients)
	case p.docs < p.clients:
		return usage("--docs %d: want %d or more, one for each client, so that patches do not conflict", p.docs, p.clients)
	case p.size < minPatch || p.size > maxPatch:
		return usage("--size %d: want %d to %d", p.size, minPatch, maxPatch)
	case p.took <= 0:
		return usage("--time %v: want more than 0", p.took)
	case p.op != benchPatch && p.op != benchGet && p.op != benchMixed:
		return usage("--op %q: want %s, %s or %s", p.op, benchPatch, benchGet, benchMixed)
	}
	return nil
}

// bench makes the documents, measures, and deletes them. The result is nil when
// nothing was measured.
func (a *app) bench(cmd *cobra.Command, p benchPlan) (*benchResult, error) {
	t, err := a.target()
	if err != nil {
		return nil, err
	}
	r := &benchRun{plan: p, server: redacted(t.urls)}
	defer r.close()
	for range p.conns {
		nc, err := a.connect(cmd)
		if err != nil {
			return nil, err
		}
		if err := r.add(nc); err != nil {
			return nil, err
		}
	}
	if err := r.prepare(cmd.Context()); err != nil {
		return nil, a.tidy(cmd.Context(), r, err)
	}
	stop := a.watch(r)
	result := r.measure(cmd.Context())
	stop()
	return result, a.tidy(cmd.Context(), r, cmd.Context().Err())
}

// tidy deletes the documents, after an interruption too. What went wrong before
// is the error that counts.
func (a *app) tidy(ctx context.Context, r *benchRun, before error) error {
	if r.plan.keep {
		return before
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.plan.timeout)
	defer cancel()
	err := r.cleanup(ctx)
	if before != nil {
		return before
	}
	if err != nil {
		return fmt.Errorf("delete the documents of the bench: %w", err)
	}
	return nil
}

// watch writes a line for every second while a person looks on. The function it
// returns ends that.
func (a *app) watch(r *benchRun) (stop func()) {
	if !terminal(a.err) || a.output == asJSON {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		var before int64
		for second := 1; ; second++ {
			select {
			case <-end:
				return
			case <-tick.C:
				done := r.done.Load()
				a.say("%4ds  %8d/s  %d done", second, done-before, done)
				before = done
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}
