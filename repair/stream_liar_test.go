package repair

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
)

// A script is a stream that a test makes up: what h1 would send for some documents of
// s2, to be spoilt.
type script struct {
	head  headTell
	items []byte // with their heads
	end   endTell
	chunk int
}

// truth is the stream of the documents as they are in the source.
func truth(t testing.TB, source *servedStore, wants []Want) script {
	t.Helper()
	l, sum := source.Layout()
	r, _, _ := source.Stripe("s2")
	m, err := r.Moment()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := script{chunk: 10_000, head: headTell{
		telling:  telling{Version: protocolVersion, Host: "h1", Layout: l.Version, LayoutDigest: sum},
		sideTold: tellMoment("s2", m), Documents: len(wants), Window: minWindow,
	}}
	for _, w := range wants {
		s.image(t, m, w.Key)
	}
	return s
}

func (s *script) image(t testing.TB, m *buckets.Moment, k contract.Key) {
	t.Helper()
	im, err := m.Image(k)
	if err != nil {
		t.Fatal(err)
	}
	s.item(itemImage, im.AppendBinary(nil))
}

func (s *script) item(kind itemKind, content []byte) {
	s.items = append(appendItemHead(s.items, kind, len(content)), content...)
	s.end.Items++
}

// frames are the messages, for a pull of that name.
func (s script) frames(t testing.TB, pull string) (frames [][]byte) {
	t.Helper()
	add := func(kind frameKind, body []byte) {
		b := append(make([]byte, frameSize), body...)
		putFrame(b, kind, uint32(len(frames)))
		frames = append(frames, b)
	}
	if s.head.Pull == "" {
		s.head.Pull = pull
	}
	s.end.Data += uint64(len(s.items))
	add(frameHead, marshal(t, s.head))
	for piece := range slices.Chunk(s.items, s.chunk) {
		add(frameData, piece)
	}
	add(frameEnd, marshal(t, s.end))
	return frames
}

// plays has the liar send a stream for each request.
func (l *liar) plays(t *testing.T, frames func(ask documentsAsk) [][]byte) {
	t.Helper()
	l.says(func(m *nats.Msg) (messages []*nats.Msg) {
		var ask documentsAsk
		if err := json.Unmarshal(m.Data, &ask); err != nil {
			t.Errorf("%s: %v", m.Data, err)
		}
		for _, f := range frames(ask) {
			messages = append(messages, &nats.Msg{Data: f})
		}
		return messages
	})
}

// onlyTrue pulls, and wants that whatever is handed on is what the source has.
func (l *liar) onlyTrue(t *testing.T, wants, trueOnes []Want) (came int, err error) {
	t.Helper()
	_, err = l.peer.Documents(t.Context(), "h1", "s2", wants, func(d *Pulled) error {
		came++
		if is := (Want{d.Doc.Key, d.Doc.Position, d.Doc.Digest}); !slices.Contains(trueOnes, is) {
			t.Errorf("handed on was %v", is)
		}
		if _, err := d.Image.Check(); err != nil {
			t.Errorf("handed on was an image with a fault: %v", err)
		}
		return nil
	})
	return came, err
}

