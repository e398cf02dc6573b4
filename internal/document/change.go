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

// A Stored is what a snapshot needs to know of a stored entry.
type Stored struct {
	SeqEnd int32
	Assets int64
	Bytes  []byte // the entry as it is chained
}

// Snapshot makes c.Text the base. entries are all stored ones, oldest first;
// how many of them, from the front, are to be deleted is the result: those whose
// redo and undo are both dropped. Redos go when they end c.History or more
// below c.Seq; undos are kept by count, the newest c.History of them.
func (s *State) Snapshot(c *record.Change, p position.Position, entries []Stored) (dropped int) {
	s.Base = Base{Present: true, Seq: c.Seq, Assets: c.AssetBytes, Position: p, Digest: digest.Of([]byte(c.Text))}
	s.Assets = c.AssetBytes
	for i := range entries {
		e := &entries[i]
		if s.Redos.Holds(e.SeqEnd) && int64(e.SeqEnd)+int64(c.History) <= int64(c.Seq) {
			s.Redos.drop(e.SeqEnd)
		}
		if s.Undos.Holds(e.SeqEnd) && s.Undos.Count > int(c.History) {
			s.Undos.drop(e.SeqEnd)
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
