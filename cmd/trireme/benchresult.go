package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"trireme/adapter"
	"trireme/internal/contract"
)

// A benchResult is what a bench found, as -o json tells it.
type benchResult struct {
	Server    string       `json:"server"`
	Op        string       `json:"op"`
	Clients   int          `json:"clients"`
	Conns     int          `json:"connections"`
	Docs      int          `json:"documents"`
	Size      int          `json:"size_bytes"`
	Seconds   float64      `json:"seconds"`
	Measured  []benchOp    `json:"operations"`
	Errors    []benchError `json:"errors"`
	PerSecond float64      `json:"per_second"` // of all operations, those that succeeded
}

// A benchOp is one operation's figures. Times are of requests that succeeded, in
// microseconds.
type benchOp struct {
	Op        string  `json:"op"`
	Requests  int64   `json:"requests"` // that succeeded
	PerSecond float64 `json:"per_second"`
	Mean      float64 `json:"mean_us"`
	P50       int64   `json:"p50_us"`
	P90       int64   `json:"p90_us"`
	P99       int64   `json:"p99_us"`
	Max       int64   `json:"max_us"`
}

// A benchError is how often an operation failed with a code.
type benchError struct {
	Op      string        `json:"op"`
	Code    contract.Code `json:"code"` // 0 for what is not of the contract
	Name    string        `json:"name"`
	Count   int64         `json:"count"`
	Example string        `json:"example"`
}

// A meter gathers what the clients of one connection see.
type meter struct {
	mu     sync.Mutex
	took   map[string]*hdrhistogram.Histogram
	errors map[benchFault]*benchError
}

type benchFault struct {
	op   string
	code contract.Code
	name string
}

func newMeter() *meter {
	return &meter{took: map[string]*hdrhistogram.Histogram{}, errors: map[benchFault]*benchError{}}
}

// newHistogram counts microseconds from 1 to 5 minutes, to three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, (5 * time.Minute).Microseconds(), 3)
}

func (m *meter) note(op string, took time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.fault(op, err)
		return
	}
	h := m.took[op]
	if h == nil {
		h = newHistogram()
		m.took[op] = h
	}
	// Nothing takes longer than the bound: a request has its timeout.
	_ = h.RecordValue(min(took.Microseconds(), h.HighestTrackableValue()))
}

func (m *meter) fault(op string, err error) {
	f := benchFault{op: op, code: adapter.CodeOf(err), name: "failed"}
	switch {
	case f.code != 0:
		f.name = f.code.Name()
	case errors.Is(err, context.DeadlineExceeded):
		f.name = "timeout"
	}
	e := m.errors[f]
	if e == nil {
		e = &benchError{Op: op, Code: f.code, Name: f.name, Example: err.Error()}
		m.errors[f] = e
	}
	e.Count++
}

// result adds the meters up.
func (r *benchRun) result(took time.Duration) *benchResult {
	p := r.plan
	res := &benchResult{
		Server: r.conns[0].ConnectedUrlRedacted(), Op: p.op, Clients: p.clients, Conns: p.conns, Docs: p.docs, Size: p.size,
		Seconds: took.Seconds(), Measured: []benchOp{}, Errors: []benchError{},
	}
	all, faults := map[string]*hdrhistogram.Histogram{}, map[benchFault]*benchError{}
	for _, m := range r.meters {
		for op, h := range m.took {
			if all[op] == nil {
				all[op] = newHistogram()
			}
			all[op].Merge(h)
		}
		for f, e := range m.errors {
			if faults[f] == nil {
				faults[f] = &benchError{Op: e.Op, Code: e.Code, Name: e.Name, Example: e.Example}
			}
			faults[f].Count += e.Count
		}
	}
	for op, h := range all {
		o := figures(op, h, took)
		res.Measured = append(res.Measured, o)
		res.PerSecond += o.PerSecond
	}
	for _, e := range faults {
		res.Errors = append(res.Errors, *e)
	}
	slices.SortFunc(res.Measured, func(a, b benchOp) int { return cmp.Compare(a.Op, b.Op) })
	slices.SortFunc(res.Errors, func(a, b benchError) int {
		return cmp.Or(cmp.Compare(a.Op, b.Op), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Name, b.Name))
	})
	return res
}

func figures(op string, h *hdrhistogram.Histogram, took time.Duration) benchOp {
	return benchOp{
		Op: op, Requests: h.TotalCount(), PerSecond: float64(h.TotalCount()) / took.Seconds(), Mean: h.Mean(),
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99), Max: h.Max(),
	}
}

func (r *benchResult) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s, %d clients on %d connections, %d documents, %d-byte patches, %.1f s\n\n",
		r.Server, r.Op, r.Clients, r.Conns, r.Docs, r.Size, r.Seconds)
	us := func(n int64) string { return short(time.Duration(n) * time.Microsecond) }
	lines := [][]string{{"OPERATION", "REQUESTS", "PER SECOND", "P50", "P90", "P99", "MAX"}}
	for _, o := range r.Measured {
		lines = append(lines, []string{o.Op, strconv.FormatInt(o.Requests, 10), fmt.Sprintf("%.0f", o.PerSecond), us(o.P50), us(o.P90), us(o.P99), us(o.Max)})
	}
	rows(w, lines)
	if len(r.Errors) == 0 {
		return
	}
	fmt.Fprintln(w)
	lines = [][]string{{"FAILED", "CODE", "NAME", "COUNT", "FOR EXAMPLE"}}
	for _, e := range r.Errors {
		lines = append(lines, []string{e.Op, strconv.Itoa(int(e.Code)), e.Name, strconv.FormatInt(e.Count, 10), oneLine(e.Example, 100)})
	}
	rows(w, lines)
}
