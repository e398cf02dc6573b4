package repair

import (
	"time"

	"trireme/internal/layout"
	"trireme/internal/position"
)

// Status is what a [Repairer] is doing and has found. New fields may come, none changes
// its meaning. Positions are "<birth>-<sequence>" and "" for none; sizes are bytes;
// counters count from the start of the process.
type Status struct {
	Paused      *time.Time `json:"paused_until"` // null while it is not paused
	Rate        int64      `json:"rate_bytes_per_second"`
	Tranquility float64    `json:"tranquility"`
	Round       RoundState `json:"round"`
	Scrub       ScrubState `json:"scrub"`
	Heals       []Heal     `json:"heals"` // of sick stripes, in the order in which they are healed
	Stripes     []Clean    `json:"stripes"`
	Damaged     int        `json:"damaged_documents"` // known and not repaired yet
	Counters    Counters   `json:"counters"`
}

// Counters say what repair has found, done and cost since the start of the process.
type Counters struct {
	Rounds    uint64            `json:"rounds"`
	Verdicts  map[string]uint64 `json:"verdicts"`      // documents by verdict; "lag" counts buckets and documents
	Pulled    map[string]uint64 `json:"pulled"`        // documents put, by verdict; "heal" and "read" for those of a sick stripe and of a request
	Dropped   uint64            `json:"dropped"`       // documents that a majority said are deleted
	Undecided uint64            `json:"undecided"`     // documents about which nothing was done
	Failures  uint64            `json:"peer_failures"` // peers that did not answer, or answered wrongly

	BytesPulled uint64 `json:"bytes_pulled"` // of images

	// BytesSent and BytesReceived are what questions to peers and their answers took, as
	// messages, the documents included; 0 where it is not known. What this host answers
	// to others is not in it.
	BytesSent     uint64 `json:"bytes_sent"`
	BytesReceived uint64 `json:"bytes_received"`

	// DiskReads counts reads of rows by this host's own comparisons and scrub: of
	// indexes, documents, images, and buckets re-read. A round that finds nothing makes none.
	DiskReads  uint64 `json:"disk_reads"`
	ScrubBytes uint64 `json:"scrub_bytes"`

	// CPUSeconds is the CPU time of the threads on which comparing, putting and scrubbing
	// ran. Not in it: the NATS client's reading and writing, and Pebble's compactions.
	CPUSeconds float64 `json:"cpu_seconds"`
}

// RoundState is what the rounds are at.
type RoundState struct {
	IntervalMS int64        `json:"interval_ms"` // between two rounds
	Running    bool         `json:"running"`
	Next       *time.Time   `json:"next"` // null while one runs or repair is paused
	Last       *RoundResult `json:"last"` // null before the first one
}

// RoundResult is what a round found.
type RoundResult struct {
	Began    time.Time         `json:"began"`
	TookMS   int64             `json:"took_ms"`
	Peers    []PeerResult      `json:"peers"`
	Verdicts map[string]uint64 `json:"verdicts"`
	Pulled   uint64            `json:"pulled"`
	Dropped  uint64            `json:"dropped"`
	Skipped  []Skipped         `json:"skipped"`         // the first 100
	Error    string            `json:"error,omitempty"` // what ended it early
}

// PeerResult is how a round went with one peer.
type PeerResult struct {
	Host    string `json:"host"`
	Stripes int    `json:"stripes"` // compared
	Equal   int    `json:"equal"`   // of them, by their roots alone
	Error   string `json:"error,omitempty"`
}

// Skipped is something that could not be compared or repaired, and why.
type Skipped struct {
	Stripe    string `json:"stripe"`
	Partition string `json:"partition,omitempty"`
	Bucket    string `json:"bucket,omitempty"`
	Space     string `json:"space,omitempty"`
	Key       string `json:"key,omitempty"`
	Why       string `json:"why"`
}

// Clean is how far a stripe's documents are known to be equal to another member's.
type Clean struct {
	Stripe   string `json:"stripe"`
	Sick     string `json:"sick,omitempty"`
	Position string `json:"position"` // the lowest of its partitions'
	// Reported is the position up to which it is equal to every other member's, durably: it
	// is what tombstones are released by.
	Reported string `json:"reported"`
	Buckets  int    `json:"buckets"` // that it has
	// Verified counts the buckets of partitions that were compared equal, at whatever
	// position, in this or an earlier run.
	Verified   int              `json:"verified_buckets"`
	Partitions []CleanPartition `json:"partitions"`
}

// CleanPartition is how far a partition is known to be equal to another member's.
type CleanPartition struct {
	Partition string     `json:"partition"`
	Position  string     `json:"position"`
	At        *time.Time `json:"at"`      // of the comparison; null for never
	Against   string     `json:"against"` // the member
	Lagging   int        `json:"lagging"` // buckets that were not comparable in the last round
}

