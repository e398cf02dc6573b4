package ops

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"trireme/internal/position"
)

// A statusCollector turns the host's status into metrics when it is asked.
type statusCollector struct {
	status func() Status
	host   []statusMetric[Status]
	stripe []statusMetric[Stripe]
	peers  []peerMetric
	repair *repairCollector
	owner  *prometheus.Desc
	bad    *prometheus.Desc
}

// A peerMetric is a field of what the host knows of a host; absent where nothing is
// known.
type peerMetric struct {
	desc *prometheus.Desc
	read func(*HostView) (value float64, known bool)
}

// A statusMetric is a field of a status.
type statusMetric[T any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*T) float64
}

func newStatusCollector(status func() Status) *statusCollector {
	return &statusCollector{
		status: status, host: hostGauges(), stripe: stripeGauges(), peers: peerGauges(), repair: newRepairCollector(),
		owner: prometheus.NewDesc("trireme_stripe_owner_info", "Who owns the stripe, as this host knows; always 1, and absent while nobody does.", []string{"stripe", "owner"}, nil),
		bad:   prometheus.NewDesc("trireme_condition", "Conditions that the host is in, each 1.", []string{"id", "severity", "subject"}, nil),
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
		gauge("trireme_boot", "How often a daemon was started on this data directory.", func(s *Status) float64 { return float64(s.Boot) }),
		gauge("trireme_held", "1 while the host is held back from its cluster, else 0.", func(s *Status) float64 { return flag(s.Held != nil) }),
		gauge("trireme_draining", "1 while the host was asked to own nothing, else 0.", func(s *Status) float64 { return flag(s.Draining) }),
		gauge("trireme_hosts", "Hosts of the layout, this one among them.", func(s *Status) float64 { return float64(len(s.Hosts)) }),
		gauge("trireme_hosts_alive", "Those of them that were heard of lately, this one among them.", func(s *Status) float64 { return float64(s.alive()) }),
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
		gauge("trireme_stripe_epoch", "Sequence of the claim by which the stripe is owned, as this host knows; 0 while nobody owns it.", epoch),
		gauge("trireme_stripe_leader", "1 while JetStream's leader of the stripe's stream is here, else 0.", func(s *Stripe) float64 { return flag(s.LeaderHere) }),
		gauge("trireme_stripe_sick", "1 while this host must not own the stripe, else 0.", func(s *Stripe) float64 { return flag(s.Sick != "") }),
		gauge("trireme_stripe_members_alive", "Members of the stripe that were heard of lately.", func(s *Stripe) float64 { return float64(s.alive()) }),
		gauge("trireme_stripe_lag_records", "Records that are in the log and not applied here.", func(s *Stripe) float64 { return float64(s.LagRecords) }),
		gauge("trireme_stripe_lag_bytes", "Size of those records, as far as it is known.", func(s *Stripe) float64 { return float64(s.LagBytes) }),
		gauge("trireme_stripe_lag_seconds", "How long the oldest of those records is in the log.", func(s *Stripe) float64 { return float64(s.LagMS) / 1000 }),
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

func peerGauges() []peerMetric {
	gauge := func(name, help string, read func(*HostView) (float64, bool)) peerMetric {
		return peerMetric{prometheus.NewDesc(name, help, []string{"host"}, nil), read}
	}
	return []peerMetric{
		gauge("trireme_peer_up", "1 while a host of the layout is heard of, else 0.", func(h *HostView) (float64, bool) { return flag(h.Alive), true }),
		gauge("trireme_peer_silence_seconds", "For how long a host of the layout was not heard.", func(h *HostView) (float64, bool) { return float64(h.HeardMS) / 1000, h.HeardMS >= 0 }),
		gauge("trireme_peer_layout_version", "Version of the layout that a host runs, as it told last.", func(h *HostView) (float64, bool) { return float64(h.Layout), h.Layout > 0 }),
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
	for _, m := range c.peers {
		out <- m.desc
	}
	c.repair.describe(out)
	out <- c.owner
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
		if owner := s.Stripes[i].Owner; owner != "" {
			out <- prometheus.MustNewConstMetric(c.owner, prometheus.GaugeValue, 1, s.Stripes[i].Name, owner)
		}
	}
	for i := range s.Hosts {
		for _, m := range c.peers {
			if v, known := m.read(&s.Hosts[i]); known {
				out <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, v, s.Hosts[i].Name)
			}
		}
	}
	c.repair.collect(&s, out)
	for _, x := range s.Conditions {
		out <- prometheus.MustNewConstMetric(c.bad, prometheus.GaugeValue, 1, x.ID, string(x.Severity), x.Subject)
	}
}

func epoch(s *Stripe) float64 {
	p, err := position.Parse(s.Epoch)
	if err != nil {
		return 0
	}
	return float64(p.Seq)
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
