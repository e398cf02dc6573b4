package document

import (
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
	"trireme/internal/record"
)

// Touch notes that a change at position p has touched the document.
func (s *State) Touch(p position.Position) { s.Position = p }

// Initialize begins a new incarnation at p. Append follows with the update.
func (s *State) Initialize(p position.Position) {
	*s = State{Live: true, Position: p, Incarnation: p, IDs: s.IDs}
}

// Append appends an update whose stored entry is the given bytes.
func (s *State) Append(u *contract.Update, entry []byte) {
	s.Head = u.SeqEnd
	s.Assets += u.AssetBytes
	s.Redos.Count++
	s.Undos.Count++
	s.ChainEnd = Chain(s.ChainEnd, entry)
}

// Chain is a document's digest chain after an entry: the digest of the chain
// before it followed by the entry's bytes.
func Chain(before digest.Digest, entry []byte) digest.Digest {
	return digest.Of(append(append(make([]byte, 0, len(before)+len(entry)), before[:]...), entry...))
}

// Recover replaces the document by c.Text in a new incarnation at p.
func (s *State) Recover(c *record.Change, p position.Position) {
	cut := Window{Cut: true, Floor: c.Seq}
	*s = State{
		Live: true, Position: p, Incarnation: p, Head: c.Seq,
		Base:      Base{Present: true, Seq: c.Seq, Position: p, Digest: digest.Of([]byte(c.Text))},
		Redos:     cut,
		Undos:     cut,
		Recovered: true, RecoverSeq: c.Seq, RecoverWriter: c.Writer,
		IDs: s.IDs,
	}
}

// Remove turns the document into a tombstone.
func (s *State) Remove(p position.Position) { *s = State{Position: p, IDs: s.IDs} }

// A Stored is what a snapshot needs to know of a stored update.
type Stored struct {
	SeqBegin, SeqEnd int32
	Position         position.Position // of the change that brought it
	Assets           int64
	Bytes            []byte // as it is chained
	Unread           bool   // only SeqEnd is known: the row is damaged
}

// Snapshot makes c.Text the base. stored are all stored updates, oldest first;
// how many of them, from the front, are to be deleted is the result: those whose
// redo and undo are both dropped. Redos go when they end c.History or more
// below c.Seq; undos are kept by count, the newest c.History of them.
//
// A copy with damaged or missing updates follows as well as it can. Its chain
// differs from then on, so that a comparison finds it.
func (s *State) Snapshot(c *record.Change, p position.Position, stored []Stored) (dropped int) {
	s.Damaged = !s.complete(stored, c.Seq)
	s.Base = Base{Present: true, Seq: c.Seq, Assets: c.AssetBytes, Position: p, Digest: digest.Of([]byte(c.Text))}
	s.Assets = c.AssetBytes
	undos := s.Undos.Count
	s.Redos.Count, s.Undos.Count = 0, 0
	for i := range stored {
		e := &stored[i]
		s.Redos.pass(e.SeqEnd, int64(e.SeqEnd)+int64(c.History) <= int64(c.Seq))
		if s.Undos.Holds(e.SeqEnd) {
			s.Undos.pass(e.SeqEnd, undos > int(c.History))
			undos--
		}
		if e.SeqEnd > c.Seq {
			s.Assets += e.Assets
		}
		if dropped == i && !s.Redos.Holds(e.SeqEnd) && !s.Undos.Holds(e.SeqEnd) {
			s.ChainStart = Chain(s.ChainStart, e.Bytes)
			dropped++
		}
	}
	return dropped
}

// pass drops or counts an update that the window holds. Updates pass oldest
// first.
func (w *Window) pass(seqEnd int32, drop bool) {
	switch {
	case !w.Holds(seqEnd):
	case drop:
		w.Cut, w.Floor = true, seqEnd
	default:
		w.Count++
	}
}

// complete reports whether stored are all the updates that the windows hold,
// and whether those that end after seq, whose assets count, could be read.
func (s *State) complete(stored []Stored, seq int32) bool {
	next, known := int64(min(s.Redos.Floor, s.Undos.Floor))+1, s.Redos.Cut && s.Undos.Cut
	for i := range stored {
		e := &stored[i]
		first := i == 0 && e.Position == s.Incarnation
		switch {
		case e.Unread && e.SeqEnd > seq:
			return false
		case !e.Unread && !first && (!known || int64(e.SeqBegin) != next):
			return false
		}
		next, known = int64(e.SeqEnd)+1, true
	}
	return known && next == int64(s.Head)+1
}
