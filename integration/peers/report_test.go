package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func TestMedianIsInTheMiddle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var turns []reading
		for _, n := range rapid.SliceOfN(rapid.Float64Range(0, 1e6), 1, 9).Draw(t, "per second") {
			turns = append(turns, reading{PerSecond: n})
		}
		m := median(turns)
		below, above := 0, 0
		for _, r := range turns {
			if r.PerSecond < m.PerSecond {
				below++
			}
			if r.PerSecond > m.PerSecond {
				above++
			}
		}
		if half := len(turns) / 2; below > half || above > half {
			t.Fatalf("%v of %v has %d below and %d above", m, turns, below, above)
		}
	})
}

// example is a run of two turns, with figures that are easy to follow.
func example() *report {
	r := &report{Hosts: 3, Change: changeBytes, Seconds: 5, Processors: 2}
	for turn := range 3 {
		for _, clients := range []int{1, 64, 1000} {
			for i, name := range []string{"trireme/6", etcdPut, etcdTxn, "jetstream/6", "jetstream/3"} {
				n := float64(1000*clients/(i+1)) + float64(10*turn)
				r.add(name, clients, reading{
					PerSecond: n, P50: time.Duration(1e9 / n), P99: time.Duration(4e9 / n), Max: time.Second,
					Servers: time.Duration(100+i) * time.Microsecond, Client: 20 * time.Microsecond, Written: 2048, Others: 0.25, Sync: 200 * time.Microsecond,
				})
			}
		}
	}
	return r
}

func TestTable(t *testing.T) {
	var got bytes.Buffer
	if err := example().write(&got, asTable); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/table.md"
	if *rewrite {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got.String() != string(want) {
		t.Errorf("%v\ngot\n%s\nwant\n%s", err, &got, want)
	}
}

func TestJSONTellsAll(t *testing.T) {
	var out bytes.Buffer
	if err := example().write(&out, asJSON); err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != 15 || len(got.Rows[0].Turns) != 3 || got.Rows[0].Median != got.Rows[0].Turns[1] {
		t.Errorf("%d rows, the first is %+v", len(got.Rows), got.Rows[0])
	}
	// JetStream with another number of streams is not compared with.
	if len(got.Ratios) != 9 {
		t.Fatalf("ratios %+v", got.Ratios)
	}
	q := got.Ratios[0]
	if q.Clients != 1 || q.Over != etcdPut || math.Abs(q.Throughput-1010.0/510) > 1e-9 || q.P50Aim != 1.3 || q.ThroughputAim != 0 {
		t.Errorf("%+v", q)
	}
}

func TestAims(t *testing.T) {
	for _, c := range []struct {
		peer    string
		clients int
		most    float64
		p50     float64
	}{
		{etcdPut, 1, 0, 1.3},
		{etcdPut, 16, 0, 0},
		{etcdPut, 64, 1.5, 0},
		{etcdPut, 256, 3, 0},
		{etcdPut, 1000, 4, 0},
		{etcdTxn, 1000, 0, 0},
		{"jetstream/6", 64, 0, 0},
		{"jetstream/6", 256, 1, 0},
		{"jetstream/12", 1000, 1, 0},
	} {
		if most, p50 := aims(c.peer, c.clients); most != c.most || p50 != c.p50 {
			t.Errorf("%s with %d clients: %v, %v", c.peer, c.clients, most, p50)
		}
	}
}

func TestReadingIsPerChange(t *testing.T) {
	took := make([]time.Duration, 1000)
	for i := range took {
		took[i] = time.Duration(i+1) * time.Millisecond
	}
	e := expense{servers: usage{cpu: 4 * time.Second, written: 5_000_000}, client: usage{cpu: time.Second}, machine: 7 * time.Second}
	r := e.reading(histogram(took), 5*time.Second)
	near := func(got, want time.Duration) bool { return math.Abs(float64(got-want)) < float64(want)/500 }
	if r.PerSecond != 200 || r.Servers != 4*time.Millisecond || r.Client != time.Millisecond || r.Written != 5000 || r.Others != 0.4 ||
		!near(r.P50, 500*time.Millisecond) || !near(r.P99, 990*time.Millisecond) || !near(r.Max, time.Second) {
		t.Errorf("%+v", r)
	}
}
