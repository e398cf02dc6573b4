package ops

import "github.com/prometheus/client_golang/prometheus"

// clusterVecs count what a host does with the others.
type clusterVecs struct {
	forwards *prometheus.CounterVec
	retries  prometheus.Counter
	moves    *prometheus.CounterVec
}

func newClusterVecs() *clusterVecs {
	return &clusterVecs{
		forwards: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trireme_requests_forwarded_total",
			Help: "Requests passed on to the host that owns their stripe, each try counted, by that host.",
		}, []string{"owner"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "trireme_requests_forward_retries_total",
			Help: "Tries that found no owner, or one that had no answer, so that the request was passed on again.",
		}),
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trireme_leadership_moves_total",
			Help: "Times that this host asked JetStream to move the leadership of a stripe's stream away, by the reason.",
		}, []string{"stripe", "reason"}),
	}
}

func (v *clusterVecs) all() []prometheus.Collector {
	return []prometheus.Collector{v.forwards, v.retries, v.moves}
}

// Forwarded notes a request that is passed on to the owner of its stripe. It is
// cheap enough for every request.
func (m *Metrics) Forwarded(owner string) { m.cluster.forwards.WithLabelValues(owner).Inc() }

// ForwardRetried notes that a request has to be passed on once more.
func (m *Metrics) ForwardRetried() { m.cluster.retries.Inc() }

// Moved notes that the leadership of a stripe is given away. reason is one of a few:
// it becomes a label.
func (m *Metrics) Moved(stripe, reason string) {
	m.cluster.moves.WithLabelValues(stripe, reason).Inc()
}