func TestStreamsThatAreNotValid(t *testing.T) {
	source, wants := filled(t, 100, 30_000, 5_000, 0)
	w := source.writer(t, "s2")
	liar := newLiar(t, source)
	good := truth(t, source, wants)
	n := len(good.frames(t, "x"))
	if n < 5 {
		t.Fatalf("%d frames are too few to be spoilt", n)
	}
	other := keysIn(*source.layout.Load(), "s2", 6)[5]
	w.batch(t, create(other, 77))
	head := func(do func(h *headTell)) func(*script) {
		return func(s *script) { do(&s.head) }
	}
	end := func(do func(e *endTell)) func(*script) { return func(s *script) { do(&s.end) } }
	again := func(from, to int) func([][]byte) [][]byte {
		return func(f [][]byte) [][]byte { return slices.Insert(f, to, f[from]) }
	}
	for _, c := range []struct {
		name   string
		script func(s *script)
		frames func(f [][]byte) [][]byte
		want   error
	}{
		{"nothing spoilt", nil, nil, nil},
		{"signs of life between", nil, func(f [][]byte) [][]byte {
			empty := make([]byte, frameSize)
			putFrame(empty, frameData, 1)
			f = slices.Insert(f, 1, empty)
			for i, frame := range f[2:] {
				putFrame(frame, frameKind(frame[1]), uint32(i+2))
			}
			return f
		}, nil},

		{"another version", head(func(h *headTell) { h.Version = 2 }), nil, ErrGarbage},
		{"another host", head(func(h *headTell) { h.Host = "h3" }), nil, ErrGarbage},
		{"another layout", head(func(h *headTell) { h.Layout-- }), nil, ErrLayout},
		{"another stripe", head(func(h *headTell) { h.Stripe = "s1" }), nil, ErrGarbage},
		{"another birth", head(func(h *headTell) { h.Applied.Birth = 9 }), nil, ErrLayout},
		{"another number of documents", head(func(h *headTell) { h.Documents++ }), nil, ErrGarbage},
		{"another pull", head(func(h *headTell) { h.Pull = "another" }), nil, ErrGarbage},
		{"a larger window", head(func(h *headTell) { h.Window = 64 << 20 }), nil, ErrGarbage},
		{"no window", head(func(h *headTell) { h.Window = 0 }), nil, ErrGarbage},
		{"no head", nil, func(f [][]byte) [][]byte { return f[1:] }, ErrUnreachable},
		{"two heads", nil, again(0, 1), ErrGarbage},
		{"a head within", nil, func(f [][]byte) [][]byte { putFrame(f[2], frameHead, 2); return f }, ErrGarbage},
		{"a head that is no JSON", nil, func(f [][]byte) [][]byte { f[0] = f[0][:len(f[0])-1]; return f }, ErrGarbage},

		{"a frame lost", nil, func(f [][]byte) [][]byte { return slices.Delete(f, 2, 3) }, ErrUnreachable},
		{"a frame twice", nil, again(2, 3), ErrGarbage},
		{"a frame twice, later", nil, again(1, n-1), ErrGarbage},
		{"two frames in the other order", nil, func(f [][]byte) [][]byte { f[2], f[3] = f[3], f[2]; return f }, ErrUnreachable},
		{"two frames in the other order, and renumbered", nil, func(f [][]byte) [][]byte {
			f[2], f[3] = f[3], f[2]
			putFrame(f[2], frameData, 2)
			putFrame(f[3], frameData, 3)
			return f
		}, ErrGarbage},
		{"a frame cut short", nil, func(f [][]byte) [][]byte { f[2] = f[2][:len(f[2])-1]; return f }, ErrGarbage},
		{"a frame with a byte more", nil, func(f [][]byte) [][]byte { f[2] = append(f[2], 0); return f }, ErrGarbage},
		{"a frame that is none", nil, func(f [][]byte) [][]byte { f[2] = f[2][:3]; return f }, ErrGarbage},
		{"a frame of another version", nil, func(f [][]byte) [][]byte { f[2][0] = 2; return f }, ErrGarbage},
		{"a frame of another kind", nil, func(f [][]byte) [][]byte { f[2][1] = 'Z'; return f }, ErrGarbage},
		{"a frame larger than the window", func(s *script) { s.item(itemImage, noise(2*minWindow)); s.chunk = 1 << 20 }, nil, ErrGarbage},
		{"noise", nil, func([][]byte) [][]byte { return [][]byte{noise(100), noise(5000)} }, ErrGarbage},
		{"noise within", nil, func(f [][]byte) [][]byte { copy(f[2][frameSize:], noise(9_000)); return f }, ErrGarbage},

		{"no end", nil, func(f [][]byte) [][]byte { return f[:n-1] }, ErrUnreachable},
		{"only a head", nil, func(f [][]byte) [][]byte { return f[:1] }, ErrUnreachable},
		{"an early end", nil, func(f [][]byte) [][]byte { putFrame(f[n-1], frameEnd, 2); return append(f[:2], f[n-1]) }, ErrGarbage},
		{"an end of fewer documents", end(func(e *endTell) { e.Items-- }), nil, ErrGarbage},
		{"an end of less data", end(func(e *endTell) { e.Data = 1 << 60 }), nil, ErrGarbage},
		{"an end within a document", func(s *script) { s.items = s.items[:len(s.items)-1]; s.end.Items-- }, nil, ErrGarbage},
		{"an end before the last document", func(s *script) { s.items = s.items[:150]; s.end.Items = 0 }, nil, ErrGarbage},
		{"more, and nothing came", func(s *script) { s.items = nil; s.end = endTell{More: true} }, nil, ErrGarbage},
		{"an end that refuses", end(func(e *endTell) { e.Refusal = &refusalTold{Code: CodeFailed, Message: "no"} }), nil, ErrRefused},
		{"an end that is no JSON", nil, func(f [][]byte) [][]byte { f[n-1] = f[n-1][:10]; return f }, ErrGarbage},

		{"a document more", func(s *script) { s.item(itemImage, noise(100)) }, nil, ErrGarbage},
		{"an absent document more", func(s *script) { s.item(itemAbsent, nil) }, nil, ErrGarbage},
		{"a document fewer", func(s *script) {
			*s = truth(t, source, wants[:3])
			s.head.Documents = len(wants)
		}, nil, ErrGarbage},
		{"documents in another order", func(s *script) {
			*s = truth(t, source, []Want{wants[1], wants[0], wants[2], wants[3]})
		}, nil, ErrGarbage},
		{"another document", func(s *script) {
			*s = truth(t, source, []Want{{Key: other}, wants[1], wants[2], wants[3]})
		}, nil, ErrGarbage},
		{"an item of another kind", func(s *script) { s.items[0] = 'Z' }, nil, ErrGarbage},
		{"an item without end", func(s *script) { s.items[1] = 0xff }, nil, ErrGarbage},
		{"an absent document with a text", func(s *script) { s.items[0] = byte(itemAbsent) }, nil, ErrGarbage},
		{"a long reason for damage", func(s *script) {
			*s = script{chunk: s.chunk, head: s.head}
			s.item(itemDamaged, []byte(strings.Repeat("x", maxDamageText+1)))
		}, nil, ErrGarbage},
	} {
		t.Run(c.name, func(t *testing.T) {
			liar.plays(t, func(ask documentsAsk) [][]byte {
				s := good
				s.items = slices.Clone(good.items)
				if c.script != nil {
					c.script(&s)
				}
				f := s.frames(t, ask.Pull)
				if c.frames != nil {
					f = c.frames(f)
				}
				return f
			})
			liar.peer.Stall = wirePatience
			if errors.Is(c.want, ErrUnreachable) {
				liar.peer.Stall = 100 * time.Millisecond
			}
			came, err := liar.onlyTrue(t, wants, wants)
			if !errors.Is(err, c.want) || c.want == nil && came != len(wants) {
				t.Errorf("%d came: %v, want %v", came, err, c.want)
			}
		})
	}
}

