package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A reading is one measurement.
type reading struct {
	PerSecond float64       `json:"per_second"`
	P50       time.Duration `json:"p50_ns"`
	P99       time.Duration `json:"p99_ns"`
	Max       time.Duration `json:"max_ns"`
	Servers   time.Duration `json:"server_cpu_ns"` // processor time per change, of all servers together
	Client    time.Duration `json:"client_cpu_ns"` // of this process
	Written   int64         `json:"written_bytes"` // to the disk per change, by all servers together
	Others    float64       `json:"others_cpu"`    // processors that neither servers nor clients had
	Sync      time.Duration `json:"sync_ns"`       // of a few bytes, shortly before: what the disk is worth
}

// A measurement is of some clients of a fleet.
type measurement struct {
	settings *settings
	servers  *cluster
	fleet    *fleet
	clients  int
	name     string
}

// patience bounds how long after its end a measurement waits for last answers.
const patience = 60 * time.Second

var errPatience = fmt.Errorf("the last answers did not come within %v of the end", patience)

// run warms up, and then measures: what was acknowledged between two moments counts,
// and what the processes used between them. One failure spoils it.
func (m *measurement) run(ctx context.Context) (reading, error) {
	synced, err := probeSync(m.servers.dir)
	if err != nil {
		return reading{}, err
	}
	var w window
	w.from = time.Now().Add(m.settings.warm)
	w.to = w.from.Add(m.settings.turn)
	ctx, cancel := context.WithDeadlineCause(ctx, w.to.Add(patience), errPatience)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var took []time.Duration
	var all sync.WaitGroup
	all.Go(func() {
		var err error
		if took, err = m.fleet.drive(ctx, m.clients, w); err != nil {
			fail(err)
		}
	})
	if dir := m.settings.profiles; dir != "" {
		all.Go(func() {
			if err := m.servers.profile(ctx, dir, m.name, m.clients, w); err != nil {
				fail(err)
			}
		})
	}
	spent, err := m.watch(ctx, w)
	if err != nil {
		fail(err)
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return reading{}, err
	}
	if len(took) == 0 {
		return reading{}, errNoAnswers
	}
	r := spent.reading(histogram(took), w.to.Sub(w.from))
	r.Sync = synced
	return r, nil
}

var errNoAnswers = errors.New("nothing was acknowledged in the time measured")

// histogram holds latencies of 1 us to 2 minutes, which patience bounds.
func histogram(took []time.Duration) *hdrhistogram.Histogram {
	h := hdrhistogram.New(1000, int64(2*time.Minute), 3)
	for _, d := range took {
		_ = h.RecordValue(int64(d)) // it is in bounds
	}
	return h
}

// expense is what was used between two moments, or until one.
type expense struct {
	servers, client usage
	machine         time.Duration
}

// watch takes the expenses in the window.
func (m *measurement) watch(ctx context.Context, w window) (expense, error) {
	before, err := m.expenseAt(ctx, w.from)
	if err != nil {
		return expense{}, err
	}
	after, err := m.expenseAt(ctx, w.to)
	return expense{after.servers.minus(before.servers), after.client.minus(before.client), after.machine - before.machine}, err
}

func (m *measurement) expenseAt(ctx context.Context, when time.Time) (e expense, err error) {
	if err := until(ctx, when); err != nil {
		return e, err
	}
	var errs [3]error
	e.servers, errs[0] = m.servers.usage()
	e.client, errs[1] = usageOf("self")
	e.machine, errs[2] = machineBusy()
	return e, errors.Join(errs[:]...)
}

// until waits for a moment.
func until(ctx context.Context, when time.Time) error {
	timer := time.NewTimer(time.Until(when))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reading is the expense per change.
func (e expense) reading(h *hdrhistogram.Histogram, took time.Duration) reading {
	n := h.TotalCount()
	return reading{
		PerSecond: float64(n) / took.Seconds(),
		P50:       time.Duration(h.ValueAtQuantile(50)),
		P99:       time.Duration(h.ValueAtQuantile(99)),
		Max:       time.Duration(h.Max()),
		Servers:   e.servers.cpu / time.Duration(n),
		Client:    e.client.cpu / time.Duration(n),
		Written:   e.servers.written / n,
		Others:    max(0, (e.machine-e.servers.cpu-e.client.cpu).Seconds()/took.Seconds()),
	}
}
