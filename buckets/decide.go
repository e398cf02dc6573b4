package buckets

import "trireme/internal/record"

// A Verdict says what would become of a change.
type Verdict struct {
	// Done: it has taken effect already, under its request id. It must not be
	// appended again; the answer is success.
	Done bool
	// NoEffect: it changes nothing and has no request id to remember. It need
	// not be appended; the answer is success.
	NoEffect bool
}

// Decide tells what applying the change now would do. A refusal is a
// [contract.Error]; other errors are the database's.
func (s *Store) Decide(c *record.Change) (Verdict, error) {
	p := placeOf(c.Key)
	done, err := s.checkID(&p, c)
	if err != nil || done {
		return Verdict{Done: done}, s.told(c.Key, err)
	}
	h, err := s.head(&p)
	if err != nil {
		return Verdict{}, s.told(c.Key, err)
	}
	state := &h.state
	if err := state.Refuse(c); err != nil {
		return Verdict{}, err
	}
	return Verdict{NoEffect: c.ID == "" && state.NoEffect(c)}, nil
}
