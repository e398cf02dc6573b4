package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// view reads what a member says: where it stands, ":" and its copy; "?" for nothing.
func view(host, text string) View {
	if text == "?" {
		return Unknown(host, "out of reach")
	}
	at, copied, _ := strings.Cut(text, ":")
	return View{Side: side(host, at), Doc: doc(copied)}
}

func views(texts ...string) (all []View) {
	for i, text := range texts {
		all = append(all, view(fmt.Sprintf("h%d", i+1), text))
	}
	return all
}

// short is a decision in a few words.
func short(d Decision) string {
	text := fmt.Sprintf("%v %v", d.Action, d.Verdict)
	if len(d.From) > 0 {
		text += " from " + strings.Join(d.From, ",")
	}
	if d.Over != nil {
		text += " over"
	}
	if len(d.Asks) > 0 {
		text += " asks " + strings.Join(d.Asks, ",")
	}
	return text
}

func TestDecisions(t *testing.T) {
	for _, c := range []struct {
		what    string
		members []View
		want    []string // of each member
	}{
		{"all have the same", views("9/0:5", "9/0:5", "9/0:5"), []string{"nothing same", "nothing same", "nothing same"}},
		{"nobody has anything", views("9/0:", "9/0:", "?"), []string{"nothing same", "nothing same", "undecided same asks h3"}},
		{"one is alone", views("9/0:5"), []string{"nothing same"}},

		{"one lacks it", views("9/0:", "9/0:5", "9/0:5"), []string{"pull missing from h2,h3", "nothing same", "nothing same"}},
		{"one lacks a change, one is not asked", views("9/0:3", "9/0:5", "?"), []string{"pull missing from h2", "nothing same", "undecided same asks h3"}},
		{"two lack a change: the newest is right", views("9/0:3", "9/0:3", "9/0:5"), []string{"pull missing from h3", "pull missing from h3", "nothing same"}},
		{"two have lost it: one good copy is enough", views("9/0:", "9/0:", "9/0:5"), []string{"pull missing from h3", "pull missing from h3", "nothing same"}},
		{"one lags", views("4/0:3", "9/0:5", "9/0:5"), []string{"nothing lag", "nothing same", "nothing same"}},
		{"one lacks a deletion", views("9/0:3", "9/0:5 dead", "9/0:5 dead"), []string{"pull missing from h2,h3", "nothing same", "nothing same"}},

		{"one is damaged", views("9/0:5 torn", "9/0:5", "9/0:5"), []string{"pull corruption from h2,h3", "nothing same", "nothing same"}},
		{"one is damaged, another lacks a change", views("9/0:5 torn", "9/0:5", "9/0:3"), []string{"pull corruption from h2", "nothing same", "pull missing from h2"}},
		{"two are damaged: the good one is right", views("9/0:unreadable", "9/0:5 torn", "9/0:5"), []string{"pull corruption from h3", "pull corruption from h3", "nothing same"}},
		{"all are damaged", views("9/0:unreadable", "9/0:5 torn", "9/0:5 torn"), []string{"undecided corruption", "undecided corruption", "undecided corruption"}},
		{"all that can be asked are", views("9/0:unreadable", "9/0:5 torn", "?"), []string{"undecided corruption asks h3", "undecided corruption asks h3", "undecided same asks h3"}},
		{"one is, and the others have not applied as much", views("9/0:5 torn", "4/0:3", "4/0:3"), []string{"undecided corruption asks h2,h3", "nothing same", "nothing same"}},
		{"one is, and the others never took the change", views("9/0:5 torn", "9/0:3", "9/0:3"), []string{"undecided corruption", "nothing same", "nothing same"}},
		{"one is, and lags", views("3/0:3 torn", "9/0:5", "9/0:5"), []string{"pull corruption from h2,h3", "nothing same", "nothing same"}},
		{"one is damaged and stands alone", views("9/0:5 torn"), []string{"undecided corruption"}},
		{"one is damaged, the others have nothing", views("9/4:unreadable", "9/4:", "9/4:"), []string{"drop corruption over", "nothing theirs", "nothing theirs"}},
		{"as above, but one has not applied as much", views("9/4:unreadable", "9/4:", "8/4:"), []string{"undecided corruption asks h3", "nothing theirs", "nothing theirs"}},
		{"as above, but one is out of reach", views("9/4:unreadable", "9/4:", "?"), []string{"undecided corruption asks h3", "nothing theirs", "undecided same asks h3"}},
		{"two are damaged, one has nothing", views("9/4:unreadable", "9/4:unreadable", "9/4:"), []string{"undecided corruption", "undecided corruption", "nothing theirs"}},

		{"two agree", views("9/0:5", "9/0:5", "9/0:5 other"), []string{"nothing same", "nothing same", "pull divergence from h1,h2 over"}},
		{"two agree, one lags", views("9/0:5", "4/0:3", "9/0:5 other"), []string{"undecided divergence asks h2", "nothing lag", "undecided divergence asks h2"}[0:1]},
		{"one against one, one out of reach", views("9/0:5", "9/0:5 other", "?"), []string{"undecided divergence asks h3", "undecided divergence asks h3", "undecided same asks h3"}},
		{"one against one, one damaged", views("9/0:5", "9/0:5 other", "9/0:5 torn"), []string{"undecided divergence", "undecided divergence", "undecided divergence"}},
		{"two damaged copies have no votes", views("9/0:5", "9/0:5 other torn", "9/0:5 other torn"), []string{"nothing same", "pull corruption from h1", "pull corruption from h1"}},
		{"three of five", views("9/0:5", "9/0:5", "9/0:5 other", "9/0:5 other", "9/0:5"), []string{"nothing same", "nothing same", "pull divergence from h1,h2,h5 over"}},
		{"two of five are no majority", views("9/0:5", "9/0:5", "9/0:5 other", "?", "?"), []string{"undecided divergence asks h4,h5"}},
		{"three copies, the newest is right", views("9/0:5", "9/0:5 other", "9/0:7"), []string{"pull missing from h3", "pull missing from h3", "nothing same"}},

		{"a change that two refused", views("9/0:3 head=8", "9/0:3 head=8", "9/0:5 head=6"), []string{"nothing same", "nothing same", "pull divergence from h1,h2 over"}},
		{"as above, one out of reach", views("9/0:3 head=8", "?", "9/0:5 head=6"), []string{"undecided divergence asks h2", "undecided same asks h2", "undecided divergence asks h2"}},
		{"a change of the same head that two refused", views("9/0:3 head=3 chain=a", "9/0:3 head=3 chain=a", "9/0:5 head=3 chain=b"), []string{"nothing same", "nothing same", "pull divergence from h1,h2 over"}},
		{"one goes on after a deletion", views("9/0:4 dead", "9/0:4 dead", "9/0:5"), []string{"nothing same", "nothing same", "pull divergence from h1,h2 over"}},
		{"as above, and the deletion is released there", views("9/4:", "9/4:", "9/4:5"), []string{"pull missing from h3", "pull missing from h3", "nothing same"}},
		{"one has a contradiction, and lags", views("4/0:3 head=8", "9/0:5 head=6", "9/0:5 head=6"), []string{"nothing lag", "nothing same", "nothing same"}},
		{"two have gone on from what one contradicts", views("9/0:3 head=8", "9/0:5 head=6", "9/0:5 head=6"), []string{"pull divergence from h2,h3", "nothing same", "nothing same"}},

		{"a tombstone released by some", views("9/6:", "8/0:5 dead", "9/6:"), []string{"nothing lag", "nothing lag", "nothing lag"}},
		{"a tombstone kept by mistake", views("9/6:", "9/6:5 dead", "9/6:"), []string{"nothing lag", "drop gone over", "nothing lag"}},
		{"as above, one out of reach", views("9/6:", "9/6:5 dead", "?"), []string{"nothing lag", "nothing same", "undecided same asks h3"}},
		{"as above, and one still has the document", views("9/6:", "9/6:5 dead", "9/6:3"), []string{"nothing lag", "nothing same", "drop missing over"}},
		{"a live document below the horizon that two have lost", views("9/6:", "9/6:", "9/6:5"), []string{"pull missing from h3", "pull missing from h3", "nothing same"}},
		{"and whose holder has not come to the horizon", views("9/6:", "9/6:", "5/0:5"), []string{"nothing lag", "nothing lag", "nothing lag"}},
		{"and one holder has", views("9/6:", "9/6:5", "5/0:5"), []string{"pull missing from h2", "nothing same", "nothing lag"}},
		{"damaged, and only a holder that has not come to the horizon", views("9/6:unreadable", "9/6:", "5/0:5"), []string{"undecided corruption asks h3", "nothing lag", "nothing same"}},
		{"older, and only a holder that has not come to the horizon", views("9/6:3", "9/6:", "5/0:5"), []string{"nothing lag"}},
		{"an outvoted copy, and the tombstone is released here", views("9/6:3 other", "5/0:3 dead", "5/0:3 dead"), []string{"drop divergence over"}},

		{"healing, with nothing", views("0/0 heals:", "9/0:5", "?"), []string{"pull missing from h2"}},
		{"healing, with an older copy", views("3/0 heals:3", "9/0:5", "9/0:5"), []string{"pull missing from h2,h3"}},
		{"healing, with a copy of a deleted document", views("3/0 heals:3", "9/6:", "?"), []string{"drop gone over"}},
		{"as above, and another has it", views("3/0 heals:3", "9/6:", "9/6:3"), []string{"nothing same", "pull missing from h3", "nothing same"}},
		{"healing, with a tombstone that was released", views("5/0 heals:5 dead", "9/6:", "?"), []string{"drop gone over"}},
		{"healing, with a copy that nobody has", views("9/0 heals:5", "9/0:", "9/0:"), []string{"nothing same"}},
		{"healing: no vote", views("5/0 heals:5 other", "9/0:5", "?"), []string{"undecided divergence asks h3"}},
		{"healing: outvoted", views("5/0 heals:5 other", "9/0:5", "9/0:5"), []string{"pull divergence from h2,h3 over"}},
		{"healing: not the second vote", views("5/0 heals:5 other", "9/0:5", "9/0:5 other"), []string{"undecided divergence", "undecided divergence", "undecided divergence"}},
		{"healing, contradicted", views("3/0 heals:3 head=8", "9/0:5 head=6", "?"), []string{"pull missing from h2"}},
		{"healing, and all others are damaged", views("3/0 heals:3", "9/0:5 torn", "9/0:unreadable"), []string{"undecided corruption"}},
		{"healing, and those that answer are damaged", views("3/0 heals:3", "9/0:5 torn", "?"), []string{"undecided corruption asks h3"}},
		{"healing, with a tombstone that was released, another's is damaged", views("5/0 heals:5 dead", "9/6:unreadable", "9/6:"), []string{"drop gone over"}},
		{"healing, with nothing, another's is damaged, and one has nothing", views("5/0 heals:", "9/6:unreadable", "9/6:"), []string{"nothing theirs", "undecided corruption", "nothing theirs"}},
		{"healing, with nothing, and all others are damaged", views("0/0 heals:", "9/0:5 torn", "9/0:unreadable"), []string{"undecided corruption", "undecided corruption", "undecided corruption"}},
		{"healing, and one other has the same", views("3/0 heals:3", "9/0:unreadable", "9/0:3"), []string{"nothing same", "pull corruption from h1,h3", "nothing same"}},
	} {
		for i, want := range c.want {
			d := Decide(fmt.Sprintf("h%d", i+1), c.members)
			if got := short(d); got != want || d.Rule == "" {
				t.Errorf("%s: h%d: %s (%s), want %s", c.what, i+1, got, d.Rule, want)
			}
		}
	}
	if d := Decide("h9", views("9/0:5")); d.Action != Undecided || d.Rule != nothingKnown {
		t.Errorf("%+v", d)
	}
}

