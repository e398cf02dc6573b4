package repair

import (
	"errors"
	"fmt"
	"time"
)

// Why a peer could not be asked. Whatever it is, another peer may be.
var (
	// ErrUnreachable is for a peer that does not answer, or stops in the middle.
	ErrUnreachable = errors.New("the peer does not answer")
	// ErrGarbage is for a peer whose answer is not what was asked for: it cannot be
	// read, speaks of something else, contradicts what the peer said before, or holds a
	// document that is not what its own state says.
	ErrGarbage = errors.New("the peer's answer is not valid")
	// ErrLayout is for a peer that runs another layout, or has a stripe of that name
	// with another birth.
	ErrLayout = errors.New("the peer runs another layout")
	// ErrRefused is for a peer that says why it does not answer: a [*RefusedError].
	ErrRefused = errors.New("the peer refuses")
)

// Codes of a [RefusedError].
const (
	CodeMalformed = 400 // the request is wrong in itself
	CodeNotFound  = 404 // the peer is no member of that stripe
	CodeSick      = 409 // the peer's copy of the stripe must not be asked for
	CodeLayout    = 412 // another layout, or a stripe of another birth: [ErrLayout]
	CodeTooLarge  = 413 // more is asked for than one answer may hold
	CodeFailed    = 500 // the peer cannot read its store
	CodeNotNow    = 503 // the peer is closing, or has too many pulls under way
	CodeVersion   = 505 // the peer does not speak this version
)

// A RefusedError is a peer's reason not to answer. It matches [ErrRefused], and
// [ErrLayout] where that is the reason.
type RefusedError struct {
	Host  string        // the peer
	Code  int           // one of the codes
	Why   string        // in a sentence
	Retry time.Duration // when to ask again; 0 where waiting alone does not help
}

func (r *RefusedError) Error() string {
	return fmt.Sprintf("%s refuses: %s (%d)", r.Host, r.Why, r.Code)
}

// Is tells that r matches ErrRefused, and ErrLayout.
func (r *RefusedError) Is(target error) bool {
	return target == ErrRefused || target == ErrLayout && r.Code == CodeLayout
}
