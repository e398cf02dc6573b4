package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
)

// doc reads a copy from a few words: "" for none, "5" for a live document at position 5,
// and besides:
//
//	dead         a tombstone
//	inc=2        its incarnation, else 1
//	head=3       its head, else its position
//	chain=x      the chain of its updates, else as is fit for its incarnation and head
//	other        another digest
//	torn         its texts are damaged
//	unreadable   its state is, without a position
func doc(text string) Doc {
	d := Doc{Key: contract.Key{Space: "s", Key: "k"}}
	for i, word := range strings.Fields(text) {
		name, value, _ := strings.Cut(word, "=")
		var n uint64
		_, _ = fmt.Sscan(value, &n)
		switch {
		case word == "unreadable":
			d.Damaged = "state: checksum"
		case i == 0:
			_, _ = fmt.Sscan(word, &n)
			d.Position, d.Incarnation, d.Head, d.Live = seq(n), seq(1), int32(n), true
		case word == "dead":
			d.Live, d.Incarnation, d.Head = false, seq(0), 0
		case name == "inc":
			d.Incarnation = seq(n)
		case name == "head":
			d.Head = int32(n)
		case name == "chain":
			d.Chain = digest.Of([]byte(value))
		case word == "torn":
			d.Damaged = "update: checksum"
		}
	}
	if d.Live && d.Chain.IsZero() {
		d.Chain = digest.Of(fmt.Append(nil, d.Incarnation, d.Head))
	}
	if !d.Position.IsZero() {
		d.Digest = digest.Of(fmt.Append(nil, d.Position, d.Incarnation, d.Live, d.Head, strings.Contains(text, "other")))
	}
	return d
}

// side reads where a member stands: "9/4" has applied 9 and released up to 4; with "heals"
// behind it, it heals.
func side(host, text string) Side {
	s := Side{Host: host, Heals: strings.HasSuffix(text, " heals")}
	var applied, horizon uint64
	_, _ = fmt.Sscanf(strings.TrimSuffix(text, " heals"), "%d/%d", &applied, &horizon)
	s.Applied, s.Horizon = seq(applied), seq(horizon)
	return s
}

