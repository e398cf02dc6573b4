package members

import (
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/layout"
)

func TestClean(t *testing.T) {
	clean := func(n uint64) Stripe { return Stripe{Applied: n + 9, Durable: n + 5, Clean: n} }
	for _, c := range []struct {
		name    string
		reports []Report
		want    uint64
	}{
		{"nobody has been heard", nil, 0},
		{"one has not", []Report{report("h1", 1, 1, clean(10)), report("h2", 1, 1, clean(20))}, 0},
		{"all have", []Report{report("h1", 1, 1, clean(10)), report("h2", 1, 1, clean(20)), report("h3", 1, 1, clean(30))}, 10},
		{"one knows nothing of the stripe", []Report{report("h1", 1, 1, clean(10)), report("h2", 1, 1, clean(20)), {Host: "h3", Boot: 1}}, 0},
		{"one would fall back", []Report{report("h1", 1, 1, clean(10)), report("h2", 1, 1, Stripe{Durable: 7, Clean: 20}), report("h3", 1, 1, clean(30))}, 7},
		{"one is sick", []Report{report("h1", 1, 1, clean(10)), report("h2", 1, 1, Stripe{Durable: 30, Clean: 3, Sick: "x"}), report("h3", 1, 1, clean(30))}, 3},
		{"one has begun anew", []Report{
			report("h1", 1, 1, clean(10)),
			report("h2", 1, 1, clean(20)), report("h2", 2, 1, Stripe{Durable: 20}),
			report("h3", 1, 1, clean(30)),
		}, 0},
		{"a stranger", []Report{
			report("h1", 1, 1, clean(10)), report("h2", 1, 1, clean(20)), report("h3", 1, 1, clean(30)), report("h9", 1, 1, clean(1)),
		}, 10},
	} {
		table := New("h1", three(3, 1))
		for i, r := range c.reports {
			table.Hear(int64(i), r)
		}
		if got := table.Clean("s1"); got != c.want {
			t.Errorf("%s: clean up to %d, want %d", c.name, got, c.want)
		}
		if got := table.Clean("s9"); got != 0 {
			t.Errorf("%s: no stripe is clean up to %d", c.name, got)
		}
	}
	alone := New("h1", layout.Layout{Version: 1, Hosts: []layout.Host{{Name: "h1"}}, Stripes: []layout.Stripe{{Name: "s1", Birth: 1, Replicas: 1, Hosts: []string{"h1"}}}})
	if got := alone.Clean("s1"); got != 0 {
		t.Errorf("alone and not heard: %d", got)
	}
	alone.Hear(0, report("h1", 1, 1, Stripe{Applied: 9, Durable: 7}))
	if got := alone.Clean("s1"); got != 7 {
		t.Errorf("alone: clean up to %d, want what is durable", got)
	}
}

// TestCleanWaitsForEveryMember compares with a list of what everybody told last,
// while hosts die, restart, lose their disks, and reports overtake one another.
func TestCleanWaitsForEveryMember(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts := []string{"h1", "h2", "h3"}
		table, now := New("h1", three(3, 2)), int64(0)
		told := map[string]Report{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += rapid.SampledFrom([]int64{0, 100, 1000, DeadAfter + 1, 1 << 40}).Draw(t, "pause") // a month of silence changes nothing
			r := report(rapid.SampledFrom([]string{"h1", "h2", "h3", "h4"}).Draw(t, "host"), rapid.Uint64Range(1, 3).Draw(t, "boot"), rapid.Uint64Range(0, 9).Draw(t, "seq"), Stripe{})
			for _, s := range []string{"s1", "s2"} {
				if rapid.IntRange(0, 9).Draw(t, "knows") == 0 {
					delete(r.Stripes, s)
					continue
				}
				r.Stripes[s] = Stripe{
					Applied: 99, Durable: rapid.Uint64Range(1, 40).Draw(t, "durable"), Clean: rapid.Uint64Range(0, 40).Draw(t, "clean"),
					Sick: rapid.SampledFrom([]string{"", "", "x"}).Draw(t, "sick"),
				}
			}
			r.Closing = rapid.IntRange(0, 9).Draw(t, "closing") == 0
			if rapid.IntRange(0, 9).Draw(t, "disk") == 0 {
				r.Disk = "another of " + r.Host
			}
			if table.Hear(now, r).Taken {
				told[r.Host] = r
			}
			for _, s := range []string{"s1", "s2"} {
				want := uint64(1 << 60)
				for _, h := range hosts {
					x := told[h].Stripes[s] // zero for what was never told
					want = min(want, x.Clean, x.Durable)
				}
				if got := table.Clean(s); got != want {
					t.Fatalf("%s is clean up to %d, the twin says %d", s, got, want)
				}
			}
		}
	})
}
