package ops

import (
	"time"

	"trireme/repair"
)

// Status is a host at one moment. It is what `trireme status --host NAME -o json`
// prints and what trireme.v1.status and HTTP /status answer; new fields may come,
// none changes its meaning. Sizes are bytes, positions "<birth>-<sequence>", layout
// digests as the layout tells them.
type Status struct {
	Host       string      `json:"host"`
	At         time.Time   `json:"at,omitzero"` // the moment that it is of
	Version    string      `json:"version"`
	Started    time.Time   `json:"started"`
	PID        int         `json:"pid"`
	Phase      Phase       `json:"phase"`
	Step       string      `json:"step,omitempty"` // what it is at while it starts or closes
	Layout     uint64      `json:"layout"`         // the version in force
	NATS       string      `json:"nats"`           // where clients connect; "" for nowhere
	HTTP       string      `json:"http"`
	Ready      bool        `json:"ready"`
	Conditions []Condition `json:"conditions"` // what is wrong, worst first; none when all is well
	Stripes    []Stripe    `json:"stripes"`    // of the layout, also those that the host is no member of
	Store      Store       `json:"store"`
	Disk       Disk        `json:"disk"`
	Requests   Requests    `json:"requests"`

	Cluster      string       `json:"cluster"`       // its name; "" for a host that stands alone
	DiskID       string       `json:"disk_id"`       // of the data directory
	Boot         uint64       `json:"boot"`          // how often a daemon was started on it
	LayoutDigest string       `json:"layout_digest"` // of the layout in force
	LayoutSource string       `json:"layout_source"` // file or URL that is polled; "" alone
	LayoutError  *LayoutFault `json:"layout_error,omitempty"`
	Draining     bool         `json:"draining"` // it was asked to own nothing
	Held         *Held        `json:"held,omitempty"`
	Hosts        []HostView   `json:"hosts"` // of the layout, itself among them; none alone

	Repair     *repair.Status `json:"repair,omitempty"` // nil before it has begun
	RepairCost *RepairCosts   `json:"repair_cost,omitempty"`

	// RepairEveryMS is the time between two rounds; 0 when it is not known.
	RepairEveryMS int64 `json:"repair_every_ms,omitempty"`
}

// Phase is what a host is doing with its life.
type Phase string

// The phases of a host. A status without one is of a host that runs.
const (
	PhaseStarting Phase = "starting" // does not take requests yet
	PhaseRunning  Phase = "running"
	PhaseHeld     Phase = "held"    // takes no part: see [Status.Held]
	PhaseClosing  Phase = "closing" // hands over, and ends
)

// Held says why a host takes no part in its cluster.
type Held struct {
	Reason   string `json:"reason"`
	NextStep string `json:"next_step"`
}

// A LayoutFault is why what the layout's source says is not in force. The last good
// copy stays so.
type LayoutFault struct {
	Kind    LayoutFaultKind `json:"kind"`
	Version uint64          `json:"version,omitempty"` // of the layout at the source; 0 when it could not be read
	Text    string          `json:"text"`              // the fault: field, value, remedy
}

// LayoutFaultKind sorts the faults. Each is the end of a condition's ID.
type LayoutFaultKind string

// The kinds of faults.
const (
	LayoutUnreachable LayoutFaultKind = "unreachable" // the source cannot be read
	LayoutInvalid     LayoutFaultKind = "invalid"     // it is no layout, or one with faults
	LayoutOlder       LayoutFaultKind = "older"       // its version is below the one in force
	LayoutRefused     LayoutFaultKind = "refused"     // it may not follow the one in force, or this host cannot follow it
	LayoutConflict    LayoutFaultKind = "conflict"    // the hosts agreed on another layout of this version
)

// A HostView is one host of the layout, as the host that tells of it has heard.
type HostView struct {
	Name         string `json:"name"`
	Self         bool   `json:"self"`
	Alive        bool   `json:"alive"`         // it was heard of lately; true for itself
	HeardMS      int64  `json:"heard_ms_ago"`  // -1 when it was never heard; 0 for itself
	Version      string `json:"version"`       // of the program; "" when it was never heard
	Layout       uint64 `json:"layout"`        // the version it runs; 0 when it was never heard
	LayoutDigest string `json:"layout_digest"` // and its digest
	Draining     bool   `json:"draining"`
	NATS         string `json:"nats"` // host:port of the layout
	HTTP         string `json:"http"` // likewise
	Adama        string `json:"adama"`
}

