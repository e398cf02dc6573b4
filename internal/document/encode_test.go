package document

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/digest"
	"trireme/internal/position"
)

func drawPosition(t *rapid.T, name string) position.Position {
	return position.Position{Birth: rapid.Uint32().Draw(t, name), Seq: rapid.Uint64().Draw(t, name)}
}

func drawDigest(t *rapid.T, name string) (d digest.Digest) {
	copy(d[:], rapid.SliceOfN(rapid.Byte(), len(d), len(d)).Draw(t, name))
	return d
}

func drawWindow(t *rapid.T, name string) Window {
	return Window{
		Count: rapid.IntRange(0, math.MaxInt32).Draw(t, name),
		Cut:   rapid.Bool().Draw(t, name),
		Floor: rapid.Int32().Draw(t, name),
	}
}

func drawState(t *rapid.T) State {
	s := State{
		Live: rapid.Bool().Draw(t, "live"), Marked: rapid.Bool().Draw(t, "marked"), Damaged: rapid.Bool().Draw(t, "damaged"),
		Position: drawPosition(t, "position"), Incarnation: drawPosition(t, "incarnation"),
		Head: rapid.Int32().Draw(t, "head"), Assets: rapid.Int64().Draw(t, "assets"),
		Redos: drawWindow(t, "redos"), Undos: drawWindow(t, "undos"),
		ChainStart: drawDigest(t, "start"), ChainEnd: drawDigest(t, "end"),
		IDs: IDs{
			Count: rapid.IntRange(0, math.MaxInt32).Draw(t, "ids"), Kept: rapid.IntRange(0, math.MaxInt32).Draw(t, "kept"),
			Sum: drawDigest(t, "sum"),
		},
	}
	if rapid.Bool().Draw(t, "base") {
		s.Base = Base{
			Present: true, Seq: rapid.Int32().Draw(t, "base seq"), Assets: rapid.Int64().Draw(t, "base assets"),
			Position: drawPosition(t, "base position"), Digest: drawDigest(t, "base digest"),
		}
	}
	if rapid.Bool().Draw(t, "recovered") {
		s.Recovered, s.RecoverSeq = true, rapid.Int32().Draw(t, "recover seq")
		s.RecoverWriter = rapid.StringN(0, 300, 1000).Draw(t, "writer")
	}
	return s
}

func TestStateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawState(t)
		b := s.AppendBinary(nil)
		got, err := Decode(b)
		if err != nil || got != s {
			t.Fatalf("decoded %+v, %v", got, err)
		}
		if cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut"); decodes(b[:cut]) {
			t.Fatalf("the first %d of %d bytes decode", cut, len(b))
		}
		if decodes(append(b, 0)) {
			t.Fatal("a byte too many decodes")
		}
	})
}

func decodes(b []byte) bool {
	_, err := Decode(b)
	return err == nil
}

func FuzzDecode(f *testing.F) {
	s, _ := built([][2]int32{{0, 1}, {2, 9}})
	f.Add(s.AppendBinary(nil))
	s.Base = Base{Present: true, Seq: -1, Assets: math.MinInt64}
	s.Recovered, s.RecoverWriter = true, "writer"
	f.Add(s.AppendBinary(nil))
	// A count beyond every int, and one in more bytes than it needs.
	head := (&State{}).AppendBinary(nil)[:2+2*position.Size+2+2*32]
	f.Add(append(bytes.Clone(head), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1))
	f.Add(append(bytes.Clone(head), 0x80, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			return
		}
		if got := s.AppendBinary(nil); !bytes.Equal(got, b) {
			t.Fatalf("%x decodes and encodes as %x", b, got)
		}
	})
}
