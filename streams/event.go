package streams

import (
	"time"

	"trireme/internal/position"
)

// An Event is something that happened to an owner: [Claimed], [Lost],
// [Committed], [Refused], [Trimmed] or [Stopped].
type Event interface{ event() }

type (
	// Claimed says that the owner serves from here on.
	Claimed struct {
		Epoch position.Position
		Took  time.Duration // since it began to try
	}
	// Lost says that the owner does not serve any more; it will claim again.
	Lost struct {
		Epoch position.Position // the one that ended
		Err   error             // what ended it
	}
	// Committed says that a record of this owner is in the log and applied.
	Committed struct {
		Seq       uint64
		Proposals int           // that took part
		Changes   int           // in the record; none makes a barrier or a release
		Bytes     int           // of the record
		Append    time.Duration // from the sending to the acknowledgement; 0 when the fate was learned later
		Apply     time.Duration
	}
	// Refused says that changes were turned away, for want of room or size.
	Refused struct {
		Changes int
		Err     error
	}
	// Trimmed says that the records below a sequence were removed from the log.
	Trimmed struct {
		Below uint64
		Log   LogState // before
	}
	// Stopped says that the owner has ended, for good.
	Stopped struct {
		Err error // nil after a Close
	}
)

func (Claimed) event()   {}
func (Lost) event()      {}
func (Committed) event() {}
func (Refused) event()   {}
func (Trimmed) event()   {}
func (Stopped) event()   {}

// A Phase is what an owner is doing.
type Phase uint8

// The phases.
const (
	Idle     Phase = iota // not started
	Claiming              // catching up, or trying to claim
	Waiting               // following the log: this host should not own it now
	Serving               // owner: commits what is proposed
	Ended                 // closed, or stopped by an error
)

// String is the phase in lower case.
func (p Phase) String() string {
	if names := [...]string{"idle", "claiming", "waiting", "serving", "ended"}; int(p) < len(names) {
		return names[p]
	}
	return "unknown"
}

// Status is a snapshot of an owner.
type Status struct {
	Phase       Phase
	Since       time.Time         // of the phase
	Epoch       position.Position // while serving
	Applied     State
	Queued      int // proposals
	QueuedBytes int
	Log         LogState // as last asked, and what was appended since
	Err         error    // why it does not serve, while it does not
}
