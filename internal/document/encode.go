package document

import (
	"encoding/binary"
	"errors"
	"fmt"

	"trireme/internal/digest"
	"trireme/internal/position"
)

// stateVersion begins every encoded state.
const stateVersion = 1

const (
	flagLive = 1 << iota
	flagMarked
	flagBase
	flagRedosCut
	flagUndosCut
	flagRecovered
)

var errState = errors.New("document state is cut short or too long")

// AppendBinary appends the state as it is stored and digested: equal states
// have equal bytes. docs/formats.md describes them.
func (s *State) AppendBinary(b []byte) []byte {
	b = append(b, stateVersion, s.flags())
	b = s.Position.AppendBinary(b)
	b = s.Incarnation.AppendBinary(b)
	b = binary.AppendVarint(b, int64(s.Head))
	b = binary.AppendVarint(b, s.Assets)
	b = append(b, s.ChainStart[:]...)
	b = append(b, s.ChainEnd[:]...)
	b = s.Redos.append(b)
	b = s.Undos.append(b)
	if s.Base.Present {
		b = binary.AppendVarint(b, int64(s.Base.Seq))
		b = binary.AppendVarint(b, s.Base.Assets)
		b = s.Base.Position.AppendBinary(b)
		b = append(b, s.Base.Digest[:]...)
	}
	if s.Recovered {
		b = binary.AppendVarint(b, int64(s.RecoverSeq))
		b = append(b, byte(len(s.RecoverWriter)))
		b = append(b, s.RecoverWriter...)
	}
	b = binary.AppendUvarint(b, uint64(s.IDs.Count))
	b = s.IDs.Oldest.AppendBinary(b)
	b = binary.AppendVarint(b, s.IDs.OldestTime)
	return append(b, s.IDs.Sum[:]...)
}

func (s *State) flags() byte {
	return flag(s.Live, flagLive) | flag(s.Marked, flagMarked) | flag(s.Base.Present, flagBase) |
		flag(s.Redos.Cut, flagRedosCut) | flag(s.Undos.Cut, flagUndosCut) | flag(s.Recovered, flagRecovered)
}

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

func (w *Window) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(w.Count))
	return binary.AppendVarint(b, int64(w.Floor))
}

// Decode reads what [State.AppendBinary] wrote.
func Decode(b []byte) (State, error) {
	if len(b) < 2 || b[0] != stateVersion {
		return State{}, fmt.Errorf("document state: want version %d: %w", stateVersion, errState)
	}
	f := b[1]
	r := reader{b: b[2:]}
	s := State{Live: f&flagLive != 0, Marked: f&flagMarked != 0, Recovered: f&flagRecovered != 0}
	s.Position, s.Incarnation = r.position(), r.position()
	s.Head, s.Assets = int32(r.varint()), r.varint()
	s.ChainStart, s.ChainEnd = r.digest(), r.digest()
	s.Redos, s.Undos = r.window(f&flagRedosCut != 0), r.window(f&flagUndosCut != 0)
	if f&flagBase != 0 {
		s.Base = Base{Present: true, Seq: int32(r.varint()), Assets: r.varint(), Position: r.position(), Digest: r.digest()}
	}
	if s.Recovered {
		s.RecoverSeq = int32(r.varint())
		s.RecoverWriter = string(r.take(int(r.byte())))
	}
	s.IDs = IDs{Count: int(r.uvarint()), Oldest: r.position(), OldestTime: r.varint(), Sum: r.digest()}
	if r.bad || len(r.b) != 0 {
		return State{}, errState
	}
	return s, nil
}

// A reader takes values off the front of b; bad stays once b was too short.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return make([]byte, n)
	}
	t := r.b[:n]
	r.b = r.b[n:]
	return t
}

func (r *reader) byte() byte                  { return r.take(1)[0] }
func (r *reader) position() position.Position { return position.FromBinary(r.take(position.Size)) }
func (r *reader) digest() digest.Digest       { return digest.Digest(r.take(len(digest.Digest{}))) }

func (r *reader) window(cut bool) Window {
	return Window{Cut: cut, Count: int(r.uvarint()), Floor: int32(r.varint())}
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	return advance(r, v, n)
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	return advance(r, v, n)
}

func advance[T int64 | uint64](r *reader, v T, n int) T {
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}
