package register

import "errors"

// What can be wrong with the register, and how a proposal can end.
var (
	// ErrNone: there is no register. If this host has read one before, it is lost:
	// making another would forget what was agreed.
	ErrNone = errors.New("the cluster's register does not exist")
	// ErrConfig: the register's stream is not configured as it must be.
	ErrConfig = errors.New("the cluster's register is configured otherwise")
	// ErrFormat: the register holds a record of a format that this program does not
	// know.
	ErrFormat = errors.New("the cluster's register has a record of a later format: upgrade this program")
	// ErrLost: the register lacks records that it had.
	ErrLost = errors.New("the cluster's register has lost records")
	// ErrOlder: a layout of a higher version is in force.
	ErrOlder = errors.New("a later layout is in force")
	// ErrConflict: something else was accepted in this place, and stays.
	ErrConflict = errors.New("the hosts have agreed on something else")
	// ErrUnknown: no answer told whether the record was accepted. It may be in the
	// register, or come into it: to ask again with the same is harmless.
	ErrUnknown = errors.New("whether it was accepted is unknown")
)

// errRefused: the register does not end where the writer expected it. Only this
// package sees it.
var errRefused = errors.New("refused: the register has moved")
