package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trireme/internal/position"
	"trireme/repair"
)

// repairCollector turns what repair tells into metrics. A host that repairs nothing has
// none of them.
type repairCollector struct {
	host      []repairMetric
	costs     []costMetric
	rounds    *prometheus.Desc // that the costs while healthy are of
	verdicts  *prometheus.Desc
	pulled    *prometheus.Desc
	cleanSeq  *prometheus.Desc
	cleanAge  *prometheus.Desc
	lagging   *prometheus.Desc
	verified  *prometheus.Desc
	heal      *prometheus.Desc
	healBytes *prometheus.Desc
}

type repairMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*repair.Status) (value float64, known bool)
}

// A costMetric is told twice: of all repair, and of what it costs while healthy.
type costMetric struct {
	all, healthy *prometheus.Desc
	read         func(*RepairCost) float64
}

func newRepairCollector() *repairCollector {
	desc := prometheus.NewDesc
	partition := []string{"stripe", "partition"}
	return &repairCollector{
		host: repairGauges(), costs: repairCosts(),
		rounds:    desc("trireme_repair_healthy_rounds_total", "Rounds that found nothing to do.", nil, nil),
		verdicts:  desc("trireme_repair_verdicts_total", "Documents that differed from a peer's, by verdict; of lag, buckets too.", []string{"verdict"}, nil),
		pulled:    desc("trireme_repair_documents_pulled_total", "Documents that were replaced by a peer's copy, by reason: a verdict, the healing of a stripe, a request that waited, a plan.", []string{"reason"}, nil),
		cleanSeq:  desc("trireme_repair_clean_sequence", "Sequence up to which the partition was found equal to another member's.", partition, nil),
		cleanAge:  desc("trireme_repair_clean_age_seconds", "How long ago the partition was found equal to another member's; absent while it never was.", partition, nil),
		lagging:   desc("trireme_repair_lagging_buckets", "Buckets of the partition that could not be compared in the last round, because the log will change them.", partition, nil),
		verified:  desc("trireme_repair_verified_ratio", "Part of the stripe's buckets that were found equal to another member's, 0 to 1.", []string{"stripe"}, nil),
		heal:      desc("trireme_repair_heal_ratio", "Part of a sick stripe's buckets that are equal to a healthy member's by now, 0 to 1; absent when the stripe is not sick.", []string{"stripe"}, nil),
		healBytes: desc("trireme_repair_heal_pulled_bytes", "Size of the documents that were pulled to heal the stripe, until now.", []string{"stripe"}, nil),
	}
}

func repairGauges() []repairMetric {
	field := func(kind prometheus.ValueType) func(name, help string, read func(*repair.Status) float64) repairMetric {
		return func(name, help string, read func(*repair.Status) float64) repairMetric {
			known := func(s *repair.Status) (float64, bool) { return read(s), true }
			return repairMetric{prometheus.NewDesc(name, help, nil, nil), kind, known}
		}
	}
	gauge, counter := field(prometheus.GaugeValue), field(prometheus.CounterValue)
	return []repairMetric{
		gauge("trireme_repair_paused", "1 while repair is paused, else 0.", func(s *repair.Status) float64 { return flag(s.Paused != nil) }),
		gauge("trireme_repair_rate_max_bytes", "Bound on the bytes of documents pulled in a second; 0 for none.", func(s *repair.Status) float64 { return float64(s.Rate) }),
		gauge("trireme_repair_documents_damaged", "Documents that are known to be damaged and not repaired yet.", func(s *repair.Status) float64 { return float64(s.Damaged) }),
		counter("trireme_repair_rounds_total", "Rounds that have ended.", func(s *repair.Status) float64 { return float64(s.Counters.Rounds) }),
		counter("trireme_repair_documents_dropped_total", "Documents that were removed here, because most members say that they are deleted.", func(s *repair.Status) float64 { return float64(s.Counters.Dropped) }),
		counter("trireme_repair_documents_undecided_total", "Times that a document differed and no copy could be told to be right.", func(s *repair.Status) float64 { return float64(s.Counters.Undecided) }),
		counter("trireme_repair_peer_failures_total", "Times that a peer did not answer, or answered wrongly.", func(s *repair.Status) float64 { return float64(s.Counters.Failures) }),
		counter("trireme_repair_pulled_bytes_total", "Size of the documents that were pulled.", func(s *repair.Status) float64 { return float64(s.Counters.BytesPulled) }),
		counter("trireme_scrub_read_bytes_total", "Size of the rows that the scrub has read.", func(s *repair.Status) float64 { return float64(s.Counters.ScrubBytes) }),
		gauge("trireme_scrub_ratio", "Part of the store that the present scrub has read, 0 to 1.", func(s *repair.Status) float64 { return ratio(s.Scrub.Pass.Read, s.Scrub.Pass.Buckets) }),
		{
			prometheus.NewDesc("trireme_scrub_last_end_timestamp_seconds", "When the last scrub of the whole store ended; absent while none has.", nil, nil), prometheus.GaugeValue,
			func(s *repair.Status) (float64, bool) { return seconds(s.Scrub.LastEnded) },
		},
	}
}

