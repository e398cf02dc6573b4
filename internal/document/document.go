// Package document decides what a change does to a document.
//
// It is the contract of Adama's DataService as a pure function: [State] is what
// a replica keeps of a document beside its texts, [State.Refuse] says why a
// change may not happen, and the methods named after the verbs do it. Owner and
// followers use the same code, so what the owner has decided is what every
// replica does.
package document

import (
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
	"trireme/internal/record"
)

// State is what a replica keeps of a document beside its texts. The zero value
// is a document that never existed. A deleted document keeps its state as a
// tombstone: Live is false and Position is not zero.
type State struct {
	Live   bool
	Marked bool // being deleted: answers contract.BeingDeleted

	// Damaged: a snapshot could not read all stored updates of this copy, so the
	// counts and sums below may be wrong. The next snapshot that can read them
	// all sets them right.
	Damaged bool

	Position    position.Position // of the last change that touched the document
	Incarnation position.Position // of the initialize or recover it descends from
	Head        int32             // the seq_end of the last update

	Base   Base   // the snapshot below the retained updates, if there is one
	Redos  Window // the retained redos
	Undos  Window // the retained undos
	Assets int64  // asset bytes of the base and of the redos on top

	RecoverSeq    int32  // when Recovered: the seq of the recover
	RecoverWriter string // and who asked for it
	Recovered     bool   // the incarnation began with a recover

	// ChainStart and ChainEnd are the document's digest chain before the first
	// and after the last stored entry.
	ChainStart, ChainEnd digest.Digest

	IDs IDs
}

// Base is a snapshot, or the document of a recover.
type Base struct {
	Present  bool
	Seq      int32
	Assets   int64
	Position position.Position // of the change that put it
	Digest   digest.Digest     // of its text
}

// A Window says how much of a document's updates is retained: the newest Count,
// all of them with a seq_end above Floor.
type Window struct {
	Count int
	Cut   bool  // something was dropped in this incarnation
	Floor int32 // the highest seq_end ever dropped, when Cut
}

// Holds reports whether an update that ends at seqEnd is inside.
func (w Window) Holds(seqEnd int32) bool { return !w.Cut || seqEnd > w.Floor }

// Tombstone reports whether the state is kept only to remember a deletion or
// request ids.
func (s *State) Tombstone() bool { return !s.Live && !s.Position.IsZero() }

// Readable tells why the document may not be read or changed, if so: it does
// not exist, or it is being deleted. It does not look at Damaged.
func (s *State) Readable(k contract.Key) error {
	switch {
	case !s.Live:
		return contract.Errorf(contract.NotFound, "there is no document %q in space %q", k.Key, k.Space)
	case s.Marked:
		return contract.Errorf(contract.BeingDeleted, "document %q in space %q is marked for deletion", k.Key, k.Space)
	}
	return nil
}

// Refuse tells why the change may not happen on a document in this state, or
// nil. The error is a [contract.Error]. It does not look at request ids.
func (s *State) Refuse(c *record.Change) error {
	switch c.Verb {
	case record.Init:
		return s.refuseInit(c)
	case record.Patch:
		return s.refusePatch(c)
	case record.Snapshot:
		return s.refuseSnapshot(c)
	case record.Recover:
		return s.Readable(c.Key)
	case record.Delete:
		return nil
	}
	return contract.Errorf(contract.Malformed, "verb %v is unknown", c.Verb)
}

func (s *State) refuseInit(c *record.Change) error {
	switch {
	case len(c.Updates) != 1:
		return contract.Errorf(contract.Malformed, "initialize takes one update, not %d", len(c.Updates))
	case s.Live && s.Marked:
		return s.Readable(c.Key)
	case s.Live:
		return contract.Errorf(contract.Exists, "document %q in space %q exists, its head is %d", c.Key.Key, c.Key.Space, s.Head)
	}
	return nil
}

func (s *State) refusePatch(c *record.Change) error {
	if err := contract.CheckRanges(c.Updates); err != nil {
		return err
	}
	if err := s.Readable(c.Key); err != nil {
		return err
	}
	if begin := c.Updates[0].SeqBegin; int64(begin) != int64(s.Head)+1 {
		return contract.Errorf(contract.HeadDiffers, "the patch begins at %d, the head is %d", begin, s.Head)
	}
	if s.otherIncarnation(c) {
		return contract.Errorf(contract.HeadDiffers, "the patch is for incarnation %v, the document's is %v", c.Incarnation, s.Incarnation)
	}
	return nil
}

func (s *State) refuseSnapshot(c *record.Change) error {
	if c.History <= 0 {
		return contract.Errorf(contract.NoHistory, "history is %d: a snapshot keeps at least 1", c.History)
	}
	if err := s.Readable(c.Key); err != nil {
		return err
	}
	switch {
	case c.Seq > s.Head:
		return contract.Errorf(contract.SnapshotSeq, "the snapshot is at seq %d, the head is %d", c.Seq, s.Head)
	case s.otherIncarnation(c):
		return contract.Errorf(contract.SnapshotSeq, "the snapshot is of incarnation %v, the document's is %v", c.Incarnation, s.Incarnation)
	case s.Redos.Cut && c.Seq < s.Redos.Floor:
		return contract.Errorf(contract.SnapshotSeq, "the snapshot is at seq %d, but changes up to %d are no longer retained", c.Seq, s.Redos.Floor)
	}
	return nil
}

func (s *State) otherIncarnation(c *record.Change) bool {
	return !c.Incarnation.IsZero() && c.Incarnation != s.Incarnation
}

// NoEffect reports whether the change, which is not refused, changes nothing
// but the request ids: deleting what is not there, marking what is marked.
func (s *State) NoEffect(c *record.Change) bool {
	if c.Verb != record.Delete {
		return false
	}
	switch c.Phase {
	case contract.PhaseMark:
		return !s.Live || s.Marked
	case contract.PhaseAbort:
		return !s.Live || !s.Marked
	}
	return !s.Live
}
