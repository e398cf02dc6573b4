package adapter

import (
	"errors"
	"fmt"

	"trireme/internal/contract"
)

type (
	// Code is a number that Adama's runtime or an operator acts on.
	Code = contract.Code
	// Error is a refusal by the service: a code and what is wrong with this
	// request. Two are alike for [errors.Is] when their codes are.
	Error = contract.Error
	// Explanation is what there is to know of a code: its name, its meaning,
	// whether the request took effect, and what the caller should do.
	Explanation = contract.Explanation
)

// What a call can be refused with, for [errors.Is]. The first three steer
// Adama's runtime and are never the answer to an outage.
var (
	// ErrHeadDiffers: the patch does not begin at head+1, or names another
	// incarnation. Nothing changed.
	ErrHeadDiffers error = &Error{Code: contract.HeadDiffers}
	// ErrNotFound: there is no such document; its owner has confirmed it.
	ErrNotFound error = &Error{Code: contract.NotFound}
	// ErrExists: the document is there already, and keeps its first content.
	ErrExists error = &Error{Code: contract.Exists}

	// ErrBeingDeleted: the document is marked for deletion.
	ErrBeingDeleted error = &Error{Code: contract.BeingDeleted}
	// ErrUnknownMethod: compute knows [HeadPatch] and [Rewind].
	ErrUnknownMethod error = &Error{Code: contract.UnknownMethod}
	// ErrNothingToPatch: no change after that seq is retained, or not all.
	ErrNothingToPatch error = &Error{Code: contract.NothingToPatch}
	// ErrNothingToUndo: the retained undos do not reach back to that seq.
	ErrNothingToUndo error = &Error{Code: contract.NothingToUndo}
	// ErrNoHistory: a snapshot must keep at least one change.
	ErrNoHistory error = &Error{Code: contract.NoHistory}
	// ErrSnapshotSeq: the snapshot does not lie within what is retained.
	ErrSnapshotSeq error = &Error{Code: contract.SnapshotSeq}
	// ErrWrongMachine: the node must let the document go. Reserved.
	ErrWrongMachine error = &Error{Code: contract.WrongMachine}

	// ErrNoOwner, ErrNoQuorum, ErrDeposed, ErrOverloaded, ErrBufferFull: the
	// write path was not there until the context ended.
	ErrNoOwner    error = &Error{Code: contract.NoOwner}
	ErrNoQuorum   error = &Error{Code: contract.NoQuorum}
	ErrDeposed    error = &Error{Code: contract.Deposed}
	ErrOverloaded error = &Error{Code: contract.Overloaded}
	ErrBufferFull error = &Error{Code: contract.BufferFull}

	// ErrOutcomeUnknown: the call may have taken effect. Look for it before
	// any other error: such a call may also match the last refusal it met.
	ErrOutcomeUnknown error = &Error{Code: contract.OutcomeUnknown}

	// ErrMalformed: the request is wrong in itself; the message says what.
	ErrMalformed error = &Error{Code: contract.Malformed}
	// ErrTooLarge: the request or its reply is over a limit.
	ErrTooLarge error = &Error{Code: contract.TooLarge}
	// ErrDamaged: the replica's copy fails its checksum, again and again.
	ErrDamaged error = &Error{Code: contract.Damaged}
	// ErrFenced: the snapshot is not from the writer of what it covers.
	ErrFenced error = &Error{Code: contract.Fenced}
	// ErrUnmergeable: a text is not readable as JSON where a fold needs it.
	ErrUnmergeable error = &Error{Code: contract.Unmergeable}
	// ErrNotHere: a local read found nothing, which says nothing about the
	// cluster.
	ErrNotHere error = &Error{Code: contract.NotHere}
)

// ErrChanged is yielded by [Client.History] when the document was snapshotted,
// recovered or created again between two pages, so that they do not fit
// together. Read it again.
var ErrChanged = errors.New("the document changed while its history was read")

// A CallError is how every failed call of a [Client] is reported. Look into it
// with [errors.Is], or with errors.AsType for the request id.
type CallError struct {
	Op        string // the operation, as in its subject
	Key       Key    // the document; zero if the call is not about one
	RequestID string // the id that every try carried; "" for reads and lists
	Tries     int    // requests sent, or at least attempted
	Err       error
}

func (e *CallError) Error() string {
	if e.Key == (Key{}) {
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s %q: %v", e.Op, e.Key.Space+"/"+e.Key.Key, e.Err)
}

func (e *CallError) Unwrap() error { return e.Err }

// CodeOf returns the code that err carries, or 0. Of an error that matches
// [ErrOutcomeUnknown] it is 1500004, whatever else it matches.
func CodeOf(err error) Code { return contract.CodeOf(err) }

// Explain finds the explanation of a code.
func Explain(c Code) (Explanation, bool) { return contract.Explain(c) }
