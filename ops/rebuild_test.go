package ops

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func standing(host, applied, chain string) RebuildMember {
	return RebuildMember{Host: host, Applied: applied, Epoch: "3-1", Chain: chain, Newest: applied}
}

func TestDecideRebuild(t *testing.T) {
	unknown := RebuildMember{Host: "h3", Unknown: "no route to host"}
	sick := RebuildMember{Host: "h3", Sick: "wiped"}
	owner := standing("h2", "3-120", "aa")
	owner.Owner = true
	ahead := standing("h2", "3-110", "bb")
	ahead.Newest = "3-121"
	for _, c := range []struct {
		name    string
		members []RebuildMember
		from    string
		stands  string
		lost    string // parts
		stake   string
		refused string
	}{
		{"all agree", []RebuildMember{standing("h1", "3-120", "aa"), standing("h2", "3-120", "aa"), standing("h3", "3-120", "aa")}, "h1", "from same same", "", "", ""},
		{"the owner among equals", []RebuildMember{standing("h1", "3-120", "aa"), owner}, "h2", "same from", "", "", ""},
		{"one is ahead", []RebuildMember{standing("h1", "3-118", "cc"), standing("h2", "3-120", "aa"), standing("h3", "3-1", "dd")}, "h2", "behind from behind", "", "", ""},
		{"one cannot be asked", []RebuildMember{standing("h1", "3-120", "aa"), standing("h2", "3-120", "aa"), unknown}, "h1", "from same unknown", "", "h3 cannot be asked: changes after 3-120", ""},
		{"the owner cannot be asked", []RebuildMember{standing("h1", "3-120", "aa"), {Host: "h2", Unknown: "down", Owner: true}}, "h1", "from unknown", "", "it owned the stripe", ""},
		{"one is sick", []RebuildMember{standing("h1", "3-120", "aa"), standing("h2", "3-119", "aa"), sick}, "h1", "from behind unknown", "", "h3 is sick (wiped)", ""},
		{"one is of another log", []RebuildMember{standing("h1", "3-120", "aa"), standing("h2", "2-500", "aa")}, "h1", "from unknown", "", "stands nowhere in this log", ""},
		{"two against one", []RebuildMember{standing("h1", "3-120", "xx"), standing("h2", "3-120", "aa"), standing("h3", "3-120", "aa")}, "h2", "differs from same", "what h1 has applied up to 3-120", "", ""},
		{"one against one", []RebuildMember{standing("h1", "3-120", "xx"), standing("h2", "3-120", "aa"), sick}, "", "unknown unknown unknown", "", "", "no majority"},
		{"nobody", []RebuildMember{unknown, sick}, "", "unknown unknown", "", "", "no healthy member"},
		{"copies go further", []RebuildMember{standing("h1", "3-120", "aa"), ahead}, "h1", "from behind", "", "", "h2 (3-121) are newer than 3-120"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := DecideRebuild(RebuildPlan{Stripe: "s1", Birth: 3, Members: c.members})
			var stands []string
			for _, m := range got.Members {
				stands = append(stands, string(m.Stands))
			}
			if got.From != c.from || strings.Join(stands, " ") != c.stands {
				t.Errorf("from %q, %v; want %q, %v", got.From, stands, c.from, c.stands)
			}
			for _, x := range []struct{ name, got, want string }{
				{"lost", strings.Join(got.Lost, "\n"), c.lost},
				{"stake", strings.Join(got.Stake, "\n"), c.stake},
				{"refused", got.Refused, c.refused},
			} {
				if !strings.Contains(x.got, x.want) || (x.got == "") != (x.want == "") {
					t.Errorf("%s is %q, want %q in it", x.name, x.got, x.want)
				}
			}
			if got.Situation == "" {
				t.Error("no situation")
			}
		})
	}
}

