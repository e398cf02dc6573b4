package layout

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSingle(t *testing.T) {
	l := Single("h1")
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	s, _ := l.Stripe("s1")
	if len(l.Partitions) != 64 || len(l.Stripes) != 1 || s.Birth != 1 || s.Replicas != 1 || !slices.Equal(s.Hosts, []string{"h1"}) {
		t.Errorf("layout %+v", l)
	}
	for b := range Bucket(Buckets) {
		p, ok := l.PartitionOf(b)
		if want := PartitionID(b / 256); !ok || p.ID != want || !p.Has(b) {
			t.Fatalf("PartitionOf(%d) = %v, %v; want %v", b, p, ok, want)
		}
		if s, ok := l.StripeOf(b); !ok || s.Name != "s1" {
			t.Fatalf("StripeOf(%d) = %v, %v", b, s, ok)
		}
	}
	if got := l.PartitionsOf("s1"); !slices.Equal(got, l.Partitions) {
		t.Errorf("PartitionsOf(s1) = %v", got)
	}
	if got := l.Partitions[7].String(); got != "07: buckets 1792-2047 on s1" {
		t.Errorf("partition 7 prints %q", got)
	}
}

func TestLookupsOfWhatIsNotThere(t *testing.T) {
	l := Single("h1")
	if p, ok := l.PartitionOf(Buckets); ok {
		t.Errorf("PartitionOf(%d) = %v", Buckets, p)
	}
	if s, ok := l.StripeOf(Buckets); ok {
		t.Errorf("StripeOf(%d) = %v", Buckets, s)
	}
	if p, ok := l.Partition(64); ok {
		t.Errorf("Partition(64) = %v", p)
	}
	if h, ok := l.Host("h2"); ok {
		t.Errorf("Host(h2) = %v", h)
	}
	if ps := l.PartitionsOf("s2"); len(ps) != 0 {
		t.Errorf("PartitionsOf(s2) = %v", ps)
	}
	if _, ok := (Layout{}).PartitionOf(0); ok {
		t.Error("an empty layout has a partition for bucket 0")
	}
}