func anyViews(t *rapid.T, n int) (all []View) {
	for i := range n {
		host := fmt.Sprintf("h%d", i+1)
		if rapid.IntRange(0, 5).Draw(t, "known") == 0 {
			all = append(all, Unknown(host, "not asked"))
			continue
		}
		all = append(all, View{Side: anySide(t, host), Doc: anyDoc(t)})
	}
	return all
}

func numberOfMembers(t *rapid.T) int {
	return rapid.SampledFrom([]int{1, 3, 3, 3, 5}).Draw(t, "members")
}

// The order in which members are heard does not matter, and a decision is one that can
// be carried out.
func TestDecidingDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := anyViews(t, numberOfMembers(t))
		other := rapid.Permutation(members).Draw(t, "order")
		before := slices.Clone(other)
		var right Doc
		for i := range members {
			host := members[i].Host
			a, b := Decide(host, members), Decide(host, other)
			if short(a) != short(b) || a.Rule != b.Rule || a.Right != b.Right {
				t.Fatalf("%s: %s and %s", host, short(a), short(b))
			}
			possible(t, &a, &members[i], members)
			if a.Action == Pull {
				if right.Position.IsZero() {
					right = a.Right
				}
				if right != a.Right {
					t.Fatalf("two hosts pull different copies: %+v and %+v", right, a.Right)
				}
			}
		}
		if !slices.Equal(other, before) {
			t.Fatal("the caller's list is changed")
		}
	})
}

