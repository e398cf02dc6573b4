package ops

import "time"

// Status is a host at one moment. It is what `trireme status -o json` prints and
// what trireme.v1.status answers; new fields may come, none changes its meaning.
// Sizes are bytes, positions "<birth>-<sequence>".
type Status struct {
	Host       string      `json:"host"`
	Version    string      `json:"version"`
	Started    time.Time   `json:"started"`
	Layout     uint64      `json:"layout"` // the version in force
	NATS       string      `json:"nats"`   // where clients connect; "" for nowhere
	HTTP       string      `json:"http"`
	Ready      bool        `json:"ready"`
	Conditions []Condition `json:"conditions"` // what is wrong, worst first; none when all is well
	Stripes    []Stripe    `json:"stripes"`
	Store      Store       `json:"store"`
	Disk       Disk        `json:"disk"`
	Requests   Requests    `json:"requests"`
}

// Stripe is one replicated log as the host sees it.
type Stripe struct {
	Name       string   `json:"name"`
	Members    []string `json:"members"`
	Partitions int      `json:"partitions"`
	Owner      string   `json:"owner"` // "" while there is none
	Phase      string   `json:"phase"` // of the owner in this host: starting, claiming, serving, ...
	Epoch      string   `json:"epoch"`
	Applied    uint64   `json:"applied"` // sequence up to which the store has the log
	Durable    uint64   `json:"durable"` // and up to which a crash of the machine leaves it
	Skipped    uint64   `json:"skipped"` // records and changes not applied, since the start
	LogFirst   uint64   `json:"log_first"`
	LogLast    uint64   `json:"log_last"`
	LogBytes   int64    `json:"log_bytes"`
	LogMax     int64    `json:"log_max_bytes"`
	Queued     int      `json:"queued"`
	Error      string   `json:"error,omitempty"` // why it does not serve
}

// Store is the document store.
type Store struct {
	DiskBytes uint64 `json:"disk_bytes"`
	Hits      uint64 `json:"merged_cache_hits"`
	Misses    uint64 `json:"merged_cache_misses"`
	Damaged   uint64 `json:"damaged_rows"` // met since the start
}

// Disk is the file system of the data directory.
type Disk struct {
	Free    uint64 `json:"free_bytes"`
	Total   uint64 `json:"total_bytes"`
	Reserve uint64 `json:"reserve_bytes"` // what changes leave free
}

// Requests are what waits for an answer. More than the bounds is refused.
type Requests struct {
	InFlight    int `json:"in_flight"`
	MaxInFlight int `json:"max_in_flight"` // 0 when it is not known
	Bytes       int `json:"bytes"`
	MaxBytes    int `json:"max_bytes"` // 0 when it is not known
}

// Served tells whether requests on the stripe's documents find an owner, as far
// as the host of that name knows.
func (s *Stripe) Served(host string) bool {
	return s.Error == "" && s.Owner != "" && (s.Owner != host || s.Phase == "serving")
}
