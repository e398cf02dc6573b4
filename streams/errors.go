package streams

import (
	"errors"
	"fmt"

	"trireme/internal/contract"
)

// What a stream can be at its opening.
var (
	// ErrNoStream: the stripe has no stream. That never means that there are no
	// documents: only a caller whose store is empty for the stripe may create it.
	ErrNoStream = errors.New("the stripe's stream does not exist")
	// ErrNoLeader: no replica leads the stream now; what one of them says of its
	// end is not taken.
	ErrNoLeader = errors.New("the stripe's stream has no leader")
	// ErrConfig: the stream is not configured as a stripe's log must be.
	ErrConfig = errors.New("the stripe's stream is configured otherwise")
)

// How an append can end that did not succeed. All but [ErrUnknown] promise that
// the record is not in the log and will not come into it.
var (
	// ErrRefused: the log does not end where the writer expected; see [RefusedError].
	ErrRefused = errors.New("refused: the log has moved")
	// ErrFull: the stream, its account or its server has no room.
	ErrFull = errors.New("the log has no room")
	// ErrTooLarge: the record is over a limit on one record.
	ErrTooLarge = errors.New("the record is too large for the log")
	// ErrUndelivered: no server took the record; the stream has no leader in reach.
	ErrUndelivered = errors.New("the log cannot be reached")
	// ErrUnknown: no answer came that tells the record's fate. It may be in the
	// log, or come into it later for as long as the log does not move.
	ErrUnknown = errors.New("the record's fate is unknown")
)

// What is wrong between a log and a store.
var (
	// ErrTrimmed: the log begins after what was asked for; see [TrimmedError].
	ErrTrimmed = errors.New("the log has been trimmed")
	// ErrBehindStore: the log ends before what the store has applied; see
	// [BehindStoreError].
	ErrBehindStore = errors.New("the log ends before what the store has applied")
	// ErrForeign: the log holds another record than the one that the store has
	// applied at the same place: it is not the log of this store.
	ErrForeign = errors.New("the log and the store do not belong together")
	// ErrUnreadable: the log says that it holds a record and nobody gives it out.
	ErrUnreadable = errors.New("the log does not give out a record that it holds")
	// ErrApply: the machine refused a committed record; see [ApplyError].
	ErrApply = errors.New("a committed record cannot be applied")
)

// What [Owner.Submit] says at once: nothing was kept of the proposal.
var (
	// ErrOverloaded: the queue is full, in number or bytes.
	ErrOverloaded = fmt.Errorf("the owner's queue is full: %w", contract.Errorf(contract.Overloaded, "too many requests wait for the stripe's log"))
	// ErrNotOwner: this host should not own the stripe now; another does, or will.
	ErrNotOwner = fmt.Errorf("not the owner: %w", contract.Errorf(contract.NoOwner, "another host owns the stripe, or is about to"))
	// ErrClosed: the owner is closed or has stopped.
	ErrClosed = fmt.Errorf("the owner is closed: %w", contract.Errorf(contract.NoOwner, "this host no longer serves the stripe"))
)

// A RefusedError is an append that the log refused. It is [ErrRefused].
type RefusedError struct {
	Expected uint64 // where the writer thought that the log ends
	Last     uint64 // where the server says it ends; records under way count, so it may be ahead of what is committed
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%v: expected its last sequence to be %d, it is %d", ErrRefused, e.Expected, e.Last)
}

func (e *RefusedError) Unwrap() error { return ErrRefused }

// A TrimmedError is a read of what the log no longer holds. It is [ErrTrimmed].
type TrimmedError struct {
	Want  uint64 // the first sequence wanted
	First uint64 // the first sequence that the log still holds
}

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("%v: sequence %d is wanted, it begins at %d: the store must be filled from another host", ErrTrimmed, e.Want, e.First)
}

func (e *TrimmedError) Unwrap() error { return ErrTrimmed }

// A BehindStoreError is a log that has lost records. It is [ErrBehindStore].
type BehindStoreError struct {
	Last    uint64 // the last sequence of the log
	Applied uint64 // the last sequence that a store has applied
	Host    string // whose store that is; "" for our own
}

func (e *BehindStoreError) Error() string {
	if e.Host != "" {
		return fmt.Sprintf("%v: the log's last sequence is %d, the store of host %s has applied %d; nothing was overwritten. "+
			"Too many of its members have lost what they had written: bring back their JetStream directories", ErrBehindStore, e.Last, e.Host, e.Applied)
	}
	return fmt.Sprintf("%v: the log's last sequence is %d, the store has applied %d; nothing was overwritten. "+
		"The log was lost, replaced or restored from an older copy: bring back the JetStream directory that belongs to this store, "+
		"or restore log and store from one backup", ErrBehindStore, e.Last, e.Applied)
}

func (e *BehindStoreError) Unwrap() error { return ErrBehindStore }

// An ApplyError is a committed record that the machine refused, for good. It is
// [ErrApply].
type ApplyError struct {
	Seq uint64
	Err error
}

func (e *ApplyError) Error() string { return fmt.Sprintf("apply record %d: %v", e.Seq, e.Err) }

func (e *ApplyError) Unwrap() []error { return []error{ErrApply, e.Err} }