func possible(t *rapid.T, d *Decision, me *View, members []View) {
	of := func(host string) *View {
		return &members[slices.IndexFunc(members, func(v View) bool { return v.Host == host })]
	}
	for _, from := range d.From {
		if v := of(from); !v.Doc.same(&d.Right) || from == me.Host {
			t.Fatalf("%s pulls from %s, which has %+v", me.Host, from, v.Doc)
		}
	}
	switch {
	case d.Action == Pull && (len(d.From) == 0 || me.Doc.same(&d.Right)):
		t.Fatalf("%s pulls from nobody, or what it has", me.Host)
	case d.Action == Pull && d.Right.Damaged != "", d.Action == Nothing && d.Right.Damaged != "":
		t.Fatalf("a damaged copy wins: %+v", d.Right)
	case d.Action == Drop && (d.Over == nil || *d.Over != me.Doc.Digest || me.Doc.Absent()):
		t.Fatalf("%s drops over %v, it has %+v", me.Host, d.Over, me.Doc)
	case d.Action == Pull && d.Over == nil && me.Doc.sound() && !me.Doc.Position.Less(d.Right.Position):
		t.Fatalf("%s pulls %+v over %+v, and no vote says so", me.Host, d.Right, me.Doc)
	case d.Over != nil && d.Action == Pull && *d.Over != me.Doc.Digest:
		t.Fatalf("%s replaces a copy that it does not have", me.Host)
	}
	if d.Action == Pull && d.Over != nil && 2*votesFor(d.Right, members) <= len(members) {
		t.Fatalf("%s replaces a whole copy for one that %d of %d hold", me.Host, votesFor(d.Right, members), len(members))
	}
}

