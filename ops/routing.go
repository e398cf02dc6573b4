package ops

import (
	"net/http"
	"strconv"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// Routing tells where requests go, as the host knows it. It needs no quorum, and
// answers at once.
type Routing interface {
	// RoutePartition is where a partition is served; false when the layout has none
	// of that number.
	RoutePartition(layout.PartitionID) (Route, bool)
	// RouteDocument is where a document is served, or would be.
	RouteDocument(space, key string) Route
}

// A Route is where a partition is served. Host, Epoch and the addresses are "" while
// nobody owns its stripe.
type Route struct {
	Host      string             `json:"host"`
	NATS      string             `json:"nats"` // host:port of the layout, or as the host is reached
	HTTP      string             `json:"http"`
	Adama     string             `json:"adama"` // as the layout gives it; "" when it gives none
	Partition layout.PartitionID `json:"partition"`
	Stripe    string             `json:"stripe"`
	Epoch     string             `json:"epoch"`
	Here      bool               `json:"-"` // the host that answers is the owner, and serves
}

// Headers of /owner and /route, for proxies that read no JSON.
const (
	HeaderOwner = "Trireme-Owner" // the name of the owner
	HeaderAdama = "Trireme-Adama" // the address of the Adama node beside it
)

// ownerView is the body of /owner.
type ownerView struct {
	Partition layout.PartitionID `json:"partition"`
	Stripe    string             `json:"stripe"`
	Owner     string             `json:"owner"`
	Epoch     string             `json:"epoch"`
}

// routing serves /owner and /route.
type routing struct{ routes Routing }

func (h routing) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /owner/{partition}", h.owner)
	mux.HandleFunc("GET /route", h.route)
}

// owner answers 200 on the partition's owner and 503 everywhere else, so that a load
// balancer that polls it sends there what is the owner's.
func (h routing) owner(w http.ResponseWriter, r *http.Request) {
	text := r.PathValue("partition")
	n, err := strconv.ParseUint(text, 10, 32) // 7 is understood as 07
	route, found := Route{}, false
	if err == nil {
		route, found = h.routes.RoutePartition(layout.PartitionID(n))
	}
	if !found {
		writeError(w, http.StatusNotFound, "the layout has no partition "+strconv.Quote(text))
		return
	}
	code := http.StatusServiceUnavailable
	if route.Here {
		code = http.StatusOK
	}
	route.headers(w)
	writeJSON(w, code, ownerView{route.Partition, route.Stripe, route.Host, route.Epoch})
}

// route names the host that a document's requests should go to.
func (h routing) route(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	key := contract.Key{Space: q.Get("space"), Key: q.Get("key")}
	if err := contract.CheckKey(key); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	route := h.routes.RouteDocument(key.Space, key.Key)
	code := http.StatusOK
	if route.Host == "" {
		code = http.StatusServiceUnavailable
	}
	route.headers(w)
	writeJSON(w, code, route)
}

func (r *Route) headers(w http.ResponseWriter) {
	if r.Host != "" {
		w.Header().Set(HeaderOwner, r.Host)
	}
	if r.Adama != "" {
		w.Header().Set(HeaderAdama, r.Adama)
	}
}

func writeError(w http.ResponseWriter, code int, text string) {
	writeJSON(w, code, map[string]string{"error": text})
}