// The verdict table of DESIGN.md, row by row, and the other way round.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		what         string
		mine, theirs string // where the sides stand
		m, t         string // their copies
		want, back   Verdict
	}{
		{"both have nothing", "9/0", "9/0", "", "", Same, Same},
		{"same position, same digest", "9/0", "9/0", "5", "5", Same, Same},
		{"and wherever they stand", "2/0", "3/0", "5", "5", Same, Same},
		{"same tombstone", "9/0", "9/0", "5 dead", "5 dead", Same, Same},

		{"my texts are damaged", "9/0", "9/0", "5 torn", "5", Corruption, Theirs},
		{"my state is damaged", "9/0", "9/0", "unreadable", "5", Corruption, Theirs},
		{"mine is damaged, theirs is absent", "9/0", "9/0", "5 torn", "", Corruption, Theirs},
		{"mine is damaged and newer", "9/0", "9/0", "5 torn", "4", Corruption, Theirs},
		{"mine is damaged and lags", "3/0", "9/0", "3 torn", "5", Corruption, Theirs},
		{"both are damaged", "9/0", "9/0", "5 torn", "unreadable", Corruption, Corruption},

		{"theirs is beyond what I have applied", "4/0", "9/0", "3", "5", Lag, Lag},
		{"and I have nothing", "4/0", "9/0", "", "5", Lag, Lag},
		{"mine is beyond what they have applied", "9/0", "4/0", "5", "3", Lag, Lag},
		{"and they have nothing", "9/0", "4/0", "5", "", Lag, Lag},
		{"a deletion beyond what I have applied", "4/0", "9/0", "3", "5 dead", Lag, Lag},
		{"an image brought mine beyond the log of both", "4/0", "4/0", "6", "3", Lag, Lag},
		{"a newer incarnation beyond what I have applied", "4/0", "9/0", "3", "7 inc=7 head=1", Lag, Lag},
		{"an older incarnation beyond it, which would be a contradiction", "4/0", "9/0", "3 inc=3", "5", Lag, Lag},

		{"same position, other digest", "9/0", "9/0", "5", "5 other", Divergence, Divergence},
		{"same position, other digest, beyond what is applied", "4/0", "4/0", "5", "5 other", Divergence, Divergence},
		{"same position, deleted and not", "9/0", "9/0", "5", "5 dead", Divergence, Divergence},

		{"mine is older", "9/0", "9/0", "3", "5", Missing, Theirs},
		{"mine is older, and they lag", "9/0", "5/0", "3", "5", Missing, Theirs},
		{"mine is older, and their image is ahead of their log", "9/0", "2/0", "3", "5", Missing, Theirs},
		{"I have nothing", "9/0", "9/0", "", "5", Missing, Theirs},
		{"I lack a deletion", "9/0", "9/0", "3", "5 dead", Missing, Theirs},
		{"I lack a tombstone", "9/0", "9/0", "", "5 dead", Missing, Theirs},
		{"I lack a new incarnation", "9/0", "9/0", "3", "5 inc=4 head=1", Missing, Theirs},
		{"I lack a recover that lowers the head", "9/0", "9/0", "3 head=8", "5 inc=5 head=2", Missing, Theirs},
		{"I lack a snapshot", "9/0", "9/0", "3 head=3", "5 head=3", Missing, Theirs},
		{"I lack what came after a deletion", "9/0", "9/0", "3 dead", "5 inc=4", Missing, Theirs},

		{"the newer one has fewer updates", "9/0", "9/0", "3 head=8", "5 head=6", Divergence, Divergence},
		{"the newer one has as many other updates", "9/0", "9/0", "3 head=3 chain=a", "5 head=3 chain=b", Divergence, Divergence},
		{"the newer one is of an older incarnation", "9/0", "9/0", "4 inc=4", "5 inc=1", Divergence, Divergence},
		{"the newer one began before the older one ended", "9/0", "9/0", "4 inc=1", "5 inc=3", Divergence, Divergence},
		{"the newer one lives on from before the deletion", "9/0", "9/0", "4 dead", "5 inc=1", Divergence, Divergence},

		{"a tombstone that I have released and they have not", "9/6", "8/0", "", "5 dead", Lag, Lag},
		{"a tombstone that is above my horizon", "9/4", "9/4", "", "5 dead", Missing, Theirs},
		{"a tombstone that they have kept below their own horizon", "9/6", "9/6", "", "5 dead", Theirs, Gone},
		{"a live document that was there before the release", "9/6", "9/6", "", "5", Missing, Theirs},
		{"and whose holder has not released, but is past the horizon", "9/6", "6/0", "", "5", Missing, Theirs},
		{"a live document of a holder that is not past the horizon", "9/6", "5/0", "", "5", Lag, Lag},
		{"a live document above the horizon", "9/4", "9/4", "", "5", Missing, Theirs},
		{"I have an older copy, whatever the horizon", "9/6", "9/6", "3", "5", Missing, Theirs},
	} {
		mine, theirs := side("h1", c.mine), side("h2", c.theirs)
		f := Document(mine, theirs, doc(c.m), doc(c.t))
		if f.Verdict != c.want || f.Rule == "" {
			t.Errorf("%s: %v (%s), want %v", c.what, f.Verdict, f.Rule, c.want)
		}
		if back := Document(theirs, mine, doc(c.t), doc(c.m)); back.Verdict != c.back {
			t.Errorf("%s, seen from there: %v (%s), want %v", c.what, back.Verdict, back.Rule, c.back)
		}
	}
}

