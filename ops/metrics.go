package ops

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"trireme/internal/contract"
)

// Metrics counts what a host does, for Prometheus; /metrics lists them, each with
// its help. All methods may be called concurrently, and [Metrics.Request] is
// cheap enough for every request.
type Metrics struct {
	registry *prometheus.Registry

	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	ops      map[string]*opSeries // complete from the start, never changed
	other    *opSeries            // for an operation that the contract does not have

	stripes *stripeVecs
	mu      sync.RWMutex
	stripe  map[string]*stripeSeries

	storeEvents *prometheus.CounterVec
	cluster     *clusterVecs
}

// NewMetrics makes the metrics of a host in a registry of their own. The gauges
// come from status, which is called once for each scrape.
func NewMetrics(status func() Status, version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trireme_requests_total",
			Help: "Requests answered, by operation and code; 0 is success.",
		}, []string{"op", "code"}),
		took: prometheus.NewHistogramVec(histogram(
			"trireme_request_seconds",
			"Time from a request's arrival to its answer, by operation and code; 0 is success.",
			latencyBuckets()), []string{"op", "code"}),
		ops:     map[string]*opSeries{},
		stripes: newStripeVecs(),
		stripe:  map[string]*stripeSeries{},
		storeEvents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trireme_store_events_total",
			Help: "Events of the document store that a person should know, by kind.",
		}, []string{"kind"}),
		cluster: newClusterVecs(),
	}
	for _, op := range contract.Ops() {
		m.ops[op] = m.newOp(op)
	}
	m.other = m.newOp("other")
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.took, m.storeEvents,
		newStatusCollector(status),
		buildInfo(version),
	)
	m.registry.MustRegister(m.stripes.all()...)
	m.registry.MustRegister(m.cluster.all()...)
	return m
}

// Registry is where the metrics are, for whoever adds to them.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// latencyBuckets are the classic buckets: an fsync takes 0.1 to 10 ms, a
// failover seconds, and no answer takes more than 20.
func latencyBuckets() []float64 {
	return []float64{.0001, .00025, .0005, .001, .002, .004, .008, .016, .032, .064, .125, .25, .5, 1, 2.5, 5, 10, 20}
}

// histogram makes both kinds: native for servers that take them, classic for the
// others.
func histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}
}

// opSeries holds one operation's series, so that a request looks up no labels.
type opSeries struct {
	name string
	ok   codeSeries
	mu   sync.RWMutex
	code map[contract.Code]codeSeries
}

type codeSeries struct {
	count prometheus.Counter
	took  prometheus.Observer
}

func (m *Metrics) newOp(name string) *opSeries {
	return &opSeries{name: name, ok: m.series(name, 0), code: map[contract.Code]codeSeries{}}
}

func (m *Metrics) series(op string, code contract.Code) codeSeries {
	text := strconv.Itoa(int(code))
	return codeSeries{m.requests.WithLabelValues(op, text), m.took.WithLabelValues(op, text)}
}

// Request notes an answer: the operation, its code (0 for success) and the time
// since the request arrived. It has the shape of the service's Observe.
func (m *Metrics) Request(op string, code contract.Code, took time.Duration) {
	o := m.ops[op]
	if o == nil {
		o = m.other
	}
	c := o.ok
	if code != 0 {
		c = m.refused(o, code)
	}
	c.count.Inc()
	c.took.Observe(took.Seconds())
}

func (m *Metrics) refused(o *opSeries, code contract.Code) codeSeries {
	o.mu.RLock()
	c, found := o.code[code]
	o.mu.RUnlock()
	if found {
		return c
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	c = m.series(o.name, code)
	o.code[code] = c
	return c
}

// StoreEvent notes an event of the document store. kind is one of a few: it
// becomes a label.
func (m *Metrics) StoreEvent(kind string) { m.storeEvents.WithLabelValues(kind).Inc() }
