package ops

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"trireme/internal/contract"
)

// used is metrics with something in every series.
func used(t *testing.T) *Metrics {
	t.Helper()
	m := NewMetrics(func() Status {
		s := member()
		s.Disk.Free = 1
		s.Stripes[1].LagRecords, s.Stripes[1].LagBytes, s.Stripes[1].LagMS = 3, 900, 250
		s.Stripes[1].Sick = "wiped"
		down(&s, "h3", -1)
		s.Assess()
		return s
	}, "v0.1.0")
	m.Request(contract.OpPatch, 0, 2*time.Millisecond)
	m.Request(contract.OpPatch, contract.HeadDiffers, time.Millisecond)
	m.Request(contract.OpPatch, contract.HeadDiffers, time.Millisecond)
	m.Request("no such operation", contract.Malformed, 0)
	m.Committed("s1", 3, 2, 500, time.Millisecond, 100*time.Microsecond)
	m.Committed("s1", 1, 0, 80, 0, 100*time.Microsecond)
	m.Claimed("s1")
	m.Lost("s1")
	m.Refused("s1", 4)
	m.Trimmed("s1")
	m.StoreEvent("row damaged")
	m.Forwarded("h2")
	m.Forwarded("h2")
	m.ForwardRetried()
	m.Moved("s1", "drain")
	return m
}

// value finds the one series with a name and these label values, and its value;
// of a histogram, its count.
func value(t *testing.T, m *Metrics, name string, labels ...string) float64 {
	t.Helper()
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join(labels, " ")
	for _, f := range families {
		for _, x := range f.GetMetric() {
			var got []string
			for _, l := range x.GetLabel() {
				got = append(got, l.GetValue())
			}
			if f.GetName() != name || strings.Join(got, " ") != want {
				continue
			}
			switch {
			case x.GetHistogram() != nil:
				return float64(x.GetHistogram().GetSampleCount())
			case x.GetCounter() != nil:
				return x.GetCounter().GetValue()
			}
			return x.GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no %s{%s}", name, want)
	return 0
}

func TestMetricsCount(t *testing.T) {
	m := used(t)
	for _, c := range []struct {
		name   string
		labels []string // in the order of their names
		want   float64
	}{
		{"trireme_requests_total", []string{"0", "patch"}, 1},
		{"trireme_requests_total", []string{"621580", "patch"}, 2},
		{"trireme_requests_total", []string{"0", "get"}, 0},
		{"trireme_requests_total", []string{"1500005", "other"}, 1},
		{"trireme_request_seconds", []string{"621580", "patch"}, 2},
		{"trireme_log_records_committed_total", []string{"s1"}, 2},
		{"trireme_log_changes_committed_total", []string{"s1"}, 2},
		{"trireme_log_proposals_committed_total", []string{"s1"}, 4},
		{"trireme_log_written_bytes_total", []string{"s1"}, 580},
		{"trireme_log_batch_changes", []string{"s1"}, 2},
		{"trireme_log_append_seconds", []string{"s1"}, 1}, // not the one without a duration
		{"trireme_log_apply_seconds", []string{"s1"}, 2},
		{"trireme_stripe_claims_total", []string{"s1"}, 1},
		{"trireme_stripe_losses_total", []string{"s1"}, 1},
		{"trireme_log_changes_refused_total", []string{"s1"}, 4},
		{"trireme_log_trims_total", []string{"s1"}, 1},
		{"trireme_store_events_total", []string{"row damaged"}, 1},
		{"trireme_ready", nil, 1},
		{"trireme_condition", []string{"disk-below-reserve", "critical", ""}, 1},
		{"trireme_stripe_owned", []string{"s1"}, 1},
		{"trireme_stripe_applied_sequence", []string{"s1"}, 120},
		{"trireme_stripe_durable_sequence", []string{"s1"}, 100},
		{"trireme_log_max_bytes", []string{"s1"}, 100 << 20},
		{"trireme_disk_free_bytes", nil, 1},
		{"trireme_store_cache_hits_total", nil, 3},
		{"trireme_requests_forwarded_total", []string{"h2"}, 2},
		{"trireme_requests_forward_retries_total", nil, 1},
		{"trireme_leadership_moves_total", []string{"drain", "s1"}, 1},
		{"trireme_hosts", nil, 3},
		{"trireme_hosts_alive", nil, 2},
		{"trireme_peer_up", []string{"h2"}, 1},
		{"trireme_peer_up", []string{"h3"}, 0},
		{"trireme_peer_silence_seconds", []string{"h2"}, 0.4},
		{"trireme_peer_layout_version", []string{"h2"}, 7},
		{"trireme_layout_version", nil, 7},
		{"trireme_boot", nil, 3},
		{"trireme_held", nil, 0},
		{"trireme_draining", nil, 0},
		{"trireme_stripe_owner_info", []string{"h2", "s2"}, 1},
		{"trireme_stripe_epoch", []string{"s2"}, 9},
		{"trireme_stripe_owned", []string{"s2"}, 0},
		{"trireme_stripe_leader", []string{"s1"}, 1},
		{"trireme_stripe_sick", []string{"s2"}, 1},
		{"trireme_stripe_members_alive", []string{"s2"}, 2},
		{"trireme_stripe_lag_records", []string{"s2"}, 3},
		{"trireme_stripe_lag_bytes", []string{"s2"}, 900},
		{"trireme_stripe_lag_seconds", []string{"s2"}, 0.25},
	} {
		if got := value(t, m, c.name, c.labels...); got != c.want {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
}

// Names and help are as Prometheus wants them, and begin with ours.
func TestMetricsAreNamedWell(t *testing.T) {
	families, err := used(t).Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	ours := families[:0:0]
	for _, f := range families {
		switch name := f.GetName(); {
		case strings.HasPrefix(name, "trireme_"):
			ours = append(ours, f)
		case !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_"):
			t.Errorf("%s does not begin with trireme_", name)
		}
	}
	problems, err := promlint.NewWithMetricFamilies(ours).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricsTakeConcurrentUse(t *testing.T) {
	m := NewMetrics(healthy, "v0.1.0")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 200 {
				m.Request(contract.OpPatch, contract.Code(i%3), time.Millisecond)
				m.Committed("s1", 1, 1, 1, 1, 1)
			}
		})
	}
	all.Wait()
	if got := value(t, m, "trireme_log_records_committed_total", "s1"); got != 800 {
		t.Errorf("%v records, want 800", got)
	}
	var sum float64
	for _, code := range []string{"0", "1", "2"} {
		sum += value(t, m, "trireme_requests_total", code, "patch")
	}
	if sum != 800 {
		t.Errorf("%v requests, want 800", sum)
	}
}

func BenchmarkRequest(b *testing.B) {
	m := NewMetrics(healthy, "v0.1.0")
	for _, c := range []struct {
		name string
		code contract.Code
	}{{"success", 0}, {"refusal", contract.HeadDiffers}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Request(contract.OpPatch, c.code, 700*time.Microsecond)
			}
		})
	}
}