// Heal is the healing of one sick stripe.
type Heal struct {
	Stripe    string     `json:"stripe"`
	Sick      string     `json:"sick"`
	Phase     HealPhase  `json:"phase"`
	Peer      string     `json:"peer"` // that is pulled from
	Began     *time.Time `json:"began"`
	Buckets   int        `json:"buckets"`
	Verified  int        `json:"verified_buckets"` // equal to the peer's by now
	Documents uint64     `json:"documents"`        // pulled
	Bytes     uint64     `json:"bytes"`            // of them
	ETA       *time.Time `json:"eta"`              // null while it cannot be told
	Why       string     `json:"why,omitempty"`    // what it waits for, or why the last try failed
	Tries     int        `json:"tries"`
}

// HealPhase is what a healing is at.
type HealPhase string

// The phases.
const (
	HealWaiting HealPhase = "waiting" // for its turn, for a healthy member, or for the end of a pause
	HealPulling HealPhase = "pulling" // buckets are made equal
	HealOpening HealPhase = "opening" // the host opens the log
)

// ScrubState is what the scrub is at.
type ScrubState struct {
	Every     string         `json:"every"` // the time in which everything is read once; "" for never
	Pass      ScrubProgress  `json:"pass"`
	Asked     *ScrubProgress `json:"asked"`      // of one that was asked for and runs; null for none
	LastEnded *time.Time     `json:"last_ended"` // of the last whole pass; null for never
	Last      *ScrubResult   `json:"last"`       // of the last that was asked for since the start
}

// ScrubProgress is how far a scrub is.
type ScrubProgress struct {
	Began     *time.Time `json:"began"` // null before the first bucket
	Buckets   int        `json:"buckets"`
	Read      int        `json:"read_buckets"`
	Documents uint64     `json:"documents"`
	Bytes     uint64     `json:"bytes"`
	Damaged   uint64     `json:"damaged"`
	Mended    uint64     `json:"mended_digests"`
	ETA       *time.Time `json:"eta"`
}

// ScrubResult is what a scrub found.
type ScrubResult struct {
	ScrubProgress
	Findings []ScrubFinding `json:"findings"` // the first 1000
}

// ScrubFinding is a document whose copy is damaged.
type ScrubFinding struct {
	Space    string `json:"space"`
	Key      string `json:"key"`
	Why      string `json:"why"`
	Repaired bool   `json:"repaired"`
	From     string `json:"from,omitempty"` // the member whose copy is here now
}

// Status is what the Repairer is doing and has found. It reads memory only.
func (r *Repairer) Status() Status {
	rate, tranquility, until := r.throttle.settings()
	st := Status{
		Paused: timeOrNil(until), Rate: rate, Tranquility: tranquility,
		Round: r.roundState(until), Scrub: r.scrubState(), Heals: r.healing.list(), Stripes: []Clean{},
		Damaged: len(r.Store.Damaged()), Counters: r.count.counters(),
	}
	st.Counters.CPUSeconds = r.cpu.seconds()
	if p, ok := r.Peers.(interface{ Traffic() PeerTraffic }); ok {
		t := p.Traffic()
		st.Counters.BytesSent, st.Counters.BytesReceived = t.Sent, t.Received
	}
	for _, s := range r.Host.Stripes() {
		st.Stripes = append(st.Stripes, r.cleanState(&s))
	}
	return st
}

func (r *Repairer) roundState(paused time.Time) RoundState {
	r.mu.Lock()
	defer r.mu.Unlock()
	is := RoundState{IntervalMS: r.Config.Interval.Milliseconds(), Running: r.running, Last: r.last}
	if !r.running && paused.IsZero() {
		is.Next = timeOrNil(r.next)
	}
	return is
}

func (r *Repairer) cleanState(s *Stripe) Clean {
	c := Clean{Stripe: s.Name, Sick: s.Sick, Partitions: []CleanPartition{}, Reported: text(r.Clean(s.Name))}
	ranges := r.clean.ranges(s.Name)
	c.Position = text(lowest(ranges))
	for _, g := range ranges {
		n := size(layout.Partition{First: g.first, Last: g.last})
		c.Buckets += n
		if !g.position.IsZero() {
			c.Verified += n
		}
		c.Partitions = append(c.Partitions, CleanPartition{
			Partition: g.partition.String(), Position: text(g.position), At: timeOrNil(g.at), Against: g.against, Lagging: g.lagging,
		})
	}
	return c
}

func text(p position.Position) string {
	if p.IsZero() {
		return ""
	}
	return p.String()
}

func (r *Repairer) scrubState() ScrubState {
	s := r.scrubs
	s.mu.Lock()
	defer s.mu.Unlock()
	is := ScrubState{Pass: s.is.progress(s.begins), LastEnded: s.is.Ended, Last: s.last, Asked: s.asked}
	if every := r.Config.ScrubEvery; every > 0 {
		is.Every = every.String()
		if s.is.Began != nil {
			eta := s.is.Began.Add(every)
			is.Pass.ETA = &eta
		}
	}
	return is
}
