package identity

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// member are the facts of h1 with disk D, one of three members of s1, whom nobody has
// answered.
func member(empty bool, boot, applied uint64) Facts {
	return Facts{
		Self:    Self{Disk: "D", Host: "h1", Cluster: "c", Boot: boot, Begun: boot > 0},
		NoLog:   empty,
		Applied: map[string]uint64{"s1": applied},
		Stripes: map[string][]string{"s1": {"h1", "h2", "h3"}},
		Replies: map[string]Reply{},
	}
}

// A change is one to the facts.
type change func(*Facts)

func answers(host string, changes ...func(*Answer)) change {
	return func(f *Facts) {
		a := Answer{Host: host, Disk: "disk of " + host, Boot: 4, Begun: true, Cluster: "c", State: Serving, Healthy: true}
		a.Seen.whole()
		for _, c := range changes {
			c(&a)
		}
		f.Replies[host] = Reply{Answer: a}
	}
}

func saw(disk string, boot, durable uint64) func(*Answer) {
	return func(a *Answer) {
		a.Seen.Hosts["h1"] = Sighting{Disk: disk, Boot: boot, Durable: map[string]uint64{"s1": durable}}
	}
}

func own(disk string, boot, durable uint64) change {
	return func(f *Facts) { f.Own = Sighting{Disk: disk, Boot: boot, Durable: map[string]uint64{"s1": durable}} }
}

func starting(a *Answer)  { a.State, a.Healthy = Starting, false }
func unhealthy(a *Answer) { a.Healthy = false }
func isNew(a *Answer)     { a.Begun, a.Boot, a.State, a.Healthy = false, 0, Starting, false }
func held(a *Answer)      { a.State, a.Healthy = HeldBack, false }

func fails(host string) change {
	return func(f *Facts) { f.Replies[host] = Reply{Err: errors.New("connection refused")} }
}

func former(disk string) change { return func(f *Facts) { f.Self.Former = []string{disk} } }

func stripe(name string, members ...string) change {
	return func(f *Facts) { f.Stripes[name] = members }
}

