package repair

import (
	"errors"
	"time"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// Decisions that a caller can take.
var (
	// ErrPaused is for what a pause keeps from working.
	ErrPaused = errors.New("repair is paused")
	// ErrLogPassed is for a [Host] to answer with when the log does not hold the record
	// after the position that a stripe was healed to.
	ErrLogPassed = errors.New("the log has passed the position")
	// ErrNothingHere is for a scope or a document that no healthy stripe of this host
	// holds.
	ErrNothingHere = errors.New("this host has no healthy copy of it")
	// ErrUndecided is for a document of which no whole copy can be had, or of which too
	// few members can be asked to say which copy is right.
	ErrUndecided = errors.New("no copy can be told to be right")
	// ErrMoved is for a plan that was made of another state than the present one.
	ErrMoved = errors.New("the state has moved on")
)

// An Event is something that happened in repair: one of the types below.
type Event interface{ event() }

type (
	// Found says that a document differs between this host and a peer. It is not told of
	// lag, which is counted only.
	Found struct {
		Stripe       string
		Bucket       layout.Bucket
		Key          contract.Key
		Verdict      plan.Verdict
		Peer         string
		Mine, Theirs plan.Doc
		Rule         string // what the verdict rests on
	}
	// Repaired says that a document of this host was replaced by a peer's copy.
	Repaired struct {
		Stripe   string
		Key      contract.Key
		Reason   Reason
		From     string
		Position position.Position
		Digest   digest.Digest
		Bytes    int
	}
	// Dropped says that a document was removed here, because most members say that it
	// is deleted.
	Dropped struct {
		Stripe string
		Key    contract.Key
		Rule   string
	}
	// Undecided says that a document differs and nothing was done.
	Undecided struct {
		Stripe string
		Key    contract.Key
		Why    string
	}
	// PeerFailed says that a peer did not answer or answered wrongly. Another one is
	// asked, or the same one later.
	PeerFailed struct {
		Peer   string
		Stripe string // "" when several were asked for
		Err    error
	}
	// RoundEnded says that a round is over.
	RoundEnded struct{ RoundResult }
	// HealBegan says that the healing of a stripe has begun, or begun again.
	HealBegan struct {
		Stripe string
		Sick   string
		Peer   string
	}
	// HealEnded says that a stripe is healed, or why this try has failed.
	HealEnded struct {
		Stripe    string
		Peer      string
		Position  position.Position // where its log goes on
		Documents uint64            // pulled
		Bytes     uint64            // of them
		Took      time.Duration
		Err       error
	}
	// Mended says what became of a document for which a request waited.
	Mended struct {
		Key  contract.Key
		From string // the member whose copy is here now; "" when it was dropped or not mended
		Took time.Duration
		Err  error
	}
	// ScrubFound says that a re-read has found a damaged document.
	ScrubFound struct {
		Stripe string
		Key    contract.Key
		Why    string
	}
	// ScrubEnded says that a scrub is over.
	ScrubEnded struct {
		ScrubResult
		Err error // what ended it early
	}
	// Quarantined says that rows which the database could not read were cut out of the
	// store. The stripes concerned are sick.
	Quarantined struct{ Loss buckets.Loss }
	// PauseChanged says that a pause has begun, ends at another time, or is over.
	PauseChanged struct{ Until time.Time } // zero when it is over
)

func (Found) event()        {}
func (Repaired) event()     {}
func (Dropped) event()      {}
func (Undecided) event()    {}
func (PeerFailed) event()   {}
func (RoundEnded) event()   {}
func (HealBegan) event()    {}
func (HealEnded) event()    {}
func (Mended) event()       {}
func (ScrubFound) event()   {}
func (ScrubEnded) event()   {}
func (Quarantined) event()  {}
func (PauseChanged) event() {}

// A Reason says why a document was pulled.
type Reason string

// The reasons: the verdicts of a round, and two of their own.
const (
	ForMissing    Reason = "missing"
	ForDivergence Reason = "divergence"
	ForCorruption Reason = "corruption"
	ForHeal       Reason = "heal"  // of a sick stripe
	ForRead       Reason = "read"  // a request waited
	ForPlan       Reason = "apply" // of a plan
)
