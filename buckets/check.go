package buckets

import (
	"fmt"

	"trireme/internal/digest"
	"trireme/internal/document"
)

// A docCheck compares the rows of one document with what its state says of them.
// The store and what peers send are judged by the same one. Begin with the state,
// give it the rows of each table in their order, and end.
type docCheck struct {
	state document.State
	fault error // the first; what comes after it is not looked at

	chain        digest.Digest
	redos, undos int
	ids          document.IDs
	base         bool // there is one
	scratch      []byte
}

// begin starts with the content of a state row, or with why there is none.
func (c *docCheck) begin(content []byte, damaged error) {
	*c = docCheck{fault: damaged, scratch: c.scratch}
	if damaged != nil {
		return
	}
	var err error
	if c.state, err = document.Decode(content); err != nil {
		c.fault = fmt.Errorf("%w: %w", ErrDamaged, err)
		return
	}
	c.chain = c.state.ChainStart
	switch s := &c.state; {
	case s.Damaged:
		c.fault = fmt.Errorf("a snapshot met damaged updates: %w", ErrDamaged)
	case s.Position.IsZero() || s.Marked && !s.Live:
		c.fault = fmt.Errorf("position %v, live %v, marked %v do not go together: %w", s.Position, s.Live, s.Marked, ErrDamaged)
	}
}

// row takes a row of one of the document's tables; suffix is what its key has
// behind the names.
func (c *docCheck) row(table byte, suffix, content []byte, damaged error) {
	if c.fault == nil {
		c.fault = damaged
	}
	if c.fault != nil {
		return
	}
	switch table {
	case tableEntry:
		c.fault = c.entry(suffix, content)
	case tableID:
		c.fault = c.id(suffix, content)
	case tableBase:
		c.fault = c.text(suffix, content)
	}
}

func (c *docCheck) entry(suffix, content []byte) error {
	if len(suffix) != seqSize {
		return fmt.Errorf("update under a key of %d bytes: %w", len(suffix), ErrDamaged)
	}
	c.scratch = append(append(c.scratch[:0], c.chain[:]...), content...)
	c.chain = digest.Of(c.scratch) // document.Chain, without its copy
	seq := parseSeq(suffix)
	if c.state.Redos.Holds(seq) {
		c.redos++
	}
	if c.state.Undos.Holds(seq) {
		c.undos++
	}
	return nil
}

func (c *docCheck) id(suffix, content []byte) error {
	row, err := parseIDRow(content)
	if err != nil {
		return err
	}
	c.ids.Count++
	c.ids.Sum = c.ids.Sum.Add(row.digest(string(suffix)))
	return nil
}

func (c *docCheck) text(suffix, content []byte) error {
	if c.base = true; len(suffix) > 0 || !c.state.Base.Present || digest.Of(content) != c.state.Base.Digest {
		return fmt.Errorf("base: digest: %w", ErrDamaged)
	}
	return nil
}

// end returns the first fault, if there is one.
func (c *docCheck) end() error {
	s := &c.state
	switch {
	case c.fault != nil:
	case c.chain != s.ChainEnd:
		c.fault = fmt.Errorf("chain of updates ends in %v, kept is %v: %w", c.chain, s.ChainEnd, ErrDamaged)
	case c.redos != s.Redos.Count || c.undos != s.Undos.Count:
		c.fault = fmt.Errorf("%d redos and %d undos are stored, kept are %d and %d: %w", c.redos, c.undos, s.Redos.Count, s.Undos.Count, ErrDamaged)
	case c.base != s.Base.Present:
		c.fault = fmt.Errorf("base: is there: %v, should be: %v: %w", c.base, s.Base.Present, ErrDamaged)
	case c.ids.Count != s.IDs.Count || c.ids.Sum != s.IDs.Sum:
		c.fault = fmt.Errorf("%d request ids are stored, kept are %d, or they differ: %w", c.ids.Count, s.IDs.Count, ErrDamaged)
	}
	return c.fault
}
