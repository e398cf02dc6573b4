package record

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// A sample is a record that the tests share.
type sample struct {
	name   string
	record Record
}

// samples has every line of the format at least once.
func samples() []sample {
	prev := digest.Chain{}.Next([]byte("what came before"))
	epoch := position.Position{Birth: 1, Seq: 7}
	birth := position.Position{Birth: 1, Seq: 9}
	chat := contract.Key{Space: "chat", Key: "lobby"}
	jeff := &contract.Who{Agent: "jeff", Authority: "overlord"}
	created := contract.Update{
		SeqEnd: 1, UpdateType: contract.Internal,
		Request: `{"command":"construct"}`, Redo: `{"x":1}`, Undo: `{}`,
	}
	sent := contract.Update{
		SeqBegin: 2, SeqEnd: 3, Who: jeff, UpdateType: contract.DirectMessageExecute,
		RequiresFutureInvalidation: true, WhenToInvalidateMS: 250, AssetBytes: 4096,
		Request: `{"command":"send","message":{"text":"hello"}}`, Redo: `{"x":2}`, Undo: `{"x":1}`,
	}
	batch := func(changes ...Change) Record {
		return Record{Kind: Batch, Time: 1760000000123, Prev: prev, Epoch: epoch, Changes: changes}
	}
	return []sample{
		{"a host claims the stripe", Record{Kind: Claim, Time: 1760000000000, Host: "h1", Boot: "6f9a2c", Layout: 3}},
		{"a barrier: a batch that changes nothing", batch()},
		{"tombstones are released", Record{Kind: Release, Time: 1760000000123, Prev: prev, Epoch: epoch, Horizon: position.Position{Birth: 1, Seq: 5}}},
		{"a document is created", batch(Change{Verb: Init, Key: chat, ID: "r-1", Writer: "node-a", Updates: []contract.Update{created}})},
		{"two documents change", batch(
			Change{Verb: Patch, Key: chat, ID: "r-2", Writer: "node-a", Incarnation: birth, Updates: []contract.Update{sent}},
			Change{Verb: Patch, Key: contract.Key{Space: "chat", Key: "garden"}, Updates: []contract.Update{sent, {SeqBegin: 4, SeqEnd: 4, UpdateType: contract.Invalidate, Redo: `{}`, Undo: `{}`}}},
		)},
		{"a snapshot", batch(Change{Verb: Snapshot, Key: chat, Writer: "node-a", Incarnation: birth, Seq: 3, History: 1000, AssetBytes: 4096, Text: `{"x":2}`})},
		{"a recover by somebody", batch(Change{Verb: Recover, Key: chat, ID: "r-3", Seq: 2, Who: jeff, Text: `{"x":1}`})},
		{"a recover by nobody", batch(Change{Verb: Recover, Key: chat, Seq: 2, Text: ``})},
		{"the phases of a delete", batch(
			Change{Verb: Delete, Key: contract.Key{Space: "chat", Key: "a"}, Phase: contract.PhaseMark},
			Change{Verb: Delete, Key: contract.Key{Space: "chat", Key: "b"}, Phase: contract.PhaseCommit},
			Change{Verb: Delete, Key: contract.Key{Space: "chat", Key: "c"}, Phase: contract.PhaseAbort},
			Change{Verb: Delete, Key: contract.Key{Space: "chat", Key: "d"}, ID: "r-4", Writer: "node-a", Phase: PhaseRemove},
		)},
		{"words that need escaping", batch(Change{
			Verb: Patch, Key: contract.Key{Space: "a b%c", Key: "tab\tline\r\nünï☃"}, ID: "-", Writer: "50% off",
			Updates: []contract.Update{
				{SeqBegin: 1, SeqEnd: 1, UpdateType: contract.AddUserData, Who: &contract.Who{}, Redo: "{}", Undo: "{}"},
				{SeqBegin: 2, SeqEnd: 2, UpdateType: contract.AddUserData, Who: &contract.Who{Agent: "-", Authority: "%2D"}, Redo: "{}", Undo: "{}"},
			},
		})},
		{"texts that look like frames", batch(Change{
			Verb: Patch, Key: chat, Updates: []contract.Update{{
				SeqBegin: 1, SeqEnd: 1, UpdateType: contract.Restore,
				Request: "DELETE chat lobby - - remove\r\n", Redo: "{\"a\":\"line\r\nline\"}", Undo: "\x00 \x7f \xff",
			}},
		})},
		{"numbers at their edges", batch(
			Change{Verb: Patch, Key: contract.Key{Space: "s", Key: "low"}, Updates: []contract.Update{{
				SeqBegin: math.MinInt32, SeqEnd: math.MinInt32, WhenToInvalidateMS: math.MinInt32, AssetBytes: math.MinInt64, UpdateType: contract.CompactedResult,
			}}},
			Change{Verb: Snapshot, Key: contract.Key{Space: "s", Key: "high"}, Seq: math.MaxInt32, History: math.MaxInt32, AssetBytes: math.MaxInt64, Incarnation: position.Position{Birth: math.MaxUint32, Seq: math.MaxInt64}},
		)},
	}
}

// encode writes a record the way its owner does.
func encode(r *Record) []byte {
	switch r.Kind {
	case Claim:
		return AppendClaim(nil, r)
	case Release:
		return AppendRelease(nil, r)
	}
	var b Builder
	for i := range r.Changes {
		b.Add(&r.Changes[i])
	}
	return b.Record(r.Epoch, r.Time, r.Prev)
}

