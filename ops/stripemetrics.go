package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// stripeVecs are the metrics that a stripe's owner feeds.
type stripeVecs struct {
	records, changes, proposals, written *prometheus.CounterVec
	claims, losses, refused              *prometheus.CounterVec
	trims                                *prometheus.CounterVec
	batch, appends, applies              *prometheus.HistogramVec
}

// stripeSeries are those of one stripe.
type stripeSeries struct {
	records, changes, proposals, written prometheus.Counter
	batch, appends, applies              prometheus.Observer
}

func newStripeVecs() *stripeVecs {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"stripe"})
	}
	hist := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(histogram(name, help, buckets), []string{"stripe"})
	}
	return &stripeVecs{
		records:   counter("trireme_log_records_committed_total", "Records that this host has committed to the stripe's log, barriers included."),
		changes:   counter("trireme_log_changes_committed_total", "Changes in those records."),
		proposals: counter("trireme_log_proposals_committed_total", "Proposals in those records: reads wait for a commit too."),
		written:   counter("trireme_log_written_bytes_total", "Size of those records."),
		claims:    counter("trireme_stripe_claims_total", "Times that this host began to own the stripe."),
		losses:    counter("trireme_stripe_losses_total", "Times that this host ceased to own the stripe."),
		refused:   counter("trireme_log_changes_refused_total", "Changes turned away for want of room in the log or its disk."),
		trims:     counter("trireme_log_trims_total", "Times that this host trimmed the stripe's log."),
		batch:     hist("trireme_log_batch_changes", "Changes in one record.", prometheus.ExponentialBuckets(1, 2, 12)),
		appends:   hist("trireme_log_append_seconds", "Time from the sending of a record to its acknowledgement.", latencyBuckets()),
		applies:   hist("trireme_log_apply_seconds", "Time to apply a record to the document store.", latencyBuckets()),
	}
}

func (v *stripeVecs) all() []prometheus.Collector {
	return []prometheus.Collector{
		v.records, v.changes, v.proposals, v.written,
		v.claims, v.losses, v.refused, v.trims,
		v.batch, v.appends, v.applies,
	}
}

func (v *stripeVecs) series(stripe string) *stripeSeries {
	return &stripeSeries{
		records: v.records.WithLabelValues(stripe), changes: v.changes.WithLabelValues(stripe),
		proposals: v.proposals.WithLabelValues(stripe), written: v.written.WithLabelValues(stripe),
		batch: v.batch.WithLabelValues(stripe), appends: v.appends.WithLabelValues(stripe), applies: v.applies.WithLabelValues(stripe),
	}
}

func (m *Metrics) of(stripe string) *stripeSeries {
	m.mu.RLock()
	s := m.stripe[stripe]
	m.mu.RUnlock()
	if s != nil {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s = m.stripes.series(stripe)
	m.stripe[stripe] = s
	return s
}

// Committed notes a record that is in the log and applied: the proposals that
// took part, the changes in it, its size, and how long the append and the apply
// took. An append of 0 is one whose fate was learned later; it has no duration.
func (m *Metrics) Committed(stripe string, proposals, changes, bytes int, appendTook, applyTook time.Duration) {
	s := m.of(stripe)
	s.records.Inc()
	s.proposals.Add(float64(proposals))
	s.changes.Add(float64(changes))
	s.written.Add(float64(bytes))
	s.batch.Observe(float64(changes))
	if appendTook > 0 {
		s.appends.Observe(appendTook.Seconds())
	}
	s.applies.Observe(applyTook.Seconds())
}

// Claimed notes that this host owns the stripe from now on.
func (m *Metrics) Claimed(stripe string) { m.stripes.claims.WithLabelValues(stripe).Inc() }

// Lost notes that this host does not own the stripe any more.
func (m *Metrics) Lost(stripe string) { m.stripes.losses.WithLabelValues(stripe).Inc() }

// Refused notes changes turned away for want of room.
func (m *Metrics) Refused(stripe string, changes int) {
	m.stripes.refused.WithLabelValues(stripe).Add(float64(changes))
}

// Trimmed notes that records were removed from the stripe's log.
func (m *Metrics) Trimmed(stripe string) { m.stripes.trims.WithLabelValues(stripe).Inc() }