// What lags here when the log will not bring it.
func TestVerdictsOfAMemberThatHeals(t *testing.T) {
	for _, c := range []struct {
		what         string
		mine, theirs string
		m, t         string
		want         Verdict
	}{
		{"wiped", "0/0 heals", "9/0", "", "5", Missing},
		{"wiped, a tombstone", "0/0 heals", "9/0", "", "5 dead", Missing},
		{"older", "4/0 heals", "9/0", "3", "5", Missing},
		{"older and contradicted: a copy of a sick member is none to go by", "4/0 heals", "9/0", "3 head=8", "5 head=6", Missing},
		{"an image of a later moment", "4/0 heals", "9/0", "12", "8", Lag},
		{"what the peer has lost, or not yet", "4/0 heals", "9/0", "3", "", Theirs},
		{"what the peer has lost, below a horizon that is known here", "4/0 heals", "9/4", "3", "", Theirs},
		{"what was deleted and released since", "4/0 heals", "9/6", "3", "", Gone},
		{"what an unfinished healing had brought, and was released since", "0/0 heals", "9/6", "3", "", Gone},
		{"a tombstone that was released since", "4/0 heals", "9/6", "3 dead", "", Gone},
		{"a tombstone that was not", "4/0 heals", "9/2", "3 dead", "", Theirs},
		{"same position, other digest", "4/0 heals", "9/0", "3", "3 other", Divergence},
		{"damaged", "4/0 heals", "9/0", "3 torn", "3", Corruption},
		{"damaged there, with the same state", "4/0 heals", "9/0", "3", "3 torn", Theirs},
		{"damaged there, and older", "4/0 heals", "9/0", "3", "2 torn", Theirs},
		{"damaged there, and newer", "4/0 heals", "9/0", "3", "5 torn", Missing},
		{"damaged there, with another state", "4/0 heals", "9/0", "3", "3 other torn", Missing},
		{"damaged there, who knows how", "4/0 heals", "9/0", "3", "unreadable", Missing},
		{"damaged there, and nothing here", "0/0 heals", "9/0", "", "5 torn", Missing},
	} {
		if f := Document(side("h1", c.mine), side("h2", c.theirs), doc(c.m), doc(c.t)); f.Verdict != c.want {
			t.Errorf("%s: %v (%s), want %v", c.what, f.Verdict, f.Rule, c.want)
		}
	}
}

func TestDocumentsAreMatchedByName(t *testing.T) {
	named := func(name, text string) Doc {
		d := doc(text)
		d.Key = contract.Key{Space: "s", Key: name}
		return d
	}
	m := []Doc{named("d", "5"), named("a", "5"), named("b", "4"), named("e", "unreadable")}
	theirs := []Doc{named("a", "5"), named("b", "5"), named("c", "5")}
	text := ""
	for _, f := range Documents(side("h1", "9/0"), side("h2", "9/0"), m, theirs) {
		text += fmt.Sprintf("%s %v; ", f.Mine.Key.Key, f.Verdict)
		if f.Mine.Key != f.Theirs.Key {
			t.Errorf("%+v", f)
		}
	}
	if want := "b missing; c missing; d theirs; e corruption; "; text != want {
		t.Errorf("%s, want %s", text, want)
	}
	if m[0].Key.Key != "d" {
		t.Error("the caller's list is sorted")
	}
	if f := Documents(side("h1", "9/0"), side("h2", "9/0"), nil, nil); len(f) != 0 {
		t.Errorf("%+v", f)
	}
}

func TestBucketsAreCompared(t *testing.T) {
	b := func(list ...uint64) (all []BucketState) {
		for i, p := range list {
			all = append(all, BucketState{Bucket: layout.Bucket(i), Digest: digest.Of(fmt.Append(nil, p)), Position: seq(p)})
		}
		return all
	}
	for _, c := range []struct {
		what         string
		mine, theirs string
		m, t         []BucketState
		look, lag    string
		clean        uint64
	}{
		{"equal", "9/0", "8/0", b(5, 6), b(5, 6), "[]", "[]", 8},
		{"equal, and theirs is further", "7/0", "8/0", b(5, 6), b(5, 6), "[]", "[]", 7},
		{"one differs", "9/0", "8/0", b(5, 6), b(5, 7), "[1]", "[]", 0},
		{"one lags here", "6/0", "9/0", b(5, 6), b(5, 7), "[]", "[1]", 0},
		{"one lags there", "9/0", "6/0", b(5, 7), b(5, 6), "[]", "[1]", 0},
		{"both", "6/0", "9/0", b(5, 6, 3), b(5, 7, 2), "[2]", "[1]", 0},
		{"what heals does not lag", "0/0 heals", "9/0", b(0, 0), b(5, 7), "[0 1]", "[]", 0},
		{"none", "9/0", "8/0", nil, nil, "[]", "[]", 8},
	} {
		look, lag, clean, err := Buckets(side("h1", c.mine), side("h2", c.theirs), c.m, c.t)
		if err != nil || fmt.Sprint(look) != c.look || fmt.Sprint(lag) != c.lag || clean != seq(c.clean) {
			t.Errorf("%s: look %v, lag %v, clean %v, %v", c.what, look, lag, clean, err)
		}
	}
	for _, other := range [][]BucketState{b(5), slices.Concat(b(5, 6, 7)[1:])} {
		if _, _, _, err := Buckets(side("h1", "9/0"), side("h2", "9/0"), b(5, 6), other); err == nil || !strings.Contains(err.Error(), "same partitions") {
			t.Errorf("%v", err)
		}
	}
}

