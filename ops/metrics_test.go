package ops

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"trireme/internal/contract"
	"trireme/repair"
)

// used is metrics with something in every series.
func used(t *testing.T) *Metrics {
	t.Helper()
	m := NewMetrics(func() Status {
		s := repairing()
		s.RepairCost = &RepairCosts{}
		s.Repair.Heals = []repair.Heal{{Stripe: "s2"}}
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

func TestRepairMetrics(t *testing.T) {
	s := repairing()
	s.Repair.Damaged, s.Repair.Rate, s.Repair.Paused = 3, 1<<20, ago(-time.Hour)
	s.Repair.Stripes[0].Partitions[1].Lagging, s.Repair.Stripes[1].Partitions[0].At, s.Repair.Stripes[1].Partitions[0].Position = 12, nil, ""
	s.Repair.Heals = []repair.Heal{{Stripe: "s2", Buckets: 400, Verified: 100, Bytes: 77}}
	s.RepairCost = &RepairCosts{
		All:     RepairCost{Rounds: 9, Sent: 1000, Received: 2000, DiskReads: 7, CPUSeconds: 0.5},
		Healthy: RepairCost{Rounds: 6, Sent: 600, Received: 1200, CPUSeconds: 0.25},
	}
	m := NewMetrics(func() Status { return s }, "v0.1.0")
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"trireme_repair_paused", nil, 1},
		{"trireme_repair_rate_max_bytes", nil, 1 << 20},
		{"trireme_repair_documents_damaged", nil, 3},
		{"trireme_repair_rounds_total", nil, 9},
		{"trireme_repair_verdicts_total", []string{"lag"}, 3},
		{"trireme_repair_verdicts_total", []string{"missing"}, 1},
		{"trireme_repair_documents_pulled_total", []string{"missing"}, 1},
		{"trireme_repair_documents_dropped_total", nil, 2},
		{"trireme_repair_documents_undecided_total", nil, 4},
		{"trireme_repair_peer_failures_total", nil, 5},
		{"trireme_repair_pulled_bytes_total", nil, 600},
		{"trireme_repair_sent_bytes_total", nil, 1000},
		{"trireme_repair_healthy_sent_bytes_total", nil, 600},
		{"trireme_repair_received_bytes_total", nil, 2000},
		{"trireme_repair_healthy_received_bytes_total", nil, 1200},
		{"trireme_repair_disk_reads_total", nil, 7},
		{"trireme_repair_healthy_disk_reads_total", nil, 0},
		{"trireme_repair_cpu_seconds_total", nil, 0.5},
		{"trireme_repair_healthy_cpu_seconds_total", nil, 0.25},
		{"trireme_repair_healthy_rounds_total", nil, 6},
		{"trireme_repair_clean_sequence", []string{"00", "s1"}, 119},
		{"trireme_repair_clean_sequence", []string{"00", "s2"}, 0},
		{"trireme_repair_clean_age_seconds", []string{"00", "s1"}, 20},
		{"trireme_repair_lagging_buckets", []string{"01", "s1"}, 12},
		{"trireme_repair_verified_ratio", []string{"s1"}, 0.5},
		{"trireme_repair_heal_ratio", []string{"s2"}, 0.25},
		{"trireme_repair_heal_pulled_bytes", []string{"s2"}, 77},
		{"trireme_scrub_ratio", nil, 0.25},
		{"trireme_scrub_read_bytes_total", nil, 800},
		{"trireme_scrub_last_end_timestamp_seconds", nil, float64(ago(24 * time.Hour).Unix())},
	} {
		if got := value(t, m, c.name, c.labels...); got != c.want {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
}
