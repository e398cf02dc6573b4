package document

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

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
	flagDamaged
	flagsEnd
)

var errState = errors.New("document state is not readable")

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
		b = binary.AppendUvarint(b, uint64(len(s.RecoverWriter)))
		b = append(b, s.RecoverWriter...)
	}
	b = binary.AppendUvarint(b, uint64(s.IDs.Count))
	b = binary.AppendUvarint(b, uint64(s.IDs.Kept))
	return append(b, s.IDs.Sum[:]...)
}

func (s *State) flags() byte {
	return flag(s.Live, flagLive) | flag(s.Marked, flagMarked) | flag(s.Base.Present, flagBase) |
		flag(s.Redos.Cut, flagRedosCut) | flag(s.Undos.Cut, flagUndosCut) | flag(s.Recovered, flagRecovered) |
		flag(s.Damaged, flagDamaged)
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

// Decode reads what [State.AppendBinary] wrote and nothing else.
func Decode(b []byte) (State, error) {
	if len(b) < 2 || b[0] != stateVersion {
		return State{}, fmt.Errorf("want version %d: %w", stateVersion, errState)
	}
	f := b[1]
	r := reader{b: b[2:], bad: f >= flagsEnd}
	s := State{
		Live: f&flagLive != 0, Marked: f&flagMarked != 0, Damaged: f&flagDamaged != 0,
		Recovered: f&flagRecovered != 0,
	}
	s.Position, s.Incarnation = r.position(), r.position()
	s.Head, s.Assets = r.int32(), r.varint()
	s.ChainStart, s.ChainEnd = r.digest(), r.digest()
	s.Redos, s.Undos = r.window(f&flagRedosCut != 0), r.window(f&flagUndosCut != 0)
	if f&flagBase != 0 {
		s.Base = Base{Present: true, Seq: r.int32(), Assets: r.varint(), Position: r.position(), Digest: r.digest()}
	}
	if s.Recovered {
		s.RecoverSeq = r.int32()
		s.RecoverWriter = string(r.take(r.count()))
	}
	s.IDs = IDs{Count: r.count(), Kept: r.count(), Sum: r.digest()}
	if r.bad || len(r.b) != 0 {
		return State{}, fmt.Errorf("%d bytes: %w", len(b), errState)
	}
	return s, nil
}

// A reader takes values off the front of b. Once something was not as it is
// written, it is bad and has nothing more.
type reader struct {
	b   []byte
	bad bool
}

// take returns n bytes; fewer are left means nil.
func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail()
		return nil
	}
	t := r.b[:n]
	r.b = r.b[n:]
	return t
}

func (r *reader) fail() { r.bad, r.b = true, nil }

func (r *reader) position() position.Position {
	b := r.take(position.Size)
	if b == nil {
		return position.Position{}
	}
	return position.FromBinary(b)
}

func (r *reader) digest() (d digest.Digest) {
	copy(d[:], r.take(len(d)))
	return d
}

func (r *reader) window(cut bool) Window {
	return Window{Cut: cut, Count: r.count(), Floor: r.int32()}
}

func (r *reader) int32() int32 {
	v := r.varint()
	if int64(int32(v)) != v {
		r.fail()
	}
	return int32(v)
}

// count reads a number of things that are stored: it fits 32 bits.
func (r *reader) count() int {
	v, n := binary.Uvarint(r.b)
	r.number(n)
	if v > math.MaxInt32 {
		r.fail()
		return 0
	}
	return int(v)
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	r.number(n)
	return v
}

// number takes the n bytes of a number, which is written as short as it can be.
func (r *reader) number(n int) {
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail()
		return
	}
	r.b = r.b[n:]
}
