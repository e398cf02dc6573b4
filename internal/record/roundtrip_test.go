package record

import (
	"bytes"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
)

// word draws what may stand in a token, the nasty ones often.
func word() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "-", "--", "%", "%%", "%2D", "%2d", "%20", "2D", "+", " ", "a b", "\x00", "\t", "\r\n", "\x7f", "ü", "☃", "\xff", "\xc3"}),
		rapid.String(),
		rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "bytes")) }),
	)
}

// text draws what may stand for JSON, line ends and look-alike frames included.
func text() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "{}", `{"a":1}`, "\r\n", "{\r\n}", "\r", "\n", "+ 0 0 Restore - - 0 0 0 0 0 0\r\n\r\n\r\n\r\n", "DELETE s k - - mark\r\n"}),
		word(),
	)
}

func who(t *rapid.T) *contract.Who {
	if rapid.Bool().Draw(t, "nobody") {
		return nil
	}
	return &contract.Who{Agent: word().Draw(t, "agent"), Authority: word().Draw(t, "authority")}
}

func anyPosition(t *rapid.T) position.Position {
	return position.Position{Birth: rapid.Uint32().Draw(t, "birth"), Seq: rapid.Uint64Max(math.MaxInt64).Draw(t, "seq")}
}

func anyUpdate(t *rapid.T) contract.Update {
	return contract.Update{
		SeqBegin: rapid.Int32().Draw(t, "begin"), SeqEnd: rapid.Int32().Draw(t, "end"),
		Who: who(t), UpdateType: word().Draw(t, "type"),
		Request: text().Draw(t, "request"), Redo: text().Draw(t, "redo"), Undo: text().Draw(t, "undo"),
		RequiresFutureInvalidation: rapid.Bool().Draw(t, "rfi"),
		WhenToInvalidateMS:         rapid.Int32().Draw(t, "when"),
		AssetBytes:                 rapid.Int64().Draw(t, "assets"),
	}
}

func anyChange(t *rapid.T) Change {
	c := Change{
		Verb: Verb(rapid.IntRange(int(Init), int(Delete)).Draw(t, "verb")),
		Key:  contract.Key{Space: word().Draw(t, "space"), Key: word().Draw(t, "key")},
		ID:   word().Draw(t, "id"), Writer: word().Draw(t, "writer"),
	}
	switch c.Verb {
	case Init:
		c.Updates = []contract.Update{anyUpdate(t)}
	case Patch:
		c.Incarnation = anyPosition(t)
		c.Updates = rapid.SliceOfN(rapid.Custom(anyUpdate), 1, 3).Draw(t, "updates")
	case Snapshot:
		c.Incarnation = anyPosition(t)
		c.Seq, c.History = rapid.Int32().Draw(t, "seq"), rapid.Int32().Draw(t, "history")
		c.AssetBytes = rapid.Int64().Draw(t, "assets")
		c.Text = text().Draw(t, "text")
	case Recover:
		c.Seq = rapid.Int32().Draw(t, "seq")
		c.Who = who(t)
		c.Text = text().Draw(t, "text")
	case Delete:
		c.Phase = rapid.SampledFrom([]string{contract.PhaseMark, contract.PhaseCommit, contract.PhaseAbort, PhaseRemove}).Draw(t, "phase")
	}
	return c
}

func anyRecord(t *rapid.T) Record {
	r := Record{Kind: Batch, Time: rapid.Int64().Draw(t, "time")}
	copy(r.Prev[:], rapid.SliceOfN(rapid.Byte(), len(digest.Chain{}), -1).Draw(t, "prev"))
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	if kind == 0 {
		r.Kind = Claim
		r.Host, r.Boot = word().Draw(t, "host"), word().Draw(t, "boot")
		r.Layout = rapid.IntRange(0, maxLayout).Draw(t, "layout")
		return r
	}
	r.Epoch = anyPosition(t)
	if kind == 1 {
		r.Kind = Release
		r.Horizon = rapid.Custom(anyPosition).Filter(func(p position.Position) bool { return !p.IsZero() }).Draw(t, "horizon")
		return r
	}
	if n := rapid.IntRange(0, 4).Draw(t, "changes"); n > 0 {
		r.Changes = rapid.SliceOfN(rapid.Custom(anyChange), n, n).Draw(t, "change")
	}
	return r
}

func TestRecordsReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyRecord(t)
		body := encode(&want)
		got, err := Parse(body)
		if err != nil {
			t.Fatalf("Parse(%q): %v", body, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\n reads as %+v\n  written %+v", body, got, want)
		}
		if again := encode(&got); !bytes.Equal(again, body) {
			t.Fatalf("re-encoded:\n got %q\nwant %q", again, body)
		}
	})
}

func TestUpdatesReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyUpdate(t)
		if rapid.Bool().Draw(t, "long") { // sizes of several digits
			want.Redo = string(bytes.Repeat([]byte{'x'}, rapid.IntRange(0, 20_000).Draw(t, "redo size")))
		}
		body := AppendUpdate([]byte("before "), &want)[len("before "):]
		if got := UpdateSize(&want); got != len(body) {
			t.Fatalf("UpdateSize %d, AppendUpdate appends %d: %q", got, len(body), body)
		}
		got, err := ParseUpdate(string(body))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\n reads as %+v, %v\n  written %+v", body, got, err, want)
		}
	})
}

func TestTokens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := word().Draw(t, "word")
		token := string(appendToken(nil, want)[1:])
		for i := range len(token) {
			if token[i] <= ' ' || token[i] == 0x7f {
				t.Fatalf("%q is written %q, which has a blank or control character", want, token)
			}
		}
		if token == absent {
			t.Fatalf("%q is written like an absent word", want)
		}
		if got, ok := unescape(token); !ok || got != want {
			t.Fatalf("%q is written %q and read %q, %v", want, token, got, ok)
		}
	})
}

// The least sizes bound what a hostile count makes Parse allocate; they are
// true minima, and reached.
func TestLeastSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, u := anyChange(t), anyUpdate(t)
		if n := len(c.append(nil)); n < minFrame {
			t.Fatalf("%q takes %d bytes, fewer than minFrame %d", c.append(nil), n, minFrame)
		}
		if n := UpdateSize(&u); n < minUpdate {
			t.Fatalf("%q takes %d bytes, fewer than minUpdate %d", AppendUpdate(nil, &u), n, minUpdate)
		}
	})
	c := Change{Verb: Delete, Key: contract.Key{}, Phase: contract.PhaseMark}
	if n := len(c.append(nil)); n != minFrame {
		t.Errorf("the least change takes %d bytes, minFrame is %d", n, minFrame)
	}
	if n := UpdateSize(&contract.Update{}); n != minUpdate {
		t.Errorf("the least update takes %d bytes, minUpdate is %d", n, minUpdate)
	}
}

// The limits of the contract go by LogSize, so that what they let through fits
// into a record.
func TestLogSizeBoundsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := anyUpdate(t)
		u.UpdateType = rapid.SampledFrom(contract.UpdateTypes()).Draw(t, "known type")
		if size, bound := UpdateSize(&u), u.LogSize(); size > bound {
			t.Fatalf("%q takes %d bytes, LogSize says %d", AppendUpdate(nil, &u), size, bound)
		}
	})
}
