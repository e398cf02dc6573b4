package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/adapter"
	"trireme/internal/config"
	"trireme/internal/contract"
	"trireme/internal/host"
)

// newHost runs a real host in this process, and a client of it.
func newHost(t *testing.T) (url string, client *adapter.Client) {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.HTTP = t.TempDir(), "127.0.0.1:-1", config.NoHTTP
	cfg.DiskReserve, cfg.Log.MaxBytes = 1<<20, 256<<20
	h := &host.Host{Config: cfg, Version: "1.2.3", Logger: slog.New(slog.DiscardHandler)}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	nc, err := nats.Connect(h.NATS(), nats.Timeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if client, err = adapter.NewClient(nc); err != nil {
		t.Fatal(err)
	}
	return h.NATS(), client
}

// benchDocs lists what benches have left.
func benchDocs(t *testing.T, client *adapter.Client) (docs []adapter.Key) {
	t.Helper()
	all, err := adapter.Collect(client.Inventory(t.Context(), adapter.InventoryRequest{Scope: adapter.ScopeAll}))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(k adapter.Key) bool { return k.Space != benchSpace })
}

func TestBench(t *testing.T) {
	url, client := newHost(t)
	var stdout, stderr bytes.Buffer
	bench := func(args string) *benchResult {
		t.Helper()
		stdout.Reset()
		all := append([]string{"bench", "-s", url, "-o", "json"}, strings.Fields(args)...)
		if exit := run(t.Context(), all, strings.NewReader(""), &stdout, &stderr); exit != 0 {
			t.Fatalf("bench %s: exit %d, %s", args, exit, &stderr)
		}
		var r benchResult
		if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		return &r
	}

	r := bench("--clients 3 --conns 2 --docs 7 --op mixed --size 300 --time 300ms")
	if len(r.Measured) != 2 || r.Measured[0].Op != benchGet || r.Measured[1].Op != benchPatch || len(r.Errors) != 0 {
		t.Fatalf("measured %+v, errors %+v", r.Measured, r.Errors)
	}
	for _, o := range r.Measured {
		if o.Requests < 1 || o.P50 > o.P90 || o.P90 > o.P99 || o.P99 > o.Max || o.PerSecond <= 0 {
			t.Errorf("figures %+v", o)
		}
	}
	if left := benchDocs(t, client); len(left) != 0 {
		t.Errorf("bench left %v", left)
	}

	r = bench("--clients 2 --docs 5 --size 300 --time 300ms --keep")
	left := benchDocs(t, client)
	if len(left) != 5 {
		t.Fatalf("bench --keep left %v, want 5 documents", left)
	}
	// Every patch that was counted is there, on top of the first content.
	var patches int64
	for _, k := range left {
		h, err := readHistory(t.Context(), client, adapter.HistoryRequest{Space: k.Space, Key: k.Key}, 0)
		if err != nil {
			t.Fatal(err)
		}
		patches += int64(h.Seq) - 1
		for i := range h.Entries {
			if n := len(h.Entries[i].Redo); n != 300 || !json.Valid([]byte(h.Entries[i].Redo)) {
				t.Fatalf("redo of %d bytes: %s", n, h.Entries[i].Redo)
			}
		}
	}
	if patches != r.Measured[0].Requests {
		t.Errorf("bench counted %d patches, the documents have %d", r.Measured[0].Requests, patches)
	}
}

// An interrupted bench tells what it has measured, deletes its documents, and
// ends with 130.
func TestBenchInterrupted(t *testing.T) {
	url, client := newHost(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	var exit int
	var wait sync.WaitGroup
	wait.Go(func() {
		exit = run(ctx, []string{"bench", "-s", url, "--clients", "2", "--time", "10m"}, strings.NewReader(""), &stdout, &stderr)
	})
	for !patched(t, client) {
		if ctx.Err() != nil {
			t.Fatal("the bench has not begun after a minute")
		}
	}
	cancel()
	wait.Wait()
	if exit != 130 || !strings.Contains(stderr.String(), "trireme: interrupted") {
		t.Errorf("exit %d, stderr %q", exit, &stderr)
	}
	if !strings.Contains(stdout.String(), "\npatch ") {
		t.Errorf("stdout %q, want what was measured", &stdout)
	}
	if left := benchDocs(t, client); len(left) != 0 {
		t.Errorf("bench left %v", left)
	}
}

// patched tells whether a bench has begun to patch.
func patched(t *testing.T, client *adapter.Client) bool {
	t.Helper()
	for _, k := range benchDocs(t, client) {
		if seq, _, err := head(t.Context(), client, k.Space, k.Key); err == nil && seq > 1 {
			return true
		}
	}
	return false
}

// Requests that fail are told of, by code, with an exit code of their own. The
// documents are there: only the patches are refused.
func TestBenchTellsErrors(t *testing.T) {
	f := newFakeHost(t)
	f.only.Store(new(contract.OpPatch))
	f.refuse.Store(int64(contract.HeadDiffers))
	var stdout, stderr bytes.Buffer
	exit := run(t.Context(), []string{"bench", "-s", f.url, "--clients", "2", "--time", "50ms", "-o", "json"}, strings.NewReader(""), &stdout, &stderr)
	var r benchResult
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s %s", err, &stdout, &stderr)
	}
	if exit != 3 || len(r.Errors) != 1 || r.Errors[0].Code != contract.HeadDiffers || r.Errors[0].Count < 1 || len(r.Measured) != 0 {
		t.Errorf("exit %d, %+v", exit, r)
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr %q", &stderr)
	}
}

func TestMeterSortsErrors(t *testing.T) {
	m := newMeter()
	m.note("get", time.Millisecond, nil)
	m.note("get", time.Hour, nil) // beyond what the histogram tells apart
	m.note("get", 0, errors.Join(adapter.ErrOutcomeUnknown, adapter.ErrNoQuorum))
	m.note("get", 0, context.DeadlineExceeded)
	m.note("get", 0, errors.New("torn cable"))
	m.note("get", 0, errors.New("torn cable"))
	if n := m.took["get"].TotalCount(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	for fault, count := range map[benchFault]int64{
		{"get", contract.OutcomeUnknown, "outcome-unknown"}: 1,
		{"get", 0, "timeout"}:                               1,
		{"get", 0, "failed"}:                                2,
	} {
		if e := m.errors[fault]; e == nil || e.Count != count {
			t.Errorf("%+v: %+v, want %d", fault, e, count)
		}
	}
}
