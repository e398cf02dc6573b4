package layout

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func hosts(n int) (list []Host) {
	for i := range n {
		list = append(list, hostAt(fmt.Sprintf("h%d", i+1), i+1))
	}
	return list
}

// stripesOf tells the stripes of a layout as people see them.
func stripesOf(l Layout) (told []string) {
	for _, s := range l.Stripes {
		told = append(told, fmt.Sprintf("%s/%d %v %d", s.Name, s.Birth, s.Hosts, len(l.PartitionsOf(s.Name))))
	}
	return told
}

// The layout that most will run.
func TestGenerateThreeHosts(t *testing.T) {
	l, err := Generate(Plan{Hosts: hosts(3)})
	if err != nil {
		t.Fatal(err)
	}
	got := stripesOf(l)
	want := []string{"s1/1 [h1 h2 h3] 22", "s2/2 [h2 h3 h1] 21", "s3/3 [h3 h2 h1] 21"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("stripes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// With two stripes each, the load of a dead host goes to both others.
func TestGenerateRainbow(t *testing.T) {
	l, err := Generate(Plan{Hosts: hosts(3), StripesPerHost: 2})
	if err != nil {
		t.Fatal(err)
	}
	got := stripesOf(l)
	want := []string{
		"s1/1 [h1 h2 h3] 11", "s2/2 [h2 h3 h1] 11", "s3/3 [h3 h2 h1] 11",
		"s4/4 [h1 h3 h2] 11", "s5/5 [h2 h1 h3] 10", "s6/6 [h3 h1 h2] 10",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("stripes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if p := l.Partitions[7]; l.Version != 1 || p.String() != "07: buckets 1792-2047 on s2" {
		t.Errorf("version %d, partition %v", l.Version, p)
	}
	wantReport := Report{
		Hosts: []HostReport{{"h1", 6, 2, 22}, {"h2", 6, 2, 21}, {"h3", 6, 2, 21}},
		Deaths: []Death{
			{"h1", []Load{{"h2", 32}, {"h3", 32}}, 0},
			{"h2", []Load{{"h1", 32}, {"h3", 32}}, 0},
			{"h3", []Load{{"h1", 32}, {"h2", 32}}, 0},
		},
	}
	if r := NewReport(l); !reflect.DeepEqual(r, wantReport) {
		t.Errorf("report %+v, want %+v", r, wantReport)
	}
}

// span gives the smallest and the largest of some figures.
func span[T any](list []T, figure func(T) int) (least, most int) {
	least, most = math.MaxInt, math.MinInt
	for _, v := range list {
		least, most = min(least, figure(v)), max(most, figure(v))
	}
	return least, most
}

// checkRainbow tells what a generated layout lacks of what [Generate] promises.
func checkRainbow(t interface {
	Helper()
	Errorf(string, ...any)
}, p Plan, l Layout,
) {
	t.Helper()
	n, r := len(l.Hosts), NewReport(l)
	if err := l.Validate(); err != nil {
		t.Errorf("invalid: %v", err)
	}
	even := func(what string, least, most int) {
		t.Helper()
		if most-least > 1 {
			t.Errorf("%+v: %s %d to %d", p, what, least, most)
		}
	}
	least, most := span(r.Hosts, func(h HostReport) int { return h.Leads })
	even("leaders", least, most)
	least, most = span(r.Hosts, func(h HostReport) int { return h.Meshes })
	even("meshes", least, most)
	least, most = span(l.Stripes, func(s Stripe) int { return len(l.PartitionsOf(s.Name)) })
	even("partitions of a stripe", least, most)
	largest := most
	least, most = span(l.Partitions, func(p Partition) int { return int(p.Last-p.First) + 1 })
	even("buckets of a partition", least, most)

	if l.Stripes[0].Replicas == 1 {
		return
	}
	checkSuccessors(t, p, l)
	for _, d := range r.Deaths {
		_, most = span(d.Survivors, func(s Load) int { return s.Partitions })
		// The best does not have to keep to members. Stripes that do not come to the same
		// number for every host may be off by one of them.
		within := 2
		if len(l.Stripes)%n != 0 {
			within = largest
		}
		if best := bestDeath(l, r, d.Host); most > best+within {
			t.Errorf("%+v: after the death of %s a host has %d partitions, and could have %d", p, d.Host, most, best)
		}
		if d.Lost != 0 {
			t.Errorf("%+v: the death of %s loses %d partitions", p, d.Host, d.Lost)
		}
	}
}

// bestDeath is the largest load of a survivor when the stripes of the dead host go,
// the largest first, to whoever has least, each host as often as the others. It asks
// no stripe for its members.
func bestDeath(l Layout, r Report, dead string) int {
	var loads, uses []int
	for _, h := range r.Hosts {
		if h.Host != dead {
			loads = append(loads, h.Partitions)
		}
	}
	uses = make([]int, len(loads))
	var stripes []int
	for _, s := range l.Stripes {
		if s.Hosts[0] == dead {
			stripes = append(stripes, len(l.PartitionsOf(s.Name)))
		}
	}
	slices.SortFunc(stripes, func(a, b int) int { return b - a })
	for i, load := range stripes {
		best := -1
		for k := range loads {
			if uses[k] <= i/len(loads) && (best < 0 || loads[k] < loads[best]) {
				best = k
			}
		}
		loads[best] += load
		uses[best]++
	}
	return slices.Max(loads)
}

// checkSuccessors wants all different ones where there are enough hosts, and beyond
// that each as often as any other, or once more.
func checkSuccessors(t interface {
	Helper()
	Errorf(string, ...any)
}, p Plan, l Layout,
) {
	t.Helper()
	successors := make(map[string]map[string]int)
	for _, h := range l.Hosts {
		successors[h.Name] = make(map[string]int)
	}
	for _, s := range l.Stripes {
		successors[s.Hosts[0]][s.Hosts[1]]++
	}
	for leader, by := range successors {
		leads := 0
		for _, times := range by {
			leads += times
		}
		others := len(l.Hosts) - 1
		for successor, times := range by {
			if most := (leads + others - 1) / others; times > most {
				t.Errorf("%+v: %s succeeds %s in %d of %d stripes, want %d at most", p, successor, leader, times, leads, most)
			}
		}
	}
}

func TestGenerateForEveryNumberOfHosts(t *testing.T) {
	for n := 1; n <= 12; n++ {
		for _, replicas := range []int{1, 3, 5} {
			if replicas > n {
				continue
			}
			for per := 1; per <= 5; per++ {
				p := Plan{Hosts: hosts(n), StripesPerHost: per, Replicas: replicas}
				l, err := Generate(p)
				if err != nil {
					t.Fatal(err)
				}
				checkRainbow(t, Plan{StripesPerHost: per, Replicas: replicas, Stripes: len(l.Stripes)}, l)
			}
			for stripes := 1; stripes <= DefaultPartitions; stripes++ {
				l, err := Generate(Plan{Hosts: hosts(n), Stripes: stripes, Replicas: replicas})
				if err != nil {
					t.Fatal(err)
				}
				if len(l.Stripes) != stripes {
					t.Fatalf("%d stripes, want %d", len(l.Stripes), stripes)
				}
				checkRainbow(t, Plan{Stripes: stripes, Replicas: replicas}, l)
			}
		}
	}
}

func TestGenerateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "hosts")
		p := Plan{Hosts: hosts(n), Version: rapid.Uint64Range(0, 9).Draw(t, "version")}
		p.Partitions = rapid.IntRange(1, 300).Draw(t, "partitions")
		p.Stripes = rapid.IntRange(1, p.Partitions).Draw(t, "stripes")
		p.Replicas = rapid.SampledFrom([]int{0, 1, 3, 5}).Draw(t, "replicas")
		l, err := Generate(p)
		if p.Replicas > n {
			if err == nil {
				t.Fatalf("%d replicas on %d hosts", p.Replicas, n)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		again, _ := Generate(p)
		if !reflect.DeepEqual(l, again) {
			t.Fatal("the same plan gives another layout")
		}
		checkRainbow(t, p, l)
	})
}

func TestGenerateRefuses(t *testing.T) {
	for want, p := range map[string]Plan{
		"hosts: none":                     {},
		"replicas: 3 on 2 hosts":          {Hosts: hosts(2), Replicas: 3},
		"replicas: 2; choose":             {Hosts: hosts(2), Replicas: 2},
		"none may be negative":            {Hosts: hosts(2), Stripes: -1},
		"stripes: 4, and 2 per host":      {Hosts: hosts(2), Stripes: 4, StripesPerHost: 2},
		"stripes: 65 for 64 partitions":   {Hosts: hosts(2), Stripes: 65},
		"partitions: 16385":               {Hosts: hosts(2), Partitions: 16385},
		"hosts[1].nats: is empty":         {Hosts: []Host{hostAt("h1", 1), {Name: "h2"}}},
		"hosts[1].name: h1 is that of":    {Hosts: []Host{hostAt("h1", 1), hostAt("h1", 2)}},
		"stripes: 6 for 4 partitions, so": {Hosts: hosts(3), StripesPerHost: 2, Partitions: 4},
	} {
		if _, err := Generate(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
}

// Without replicas a death takes partitions with it, and the report says how many.
func TestReportOfLoss(t *testing.T) {
	l, err := Generate(Plan{Hosts: hosts(2)})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range NewReport(l).Deaths {
		if d.Lost != 32 || d.Survivors[0].Partitions != 32 {
			t.Errorf("death %+v", d)
		}
	}
	if r := NewReport(Single("h1")); len(r.Deaths) != 0 || !reflect.DeepEqual(r.Hosts, []HostReport{{"h1", 1, 1, 64}}) {
		t.Errorf("report %+v", r)
	}
}
