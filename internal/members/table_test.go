package members

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/layout"
	"trireme/internal/position"
)

// three is a layout of hosts with one stripe "s1" on the first three, and others
// that prefer the others.
func three(hosts, stripes int) layout.Layout {
	l := layout.Layout{Version: 1}
	for i := range hosts {
		l.Hosts = append(l.Hosts, layout.Host{Name: fmt.Sprintf("h%d", i+1)})
	}
	for i := range stripes {
		s := layout.Stripe{Name: fmt.Sprintf("s%d", i+1), Birth: uint32(i + 1), Replicas: 3}
		for j := range 3 {
			s.Hosts = append(s.Hosts, fmt.Sprintf("h%d", (i+j)%hosts+1))
		}
		l.Stripes = append(l.Stripes, s)
	}
	return l
}

// report is one of a host with stripe s1.
func report(host string, boot, seq uint64, s Stripe) Report {
	return Report{Host: host, Disk: "disk of " + host, Boot: boot, Seq: seq, Layout: Layout{Version: 1, Digest: "d"}, Stripes: map[string]Stripe{"s1": s}}
}

func owning(epoch string, applied, last uint64) Stripe {
	return Stripe{Applied: applied, Durable: applied, Owner: &Owner{Epoch: epoch, First: 1, Last: last, Bytes: int64(last) * 100}}
}

func at(s string) position.Position {
	p, err := position.Parse(s)
	if err != nil {
		panic(err)
	}
	return p
}

func wantOwner(t *testing.T, table *Table, now int64, host, epoch string) {
	t.Helper()
	got, e := table.Owner(now, "s1")
	if want := at(epoch); got != host || e != want {
		t.Errorf("at %d the owner is %q under %v, want %q under %v", now, got, e, host, want)
	}
}

func TestAHostIsAliveForAsLongAsItIsHeard(t *testing.T) {
	table := New("h1", three(3, 1))
	if !table.Alive(0, "h1") || table.Alive(0, "h2") || table.Quorum(0, "s1") {
		t.Error("a table that has heard nothing knows this host only")
	}
	if n := table.Hear(1000, report("h2", 1, 1, Stripe{})); !n.Taken || !n.Appeared {
		t.Errorf("first report: %+v", n)
	}
	if n := table.Hear(2000, report("h2", 1, 2, Stripe{})); !n.Taken || n.Appeared {
		t.Errorf("second report: %+v", n)
	}
	if !table.Alive(2000+DeadAfter, "h2") || table.Alive(2001+DeadAfter, "h2") {
		t.Error("h2 does not die when its time is over")
	}
	if !table.Quorum(2000+DeadAfter, "s1") || table.Quorum(2001+DeadAfter, "s1") || table.Quorum(0, "s9") {
		t.Error("the quorum does not follow who is alive")
	}
	if n := table.Hear(9000, report("h2", 1, 3, Stripe{})); !n.Appeared {
		t.Errorf("back again: %+v", n)
	}
	if n := table.Hear(9100, report("h2", 2, 1, Stripe{})); !n.Appeared {
		t.Errorf("restarted: %+v", n)
	}
	last := report("h2", 2, 2, Stripe{})
	last.Closing = true
	if n := table.Hear(9200, last); !n.Closed || n.Appeared || table.Alive(9200, "h2") {
		t.Errorf("closing: %+v", n)
	}
	if n := table.Hear(9300, report("h2", 2, 1, Stripe{})); n.Taken || table.Alive(9300, "h2") {
		t.Errorf("an overtaken report is taken: %+v", n)
	}
	own := report("h1", 1, 1, Stripe{})
	own.Closing = true
	table.Hear(9400, own)
	if table.Alive(9400, "h1") {
		t.Error("this host closes and is alive")
	}
}

func TestTheNewestClaimOwns(t *testing.T) {
	table := New("h3", three(3, 1))
	wantOwner(t, table, 0, "", "0-0")
	n := table.Hear(0, report("h1", 1, 1, owning("1-10", 10, 10)))
	if want := []Owned{{"s1", "h1", at("1-10")}}; !reflect.DeepEqual(n.Owners, want) {
		t.Errorf("news %+v, want %+v", n.Owners, want)
	}
	wantOwner(t, table, 0, "h1", "1-10")
	table.Hear(100, report("h2", 1, 1, owning("1-20", 20, 20)))
	wantOwner(t, table, 100, "h2", "1-20")
	if n := table.Hear(200, report("h1", 1, 2, owning("1-10", 15, 15))); len(n.Owners) > 0 {
		t.Errorf("a deposed owner makes news: %+v", n.Owners)
	}
	wantOwner(t, table, 200, "h2", "1-20")
	if n := table.Hear(300, report("h2", 1, 2, Stripe{Applied: 21})); !reflect.DeepEqual(n.Owners, []Owned{{"s1", "", at("1-20")}}) {
		t.Errorf("letting go is no news: %+v", n.Owners)
	}
	wantOwner(t, table, 300, "", "0-0") // not h1, although it says so
	table.Hear(400, report("h1", 1, 3, owning("1-30", 30, 30)))
	wantOwner(t, table, 400, "h1", "1-30")
	wantOwner(t, table, 401+DeadAfter, "", "0-0")
	table.Hear(5000, report("h1", 2, 1, Stripe{}))
	if n := table.Hear(5100, report("h1", 1, 9, owning("1-40", 40, 40))); n.Taken {
		t.Error("a report of an earlier boot is taken")
	}
	wantOwner(t, table, 5100, "", "0-0")
}

