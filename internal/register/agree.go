package register

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// A journal is the stream, as far as this package needs it.
type journal interface {
	// last is the sequence of the last record. It may be old news.
	last(ctx context.Context) (uint64, error)
	// get returns a record, or an error when it was not to be had just now.
	get(ctx context.Context, seq uint64) (*message, error)
	// put appends a record if expected is the last one's sequence. The error is a
	// [refusedError], which promises that the record is not there and will not be, or
	// another, which promises nothing.
	put(ctx context.Context, expected uint64, m *message) error
}

// A refusedError is [errRefused].
type refusedError struct {
	last uint64 // where the server says that the register ends; what is under way there counts
}

func (e *refusedError) Error() string { return fmt.Sprintf("%v: it ends at %d", errRefused, e.last) }
func (e *refusedError) Unwrap() error { return errRefused }

// pauses between two tries.
type pauses struct {
	first, most time.Duration
	patience    time.Duration // for a record that a refusal has named and that may yet be lost
}

// agree brings a record into the register. make is asked on the newest state, anew
// whenever it has changed, for the record, or nil when none is needed. agree tries
// until ctx ends.
//
// A record whose fate is unknown is looked for by its proposal's id. It may also
// come in later, as long as the register has not moved. That does no harm: the same
// record is tried again in the same place, where only one can be.
func (r *Register) agree(ctx context.Context, propose func(State) (*message, error)) error {
	id, pause := rand.Text(), r.pauses.first
	r.found = false
	var heard uint64  // where the register is said to end
	var doubt error   // what ended a try without an answer
	var tried uint64  // where that was
	var trouble error // what keeps it from going on
	for {
		if trouble = r.catchUp(ctx, heard, id); trouble == nil {
			if r.found {
				return nil
			}
			m, err := propose(r.state.clone())
			if err != nil && doubt != nil && r.state.Seq == tried {
				return errors.Join(err, fmt.Errorf("%w: %w", ErrUnknown, doubt))
			}
			if err != nil || m == nil {
				return err
			}
			m.Header.Set(headerProposal, id)
			expected := r.state.Seq
			err = r.journal.put(ctx, expected, m)
			if err == nil {
				return r.took(expected+1, m)
			}
			trouble = err
			if refused, ok := errors.AsType[*refusedError](err); ok {
				if refused.last > max(heard, expected) {
					heard = refused.last
					continue // something new to read
				}
			} else {
				doubt, tried = err, expected
			}
		} else if permanent(trouble) {
			return trouble
		}
		if err := rest(ctx, pause); err != nil {
			if doubt != nil && r.state.Seq == tried {
				return fmt.Errorf("%w: %w", ErrUnknown, errors.Join(err, doubt))
			}
			return errors.Join(err, trouble)
		}
		pause = min(2*pause, r.pauses.most)
	}
}

// took applies the record that was accepted just now.
func (r *Register) took(seq uint64, m *message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.apply(seq, m)
}

// catchUp reads to the end of the register, and to the sequence heard of if that
// comes within a while. It notes whether it meets the proposal with an id.
func (r *Register) catchUp(ctx context.Context, heard uint64, id string) error {
	until, cancel := context.WithTimeout(ctx, r.pauses.patience)
	defer cancel()
	for {
		last, err := r.journal.last(ctx)
		if err != nil {
			return err
		}
		for r.state.Seq < last {
			if err := r.next(ctx, id); err != nil {
				return err
			}
		}
		if r.state.Seq >= heard || rest(until, r.pauses.first) != nil {
			return ctx.Err()
		}
	}
}

// next reads the next record, which is there, from whoever has it.
func (r *Register) next(ctx context.Context, id string) error {
	seq, pause := r.state.Seq+1, r.pauses.first
	for {
		m, err := r.journal.get(ctx, seq)
		if err == nil {
			r.found = r.found || m.proposal() == id
			return r.took(seq, m)
		}
		if permanent(err) {
			return err
		}
		if ended := rest(ctx, pause); ended != nil {
			return errors.Join(ended, err)
		}
		pause = min(2*pause, r.pauses.most)
	}
}

func permanent(err error) bool {
	return errors.Is(err, ErrFormat) || errors.Is(err, ErrLost) || errors.Is(err, ErrNone)
}

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