// Stripe is one replicated log as the host sees it.
type Stripe struct {
	Name       string   `json:"name"`
	Members    []string `json:"members"` // the preferred owner first
	Replicas   int      `json:"replicas"`
	Partitions int      `json:"partitions"`
	Owner      string   `json:"owner"` // any host; "" while there is none
	Epoch      string   `json:"epoch"` // of whoever owns; "" while nobody does

	// NoOwnerMS is for how long nobody has owned it; 0 while somebody does.
	NoOwnerMS int64 `json:"no_owner_ms"`

	// What this host has of it. A host that is no member has nothing, and its phase
	// is "".
	Phase      string `json:"phase"`          // opening, and then the owner's in this host: claiming, serving, ...
	LeaderHere bool   `json:"leader_here"`    // JetStream's leadership of the stream
	Sick       string `json:"sick,omitempty"` // why this host must not own it
	Applied    uint64 `json:"applied"`        // sequence up to which the store has the log
	Durable    uint64 `json:"durable"`        // and up to which a crash of the machine leaves it
	Skipped    uint64 `json:"skipped"`        // records and changes not applied, since the start
	LagRecords uint64 `json:"lag_records"`    // in the log and not applied here
	LagBytes   int64  `json:"lag_bytes"`      // and their size, as far as it is known
	LagMS      int64  `json:"lag_ms"`         // and how long the oldest of them is there
	LogFirst   uint64 `json:"log_first"`
	LogLast    uint64 `json:"log_last"`
	LogBytes   int64  `json:"log_bytes"`
	LogMax     int64  `json:"log_max_bytes"`
	Queued     int    `json:"queued"`
	Error      string `json:"error,omitempty"` // why it does not serve

	// LogGone is why the stripe's log cannot be found or gone on with, though nothing is
	// wrong with the servers that would keep it; "" when it is there, or nobody knows.
	LogGone string `json:"log_gone,omitempty"`

	MembersState []MemberView `json:"members_state"` // in the order of Members; none alone
}

// StripeOpening is the phase of a stripe whose log this host is finding or reading
// before it can take part.
const StripeOpening = "opening"

// stripeServing is the phase in which an owner answers.
const stripeServing = "serving"

// A MemberView is one member of a stripe, as the host that tells of it has heard.
type MemberView struct {
	Host       string `json:"host"`
	Alive      bool   `json:"alive"`
	Owner      bool   `json:"owner"`
	Applied    uint64 `json:"applied"`
	Durable    uint64 `json:"durable"`
	LagRecords uint64 `json:"lag_records"` // behind the newest record that this host knows of
	Sick       string `json:"sick,omitempty"`
}

// Store is the document store.
type Store struct {
	DiskBytes uint64 `json:"disk_bytes"`
	Hits      uint64 `json:"merged_cache_hits"`
	Misses    uint64 `json:"merged_cache_misses"`
	Damaged   uint64 `json:"damaged_rows"` // met since the start

	// SetAside are the folders of stores that could not be opened and are kept.
	SetAside []string `json:"set_aside,omitempty"`
}

// Disk is the file system of the data directory.
type Disk struct {
	Free    uint64 `json:"free_bytes"`
	Total   uint64 `json:"total_bytes"`
	Reserve uint64 `json:"reserve_bytes"` // what changes leave free
}

// Requests are what waits for an answer. More than the bounds is refused.
type Requests struct {
	InFlight    int   `json:"in_flight"`
	MaxInFlight int   `json:"max_in_flight"` // 0 when it is not known
	Bytes       int   `json:"bytes"`
	MaxBytes    int   `json:"max_bytes"` // 0 when it is not known
	HoldMS      int64 `json:"hold_ms"`   // how long a request waits at most; 0 when it is not known
}

// Served tells whether requests on the stripe's documents find an owner, as far
// as the host of that name knows.
func (s *Stripe) Served(host string) bool {
	switch s.Owner {
	case "":
		return false
	case host:
		return s.Error == "" && s.Phase == stripeServing
	}
	owner, known := s.Member(s.Owner)
	return !known || owner.Alive
}

// Member is what is known of the member of that name.
func (s *Stripe) Member(host string) (MemberView, bool) {
	for _, m := range s.MembersState {
		if m.Host == host {
			return m, true
		}
	}
	return MemberView{}, false
}

// Quorum tells whether enough members live to commit. Where nothing is known of the
// members, as alone, it is true.
func (s *Stripe) Quorum() bool {
	return len(s.MembersState) == 0 || s.alive() > len(s.MembersState)/2
}

func (s *Stripe) alive() (n int) {
	for _, m := range s.MembersState {
		if m.Alive {
			n++
		}
	}
	return n
}

func (s *Status) alive() (n int) {
	for _, h := range s.Hosts {
		if h.Alive {
			n++
		}
	}
	return n
}
