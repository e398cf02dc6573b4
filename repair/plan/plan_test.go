package plan

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
)

func at(seq uint64) Seen {
	return Seen{position.Position{Birth: 1, Seq: seq}, digest.Of(fmt.Append(nil, seq))}
}

func example() Plan {
	key := func(name string) (layout.Bucket, contract.Key) {
		return layout.BucketOf("s", name), contract.Key{Space: "s", Key: name}
	}
	p := Plan{
		Host: "h1", Layout: 3, LayoutDigest: "c0ffee",
		Stripes: []StripeSeen{{Stripe: "s1", Birth: 1, Applied: at(90).Position, Horizon: at(8).Position, Root: digest.Of(nil), Peers: []string{"h2", "h3"}}},
	}
	add := func(name string, o Op) {
		o.Stripe, o.Rule = "s1", missingHere
		o.Bucket, o.Key = key(name)
		p.Ops = append(p.Ops, o)
	}
	add("lacks", Op{Kind: Pull, Verdict: Missing, Here: at(4), Right: at(5), From: []string{"h2", "h3"}})
	add("lost", Op{Kind: Pull, Verdict: Missing, Right: at(6), From: []string{"h3"}})
	add("torn", Op{Kind: Pull, Verdict: Corruption, Damaged: true, Here: at(7), Right: at(7), From: []string{"h2"}})
	add("forked", Op{Kind: Pull, Verdict: Divergence, Here: at(9), Right: at(8), From: []string{"h2", "h3"}})
	add("gone", Op{Kind: Drop, Verdict: Gone, Here: at(3)})
	b, k := key("open")
	p.Undecided = []Open{{Stripe: "s1", Bucket: b, Key: k, Rule: noGood, Asks: []string{"h3"}}}
	return p
}

func TestAPlanIsAFile(t *testing.T) {
	p := example()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Parse(text)
	if err != nil || !reflect.DeepEqual(back, p) {
		t.Fatalf("%v\n%+v\n%+v", err, back, p)
	}
	var again Plan
	if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again, p) {
		t.Fatalf("%v\n%+v", err, again)
	}
	if err := json.Unmarshal([]byte(`{"host":"h1"}`), &again); err == nil || again.Host != "h1" || len(again.Ops) == 0 {
		t.Errorf("a refused plan leaves what was there: %v, %+v", err, again)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	good, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`{"format"`, `["format"`, "make it again"},
		{`"undecided":[`, `"undecided":[[`, "make it again"},
		{`"format":"trireme-repair-plan"`, `"format":"something"`, `"something"`},
		{`"version":1`, `"version":2`, "version 2; this program reads"},
		{`"host":"h1"`, `"host":"h 1"`, `host: "h 1"`},
		{`"host":"h1"`, `"hosts":"h1"`, "hosts"},
		{`"host":"h1"`, `"host":"h2"`, `operations[0].from: "h2" is the host itself`},
		{`"stripe":"s1","birth"`, `"stripe":"s2","birth"`, `operations[0].stripe: "s1" is not among the stripes`},
		{`"birth":1`, `"birth":0`, "stripes[0].birth"},
		{`"applied":"1-90"`, `"applied":"90"`, `stripes[0].applied: position "90"`},
		{`"horizon":"1-8"`, `"horizon":""`, "stripes[0].horizon"},
		{`"root":"`, `"root":"x`, "stripes[0].root"},
		{`"peers":["h2"`, `"peers":[""`, "stripes[0].peers"},
		{`"op":"pull"`, `"op":"push"`, `operations[0].op: "push": want pull or drop`},
		{`"op":"pull"`, `"op":"drop"`, "operations[0]: a drop has neither"},
		{`"op":"drop"`, `"op":"pull"`, "operations[4]: a pull needs right and from"},
		{`"verdict":"missing"`, `"verdict":"lag"`, `operations[0].verdict: "lag": nothing is done about that`},
		{`"verdict":"missing"`, `"verdict":"lost"`, `operations[0].verdict: verdict "lost"`},
		{`"key":"lacks"`, `"key":"lost"`, "operations[0].bucket"},
		{`"key":"lacks"`, `"key":""`, "operations[0]: "},
		{`"here":{"position":"1-4"`, `"here":{"position":"0-0"`, "operations[0].here.position"},
		{`"from":["h2","h3"]`, `"from":[]`, "operations[0]: a pull needs"},
	} {
		text := strings.Replace(string(good), c.old, c.new, 1)
		if text == string(good) {
			t.Fatalf("%s is not in the plan", c.old)
		}
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: %v, want %q", c.new, c.old, err, c.want)
		}
	}
	twice := example()
	twice.Ops = append(twice.Ops, twice.Ops[0])
	twice.Stripes = append(twice.Stripes, twice.Stripes[0])
	text, err := json.Marshal(twice)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Parse(text)
	for _, want := range []string{"is in operations[0] too", "is there twice"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	many := example()
	for range 1000 {
		many.Ops = append(many.Ops, many.Ops[0])
	}
	if text, err = json.Marshal(many); err != nil {
		t.Fatal(err)
	}
	if _, err = Parse(text); err == nil || strings.Count(err.Error(), "\n") > maxFaults {
		t.Errorf("%d faults are told", strings.Count(err.Error(), "\n"))
	}
	if _, err = Parse(make([]byte, MaxFile+1)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	text, err := json.Marshal(example())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":"trireme-repair-plan","version":1,"host":"h1"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(again)
		if err != nil || !reflect.DeepEqual(back, p) {
			t.Fatalf("%v\n%+v\n%+v", err, back, p)
		}
	})
}