func TestParsePartitionID(t *testing.T) {
	for id, text := range map[PartitionID]string{0: "00", 7: "07", 63: "63", 100: "100", 4294967295: "4294967295"} {
		if got := id.String(); got != text {
			t.Errorf("partition %d prints %q, want %q", uint32(id), got, text)
		}
		if got, err := ParsePartitionID(text); err != nil || got != id {
			t.Errorf("ParsePartitionID(%q) = %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "7", "007", "-1", "+07", "4294967296", "0x", "1a", " 07"} {
		if got, err := ParsePartitionID(bad); err == nil {
			t.Errorf("ParsePartitionID(%q) = %v, want an error", bad, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("07")
	f.Add("16383")
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := ParseBucket(s); err == nil && (b.String() != s || !b.Valid()) {
			t.Errorf("ParseBucket(%q) = %v", s, b)
		}
		if p, err := ParsePartitionID(s); err == nil && p.String() != s {
			t.Errorf("ParsePartitionID(%q) = %v", s, p)
		}
		if CheckName(s) == nil && (s == "" || len(s) > nameLimit || strings.ContainsAny(s, " .*>$/\\\x00\t\r\n")) {
			t.Errorf("CheckName(%q) accepts it", s)
		}
	})
}

// hostAt is a host with every address, none like that of another number.
func hostAt(name string, i int) Host {
	at := func(port int) string { return fmt.Sprintf("10.0.0.%d:%d", i, port) }
	return Host{Name: name, NATS: at(4222), Route: at(6222), HTTP: at(7422), Adama: at(8080)}
}

// twoStripes is a valid layout of three hosts, for tests to spoil.
func twoStripes() Layout {
	return Layout{
		Version: 3,
		Hosts:   []Host{hostAt("h1", 1), hostAt("h2", 2), hostAt("h3", 3)},
		Stripes: []Stripe{
			{Name: "s1", Birth: 1, Replicas: 3, Hosts: []string{"h1", "h2", "h3"}},
			{Name: "s2", Birth: 4, Replicas: 1, Hosts: []string{"h2"}},
			{Name: "s3", Birth: 2, Replicas: 3, Hosts: []string{"h3", "h1", "h2"}}, // carries nothing, which is allowed
		},
		Partitions: []Partition{
			{ID: 1, First: 0, Last: 99, Stripe: "s1"},
			{ID: 0, First: 100, Last: 100, Stripe: "s2"},
			{ID: 200, First: 101, Last: Buckets - 1, Stripe: "s1"},
		},
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Layout)
		want  []string // one piece of each fault, in order; nothing else may be found
	}{
		{"valid", func(*Layout) {}, nil},
		{"version", func(l *Layout) { l.Version = 0 }, []string{"version: 0;"}},
		{"version beyond", func(l *Layout) { l.Version = 1 << 63 }, []string{"version: 9223372036854775808 is beyond 9223372036854775807"}},
		{"host without a name", func(l *Layout) { l.Hosts = append(l.Hosts, hostAt("", 4)) }, []string{`hosts[3].name: "": the name is empty`}},
		{"host twice", func(l *Layout) { l.Hosts = append(l.Hosts, hostAt("h2", 4)) }, []string{"hosts[3].name: h2 is that of hosts[1].name too"}},
		{"host with a dot", func(l *Layout) { l.Hosts = append(l.Hosts, hostAt("a.b", 4)) }, []string{`hosts[3].name: "a.b": ".b" cannot stand`}},
		{"long host", func(l *Layout) { l.Hosts = append(l.Hosts, hostAt(strings.Repeat("h", 65), 4)) }, []string{"65 bytes; at most 64"}},
		{"no addresses", func(l *Layout) { l.Hosts[1] = Host{Name: "h2"} }, []string{
			"hosts[1].nats: is empty; write host:port", "hosts[1].route: is empty", "hosts[1].http: is empty",
		}},
		{"address without a port", func(l *Layout) { l.Hosts[1].Route = "10.0.0.2" }, []string{`hosts[1].route: "10.0.0.2" has no port; write host:port`}},
		{"port 0", func(l *Layout) { l.Hosts[1].Route = "h2:0" }, []string{`hosts[1].route: "h2:0": port "0" is not between`}},
		{"port -1", func(l *Layout) { l.Hosts[1].Route = "h2:-1" }, []string{`port "-1"`}},
		{"port beyond", func(l *Layout) { l.Hosts[1].Route = "h2:65536" }, []string{`port "65536"`}},
		{"port with a zero before", func(l *Layout) { l.Hosts[1].Route = "h2:04" }, []string{`port "04"`}},
		{"address of no machine", func(l *Layout) { l.Hosts[1].HTTP = ":80" }, []string{`hosts[1].http: ":80": the host is missing`}},
		{"every address", func(l *Layout) { l.Hosts[1].HTTP = "0.0.0.0:80" }, []string{"0.0.0.0 is every address"}},
		{"every IPv6 address", func(l *Layout) { l.Hosts[1].HTTP = "[::]:80" }, []string{":: is every address"}},
		{"IPv6 without brackets", func(l *Layout) { l.Hosts[1].HTTP = "::1:80" }, []string{"brackets"}},
		{"brackets around a name", func(l *Layout) { l.Hosts[1].HTTP = "[h2]:80" }, []string{`"[h2]" is in no name`}},
		{"URL", func(l *Layout) { l.Hosts[1].HTTP = "http://h2:80" }, []string{`"://h2" is in no name`}},
		{"IPv6 and a name", func(l *Layout) { l.Hosts[1].HTTP, l.Hosts[1].NATS = "[fe80::1%eth0]:80", "h2.example-1.com:4222" }, nil},
		{"address twice", func(l *Layout) { l.Hosts[0].NATS, l.Hosts[1].NATS = "A:1", "a:1" }, []string{"hosts[1].nats: a:1 is that of hosts[0].nats too"}},
		{"address of another kind", func(l *Layout) { l.Hosts[2].Route = l.Hosts[0].NATS }, []string{"hosts[2].route: 10.0.0.1:4222 is that of hosts[0].nats too"}},
		{"Adama anywhere", func(l *Layout) { l.Hosts[0].Adama, l.Hosts[1].Adama = "https://a.example/x?y", "https://a.example/x?y" }, nil},
		{"Adama with a blank", func(l *Layout) { l.Hosts[0].Adama = "a b" }, []string{`hosts[0].adama: "a b": " b" is in no address`}},
		{"long Adama", func(l *Layout) { l.Hosts[0].Adama = strings.Repeat("a", 256) }, []string{"hosts[0].adama: has 256 bytes; at most 255"}},
		{"stripe with a wildcard", func(l *Layout) { l.Stripes[2].Name = "s*" }, []string{`stripes[2].name: "s*": "*" cannot`}},
		{"stripe twice", func(l *Layout) { l.Stripes[2].Name = "s1" }, []string{"stripes[2].name: s1 is that of stripes[0].name too"}},
		{"birth 0", func(l *Layout) { l.Stripes[0].Birth = 0 }, []string{"stripes[0].birth: 0;"}},
		{"birth twice", func(l *Layout) { l.Stripes[2].Birth = 4 }, []string{"stripes[2].birth: 4 is that of stripes[1].birth too"}},
		{"two replicas", func(l *Layout) { l.Stripes[0].Replicas = 2 }, []string{"stripes[0].replicas: 2;", "stripes[0].hosts: 3 hosts for 2 replicas"}},
		{"too few members", func(l *Layout) { l.Stripes[0].Hosts = []string{"h1", "h2"} }, []string{"stripes[0].hosts: 2 hosts for 3 replicas"}},
		{"no members", func(l *Layout) { l.Stripes[1].Hosts = nil }, []string{"stripes[1].hosts: 0 hosts for 1 replicas"}},
		{"member twice", func(l *Layout) { l.Stripes[0].Hosts[2] = "h1" }, []string{"stripes[0].hosts[2]: h1 is that of stripes[0].hosts[0] too"}},
		{"unknown member", func(l *Layout) { l.Stripes[1].Hosts[0] = "h9" }, []string{`stripes[1].hosts[0]: "h9" is no host`}},
		{"partition id twice", func(l *Layout) { l.Partitions[2].ID = 1 }, []string{"partitions[2].id: 01 is that of partitions[0].id too"}},
		{"unknown stripe", func(l *Layout) { l.Partitions[1].Stripe = "s9" }, []string{`partitions[1].stripe: "s9" is no stripe`}},
		{"gap", func(l *Layout) { l.Partitions[1].First, l.Partitions[1].Last = 102, 103; l.Partitions[2].First = 106 }, []string{"buckets 100-101 belong to none", "buckets 104-105 belong to none"}},
		{"gap at the end", func(l *Layout) { l.Partitions[2].Last-- }, []string{"buckets 16383-16383 belong to none"}},
		{"overlap", func(l *Layout) { l.Partitions[0].Last = 150 }, []string{"buckets 100-100 belong to 00 and to another", "buckets 101-150 belong to 200 and to another"}},
		{"range backwards", func(l *Layout) { l.Partitions[1].First = 101 }, []string{"partitions[1]: buckets 101-100; the first", "buckets 100-100 belong to none"}},
		{"range too far", func(l *Layout) { l.Partitions[2].Last = Buckets }, []string{"partitions[2]: buckets 101-16384; buckets end at 16383"}},
		{"range beyond", func(l *Layout) {
			l.Partitions = append(l.Partitions, Partition{ID: 9, First: 20000, Last: 65535, Stripe: "s1"})
		}, []string{"partitions[3]: buckets 20000-65535; buckets end at 16383"}},
		{"order", func(l *Layout) { l.Partitions[0], l.Partitions[1] = l.Partitions[1], l.Partitions[0] }, []string{"partitions[1]: bucket 0 comes before"}},
		{"several at once", func(l *Layout) { l.Version, l.Stripes[0].Replicas, l.Partitions[1].Stripe = 0, 4, "" }, []string{
			"version: 0", "stripes[0].replicas: 4", "3 hosts for 4 replicas", `partitions[1].stripe: "" is no stripe`,
		}},
		{"nothing at all", func(l *Layout) { *l = Layout{} }, []string{"version: 0", "hosts: none", "stripes: none", "buckets 0-16383 belong to none"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := twoStripes()
			tt.spoil(&l)
			got := lines(l.Validate())
			if len(got) != len(tt.want) {
				t.Fatalf("%d faults, want %d:\n%s", len(got), len(tt.want), strings.Join(got, "\n"))
			}
			for i, piece := range tt.want {
				if !strings.Contains(got[i], piece) {
					t.Errorf("fault %d is %q, want it to say %q", i, got[i], piece)
				}
			}
		})
	}
}

// A host that stands alone may have addresses; they are checked all the same.
func TestValidateOfOneHost(t *testing.T) {
	l := Single("h1")
	l.Hosts[0] = hostAt("h1", 1)
	if err := l.Validate(); err != nil {
		t.Error(err)
	}
	l.Hosts[0].NATS = ""
	if err := l.Validate(); err != nil {
		t.Error(err)
	}
	l.Hosts[0].Route = "nowhere"
	if got := lines(l.Validate()); len(got) != 1 || !strings.Contains(got[0], `hosts[0].route: "nowhere"`) {
		t.Errorf("faults %q", got)
	}
}

func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// TestCoverAgainstCounting compares what Validate says of bucket ranges with a count
// of the owners of every single bucket.
func TestCoverAgainstCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edge := rapid.OneOf(rapid.Uint16Range(0, 8), rapid.Uint16Range(Buckets-8, Buckets+2), rapid.Uint16())
		l := twoStripes()
		l.Partitions = nil
		var owners [Buckets]int
		for i := range rapid.IntRange(0, 5).Draw(t, "partitions") {
			p := Partition{ID: PartitionID(i), First: Bucket(edge.Draw(t, "first")), Last: Bucket(edge.Draw(t, "last")), Stripe: "s1"}
			l.Partitions = append(l.Partitions, p)
			for b := int(p.First); b <= min(int(p.Last), Buckets-1); b++ {
				owners[b]++
			}
		}
		err := l.Validate()
		missing := slices.Contains(owners[:], 0)
		shared := slices.ContainsFunc(owners[:], func(n int) bool { return n > 1 })
		if got := strings.Contains(fmt.Sprint(err), "belong to none"); got != missing {
			t.Fatalf("buckets without an owner: found %v, counted %v: %v\n%v", got, missing, err, l.Partitions)
		}
		if got := strings.Contains(fmt.Sprint(err), "and to another"); got != shared {
			t.Fatalf("buckets with two owners: found %v, counted %v: %v\n%v", got, shared, err, l.Partitions)
		}
	})
}

// TestPartitionOfAgainstScan compares the binary search with a scan on random valid layouts.
func TestPartitionOfAgainstScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := twoStripes()
		cuts := rapid.SliceOfNDistinct(rapid.Uint16Range(1, Buckets-1), 0, 40, rapid.ID[uint16]).Draw(t, "cuts")
		slices.Sort(cuts)
		l.Partitions = nil
		first := Bucket(0)
		for i, c := range append(cuts, Buckets) {
			l.Partitions = append(l.Partitions, Partition{ID: PartitionID(i), First: first, Last: Bucket(c) - 1, Stripe: "s1"})
			first = Bucket(c)
		}
		if err := l.Validate(); err != nil {
			t.Fatal(err)
		}
		b := Bucket(rapid.Uint16Range(0, Buckets-1).Draw(t, "bucket"))
		want, _ := find(l.Partitions, func(p Partition) bool { return p.Has(b) })
		if got, ok := l.PartitionOf(b); !ok || got != want {
			t.Fatalf("PartitionOf(%d) = %v, %v; want %v", b, got, ok, want)
		}
	})
}