func TestTwoDisksOfOneName(t *testing.T) {
	table := New("h1", three(3, 1))
	table.Hear(0, report("h2", 5, 1, Stripe{Durable: 7}))
	other := report("h2", 5, 1, Stripe{Durable: 1})
	other.Disk = "another"
	if n := table.Hear(100, other); n.Taken || !n.Rival {
		t.Errorf("a rival of a living host: %+v", n)
	}
	other.Boot = 6 // what comes in empty goes on counting
	if n := table.Hear(200, other); !n.Taken || n.Rival || !n.Appeared {
		t.Errorf("a new disk: %+v", n)
	}
	if n := table.Hear(DeadAfter+300, report("h2", 5, 2, Stripe{})); !n.Taken {
		t.Errorf("another disk of a dead host: %+v", n)
	}
}

func TestHostsAndLayouts(t *testing.T) {
	table := New("h1", three(3, 1))
	table.Hear(0, report("h1", 1, 1, Stripe{}))
	r := report("h2", 1, 1, Stripe{})
	r.Layout = Layout{Version: 2, Digest: "e"}
	table.Hear(1000, r)
	stranger := report("h9", 1, 1, Stripe{})
	table.Hear(1000, stranger)
	var lines []string
	for _, v := range table.Hosts(1500) {
		lines = append(lines, fmt.Sprintf("%s %v %v %v %d", v.Name, v.Member, v.Alive, v.Heard, v.Ago))
	}
	want := []string{"h1 true true true 1500", "h2 true true true 500", "h3 true false false 0", "h9 false true true 500"}
	if !slices.Equal(lines, want) {
		t.Errorf("hosts %q, want %q", lines, want)
	}
	if got := table.LayoutsDiffer(1500); !reflect.DeepEqual(got, []Differing{{"h2", Layout{2, "e"}}}) {
		t.Errorf("other layouts: %+v", got)
	}
	if got := table.LayoutsDiffer(9000); len(got) > 0 {
		t.Errorf("other layouts of the dead: %+v", got)
	}
	table.SetLayout(three(2, 0))
	if v := table.Hosts(1500); len(v) != 2 {
		t.Errorf("hosts of the next layout: %+v", v)
	}
}

func TestTrimFloor(t *testing.T) {
	for _, c := range []struct {
		name       string
		h1, h2, h3 Stripe
		heard      []string // of h2 and h3, who is heard now
		want       uint64
	}{
		{"all well", Stripe{Durable: 30}, Stripe{Durable: 10}, Stripe{Durable: 20}, []string{"h2", "h3"}, 10},
		{"the last one dead", Stripe{Durable: 30}, Stripe{Durable: 10}, Stripe{Durable: 20}, []string{"h3"}, 20},
		{"two dead", Stripe{Durable: 30}, Stripe{Durable: 10}, Stripe{Durable: 20}, nil, 20},
		{"two dead that were far", Stripe{Durable: 30}, Stripe{Durable: 40}, Stripe{Durable: 50}, nil, 30},
		{"the last one sick", Stripe{Durable: 30}, Stripe{Durable: 10, Sick: "x"}, Stripe{Durable: 20}, []string{"h2", "h3"}, 20},
		{"one dead, one sick", Stripe{Durable: 30}, Stripe{Durable: 28, Sick: "x"}, Stripe{Durable: 5}, []string{"h2"}, 5},
		{"both sick", Stripe{Durable: 30}, Stripe{Durable: 28, Sick: "x"}, Stripe{Durable: 28, Sick: "x"}, []string{"h2", "h3"}, 0},
		{"one has just started", Stripe{Durable: 30}, Stripe{}, Stripe{Durable: 20}, []string{"h2", "h3"}, 0},
		{"this one has just started", Stripe{}, Stripe{Durable: 10}, Stripe{Durable: 20}, []string{"h2", "h3"}, 0},
		{"this one sick", Stripe{Durable: 5, Sick: "x"}, Stripe{Durable: 10}, Stripe{Durable: 20}, []string{"h2", "h3"}, 5},
	} {
		table := New("h1", three(3, 1))
		for i, r := range []Report{report("h1", 1, 1, c.h1), report("h2", 1, 1, c.h2), report("h3", 1, 1, c.h3)} {
			table.Hear(int64(i), r)
		}
		for now := int64(1000); now <= 5000; now += 1000 {
			for _, r := range []Report{report("h1", 1, 1, c.h1), report("h2", 1, 1, c.h2), report("h3", 1, 1, c.h3)} {
				if r.Host == "h1" || slices.Contains(c.heard, r.Host) {
					table.Hear(now, r)
				}
			}
		}
		if got := table.TrimFloor(5000, "s1"); got != c.want {
			t.Errorf("%s: floor %d, want %d", c.name, got, c.want)
		}
	}
}

