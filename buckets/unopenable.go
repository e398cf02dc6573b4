package buckets

import "errors"

// ErrUnopenable is what every [UnopenableError] is.
var ErrUnopenable = errors.New("document store cannot be opened")

// An UnopenableError is returned by [Open] when the files of a store are so
// damaged that it cannot be opened: its folder can only be set aside, and the
// documents fetched from other hosts. That another process has the store open, a
// newer format, missing rights and a full disk are errors of other types.
type UnopenableError struct{ Err error }

func (e *UnopenableError) Error() string { return e.Err.Error() }
func (e *UnopenableError) Unwrap() error { return e.Err }

// Is tells that e is [ErrUnopenable].
func (e *UnopenableError) Is(target error) bool { return target == ErrUnopenable }