// A reason that is known already stays, and its plan is shown all the same.
func TestDecideRebuildKeepsARefusal(t *testing.T) {
	got := DecideRebuild(RebuildPlan{Stripe: "s1", Birth: 3, Refused: "the log is there", Members: []RebuildMember{standing("h1", "3-120", "aa")}})
	if got.Refused != "the log is there" || got.From != "h1" {
		t.Errorf("%+v", got)
	}
}

// What the plan rests on makes the situation, how a reason is worded does not.
func TestRebuildSituation(t *testing.T) {
	plan := func(change func(*RebuildPlan)) string {
		p := RebuildPlan{Stripe: "s1", Birth: 3, Members: []RebuildMember{standing("h1", "3-120", "aa"), {Host: "h2", Unknown: "timeout"}}}
		change(&p)
		return DecideRebuild(p).Situation
	}
	was := plan(func(*RebuildPlan) {})
	for name, change := range map[string]func(*RebuildPlan){
		"applied": func(p *RebuildPlan) { p.Members[0].Applied = "3-121" },
		"chain":   func(p *RebuildPlan) { p.Members[0].Chain = "ab" },
		"newest":  func(p *RebuildPlan) { p.Members[0].Newest = "3-119" },
		"sick":    func(p *RebuildPlan) { p.Members[0].Sick = "wiped" },
		"known":   func(p *RebuildPlan) { p.Members[1] = standing("h2", "3-120", "aa") },
		"stripe":  func(p *RebuildPlan) { p.Stripe = "s2" },
	} {
		if plan(change) == was {
			t.Errorf("another %s is the same situation", name)
		}
	}
	if plan(func(p *RebuildPlan) { p.Members[1].Unknown = "no responders"; p.Log = "gone" }) != was {
		t.Error("another wording is another situation")
	}
}

// Whatever the members say: the log goes on from a healthy one, none of those that were
// asked has applied more, and what is not "from", "same" or "behind" is told of.
func TestDecideRebuildNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := RebuildPlan{Stripe: "s1", Birth: 3}
		for _, host := range []string{"h1", "h2", "h3", "h4", "h5"}[:rapid.IntRange(1, 5).Draw(t, "members")] {
			at := rapid.SampledFrom([]string{"3-1", "3-2", "3-3", "2-9", ""}).Draw(t, "applied")
			m := standing(host, at, rapid.SampledFrom([]string{"aa", "bb"}).Draw(t, "chain"))
			m.Newest = rapid.SampledFrom([]string{"3-1", "3-2", "3-3", ""}).Draw(t, "newest")
			m.Sick = rapid.SampledFrom([]string{"", "", "wiped"}).Draw(t, "sick")
			m.Unknown = rapid.SampledFrom([]string{"", "", "down"}).Draw(t, "unknown")
			p.Members = append(p.Members, m)
		}
		got := DecideRebuild(p)
		i := slices.IndexFunc(got.Members, func(m RebuildMember) bool { return m.Stands == StandsFrom })
		if (i < 0) != (got.From == "") || got.From == "" && got.Refused == "" {
			t.Fatalf("%+v", got)
		}
		if got.From == "" {
			return
		}
		from, ok := got.Members[i].healthy(3)
		if !ok || got.Members[i].Host != got.From || got.Position != got.Members[i].Applied {
			t.Fatalf("%+v", got)
		}
		told := strings.Join(append(got.Lost, got.Stake...), "\n")
		for _, m := range got.Members {
			at, ok := m.healthy(3)
			if ok && from.Less(at) {
				t.Fatalf("%s has applied more: %+v", m.Host, got)
			}
			if (m.Stands == StandsUnknown || m.Stands == StandsDiffers) && !strings.Contains(told, m.Host) {
				t.Fatalf("%s is not told of: %+v", m.Host, got)
			}
			if m.Stands == StandsBehind && !at.Less(from) || m.Stands == StandsSame && (at != from || m.Chain != got.Members[i].Chain) {
				t.Fatalf("%+v: %+v", m, got)
			}
		}
	})
}