func TestNothingIsTrimmedAwayFromWhoWasNotHeardYet(t *testing.T) {
	table := New("h1", three(3, 1))
	table.Hear(0, report("h1", 1, 1, Stripe{Durable: 30}))
	table.Hear(10, report("h2", 1, 1, Stripe{Durable: 20}))
	if got := table.TrimFloor(20, "s1"); got != 0 {
		t.Errorf("floor %d before h3 could be heard", got)
	}
	for now := int64(1000); now <= DeadAfter+1000; now += 1000 {
		table.Hear(now, report("h1", 1, 1, Stripe{Durable: 30}))
		table.Hear(now, report("h2", 1, 1, Stripe{Durable: 20}))
	}
	if got := table.TrimFloor(DeadAfter+1000, "s1"); got != 20 {
		t.Errorf("floor %d without h3, want 20", got)
	}
	// This host was frozen. Who is heard first is not the only one alive.
	table.Hear(5500, report("h3", 1, 1, Stripe{Durable: 3}))
	table.Hear(60_000, report("h1", 1, 2, Stripe{Durable: 30}))
	table.Hear(60_000, report("h2", 1, 2, Stripe{Durable: 20}))
	if got := table.TrimFloor(60_001, "s1"); got != 3 {
		t.Errorf("floor %d just after a pause, want 3", got)
	}
}

// TestTableAgainstATwin compares what a table says with what a list of all reports says.
func TestTableAgainstATwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type heard struct {
			at int64
			Report
		}
		table, now, began := New("h1", three(3, 1)), int64(0), int64(-1)
		last := map[string]heard{}
		var highest position.Position
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += rapid.Int64Range(0, 2500).Draw(t, "pause")
			if began < 0 {
				began = now
			}
			own := last["h1"].Report
			if own.Host == "" {
				own = report("h1", 1, 0, Stripe{})
			}
			table.Hear(now, own) // so that this host never seems to have stood still
			last["h1"] = heard{now, own}
			r := report(rapid.SampledFrom([]string{"h1", "h2", "h3"}).Draw(t, "host"), rapid.Uint64Range(1, 3).Draw(t, "boot"),
				rapid.Uint64Range(0, uint64(now)).Draw(t, "seq"), Stripe{Durable: rapid.Uint64Range(0, 9).Draw(t, "durable")})
			s := r.Stripes["s1"]
			if rapid.Bool().Draw(t, "owns") {
				s.Owner = &Owner{Epoch: fmt.Sprintf("1-%d", rapid.Uint64Range(1, 99).Draw(t, "epoch")*4+uint64(r.Host[1]-'0'))}
			}
			if rapid.IntRange(0, 4).Draw(t, "sick") == 0 {
				s.Sick = "x"
			}
			r.Stripes["s1"] = s
			r.Closing = r.Host != "h1" && rapid.IntRange(0, 9).Draw(t, "closing") == 0
			table.Hear(now, r)
			if k, ok := last[r.Host]; !ok || r.Boot > k.Boot || r.Boot == k.Boot && r.Seq >= k.Seq {
				last[r.Host] = heard{now, r}
				if s.Owner != nil && highest.Less(at(s.Owner.Epoch)) {
					highest = at(s.Owner.Epoch)
				}
			}

			alive := func(h string) bool {
				k, ok := last[h]
				return ok && !k.Closing && now-k.at <= DeadAfter
			}
			owner, live := "", 0
			var all, sound []uint64 // durable of the healthy alive; of all
			for _, h := range []string{"h1", "h2", "h3"} {
				k := last[h].Stripes["s1"]
				if alive(h) {
					live++
					if k.Owner != nil && at(k.Owner.Epoch) == highest {
						owner = h
					}
				}
				_, ever := last[h]
				if h == "h1" || k.Sick == "" && (alive(h) || !ever && now-began <= DeadAfter) {
					all = append(all, k.Durable)
				}
				if k.Sick == "" {
					sound = append(sound, k.Durable)
				} else {
					sound = append(sound, 0)
				}
			}
			slices.Sort(sound)
			if got, _ := table.Owner(now, "s1"); got != owner {
				t.Fatalf("owner %q, the twin says %q", got, owner)
			}
			if got := table.Quorum(now, "s1"); got != (live >= 2) {
				t.Fatalf("quorum %v with %d alive", got, live)
			}
			if got, want := table.TrimFloor(now, "s1"), min(slices.Min(all), sound[1]); got != want {
				t.Fatalf("floor %d, the twin says %d", got, want)
			}
		}
	})
}