func TestRootsAndSums(t *testing.T) {
	a, b := BucketState{Bucket: 1, Digest: digest.Of([]byte("a")), Position: seq(7)}, BucketState{Bucket: 2, Digest: digest.Of([]byte("b")), Position: seq(3)}
	root := RootOf([]BucketState{a, b})
	if want := digest.Of(slices.Concat(a.Digest[:], b.Digest[:])); root.Digest != want || root.Position != seq(7) {
		t.Errorf("%+v", root)
	}
	if other := RootOf([]BucketState{b, a}); other.Digest == root.Digest {
		t.Error("the order does not matter")
	}
	if got := Sum([]Doc{doc("5"), doc("unreadable"), doc("6 dead")}); got != doc("6 dead").Digest.Add(doc("5").Digest) {
		t.Errorf("%v", got)
	}
}

func TestVerdictsHaveNames(t *testing.T) {
	for v := Same; v <= Gone; v++ {
		if back, err := ParseVerdict(v.String()); err != nil || back != v {
			t.Errorf("%v reads back as %v, %v", v, back, err)
		}
	}
	for _, s := range []string{"", "Same", "verdict 0", "lost"} {
		if v, err := ParseVerdict(s); err == nil {
			t.Errorf("ParseVerdict(%q) = %v", s, v)
		}
	}
	if s := Verdict(99).String() + Action(99).String() + Action(0).String(); s != "verdict 99action 99action 0" {
		t.Error(s)
	}
}

// --- properties

func anySide(t *rapid.T, host string) Side {
	s := Side{Host: host, Applied: seq(rapid.Uint64Range(0, 9).Draw(t, "applied")), Horizon: seq(rapid.Uint64Range(0, 6).Draw(t, "horizon"))}
	return s
}

func anyDoc(t *rapid.T) Doc {
	if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
		return doc("unreadable")
	}
	p := rapid.Uint64Range(0, 9).Draw(t, "position")
	if p == 0 {
		return doc("")
	}
	text := fmt.Sprintf("%d inc=%d head=%d", p, rapid.Uint64Range(1, p).Draw(t, "incarnation"), rapid.IntRange(1, 3).Draw(t, "head"))
	if rapid.Bool().Draw(t, "dead") {
		text = fmt.Sprintf("%d dead", p)
	}
	for _, word := range []string{" other", " torn"} {
		if rapid.IntRange(0, 4).Draw(t, word) == 0 {
			text += word
		}
	}
	return doc(text)
}

// Whatever two members say, they never blame each other, and they agree on what is the
// same, what lags and what the members have to vote on.
func TestComparingIsMirrored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mine, theirs := anySide(t, "h1"), anySide(t, "h2")
		f := Document(mine, theirs, anyDoc(t), anyDoc(t))
		back := Document(theirs, mine, f.Theirs, f.Mine)
		if f.Verdict == Missing && back.Verdict == Missing || !mirrored(f, back) {
			t.Fatalf("%v (%s) and, the other way round, %v (%s): %+v and %+v", f.Verdict, f.Rule, back.Verdict, back.Rule, f.Mine, f.Theirs)
		}
	})
}

// Nothing that the log will bring is pulled, dropped or voted on.
func TestLagIsNeverRepaired(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mine, theirs := anySide(t, "h1"), anySide(t, "h2")
		m, o := anyDoc(t), anyDoc(t)
		if m.Damaged != "" || o.Damaged != "" || m.Position == o.Position {
			return
		}
		f := Document(mine, theirs, m, o)
		older, newer := mine, o.Position
		if o.Position.Less(m.Position) {
			older, newer = theirs, m.Position
		}
		if older.Applied.Less(newer) && f.Verdict != Lag {
			t.Fatalf("%v (%s): %+v at %v, %+v at %v", f.Verdict, f.Rule, m, mine, o, theirs)
		}
	})
}
