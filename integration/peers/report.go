package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// A report is what a run found, as -o json tells it.
type report struct {
	Hosts      int     `json:"hosts"`
	Change     int     `json:"change_bytes"`
	Seconds    float64 `json:"turn_seconds"`
	Processors int     `json:"processors"`
	Profiled   bool    `json:"profiled"` // figures are a little worse then
	Rows       []*row  `json:"rows"`
	Ratios     []ratio `json:"ratios"`
}

// A row is one way of asking with a number of clients.
type row struct {
	Name    string    `json:"name"`
	Clients int       `json:"clients"`
	Median  reading   `json:"median"` // the turn in the middle by throughput
	Turns   []reading `json:"turns"`  // in the order of their time
}

func newReport(s *settings) *report {
	return &report{Hosts: s.hosts, Change: changeBytes, Seconds: s.turn.Seconds(), Processors: runtime.NumCPU(), Profiled: s.profiles != ""}
}

func (r *report) add(name string, clients int, found reading) {
	w := r.find(name, clients)
	if w == nil {
		w = &row{Name: name, Clients: clients}
		r.Rows = append(r.Rows, w)
	}
	w.Turns = append(w.Turns, found)
	w.Median = median(w.Turns)
}

func (r *report) find(name string, clients int) *row {
	for _, w := range r.Rows {
		if w.Name == name && w.Clients == clients {
			return w
		}
	}
	return nil
}

// median is the reading in the middle by throughput, of two the lower.
func median(turns []reading) reading {
	sorted := slices.SortedFunc(slices.Values(turns), func(a, b reading) int { return cmp.Compare(a.PerSecond, b.PerSecond) })
	return sorted[(len(sorted)-1)/2]
}

func (r *report) write(w io.Writer, form string) error {
	r.Ratios = ratios(r.Rows)
	if form == asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	r.table(w)
	return nil
}

// table is Markdown, as docs/performance.md shows it.
func (r *report) table(w io.Writer) {
	fmt.Fprint(w, "| clients | | changes/s | p50 | p99 | CPU/change servers | CPU/change client | disk/change | others' CPU | fsync |\n|--:|:--|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	sorted := slices.Clone(r.Rows)
	slices.SortStableFunc(sorted, func(a, b *row) int { return cmp.Compare(a.Clients, b.Clients) })
	for _, row := range sorted {
		m := row.Median
		fmt.Fprintf(w, "| %d | %s | %.0f | %v | %v | %v | %v | %d B | %.2f | %v |\n", row.Clients, row.Name, m.PerSecond,
			micros(m.P50), micros(m.P99), micros(m.Servers), micros(m.Client), m.Written, m.Others, micros(m.Sync))
	}
	if len(r.Ratios) == 0 {
		return
	}
	fmt.Fprint(w, "\n| clients | | over | throughput | aim | p50 | aim | CPU/change servers |\n|--:|:--|:--|--:|--:|--:|--:|--:|\n")
	for _, q := range r.Ratios {
		fmt.Fprintf(w, "| %d | %s | %s | %.2fx | %s | %.2fx | %s | %.2fx |\n", q.Clients, q.Name, q.Over,
			q.Throughput, q.aim(q.ThroughputAim, q.Throughput >= q.ThroughputAim), q.P50, q.aim(q.P50Aim, q.P50 <= q.P50Aim), q.CPU)
	}
}

func micros(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
