package verify

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/position"
)

// told is a report in a few words: the verdict, what each member lacks, what differs.
func told(r Report) string {
	words := []string{string(r.Verdict)}
	for _, s := range r.Stripes {
		for _, m := range s.Members {
			if m.Why != "" {
				words = append(words, m.Host+": "+m.Why)
			}
		}
	}
	for _, d := range r.Differences {
		name := "bucket " + d.Bucket.String()
		if d.Key != (contract.Key{}) {
			name = "document"
		}
		words = append(words, fmt.Sprintf("%s right %v wrong %v", name, d.Right(), d.Wrong()))
	}
	for _, d := range r.Damaged {
		words = append(words, fmt.Sprintf("%s knows of %d damaged", d.Host, d.Documents))
	}
	return strings.Join(words, "; ")
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name    string
		members int
		change  func(*world)
		want    string
	}{
		{"all equal", 3, func(*world) {}, "PASS"},
		{"one member", 1, func(*world) {}, "PASS"},
		{"one member that is down", 1, func(w *world) { w.down["h1"] = "no responders" }, "INCOMPLETE; h1: no responders"},
		{"five members", 5, func(*world) {}, "PASS"},
		{"one is down", 3, func(w *world) { w.down["h3"] = "no responders" }, "INCOMPLETE; h3: no responders"},
		{"one is sick", 3, func(w *world) { w.sick["h2"] = "wiped" }, "INCOMPLETE; h2: wiped"},
		{
			"two are down", 3, func(w *world) { w.down["h2"], w.down["h3"] = "away", "gone" },
			"INCOMPLETE; h1: there is no other member to compare it with; h2: away; h3: gone",
		},
		{
			"one lags and never catches up", 3, func(w *world) { w.append(w.keys[0]); w.apply("h1", 1); w.apply("h2", 1) },
			fmt.Sprintf("INCOMPLETE; h3: it has applied 7-%d, and the stripe was at 7-%d", 32, 33),
		},
		{"a document is lost", 3, func(w *world) { w.wrong["h2"][w.keys[3]] = lost }, "FAIL; document right [h1 h3] wrong [h2]"},
		{"a document is old", 3, func(w *world) { w.wrong["h3"][w.keys[3]] = oldValue }, "FAIL; document right [h1 h2] wrong [h3]"},
		{"a document is another", 3, func(w *world) { w.wrong["h1"][w.keys[3]] = other }, "FAIL; document right [h2 h3] wrong [h1]"},
		{"a document is damaged", 3, func(w *world) { w.wrong["h1"][w.keys[3]] = damaged }, "FAIL; document right [h2 h3] wrong [h1]"},
		{
			"nobody can tell", 3, func(w *world) { w.wrong["h1"][w.keys[3]] = other; w.down["h3"] = "away" },
			"FAIL; h3: away; document right [] wrong []",
		},
		{
			"documents of one bucket on two members", 3, func(w *world) {
				of := w.in[8]
				w.wrong["h1"][of[0]], w.wrong["h2"][of[1]] = other, lost
			}, "FAIL; document right [h2 h3] wrong [h1]; document right [h1 h3] wrong [h2]",
		},
		{"a digest is wrong and no document", 3, func(w *world) { w.kept["h2"][9] = true }, "FAIL; bucket 9 right [] wrong []"},
		{
			"a member lags in what it has lost", 3, func(w *world) {
				w.wrong["h3"][w.keys[0]] = lost
				w.append(w.keys[1])
				w.apply("h1", 1)
				w.apply("h2", 1)
			},
			"INCOMPLETE; h3: it has applied 7-32, and the stripe was at 7-33",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(c.members, 2)
			c.change(w)
			got := told(w.verify(2*wrongAfter, inOrder))
			if !slices.Equal(sorted(got), sorted(c.want)) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func sorted(words string) []string {
	list := strings.Split(words, "; ")
	slices.Sort(list)
	return list
}

// The log's end counts when it is known, although nobody has applied it yet.
func TestFixedPositionIsTheLogs(t *testing.T) {
	w := newWorld(3, 1)
	r := New([]Stripe{w.stripe})
	end := w.log + 1
	r.Fix("s1", at(end))
	r.Fix("s1", position.Position{Birth: 9, Seq: 900}) // of another log
	r.Fix("s2", at(999))                               // of no stripe
	w.pass(r, inOrder)
	if got := r.Report(); got.Verdict != Incomplete || got.Stripes[0].Position != at(end) {
		t.Fatalf("%s at %s", told(got), got.Stripes[0].Position)
	}
	w.write(w.keys[0])
	if !r.Again() {
		t.Fatal("nothing is left to ask")
	}
	w.pass(r, inOrder)
	if got := r.Report(); got.Verdict != Pass || got.Stripes[0].Position != at(end) {
		t.Errorf("%s at %s", told(got), got.Stripes[0].Position)
	}
	if r.Again() {
		t.Error("asks on after everything is equal")
	}
}

// When all is equal nothing but roots is asked for, each member once.
func TestEqualRootsAreEnough(t *testing.T) {
	w := newWorld(3, 4)
	asked := 0
	w.before = func(q Question) {
		if asked++; q.Kind != Roots {
			t.Errorf("asks %+v", q)
		}
	}
	if got := w.verify(10, inOrder); got.Verdict != Pass || asked != 3 {
		t.Errorf("%s after %d questions", told(got), asked)
	}
}

// Buckets that are written to between any two answers are found equal all the same, since
// what members said before is remembered; and what is wrong beside what is written to is
// found.
func TestHotDocuments(t *testing.T) {
	for _, wrong := range []fault{"", lost, other, damaged} {
		t.Run("wrong: "+string(wrong), func(t *testing.T) {
			w := newWorld(3, 3)
			hot, cold := w.in[2][0], w.in[2][1]
			if wrong != "" {
				w.wrong["h3"][cold] = wrong
			}
			turn := 0
			w.before = func(Question) { // each follower lags by another number of records
				turn++
				w.append(hot)
				w.applied["h1"] = w.log
				w.applied["h2"] = w.log - turn%3
				w.applied["h3"] = max(w.applied["h3"], w.log-turn%5)
			}
			got := w.verify(200, inOrder)
			want := "PASS"
			if wrong != "" {
				want = "FAIL; document right [h1 h2] wrong [h3]"
			}
			if told(got) != want {
				t.Errorf("%s, want %s", told(got), want)
			}
		})
	}
}

// A member that is down and comes back is compared then.
func TestWaits(t *testing.T) {
	w := newWorld(3, 2)
	w.down["h2"], w.sick["h3"] = "no responders", "wiped"
	r := New([]Stripe{w.stripe})
	r.Damaged("h1", 2)
	w.pass(r, inOrder)
	if got := r.Report(); got.Verdict != Fail || !got.Stripes[0].Members[2].Sick {
		t.Errorf("%s", told(got))
	}
	w.down["h2"] = ""
	r.Damaged("h1", 0)
	if equal, all := r.Progress(); equal != 0 || all != 16 {
		t.Errorf("%d of %d", equal, all)
	}
	for i, want := range []Verdict{Incomplete, Pass} {
		if !r.Again() {
			t.Fatal("asks no more")
		}
		w.pass(r, inOrder)
		if got := r.Report(); got.Verdict != want {
			t.Errorf("%d: %s, want %s", i, told(got), want)
		}
		w.sick["h3"] = ""
	}
	if equal, all := r.Progress(); equal != all || r.Failed() {
		t.Errorf("%d of %d, failed %v", equal, all, r.Failed())
	}
	if !r.Settled() || !r.Done() {
		t.Error("it is not done")
	}
	r.Damaged("h2", 1)
	if !r.Settled() || r.Done() || r.Again() {
		t.Error("what is damaged may be repaired: that is waited for, and nothing asked")
	}
}

// Answers that are not what was asked for change nothing for the better.
func TestStrangeAnswers(t *testing.T) {
	w := newWorld(2, 1)
	w.wrong["h2"][w.keys[0]] = lost
	r := New([]Stripe{w.stripe})
	for more := true; more; {
		qs := r.Questions()
		more = len(qs) > 0
		for _, q := range qs {
			a := w.answer(q)
			switch q.Kind {
			case Roots:
				a.Partitions = a.Partitions[:1]
			case Buckets:
				a.Buckets = a.Buckets[:len(a.Buckets)-1]
			}
			r.Tell(Question{Kind: q.Kind, Host: "h9", Stripe: "s1"}, a)
			r.Tell(Question{Kind: q.Kind, Host: q.Host, Stripe: "s9"}, a)
			r.Tell(q, a)
		}
	}
	if got := r.Report(); got.Verdict == Pass {
		t.Errorf("%s", told(got))
	}
}

// So many differences are told one by one, and the others are counted.
func TestManyDifferences(t *testing.T) {
	w := newWorld(3, mostSuspect/4)
	for _, k := range w.keys {
		w.wrong["h2"][k] = lost
	}
	got := w.verify(50, inOrder)
	if got.Verdict != Fail || len(got.Differences) != len(w.keys) {
		t.Errorf("%d differences of %d, and %d more", len(got.Differences), len(w.keys), got.More)
	}
	w = newWorld(3, mostSuspect+5)
	for _, k := range w.in[1] {
		w.wrong["h2"][k] = lost
	}
	if got = w.verify(5, inOrder); len(got.Differences) != mostSuspect || got.More != 5 {
		t.Errorf("%d differences and %d more", len(got.Differences), got.More)
	}
}

// Against the truth: whatever is wrong, whoever is away, and whatever is written
// meanwhile, PASS means that nothing is wrong and everybody was asked, and nothing is told
// that is not wrong. When the writing has ended and everybody is there, the verdict is
// right; and where that was so from the beginning, all that is wrong is told. Otherwise a
// bucket may be known to differ before all of its differences can be seen.
func TestAgainstTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.SampledFrom([]int{1, 3, 5}).Draw(t, "members"), 2)
		hosts := w.stripe.Members
		faults := rapid.MapOfN(rapid.IntRange(0, len(w.keys)-1), rapid.SampledFrom([]fault{lost, other, damaged, oldValue}), 0, 3).Draw(t, "faults")
		if len(hosts) == 1 {
			faults = nil // nobody to compare with
		}
		wrong := map[contract.Key]bool{}
		for i, f := range faults {
			w.wrong[rapid.SampledFrom(hosts).Draw(t, "host")][w.keys[i]] = f
			wrong[w.keys[i]] = true
		}
		sound := slices.DeleteFunc(slices.Clone(w.keys), func(k contract.Key) bool { return wrong[k] })
		away := rapid.SampledFrom(append([]string{""}, hosts...)).Draw(t, "away")
		if away != "" {
			w.down[away] = "away"
		}
		writing := rapid.Bool().Draw(t, "writing")
		early := away != "" || writing
		w.before = func(Question) {
			if !writing {
				return
			}
			for range rapid.IntRange(0, 2).Draw(t, "writes") {
				w.append(rapid.SampledFrom(sound).Draw(t, "key"))
			}
			w.apply(rapid.SampledFrom(hosts).Draw(t, "who"), rapid.IntRange(0, 9).Draw(t, "applies"))
		}
		r := New([]Stripe{w.stripe})
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		check := func() {
			got := r.Report()
			if got.Verdict == Pass && (len(faults) > 0 || away != "") {
				t.Fatalf("%s with %v wrong and %q away", told(got), faults, away)
			}
			for _, d := range got.Differences {
				if !wrong[d.Key] {
					t.Fatalf("%v differs: %s", d.Key, told(got))
				}
				for _, host := range d.Wrong() {
					if w.wrong[host][d.Key] == "" {
						t.Fatalf("%s is said to be wrong about %v: %s", host, d.Key, told(got))
					}
				}
			}
		}
		w.pass(r, pick)
		check()
		for range rapid.IntRange(0, 3).Draw(t, "passes") {
			r.Again()
			w.pass(r, pick)
			check()
		}
		writing, away, w.down = false, "", map[string]string{}
		for _, host := range hosts {
			w.apply(host, w.log)
		}
		for range 3 * wrongAfter {
			r.Again()
			w.pass(r, pick)
			check()
		}
		got := r.Report()
		if len(faults) == 0 && got.Verdict != Pass || len(faults) > 0 && got.Verdict != Fail {
			t.Fatalf("%s with %v wrong", told(got), faults)
		}
		if len(got.Differences) != len(faults) && !early {
			t.Fatalf("%d differences: %s; wrong are %v", len(got.Differences), told(got), faults)
		}
	})
}