func TestAdmit(t *testing.T) {
	empty, kept := member(true, 0, 0), member(false, 5, 100)
	for _, c := range []struct {
		name    string
		facts   Facts
		changes []change
		want    Kind
		missing string // joined
		says    string // part of reason or next
	}{
		{"alone", Facts{Self: Self{Disk: "D", Host: "h1", Boot: 9}}, nil, Start, "", "stands alone"},

		// An empty disk.
		{"a new cluster", empty, []change{answers("h2", isNew), answers("h3", isNew)}, Start, "", "no other host has seen"},
		{"a new cluster, the others are up already", empty, []change{answers("h2"), answers("h3", starting)}, Start, "", ""},
		{"a new cluster, one host is missing", empty, []change{answers("h2", isNew), fails("h3")}, Wait, "h3", "h3 (connection refused)"},
		{"a new cluster, nobody else", empty, nil, Wait, "h2,h3", "h2 (was not asked)"},
		{"a new cluster, another cluster answers", empty, []change{answers("h2", isNew), answers("h3", func(a *Answer) { a.Cluster = "x" })}, Wait, "h3", `of cluster "x"`},
		{"a start that came to nothing", member(true, 1, 0), []change{answers("h2", isNew), answers("h3", isNew)}, Start, "", ""},
		{"wiped, all well", empty, []change{answers("h2", saw("A", 7, 100)), answers("h3", saw("A", 7, 90))}, Reset, "", "h2 has seen this host with disk A at boot 7"},
		{"wiped, only one remembers", empty, []change{answers("h2"), answers("h3", saw("A", 7, 0))}, Reset, "", ""},
		{"wiped, one dead", empty, []change{answers("h2", saw("A", 7, 100)), fails("h3")}, Held, "h3", "trireme host readmit"},
		{"wiped, one starting", empty, []change{answers("h2", saw("A", 7, 100)), answers("h3", starting)}, Held, "h3", "h3 (is starting)"},
		{"wiped, one unhealthy", empty, []change{answers("h2", saw("A", 7, 100)), answers("h3", unhealthy)}, Held, "h3", "h3 (is not healthy)"},
		{"wiped, another one held", empty, []change{answers("h2", saw("A", 7, 100)), answers("h3", held)}, Held, "h3", "h3 (is held)"},
		{"wiped but for its id", member(true, 7, 0), []change{answers("h2", saw("D", 7, 100)), answers("h3", saw("D", 7, 100))}, Reset, "", ""},
		{"reset, and then it crashed", member(true, 7, 0), []change{former("A"), answers("h2", saw("A", 7, 100)), answers("h3")}, Reset, "", ""},
		{"seen by a host that shares no stripe", empty, []change{answers("h2", isNew), answers("h3", isNew), answers("h9", saw("A", 1, 0))}, Held, "h2,h3", "h9 has seen"},

		// A disk that is what it was.
		{"the whole cluster restarts", kept, []change{answers("h2", starting, saw("D", 5, 100)), answers("h3", starting, saw("D", 5, 80))}, Start, "", "not older"},
		{"a rolling restart", kept, []change{answers("h2", saw("D", 5, 100)), answers("h3", saw("D", 5, 100))}, Start, "", ""},
		{"one host dead for good", kept, []change{answers("h2", starting, saw("D", 5, 100)), fails("h3")}, Start, "", ""},
		{"two of three dead", kept, []change{fails("h2"), fails("h3")}, Wait, "h2,h3", "not all need to"},
		{"only a new one answers", kept, []change{answers("h2", isNew), fails("h3")}, Wait, "h2,h3", "h2 (is new itself)"},
		{"one that is held answers", kept, []change{answers("h2", held), fails("h3")}, Start, "", ""},
		{"nobody has seen it", kept, []change{answers("h2", starting), fails("h3")}, Start, "", ""},
		{"further than what was seen", kept, []change{answers("h2", saw("D", 4, 50)), fails("h3")}, Start, "", ""},
		{"the other stripe hears nobody", kept, []change{stripe("s2", "h4", "h1", "h5"), answers("h2"), answers("h3")}, Wait, "h4,h5", ""},
		{"the other stripe hears one", kept, []change{stripe("s2", "h4", "h1", "h5"), answers("h2"), answers("h5")}, Start, "", ""},
		{"one other of five", kept, []change{stripe("s1", "h1", "h2", "h3", "h4", "h5"), answers("h2")}, Wait, "h3,h4,h5", ""},
		{"two others of five", kept, []change{stripe("s1", "h1", "h2", "h3", "h4", "h5"), answers("h2"), answers("h4")}, Start, "", ""},
		{"a stripe of its own", kept, []change{stripe("s1", "h1")}, Start, "", ""},
		{"one remembers a disk that it replaced", kept, []change{former("A"), answers("h2", saw("A", 900, 900)), fails("h3")}, Start, "", ""},
		{"a stripe that it is no member of any more", kept, []change{
			answers("h2", func(a *Answer) {
				a.Seen.Hosts["h1"] = Sighting{Disk: "D", Boot: 5, Durable: map[string]uint64{"s7": 4000}}
			}),
		}, Start, "", ""},

		// A disk from the past.
		{"an earlier boot, all well", kept, []change{answers("h2", saw("D", 6, 100)), answers("h3")}, Reset, "", "boot 6 of this host, this disk knows only of 5"},
		{"an earlier boot, one dead", kept, []change{answers("h2", saw("D", 6, 100)), fails("h3")}, Held, "h3", "bring the right disk back"},
		{"a copy from this boot", kept, []change{answers("h2", saw("D", 5, 101)), fails("h3")}, Held, "h3", "stripe s1 up to record 101, this disk has it up to 100"},
		{"a copy from this boot, all well", kept, []change{answers("h2", saw("D", 5, 101)), answers("h3")}, Reset, "", ""},
		{"its store is gone", member(false, 5, 0), []change{answers("h2", saw("D", 5, 100)), fails("h3")}, Held, "h3", ""},
		{"its store is gone, and it remembers", member(false, 5, 0), []change{own("D", 5, 100), answers("h2", held, saw("D", 5, 100)), fails("h3")}, Start, "", "not older"},
		{"its store is cut short, and it remembers some of that", kept, []change{own("D", 5, 140), answers("h2", saw("D", 5, 150)), fails("h3")}, Start, "", ""},
		{"its store is cut short, and so is the disk", kept, []change{own("D", 5, 140), answers("h2", saw("D", 6, 150)), fails("h3")}, Held, "h3", "boot 6"},
		{"it remembers less than was seen, and has that", kept, []change{own("D", 4, 90), answers("h2", saw("D", 5, 150)), fails("h3")}, Held, "h3", "up to record 150"},
		{"it remembers another disk", kept, []change{own("A", 5, 140), answers("h2", saw("D", 5, 150)), fails("h3")}, Held, "h3", "up to record 150"},
		{"its store and its logs are gone, and it remembers", member(true, 5, 0), []change{own("D", 5, 100), answers("h2", saw("D", 5, 100)), fails("h3")}, Held, "h3", "the disk is empty"},
		{"a damaged store was let in since then", member(false, 6, 3), []change{answers("h2", saw("D", 5, 100)), fails("h3")}, Start, "", ""},
		{"its logs are gone", member(true, 5, 100), []change{answers("h2", saw("D", 5, 100)), fails("h3")}, Held, "h3", "logs in jetstream/ are gone"},
		{"its logs are gone, all well", member(true, 5, 100), []change{answers("h2"), answers("h3")}, Reset, "", ""},
		{"the disk that was replaced", kept, []change{answers("h2", saw("N", 3, 0)), answers("h3", starting)}, Held, "h3", "with disk N at boot 3"},
		{"two of three are older", kept, []change{answers("h2", held, saw("D", 6, 0)), answers("h3", saw("D", 6, 0))}, Held, "h2", ""},
		{"older, with a stripe of its own", kept, []change{stripe("s2", "h1"), answers("h2", saw("D", 6, 0)), answers("h3")}, Held, "", "nobody else has a copy of s2"},
	} {
		f := c.facts
		f.Replies = map[string]Reply{}
		if f.Stripes != nil {
			f.Stripes = map[string][]string{"s1": {"h1", "h2", "h3"}}
		}
		for _, change := range c.changes {
			change(&f)
		}
		v := Admit(f)
		if v.Kind != c.want || strings.Join(v.Missing, ",") != c.missing || !strings.Contains(v.Reason+"\n"+v.Next, c.says) {
			t.Errorf("%s: %s, missing %q: %s\n%s\nwant %s, missing %q: %s", c.name, v.Kind, v.Missing, v.Reason, v.Next, c.want, c.missing, c.says)
		}
		if again := Admit(f); again.Situation != v.Situation || again.Reason != v.Reason {
			t.Errorf("%s: judged twice it is %+v and %+v", c.name, v, again)
		}
		if (v.Kind == Wait || v.Kind == Held) != (v.Situation != "" && v.Next != "") {
			t.Errorf("%s: %s with situation %q, next %q", c.name, v.Kind, v.Situation, v.Next)
		}
		if v.Kind == Reset && (v.Boot < f.Self.Boot || slices.Contains(v.Former, f.Self.Disk)) {
			t.Errorf("%s: reset with boot %d and disks %q", c.name, v.Boot, v.Former)
		}
	}
}

