package ops

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// index is what / says.
const index = `trireme: one host

/healthz  200 while the process lives
/readyz   200 when a request sent here would be answered, else 503; says why not
/status   the host's status, JSON
/metrics  for Prometheus

/owner/PP             200 on the owner of partition PP, else 503; names the owner
/route?space=S&key=K  the host and the Adama node that a document belongs to; 503 while nobody owns it
/identity             who this host is, for the other hosts of its cluster
`

// readiness is the body of /readyz.
type readiness struct {
	Ready      bool        `json:"ready"`
	Conditions []Condition `json:"conditions"`
}

// Options are parts of a [Handler] that a host may lack.
type Options struct {
	Routing  Routing      // /owner and /route; 404 when nil
	Identity http.Handler // /identity; 404 when nil, as for a host that stands alone
}

// Handler serves what an operator and his machines read of a host: /healthz,
// /readyz, /status, /metrics, /owner, /route, /identity, and an index of these at /.
// It changes nothing and answers GET and HEAD only. status is called for each
// request that needs it.
func Handler(status func() Status, m *Metrics, o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, index) // a client that has gone needs no answer
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		s := status()
		code := http.StatusOK
		if !s.Ready {
			code = http.StatusServiceUnavailable
		}
		writeJSON(w, code, readiness{s.Ready, s.Conditions})
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, status())
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.Registry(), promhttp.HandlerOpts{EnableOpenMetrics: true}))
	if o.Routing != nil {
		routing{o.Routing}.register(mux)
	}
	if o.Identity != nil {
		mux.Handle("GET /identity", o.Identity)
	}
	return guarded(mux)
}

// guarded keeps answers out of caches and from being taken for what they are not.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(data, '\n')) // a client that has gone needs no answer
}