// TestDocumentsThatAreNotWhatWasSaid has images that are good in themselves.
func TestDocumentsThatAreNotWhatWasSaid(t *testing.T) {
	source, wants := filled(t, 100, 200)
	liar := newLiar(t, source)
	good := truth(t, source, wants)
	liar.plays(t, func(ask documentsAsk) [][]byte { return good.frames(t, ask.Pull) })
	for _, c := range []struct {
		name string
		said func(w *Want)
		want error
	}{
		{"as said", func(*Want) {}, nil},
		{"nothing was said", func(w *Want) { *w = Want{Key: w.Key} }, nil},
		{"an earlier position was said", func(w *Want) { w.Position.Seq--; w.Digest = digest.Digest{1} }, nil},
		{"another digest was said", func(w *Want) { w.Digest[5] ^= 1 }, ErrGarbage},
		{"no digest was said", func(w *Want) { w.Digest = digest.Digest{} }, ErrGarbage},
		{"a later position was said", func(w *Want) { w.Position.Seq++ }, ErrGarbage},
		{"a position in a later stripe was said", func(w *Want) { w.Position = position.Position{Birth: 3, Seq: 1} }, ErrGarbage},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := slices.Clone(wants)
			c.said(&said[1])
			came, err := liar.onlyTrue(t, said, wants)
			if !errors.Is(err, c.want) || came != len(wants) && c.want == nil || came != 1 && c.want != nil {
				t.Errorf("%d came: %v, want %v", came, err, c.want)
			}
		})
	}
}

// TestFlippedBits flips bits of a stream, one at a time: the pull fails, or what came is
// true all the same.
func TestFlippedBits(t *testing.T) {
	source, wants := filled(t, 100, 3_000, 0)
	liar := newLiar(t, source)
	liar.peer.Stall = 50 * time.Millisecond // for bits in numbers of frames
	good := truth(t, source, wants)
	good.chunk = 700
	random := rand.New(rand.NewPCG(1, 2))
	unharmed := 0
	for range 1000 {
		var what string
		liar.plays(t, func(ask documentsAsk) [][]byte {
			f := good.frames(t, ask.Pull)
			i := random.IntN(len(f))
			bit := random.IntN(8 * len(f[i]))
			f[i][bit/8] ^= 1 << (bit % 8)
			what = fmt.Sprintf("bit %d of frame %d", bit, i)
			return f
		})
		came, err := liar.onlyTrue(t, wants, wants)
		switch {
		case err == nil && came == len(wants):
			unharmed++ // as a position of the moment, which nothing here depends on
		case err == nil || !errors.Is(err, ErrGarbage) && !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrLayout) && !errors.Is(err, ErrRefused):
			t.Errorf("%s: %d came: %v", what, came, err)
		}
	}
	if unharmed > 100 {
		t.Errorf("%d of 1000 flips were not noticed", unharmed)
	}
}

// TestAFloodIsCutShort has a peer send and send, whatever it is told.
func TestAFloodIsCutShort(t *testing.T) {
	source, wants := filled(t, 10)
	liar := newLiar(t, source)
	liar.peer.Window = minWindow
	good := truth(t, source, wants)
	liar.says(func(m *nats.Msg) []*nats.Msg {
		var ask documentsAsk
		if err := json.Unmarshal(m.Data, &ask); err != nil {
			t.Error(err)
		}
		s := good
		s.items = appendItemHead(nil, itemImage, 1<<29)
		frames, flood := s.frames(t, ask.Pull)[:2], make([]byte, frameSize+minWindow)
		for i := range 1000 { // 64 MB
			f := flood
			if i < len(frames) {
				f = frames[i]
			}
			putFrame(f, frameKind(or(f[1], byte(frameData))), uint32(i))
			if err := liar.nc.Publish(m.Reply, f); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	if came, err := liar.onlyTrue(t, wants, wants); !errors.Is(err, ErrGarbage) || came != 0 {
		t.Errorf("%d came: %v", came, err)
	}
	// Frames beyond the window are not taken, and one is beyond it.
	if r := liar.peer.Traffic().Received; r > 4*minWindow {
		t.Errorf("%d bytes were taken", r)
	}
}