func TestAnOrderOverridesOneSituation(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name  string
		facts Facts
		seen  change
		want  Kind
	}{
		{"new", member(true, 0, 0), answers("h2", isNew), Start},
		{"wiped", member(true, 0, 0), answers("h2", saw("A", 7, 100)), Reset},
		{"older", member(false, 5, 100), answers("h2", saw("D", 6, 200)), Reset},
		{"too few", member(false, 5, 100), fails("h2"), Start},
	} {
		f := c.facts
		c.seen(&f)
		v := Admit(f)
		order := v.Order(now)
		f.Order = &order
		over := Admit(f)
		if over.Kind != c.want {
			t.Errorf("%s: %s, want %s: %s", c.name, over.Kind, c.want, over.Reason)
		}
		if c.want == Reset && over.Boot != max(f.Self.Boot, f.Replies["h2"].Answer.Seen.Hosts["h1"].Boot) {
			t.Errorf("%s: boot %d", c.name, over.Boot)
		}
		// Less is missing now: it still holds, or is not needed.
		g := f
		g.Replies = map[string]Reply{}
		c.seen(&g)
		answers("h3")(&g)
		if got := Admit(g); got.Kind == Wait || got.Kind == Held {
			t.Errorf("%s: with h3 it is %s: %s", c.name, got.Kind, got.Reason)
		}
		// More is missing, or something newer was seen: it has to be given again.
		narrow := order
		narrow.Missing = nil
		f.Order = &narrow
		if got := Admit(f); got.Kind != v.Kind || !strings.Contains(got.Next, "another situation") {
			t.Errorf("%s: an order for less gives %s: %s", c.name, got.Kind, got.Next)
		}
		f.Order = &order
		answers("h9", saw("Z", 9, 999))(&f)
		if got := Admit(f); got.Kind != Held {
			t.Errorf("%s: when more is known it is %s", c.name, got.Kind)
		}
	}
	// Once the host has begun, it is another situation.
	f := member(false, 5, 100)
	v := Admit(f)
	order := v.Order(now)
	f.Order = &order
	f.Self.Boot++
	if got := Admit(f); got.Kind != Wait {
		t.Errorf("an order used twice gives %s", got.Kind)
	}
}

func TestTheStake(t *testing.T) {
	f := member(false, 5, 100)
	stripe("s2", "h1")(&f)
	stripe("s3", "h1", "h2", "h4")(&f)
	answers("h2", saw("D", 6, 0))(&f)
	answers("h4")(&f)
	v := Admit(f)
	want := []string{
		"stripe s1: changes that only this host and h3 have",
		"stripe s2: this host has the only copy; all its documents",
	}
	if !slices.Equal(v.Stake, want) {
		t.Errorf("at stake %q, want %q", v.Stake, want)
	}
}
