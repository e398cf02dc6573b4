package layoutfile

import (
	"errors"
	"strings"
)

// Why there is no layout. Errors of this package wrap one of them.
var (
	// ErrUnreachable is returned when the file or URL could not be read.
	ErrUnreachable = errors.New("the layout cannot be read")
	// ErrInvalid is returned for a text that is no valid layout, also a half-written one.
	ErrInvalid = errors.New("the layout is invalid")
)

// invalid is every fault of a text, one to a line.
type invalid struct{ faults []error }

func (e *invalid) Error() string {
	lines := make([]string, 0, len(e.faults))
	for _, err := range e.faults {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

func (e *invalid) Is(target error) bool { return target == ErrInvalid }
func (e *invalid) Unwrap() []error      { return e.faults }
