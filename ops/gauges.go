package ops

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// A statusCollector turns the host's status into metrics when it is asked.
type statusCollector struct {
	status func() Status
	host   []statusMetric[Status]
	stripe []statusMetric[Stripe]
	bad    *prometheus.Desc
}

// A statusMetric is a field of a status.
type statusMetric[T any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*T) float64
}

func newStatusCollector(status func() Status) *statusCollector {
	return &statusCollector{
		status: status, host: hostGauges(), stripe: stripeGauges(),
		bad: prometheus.NewDesc("trireme_condition", "Conditions that the host is in, each 1.", []string{"id", "severity", "subject"}, nil),
	}
}

func hostGauges() []statusMetric[Status] {
	field := func(kind prometheus.ValueType) func(name, help string, read func(*Status) float64) statusMetric[Status] {
		return func(name, help string, read func(*Status) float64) statusMetric[Status] {
			return statusMetric[Status]{prometheus.NewDesc(name, help, nil, nil), kind, read}
		}
	}
	gauge, counter := field(prometheus.GaugeValue), field(prometheus.CounterValue)
	return []statusMetric[Status]{
		gauge("trireme_ready", "1 when a request sent to the host would be answered, else 0.", func(s *Status) float64 { return flag(s.Ready) }),
		gauge("trireme_layout_version", "Version of the layout in force.", func(s *Status) float64 { return float64(s.Layout) }),
		gauge("trireme_requests_in_flight", "Requests that wait for an answer.", func(s *Status) float64 { return float64(s.Requests.InFlight) }),
		gauge("trireme_requests_in_flight_max", "How many may wait.", func(s *Status) float64 { return float64(s.Requests.MaxInFlight) }),
		gauge("trireme_requests_in_flight_bytes", "Size of the requests that wait for an answer.", func(s *Status) float64 { return float64(s.Requests.Bytes) }),
		gauge("trireme_requests_in_flight_max_bytes", "What size may wait.", func(s *Status) float64 { return float64(s.Requests.MaxBytes) }),
		gauge("trireme_store_disk_bytes", "Size of the document store on disk.", func(s *Status) float64 { return float64(s.Store.DiskBytes) }),
		counter("trireme_store_cache_hits_total", "Merged documents found in the cache.", func(s *Status) float64 { return float64(s.Store.Hits) }),
		counter("trireme_store_cache_misses_total", "Merged documents not found in the cache.", func(s *Status) float64 { return float64(s.Store.Misses) }),
		counter("trireme_store_damaged_rows_total", "Rows of the store that failed their checksum.", func(s *Status) float64 { return float64(s.Store.Damaged) }),
		gauge("trireme_disk_free_bytes", "Free space of the data directory's file system.", func(s *Status) float64 { return float64(s.Disk.Free) }),
		gauge("trireme_disk_size_bytes", "Size of the data directory's file system.", func(s *Status) float64 { return float64(s.Disk.Total) }),
		gauge("trireme_disk_reserve_bytes", "Free space that changes leave.", func(s *Status) float64 { return float64(s.Disk.Reserve) }),
	}
}

func stripeGauges() []statusMetric[Stripe] {
	field := func(kind prometheus.ValueType) func(name, help string, read func(*Stripe) float64) statusMetric[Stripe] {
		return func(name, help string, read func(*Stripe) float64) statusMetric[Stripe] {
			return statusMetric[Stripe]{prometheus.NewDesc(name, help, []string{"stripe"}, nil), kind, read}
		}
	}
	gauge, counter := field(prometheus.GaugeValue), field(prometheus.CounterValue)
	return []statusMetric[Stripe]{
		gauge("trireme_stripe_owned", "1 while this host serves the stripe as its owner, else 0.", func(s *Stripe) float64 { return flag(s.Phase == "serving") }),
		gauge("trireme_stripe_applied_sequence", "Last record of the log that the store has applied.", func(s *Stripe) float64 { return float64(s.Applied) }),
		gauge("trireme_stripe_durable_sequence", "Last record that a crash of the machine leaves applied.", func(s *Stripe) float64 { return float64(s.Durable) }),
		counter("trireme_stripe_skipped_total", "Records and changes of the log that were not applied.", func(s *Stripe) float64 { return float64(s.Skipped) }),
		gauge("trireme_stripe_queued", "Proposals that wait for the next record.", func(s *Stripe) float64 { return float64(s.Queued) }),
		gauge("trireme_log_first_sequence", "First record in the log.", func(s *Stripe) float64 { return float64(s.LogFirst) }),
		gauge("trireme_log_last_sequence", "Last record in the log.", func(s *Stripe) float64 { return float64(s.LogLast) }),
		gauge("trireme_log_bytes", "Size of the log.", func(s *Stripe) float64 { return float64(s.LogBytes) }),
		gauge("trireme_log_max_bytes", "Bound of the log's size.", func(s *Stripe) float64 { return float64(s.LogMax) }),
	}
}

// Describe is part of [prometheus.Collector].
func (c *statusCollector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.host {
		out <- m.desc
	}
	for _, m := range c.stripe {
		out <- m.desc
	}
	out <- c.bad
}

// Collect is part of [prometheus.Collector].
func (c *statusCollector) Collect(out chan<- prometheus.Metric) {
	s := c.status()
	for _, m := range c.host {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(&s))
	}
	for i := range s.Stripes {
		for _, m := range c.stripe {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(&s.Stripes[i]), s.Stripes[i].Name)
		}
	}
	for _, x := range s.Conditions {
		out <- prometheus.MustNewConstMetric(c.bad, prometheus.GaugeValue, 1, x.ID, string(x.Severity), x.Subject)
	}
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func buildInfo(version string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "trireme_build_info", Help: "The program that runs; always 1.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}
