package register

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Register is this host's view of the cluster's register. All its methods may be
// called concurrently; they go one at a time.
type Register struct {
	journal journal
	by      string
	pauses  pauses

	turn  chan struct{} // filled by whoever reads or writes the register
	found bool          // a proposal was met; guarded by turn
	state State         // guarded by turn, and written with mu besides
	mu    sync.Mutex
}

func newRegister(j journal, by string) *Register {
	return &Register{journal: j, by: by, turn: make(chan struct{}, 1), pauses: pauses{20 * time.Millisecond, time.Second, 2 * time.Second}}
}

// Known is what this host has read so far. It asks nobody.
func (r *Register) Known() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.clone()
}

// State reads to the end of the register. A leader that was cut off may hide the
// newest for up to 20 s; what is told was agreed on nevertheless, and a proposal
// finds out. Along with an error it returns what was read before.
func (r *Register) State(ctx context.Context) (State, error) {
	err := r.alone(ctx, func() error { return r.catchUp(ctx, 0, "none") })
	if err != nil {
		err = fmt.Errorf("read the register: %w", err)
	}
	return r.Known(), err
}

// Propose has the register accept a layout: a text, with its version and a digest.
// decide is asked whether it may follow what is in force then, again for each state
// that another proposal has brought about meanwhile; its error ends the proposal.
//
// It returns nil when the layout is in force, also because somebody else has
// proposed the very same, which decide is not asked about; decide's error;
// [ErrOlder] or [ErrConflict] when decide has let through what cannot be; and
// [ErrUnknown], or another error with that of ctx, when ctx ends. It tries until
// then. The state is the newest that was read, with an error too.
func (r *Register) Propose(ctx context.Context, version uint64, digest string, text []byte, decide func(current State) error) (State, error) {
	if err := checkLayout(version, digest, text); err != nil {
		return r.Known(), fmt.Errorf("propose layout %d: %w", version, err)
	}
	m := layoutMessage(version, digest, text, r.by, time.Now())
	err := r.alone(ctx, func() error {
		return r.agree(ctx, func(current State) (*message, error) {
			if done, _ := current.wants(version, digest, text); done {
				return nil, nil
			}
			if err := decide(current); err != nil {
				return nil, err
			}
			_, err := current.wants(version, digest, text)
			return m, err
		})
	})
	if err != nil {
		err = fmt.Errorf("propose layout %d: %w", version, err)
	}
	return r.Known(), err
}

// Bear notes that a stripe's log was made, unless that is known. It returns
// [ErrConflict] when the stripe was born with another number, and what Propose
// returns when ctx ends. Whoever makes a log calls it after making the stream and
// before writing to it: then a log that holds something is a log that is known.
func (r *Register) Bear(ctx context.Context, stripe string, birth uint32, host string) (State, error) {
	err := r.bear(ctx, stripe, birth, host)
	if err != nil {
		err = fmt.Errorf("note the birth of stripe %s: %w", stripe, err)
	}
	return r.Known(), err
}

func (r *Register) bear(ctx context.Context, stripe string, birth uint32, host string) error {
	if err := checkStripe(stripe); err != nil {
		return err
	}
	if birth == 0 {
		return errors.New("birth is 0: births count from 1")
	}
	m, err := bornMessage(stripe, birth, host, r.by, time.Now())
	if err != nil {
		return err
	}
	known := func(s *State) (bool, error) {
		b, born := s.Born[stripe]
		if born && b.Birth != birth {
			return true, fmt.Errorf("%w: birth is %d, and host %s has told of birth %d: a stripe's birth never changes, give the new one another name", ErrConflict, birth, b.Host, b.Birth)
		}
		return born, nil
	}
	if s := r.Known(); len(s.Born) > 0 { // it stays true: nobody has to be asked
		if born, err := known(&s); born {
			return err
		}
	}
	return r.alone(ctx, func() error {
		return r.agree(ctx, func(current State) (*message, error) {
			if born, err := known(&current); born {
				return nil, err
			}
			return m, nil
		})
	})
}

// alone does something while nobody else uses the register.
func (r *Register) alone(ctx context.Context, do func() error) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
		return do()
	case <-ctx.Done():
		return ctx.Err()
	}
}