func repairCosts() []costMetric {
	cost := func(name, help string, read func(*RepairCost) float64) costMetric {
		return costMetric{
			prometheus.NewDesc("trireme_repair_"+name, help+".", nil, nil),
			prometheus.NewDesc("trireme_repair_healthy_"+name, help+", in rounds that found nothing to do.", nil, nil), read,
		}
	}
	return []costMetric{
		cost("sent_bytes_total", "Size of the messages that repair has sent, answers to other hosts included", func(c *RepairCost) float64 { return float64(c.Sent) }),
		cost("received_bytes_total", "Size of the answers that repair has received", func(c *RepairCost) float64 { return float64(c.Received) }),
		cost("disk_reads_total", "Reads of rows for repair, those for other hosts included", func(c *RepairCost) float64 { return float64(c.DiskReads) }),
		cost("cpu_seconds_total", "CPU time of comparing, putting and scrubbing", func(c *RepairCost) float64 { return c.CPUSeconds }),
	}
}

func (c *repairCollector) describe(out chan<- *prometheus.Desc) {
	for _, m := range c.host {
		out <- m.desc
	}
	for _, m := range c.costs {
		out <- m.all
		out <- m.healthy
	}
	for _, d := range []*prometheus.Desc{c.rounds, c.verdicts, c.pulled, c.cleanSeq, c.cleanAge, c.lagging, c.verified, c.heal, c.healBytes} {
		out <- d
	}
}

func (c *repairCollector) collect(s *Status, out chan<- prometheus.Metric) {
	r := s.Repair
	if r == nil {
		return
	}
	tell := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	for _, m := range c.host {
		if v, known := m.read(r); known {
			tell(m.desc, m.kind, v)
		}
	}
	for verdict, n := range r.Counters.Verdicts {
		tell(c.verdicts, prometheus.CounterValue, float64(n), verdict)
	}
	for reason, n := range r.Counters.Pulled {
		tell(c.pulled, prometheus.CounterValue, float64(n), reason)
	}
	if k := s.RepairCost; k != nil {
		tell(c.rounds, prometheus.CounterValue, float64(k.Healthy.Rounds))
		for _, m := range c.costs {
			tell(m.all, prometheus.CounterValue, m.read(&k.All))
			tell(m.healthy, prometheus.CounterValue, m.read(&k.Healthy))
		}
	}
	for _, h := range r.Heals {
		tell(c.heal, prometheus.GaugeValue, ratio(h.Verified, h.Buckets), h.Stripe)
		tell(c.healBytes, prometheus.GaugeValue, float64(h.Bytes), h.Stripe)
	}
	for i := range r.Stripes {
		c.collectClean(s, &r.Stripes[i], tell)
	}
}

// collectClean tells how far a stripe was found equal to other members'.
func (c *repairCollector) collectClean(s *Status, k *repair.Clean, tell func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
	tell(c.verified, prometheus.GaugeValue, ratio(k.Verified, k.Buckets), k.Stripe)
	for _, p := range k.Partitions {
		tell(c.lagging, prometheus.GaugeValue, float64(p.Lagging), k.Stripe, p.Partition)
		at, _ := position.Parse(p.Position) // none is 0
		tell(c.cleanSeq, prometheus.GaugeValue, float64(at.Seq), k.Stripe, p.Partition)
		if p.At != nil && !s.At.IsZero() {
			tell(c.cleanAge, prometheus.GaugeValue, max(0, s.At.Sub(*p.At).Seconds()), k.Stripe, p.Partition)
		}
	}
}

// ratio is a part of a whole; 0 of nothing.
func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func seconds(t *time.Time) (float64, bool) {
	if t == nil {
		return 0, false
	}
	return float64(t.UnixMilli()) / 1000, true
}
