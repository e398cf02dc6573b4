package record

import (
	"errors"
	"fmt"
	"math"

	"trireme/internal/contract"
	"trireme/internal/position"
)

// A Verb says what a change does to its document.
type Verb uint8

// The verbs.
const (
	Init     Verb = iota + 1 // create
	Patch                    // append updates
	Snapshot                 // replace what lies below a seq with one text
	Recover                  // replace document and history
	Delete                   // mark, commit, abort, or remove at once
)

var verbs = [...]string{Init: "INIT", Patch: "PATCH", Snapshot: "SNAPSHOT", Recover: "RECOVER", Delete: "DELETE"}

// String is the verb as it stands in the log.
func (v Verb) String() string {
	if v < Init || v > Delete {
		return fmt.Sprintf("Verb(%d)", uint8(v))
	}
	return verbs[v]
}

// PhaseRemove is the phase of a delete that marks and commits in one. On the
// wire it is "no phase".
const PhaseRemove = "remove"

// A Change is what one request does to one document. Which fields count
// depends on the verb.
type Change struct {
	Verb   Verb
	Key    contract.Key
	ID     string // request id, "" for none
	Writer string // the Adama node instance, "" for none

	// Incarnation, of Patch and Snapshot: the one the caller means; zero for any.
	Incarnation position.Position

	Updates []contract.Update // of Init (one) and Patch

	Seq        int32         // of Snapshot and Recover
	History    int32         // of Snapshot
	AssetBytes int64         // of Snapshot
	Text       string        // of Snapshot and Recover: the document
	Who        *contract.Who // of Recover

	Phase string // of Delete: mark, commit, abort or remove
}

const (
	crlf     = "\r\n"
	minFrame = len("DELETE s k - - mark\r\n") // no change takes fewer bytes
)

// Fingerprint appends the part of the change that a request id stands for:
// all of it but id and writer.
func (c *Change) Fingerprint(b []byte) []byte {
	bare := *c
	bare.ID, bare.Writer = "", ""
	return bare.append(b)
}

func (c *Change) append(b []byte) []byte {
	b = append(b, c.Verb.String()...)
	b = appendToken(b, c.Key.Space)
	b = appendToken(b, c.Key.Key)
	b = appendOptional(b, c.ID)
	b = appendOptional(b, c.Writer)
	switch c.Verb {
	case Init, Patch:
		return c.appendUpdates(b)
	case Snapshot:
		b = appendIncarnation(b, c.Incarnation)
		b = appendInt(append(b, ' '), int64(c.Seq))
		b = appendInt(append(b, ' '), int64(c.History))
		b = appendInt(append(b, ' '), c.AssetBytes)
		return appendText(b, c.Text)
	case Recover:
		b = appendInt(append(b, ' '), int64(c.Seq))
		b = appendWho(b, c.Who)
		return appendText(b, c.Text)
	default: // Delete
		b = append(append(b, ' '), c.Phase...)
		return append(b, crlf...)
	}
}

func (c *Change) appendUpdates(b []byte) []byte {
	if c.Verb == Patch {
		b = appendIncarnation(b, c.Incarnation)
	}
	size := 0
	for i := range c.Updates {
		size += UpdateSize(&c.Updates[i])
	}
	b = appendInt(append(b, ' '), int64(len(c.Updates)))
	b = appendInt(append(b, ' '), int64(size))
	b = append(b, crlf...)
	for i := range c.Updates {
		b = AppendUpdate(b, &c.Updates[i])
	}
	return b
}

func (p *parser) change(c *Change) error {
	f := fields{line: p.line()}
	verb := f.word("verb")
	for v := Init; v <= Delete; v++ {
		if verb == verbs[v] {
			c.Verb = v
		}
	}
	if c.Verb == 0 {
		return errors.Join(p.err, fmt.Errorf("verb %.16q is unknown", verb))
	}
	c.Key = contract.Key{Space: f.token("space"), Key: f.token("key")}
	c.ID, c.Writer = f.optional("id"), f.optional("writer")
	switch c.Verb {
	case Init, Patch:
		p.updates(c, &f)
	case Snapshot:
		c.Incarnation = f.incarnation()
		c.Seq, c.History = f.int32("seq"), f.int32("history")
		c.AssetBytes = f.integer("assets")
		c.Text = p.text(&f)
	case Recover:
		c.Seq = f.int32("seq")
		c.Who = f.who()
		c.Text = p.text(&f)
	case Delete:
		c.Phase = f.word("phase")
		switch c.Phase {
		case contract.PhaseMark, contract.PhaseCommit, contract.PhaseAbort, PhaseRemove:
		default:
			f.fail("phase %.16q is unknown", c.Phase)
		}
	}
	if err := errors.Join(f.end(), p.err); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

func (p *parser) updates(c *Change, f *fields) {
	if c.Verb == Patch {
		c.Incarnation = f.incarnation()
	}
	n, size := f.size("updates", math.MaxInt32), f.size("bytes", math.MaxInt32)
	if n < 1 || n > 1 && c.Verb == Init {
		f.fail("%d updates", n)
	}
	if f.end() != nil || p.err != nil {
		return
	}
	before := p.left()
	if size > before {
		p.fail("%d bytes of updates announced, %d follow", size, before)
		return
	}
	c.Updates = make([]contract.Update, 0, min(n, 1+size/minUpdate))
	for range n {
		c.Updates = append(c.Updates, contract.Update{})
		if p.update(&c.Updates[len(c.Updates)-1]); p.err != nil {
			return
		}
	}
	if got := before - p.left(); got != size {
		p.fail("%d bytes of updates announced, they take %d", size, got)
	}
}

// text reads the size that ends a line and the text that follows it.
func (p *parser) text(f *fields) string {
	size := f.size("bytes", math.MaxInt32)
	if f.end() != nil {
		return ""
	}
	return p.take(size)
}
