package repair

import "errors"

// ErrPaused says that repair is paused.
var ErrPaused = errors.New("repair is paused")

// ErrLogPassed is for a [Host] to answer with when the log does not hold the record
// after the position that a stripe was healed to.
var ErrLogPassed = errors.New("the log has passed the position")

// An Event is something that happened in repair. It is one of the types below.
type Event interface{ event() }