func votesFor(d Doc, members []View) (n int) {
	for i := range members {
		if members[i].Doc.same(&d) {
			n++
		}
	}
	return n
}

// What is decided from two members' copies agrees with their comparison.
func TestDecidingAgreesWithComparing(t *testing.T) {
	allowed := map[Verdict][]string{
		Same:       {"nothing same", "nothing lag"},
		Lag:        {"nothing same", "nothing lag"},
		Missing:    {"pull missing", "drop missing"},
		Divergence: {"undecided divergence"},
		Theirs:     {"nothing same", "nothing lag", "nothing theirs"},
		Gone:       {"nothing same"}, // nobody knows what the third one has
		Corruption: {"pull corruption", "undecided corruption", "drop corruption"},
	}
	rapid.Check(t, func(t *rapid.T) {
		mine, theirs := View{Side: anySide(t, "h1"), Doc: anyDoc(t)}, View{Side: anySide(t, "h2"), Doc: anyDoc(t)}
		f := Document(mine.Side, theirs.Side, mine.Doc, theirs.Doc)
		d := Decide("h1", []View{mine, theirs, Unknown("h3", "not asked")})
		if got := fmt.Sprintf("%v %v", d.Action, d.Verdict); !slices.Contains(allowed[f.Verdict], got) {
			t.Fatalf("%v (%s), and then %s (%s): %+v against %+v", f.Verdict, f.Rule, got, d.Rule, mine, theirs)
		}
	})
}