// legible shows bytes line by line, the line ends and control characters in
// print.
func legible(b []byte) string {
	var s strings.Builder
	for line := range strings.SplitAfterSeq(string(b), crlf) {
		body, ended := strings.CutSuffix(line, crlf)
		for i := range len(body) {
			if c := body[i]; c < ' ' || c == 0x7f || c == 0xff {
				fmt.Fprintf(&s, `\x%02x`, c)
			} else {
				s.WriteByte(c)
			}
		}
		if ended {
			s.WriteString("\\r\\n\n")
		}
	}
	return s.String()
}

// How records look to a person is kept in testdata/records.txt; a change of
// the format shows there. -rewrite writes it anew.
func TestRecordsLookLikeThis(t *testing.T) {
	var got strings.Builder
	for _, s := range samples() {
		fmt.Fprintf(&got, "# %s\n%s\n", s.name, legible(encode(&s.record)))
	}
	file := filepath.Join("testdata", "records.txt")
	if *rewrite {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("records differ from %s (go test -rewrite writes it anew):\n%s", file, got.String())
	}
}

// The bytes themselves, independent of how a golden file shows them.
func TestExactBytes(t *testing.T) {
	key := contract.Key{Space: "s p", Key: "k"}
	epoch, prev := position.Position{Birth: 2, Seq: 41}, digest.Chain{0xab}
	const chain = "ab000000000000000000000000000000"
	for _, c := range []struct {
		name   string
		record Record
		want   string
	}{
		{"claim", Record{Kind: Claim, Time: -5, Prev: prev, Host: "h 1", Boot: "", Layout: 12}, "CLAIM 1 -5 " + chain + " h%201 % 12\r\n"},
		{"release", Record{Kind: Release, Time: 7, Prev: prev, Epoch: epoch, Horizon: position.Position{Birth: 2, Seq: 40}}, "RELEASE 1 2-41 7 " + chain + " 2-40\r\n"},
		{"barrier", Record{Kind: Batch, Time: 5, Prev: prev, Epoch: epoch}, "BATCH 1 2-41 5 " + chain + " 0 0\r\n"},
		{
			"patch",
			Record{Kind: Batch, Prev: prev, Epoch: epoch, Changes: []Change{{
				Verb: Patch, Key: key, ID: "-", Incarnation: position.Position{Birth: 1, Seq: 2},
				Updates: []contract.Update{{SeqBegin: 1, SeqEnd: 2, UpdateType: "Internal", Request: "\r\n", Redo: "{}", RequiresFutureInvalidation: true}},
			}}},
			"BATCH 1 2-41 0 " + chain + " 1 72\r\n" +
				"PATCH s%20p k %2D - 1-2 1 42\r\n" +
				"+ 1 2 Internal - - 1 0 0 2 2 0\r\n\r\n\r\n{}\r\n\r\n",
		},
		{
			"delete",
			Record{Kind: Batch, Prev: prev, Epoch: epoch, Changes: []Change{{Verb: Delete, Key: key, Phase: PhaseRemove}}},
			"BATCH 1 2-41 0 " + chain + " 1 27\r\nDELETE s%20p k - - remove\r\n",
		},
	} {
		if got := encode(&c.record); string(got) != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestBuilder(t *testing.T) {
	var b Builder
	c := Change{Verb: Delete, Key: contract.Key{Space: "s", Key: "k"}, Phase: PhaseRemove}
	b.Add(&c)
	first := b.Record(position.Position{}, 0, digest.Chain{})
	kept := bytes.Clone(first)
	if b.Len() != 1 || b.Size() != len("DELETE s k - - remove\r\n") {
		t.Errorf("Len %d, Size %d", b.Len(), b.Size())
	}
	b.Reset()
	if b.Len() != 0 || b.Size() != 0 {
		t.Errorf("after Reset: Len %d, Size %d", b.Len(), b.Size())
	}
	c.Key.Space = "other"
	b.Add(&c)
	if !bytes.Equal(first, kept) {
		t.Error("a record changes when its builder is used again")
	}
}

func TestVerbString(t *testing.T) {
	for v, want := range map[Verb]string{Init: "INIT", Delete: "DELETE", 0: "Verb(0)", Delete + 1: "Verb(6)"} {
		if v.String() != want {
			t.Errorf("%d: %q, want %q", v, v, want)
		}
	}
}

func TestFingerprintIsAllButIDAndWriter(t *testing.T) {
	a := Change{
		Verb: Patch, Key: contract.Key{Space: "s", Key: "k"}, ID: "1", Writer: "w",
		Updates: []contract.Update{{SeqBegin: 1, SeqEnd: 1, UpdateType: contract.Internal, Redo: "{}"}},
	}
	b := a
	b.ID, b.Writer = "2", ""
	if !bytes.Equal(a.Fingerprint(nil), b.Fingerprint(nil)) {
		t.Error("id and writer are in the fingerprint")
	}
	if a.ID != "1" || a.Writer != "w" {
		t.Error("Fingerprint changes its change")
	}
	b.Updates = []contract.Update{a.Updates[0]}
	b.Updates[0].AssetBytes = 1
	if bytes.Equal(a.Fingerprint(nil), b.Fingerprint(nil)) {
		t.Error("two requests have one fingerprint")
	}
}
