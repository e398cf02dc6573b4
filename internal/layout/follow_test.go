package layout

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// next is a valid layout that follows twoStripes, for tests to spoil.
func next() Layout {
	l := twoStripes()
	l.Version++
	return l
}

func TestFollow(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Layout)
		kind   error    // that every fault wraps
		want   []string // one piece of each fault, in order
	}{
		{"the same under a newer version", func(*Layout) {}, nil, nil},
		{"itself", func(l *Layout) { l.Version-- }, nil, nil},
		{"many versions later", func(l *Layout) { l.Version = 1 << 60 }, nil, nil},
		{"addresses", func(l *Layout) { l.Hosts[0] = hostAt("h1", 9) }, nil, nil},
		{"a host more", func(l *Layout) { l.Hosts = append(l.Hosts, hostAt("h4", 4)) }, nil, nil},
		{"an empty stripe more", func(l *Layout) {
			l.Stripes = append(l.Stripes, Stripe{Name: "s4", Birth: 5, Replicas: 1, Hosts: []string{"h1"}})
		}, nil, nil},
		{"an empty stripe less", func(l *Layout) { l.Stripes = l.Stripes[:2] }, nil, nil},
		{"the order of a stripe's hosts", func(l *Layout) { l.Stripes[0].Hosts = []string{"h3", "h1", "h2"} }, nil, nil},
		{"a split", func(l *Layout) {
			l.Partitions[2].Last = 8000
			l.Partitions = append(l.Partitions, Partition{ID: 3, First: 8001, Last: Buckets - 1, Stripe: "s1"})
		}, nil, nil},
		{"an older one", func(l *Layout) { l.Version = 2 }, ErrOlder, []string{"version: 2 is older than 3, which is in force; number a new layout 4 or higher"}},
		{"the same version", func(l *Layout) { l.Version, l.Hosts[0].Adama = 3, "" }, ErrSameVersion, []string{"version: 3 is in force with another content"}},
		{"a stripe that carries buckets goes", func(l *Layout) {
			l.Stripes = slices.Delete(l.Stripes, 1, 2)
			l.Partitions[1].Stripe, l.Partitions[1].ID = "s1", 9
		}, ErrBound, []string{"stripe s2: is gone, and carries buckets; keep it", "buckets 100-100: on s1 were on s2"}},
		{"birth", func(l *Layout) { l.Stripes[0].Birth = 9 }, ErrBound, []string{"stripe s1: birth 9 was 1; a stripe keeps it"}},
		{"birth of an empty one", func(l *Layout) { l.Stripes[2].Birth = 9 }, ErrBound, []string{"stripe s3: birth 9 was 2"}},
		{"a low birth of a new one", func(l *Layout) { l.Stripes[2] = Stripe{Name: "s4", Birth: 3, Replicas: 1, Hosts: []string{"h1"}} }, ErrBound, []string{"stripe s4: birth 3 of a new stripe; number it 5 or higher"}},
		{"hosts", func(l *Layout) { l.Stripes[1].Hosts = []string{"h3"} }, ErrBound, []string{"stripe s2: hosts h3 was h2; only their order"}},
		{"replicas", func(l *Layout) { l.Stripes[0].Replicas, l.Stripes[0].Hosts = 1, []string{"h1"} }, ErrBound, []string{"stripe s1: replicas 1 was 3", "stripe s1: hosts h1 was h1, h2, h3"}},
		{"a bucket moves", func(l *Layout) { l.Partitions[0].Last, l.Partitions[1].First = 98, 99 }, ErrBound, []string{"buckets 99-99: on s2 were on s1; bind them to s1 again"}},
		{"a number moves", func(l *Layout) { l.Partitions[0].ID, l.Partitions[1].ID = 0, 1 }, ErrBound, []string{"partition 00: on s1 was on s2; a number stays", "partition 01: on s2 was on s1"}},
		{"a partition moves with its number", func(l *Layout) { l.Partitions[1].Stripe = "s1" }, ErrBound, []string{"buckets 100-100: on s1 were on s2"}},
		{"older and bound", func(l *Layout) { l.Version, l.Stripes[0].Birth = 1, 9 }, nil, []string{"version: 1", "birth 9"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := next()
			tt.change(&l)
			if err := l.Validate(); err != nil {
				t.Fatal(err)
			}
			err := Follow(twoStripes(), l)
			got := lines(err)
			if len(got) != len(tt.want) {
				t.Fatalf("%d faults, want %d:\n%s", len(got), len(tt.want), strings.Join(got, "\n"))
			}
			for i, piece := range tt.want {
				if !strings.Contains(got[i], piece) {
					t.Errorf("fault %d is %q, want it to say %q", i, got[i], piece)
				}
			}
			if tt.kind != nil && !errors.Is(err, tt.kind) {
				t.Errorf("%v is not %v", err, tt.kind)
			}
		})
	}
}

// drawLayout makes a valid layout of few stripes with random partitions.
func drawLayout(t *rapid.T, label string) Layout {
	l := twoStripes()
	l.Version = rapid.Uint64Range(1, 3).Draw(t, label+" version")
	cut := rapid.OneOf(rapid.Uint16Range(1, 6), rapid.Uint16Range(Buckets-6, Buckets-1))
	cuts := rapid.SliceOfNDistinct(cut, 0, 6, rapid.ID[uint16]).Draw(t, label+" cuts")
	slices.Sort(cuts)
	l.Partitions = nil
	ids := rapid.Permutation([]PartitionID{0, 1, 2, 3, 4, 5, 6}).Draw(t, label+" ids")
	first := Bucket(0)
	for i, c := range append(cuts, Buckets) {
		stripe := rapid.SampledFrom([]string{"s1", "s2"}).Draw(t, label+" stripe")
		l.Partitions = append(l.Partitions, Partition{ID: ids[i], First: first, Last: Bucket(c) - 1, Stripe: stripe})
		first = Bucket(c)
	}
	return l
}

