package merge

import (
	"errors"
	"fmt"
)

// ErrUnreadable marks every error about a text that is not JSON even in the
// lenient reading of this package. The error itself is an [*UnreadableError].
var ErrUnreadable = errors.New("text is not readable as JSON")

// ErrNoTexts is returned by a fold over nothing.
var ErrNoTexts = errors.New("merge: nothing to fold")

// UnreadableError says which text of a fold could not be read, where and why.
type UnreadableError struct {
	Text   int    // index of the text in the fold, from 0
	Offset int    // bytes into the text
	Why    string // what is wrong there, a short English phrase
}

// Error names the text, the offset and the reason.
func (e *UnreadableError) Error() string {
	return fmt.Sprintf("merge: %v: text %d (from 0), byte %d: %s", ErrUnreadable, e.Text, e.Offset, e.Why)
}

// Unwrap makes errors.Is(err, ErrUnreadable) true.
func (e *UnreadableError) Unwrap() error { return ErrUnreadable }