// A plan goes through its file unchanged, whatever is in it.
func TestPlansOfAnySort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPlan(t)
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(text)
		if err != nil || !reflect.DeepEqual(back, p) {
			t.Fatalf("%v\n%s", err, text)
		}
		sorted := back
		sorted.Ops = slices.Clone(back.Ops)
		sorted.Sort()
		if len(sorted.Ops) != len(back.Ops) {
			t.Fatal("sorting loses operations")
		}
	})
}

func anyPlan(t *rapid.T) Plan {
	host := rapid.StringMatching(`[a-zA-Z0-9_-]{1,8}`)
	p := Plan{Host: "self", Layout: rapid.Uint64().Draw(t, "layout"), LayoutDigest: rapid.String().Draw(t, "digest")}
	p.Stripes = []StripeSeen{{
		Stripe: host.Draw(t, "stripe"), Birth: rapid.Uint32Min(1).Draw(t, "birth"), Applied: at(rapid.Uint64().Draw(t, "applied")).Position,
	}}
	seen := map[contract.Key]bool{}
	for range rapid.IntRange(0, 5).Draw(t, "operations") {
		k := contract.Key{Space: rapid.StringN(1, 8, -1).Draw(t, "space"), Key: rapid.StringN(1, 8, -1).Draw(t, "key")}
		if contract.CheckKey(k) != nil || seen[k] {
			continue
		}
		seen[k] = true
		o := Op{Kind: Drop, Verdict: Gone, Stripe: p.Stripes[0].Stripe, Bucket: layout.BucketOf(k.Space, k.Key), Key: k, Rule: rapid.String().Draw(t, "rule")}
		o.Here = at(rapid.Uint64Min(1).Draw(t, "here"))
		if rapid.Bool().Draw(t, "pull") {
			o.Kind, o.Verdict, o.Right = Pull, Missing, at(rapid.Uint64Min(1).Draw(t, "right"))
			o.From = []string{host.Filter(func(s string) bool { return s != "self" }).Draw(t, "from")}
		}
		p.Ops = append(p.Ops, o)
	}
	return p
}

func TestAPlanStandsOrHasMovedOn(t *testing.T) {
	whole := func(s Seen) Doc { return Doc{Position: s.Position, Digest: s.Digest, Live: true} }
	torn := func(s Seen) Doc { return Doc{Position: s.Position, Digest: s.Digest, Damaged: "x"} }
	pull := Op{Kind: Pull, Here: at(4), Right: at(6)}
	mend := Op{Kind: Pull, Here: at(4), Damaged: true, Right: at(4)}
	unread := Op{Kind: Pull, Damaged: true, Right: at(4)}
	fork := Op{Kind: Pull, Here: at(6), Right: at(4)}
	drop := Op{Kind: Drop, Here: at(4)}
	for _, c := range []struct {
		op   Op
		here Doc
		want Standing
	}{
		{pull, whole(at(4)), Todo},
		{pull, torn(at(4)), Moved},
		{pull, whole(at(5)), Moved},
		{pull, whole(at(6)), Done},
		{pull, whole(at(7)), Done},
		{pull, torn(at(7)), Moved},
		{pull, Doc{}, Moved},
		{mend, torn(at(4)), Todo},
		{mend, whole(at(4)), Done},
		{mend, whole(at(5)), Done},
		{mend, torn(at(5)), Moved},
		{unread, Doc{Damaged: "x"}, Todo},
		{unread, whole(at(4)), Done},
		{unread, Doc{}, Moved},
		{fork, whole(at(6)), Todo},
		{fork, whole(at(4)), Done},
		{fork, whole(at(7)), Moved},
		{drop, whole(at(4)), Todo},
		{drop, Doc{}, Done},
		{drop, whole(at(5)), Moved},
	} {
		if got := c.op.Standing(c.here); got != c.want {
			t.Errorf("%v, here %+v: %v, want %v", &c.op, c.here, got, c.want)
		}
	}
}

func TestPlansAreDescribed(t *testing.T) {
	p := example()
	p.Sort()
	want := `plan for host h1, made under layout 3
  stripe s1 stood at 1-90, compared with h2, h3, tombstones released up to 1-8
to do: 2 to pull for missing, 1 to pull for divergence, 1 to pull for corruption, 1 to drop for gone
`
	got := p.Describe()
	if !strings.HasPrefix(got, want) {
		t.Errorf("%s", got)
	}
	var kinds []string
	for _, o := range p.Ops {
		kinds = append(kinds, o.Key.Key)
		if !strings.Contains(got, o.String()) {
			t.Errorf("%s is not in\n%s", o.String(), got)
		}
	}
	if text := strings.Join(kinds, " "); !strings.HasPrefix(text, "torn forked l") || !strings.HasSuffix(text, " gone") {
		t.Errorf("order: %s", text)
	}
	if !strings.Contains(got, "undecided, so nothing is done: 1") || !strings.Contains(got, "might be changed by h3") {
		t.Errorf("%s", got)
	}
	empty := Plan{Host: "h1"}
	if !strings.Contains(empty.Describe(), "nothing to do") {
		t.Error(empty.Describe())
	}
}