// TestMovesAgainstCounting compares the buckets that Follow and Diff find with a look
// at every single one.
func TestMovesAgainstCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, is := drawLayout(t, "old"), drawLayout(t, "new")
		type step struct{ from, to string }
		want, got := make(map[Bucket]step), make(map[Bucket]step)
		for b := range Bucket(Buckets) {
			from, _ := old.PartitionOf(b)
			to, _ := is.PartitionOf(b)
			if from.Stripe != to.Stripe {
				want[b] = step{from.Stripe, to.Stripe}
			}
		}
		for _, m := range moves(old, is) {
			for b := m.first; b <= m.last; b++ {
				got[b] = step{m.from, m.to}
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("moves %v", moves(old, is))
		}
		if err := Follow(old, is); err == nil && len(want) > 0 {
			t.Fatal("Follow lets buckets move")
		}
		if diff := Diff(old, is); (len(diff) == 0) != (old.Digest() == is.Digest()) {
			t.Fatalf("digests %s and %s, differences %v", old.Digest(), is.Digest(), diff)
		}
		if Follow(old, old) != nil || len(Diff(is, is)) != 0 {
			t.Fatal("a layout does not follow itself")
		}
	})
}

func TestDiff(t *testing.T) {
	l := next()
	l.Hosts = []Host{l.Hosts[0], l.Hosts[1], hostAt("h4", 4)}
	l.Hosts[0].NATS, l.Hosts[0].Adama = "10.9.9.9:4222", ""
	l.Stripes[0].Hosts = []string{"h2", "h1", "h4"}
	l.Stripes[2] = Stripe{Name: "s4", Birth: 5, Replicas: 1, Hosts: []string{"h4"}}
	l.Partitions[0].Last, l.Partitions[1].First = 49, 50
	l.Partitions[2].ID = 7
	var got []string
	for _, c := range Diff(twoStripes(), l) {
		got = append(got, c.String())
	}
	want := []string{
		"version: 3 -> 4",
		"host h1: nats 10.0.0.1:4222 -> 10.9.9.9:4222",
		"host h1: adama 10.0.0.1:8080 -> none",
		"host h3: removed: nats 10.0.0.3:4222, route 10.0.0.3:6222, http 10.0.0.3:7422, adama 10.0.0.3:8080",
		"host h4: added: nats 10.0.0.4:4222, route 10.0.0.4:6222, http 10.0.0.4:7422, adama 10.0.0.4:8080",
		"stripe s1: hosts h1, h2, h3 -> h2, h1, h4",
		"stripe s3: removed: birth 2, 3 replicas on h3, h1, h2",
		"stripe s4: added: birth 5, 1 replicas on h4",
		"partition 01: buckets 0-99 -> 0-49",
		"partition 00: buckets 100-100 -> 50-100",
		"partition 200: removed: buckets 101-16383 on s1",
		"partition 07: added: buckets 101-16383 on s1",
		"buckets 50-99: stripe s1 -> s2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("differences\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The digest is agreed on by hosts, also of different releases: it must not change.
func TestDigest(t *testing.T) {
	const want = "403fc28207f3fba25ca7f2b5200db36c"
	l := twoStripes()
	if got := l.Digest(); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	slices.Reverse(l.Hosts)
	slices.Reverse(l.Stripes)
	if got := l.Digest(); got != want {
		t.Errorf("digest %s of another order, want %s", got, want)
	}
	seen := map[string]bool{want: true}
	for _, change := range []func(*Layout){
		func(l *Layout) { l.Version++ },
		func(l *Layout) { l.Hosts[0].Name = "x" },
		func(l *Layout) { l.Hosts[0].NATS = "x:1" },
		func(l *Layout) { l.Hosts[0].Route = "x:1" },
		func(l *Layout) { l.Hosts[0].HTTP = "x:1" },
		func(l *Layout) { l.Hosts[0].Adama = "x:1" },
		func(l *Layout) { l.Stripes[0].Name = "x" },
		func(l *Layout) { l.Stripes[0].Birth = 9 },
		func(l *Layout) { l.Stripes[0].Replicas = 5 },
		func(l *Layout) { slices.Reverse(l.Stripes[0].Hosts) },
		func(l *Layout) { l.Partitions[0].ID = 9 },
		func(l *Layout) { l.Partitions[0].First = 9 },
		func(l *Layout) { l.Partitions[0].Last = 9 },
		func(l *Layout) { l.Partitions[0].Stripe = "x" },
	} {
		l := twoStripes()
		change(&l)
		if d := l.Digest(); seen[d] {
			t.Errorf("%+v has a digest that was seen", l)
		} else {
			seen[d] = true
		}
	}
}

func TestStripesOn(t *testing.T) {
	l := twoStripes()
	for host, want := range map[string][]string{"h1": {"s1", "s3"}, "h2": {"s1", "s2", "s3"}, "h9": nil} {
		var got []string
		for _, s := range l.StripesOn(host) {
			got = append(got, s.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("stripes on %s: %v, want %v", host, got, want)
		}
	}
}
