package streams

import (
	"context"
	"errors"
	"fmt"

	"trireme/internal/digest"
	"trireme/internal/position"
	"trireme/internal/record"
)

// State is how far a machine has applied a log.
type State struct {
	Seq   uint64            // the last record applied, 0 for none
	Chain digest.Chain      // the chain hash after it
	Epoch position.Position // of the last claim applied
	Time  int64             // of the last record, Unix milliseconds
}

// A Machine applies a log's records.
type Machine interface {
	// Applied tells how far it is.
	Applied() State
	// Apply takes the next record. It may keep body. An error stops the log's
	// reader for good: records are never left out.
	Apply(seq uint64, body []byte) error
	// Durable is the last sequence that a crash of this host cannot undo. It may
	// be called concurrently with everything else.
	Durable() uint64
}

// A Stream is what this package needs of a [Log].
type Stream interface {
	Append(ctx context.Context, expectedLast uint64, body []byte) (uint64, error)
	Read(ctx context.Context, from, to uint64, fn func(seq uint64, body []byte) error) error
	State(ctx context.Context) (LogState, error)
	Trim(ctx context.Context, below uint64) error
}

// Progress is how far a catch-up has come.
type Progress struct {
	Applied uint64 // the last record applied
	Last    uint64 // the end of the log, when the catch-up began
	Records uint64 // applied since then
	Bytes   int64  // their size
}

// CatchUp applies to the machine what the log holds and it has not seen. progress,
// which may be nil, is called after each record.
//
// It returns [ErrBehindStore] when the log ends before what the machine has
// applied, [ErrForeign] when it holds something else there, [ErrTrimmed] when it
// begins after it, [ErrApply] when the machine refuses a record. Nothing of the
// log is changed.
func CatchUp(ctx context.Context, log Stream, m Machine, progress func(Progress)) error {
	st, err := log.State(ctx)
	if err != nil {
		return err
	}
	if err := verify(ctx, log, st, m.Applied()); err != nil {
		return err
	}
	return replay(ctx, log, m, st, func(seq uint64, body []byte) error { return apply(m, seq, body) }, progress)
}

// verify compares the record that the machine has applied last with the log's.
func verify(ctx context.Context, log Stream, st LogState, at State) error {
	if at.Seq == 0 || at.Seq < st.First || at.Seq > st.Last {
		return nil
	}
	err := log.Read(ctx, at.Seq, at.Seq, func(seq uint64, body []byte) error {
		r, err := record.Parse(body)
		if err != nil {
			return fmt.Errorf("%w: record %d: %w", ErrForeign, seq, err)
		}
		if chain := r.Prev.Next(body); chain != at.Chain {
			return fmt.Errorf("%w: record %d of the log gives chain hash %v, the store has applied %v; nothing was overwritten", ErrForeign, seq, chain, at.Chain)
		}
		return nil
	})
	if errors.Is(err, ErrTrimmed) {
		return nil
	}
	return err
}

// replay hands fn the records from what the machine has applied to the log's end.
func replay(ctx context.Context, log Stream, m Machine, st LogState, fn func(seq uint64, body []byte) error, progress func(Progress)) error {
	at := m.Applied().Seq
	if err := joins(st, at); err != nil {
		return err
	}
	p := Progress{Applied: at, Last: st.Last}
	return log.Read(ctx, at+1, st.Last, func(seq uint64, body []byte) error {
		if err := fn(seq, body); err != nil {
			return err
		}
		p.Applied, p.Records, p.Bytes = seq, p.Records+1, p.Bytes+int64(len(body))
		if progress != nil {
			progress(p)
		}
		return nil
	})
}

// joins says whether a machine that has applied up to a sequence can go on from
// the log.
func joins(st LogState, applied uint64) error {
	switch {
	case st.Last < applied:
		return &BehindStoreError{Last: st.Last, Applied: applied}
	case st.Last > applied && st.First > applied+1:
		return &TrimmedError{Want: applied + 1, First: st.First}
	}
	return nil
}

// apply applies a record and checks that the machine has moved by it.
func apply(m Machine, seq uint64, body []byte) error {
	if err := m.Apply(seq, body); err != nil {
		return &ApplyError{Seq: seq, Err: err}
	}
	if at := m.Applied().Seq; at != seq {
		return &ApplyError{Seq: seq, Err: fmt.Errorf("the machine says it has applied %d", at)}
	}
	return nil
}
