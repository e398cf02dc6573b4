package ops

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// healthy is a host with nothing wrong.
func healthy() Status {
	return Status{
		Host: "h1", Version: "v0.1.0",
		Stripes: []Stripe{{
			Name: "s1", Members: []string{"h1"}, Partitions: 64, Owner: "h1", Phase: "serving", Epoch: "1-7",
			Applied: 120, Durable: 100, LogFirst: 1, LogLast: 120, LogBytes: 80 << 20, LogMax: 100 << 20,
		}},
		Store:    Store{DiskBytes: 4 << 20, Hits: 3, Misses: 1},
		Disk:     Disk{Free: 20 << 30, Total: 100 << 30, Reserve: 10 << 30},
		Requests: Requests{InFlight: 80, MaxInFlight: 100, Bytes: 80, MaxBytes: 100},
	}
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Status)
		want   string // id, severity and subject of each
		text   string // part of the first one's
		ready  bool
	}{
		{"all well, at every threshold", func(*Status) {}, "", "", true},
		{"an error", func(s *Status) { s.Stripes[0].Error = "store ahead of its log" }, "stripe-not-serving critical s1", "store ahead of its log", false},
		{"still claiming", func(s *Status) { s.Stripes[0].Phase = "claiming" }, "stripe-not-serving critical s1", "claiming", false},
		{"no owner", func(s *Status) { s.Stripes[0].Owner = "" }, "stripe-not-serving critical s1", "no owner", false},
		{"owned elsewhere", func(s *Status) { s.Stripes[0].Owner, s.Stripes[0].Phase = "h2", "waiting" }, "", "", true},
		{"disk full", func(s *Status) { s.Disk.Free = s.Disk.Reserve - 1 }, "disk-below-reserve critical ", "10.0 GiB", true},
		{"disk at the reserve", func(s *Status) { s.Disk.Free = s.Disk.Reserve }, "disk-near-reserve warning ", "near the reserve", true},
		{"disk nearly at the reserve", func(s *Status) { s.Disk.Free-- }, "disk-near-reserve warning ", "20.0 GiB free", true},
		{"disk not known", func(s *Status) { s.Disk = Disk{Reserve: 1} }, "", "", true},
		{"log over 80 %", func(s *Status) { s.Stripes[0].LogBytes++ }, "log-near-bound warning s1", "80 % of its bound of 100.0 MiB", true},
		{"log without a bound", func(s *Status) { s.Stripes[0].LogMax = 0 }, "", "", true},
		{"skipped", func(s *Status) { s.Stripes[0].Skipped = 2 }, "records-skipped warning s1", "2 records", true},
		{"damaged", func(s *Status) { s.Store.Damaged = 1 }, "damaged-rows warning ", "1 rows", true},
		{"many requests", func(s *Status) { s.Requests.InFlight++ }, "requests-near-limit warning ", "81 requests", true},
		{"large requests", func(s *Status) { s.Requests.Bytes++ }, "requests-near-limit warning ", "81 B", true},
		{"limits not known", func(s *Status) { s.Requests.MaxBytes, s.Requests.MaxInFlight = 0, 0 }, "", "", true},
		{
			"worst first, then by ID and subject",
			func(s *Status) {
				s.Store.Damaged = 1
				s.Stripes = append(s.Stripes, s.Stripes[0], s.Stripes[0])
				s.Stripes[0].Name, s.Stripes[1].Name, s.Stripes[2].Name = "s3", "s2", "s1"
				s.Stripes[0].Error, s.Stripes[1].Error, s.Stripes[2].Skipped = "x", "y", 1
			},
			"stripe-not-serving critical s2, stripe-not-serving critical s3, damaged-rows warning , records-skipped warning s1", "y", false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := healthy()
			c.change(&s)
			s.Assess()
			var got []string
			for _, x := range s.Conditions {
				got = append(got, x.ID+" "+string(x.Severity)+" "+x.Subject)
				if x.Text == "" || x.Remedy == "" {
					t.Errorf("%+v has no text or no remedy", x)
				}
			}
			if strings.Join(got, ", ") != c.want || s.Ready != c.ready {
				t.Fatalf("conditions %q, ready %v; want %q, %v", got, s.Ready, c.want, c.ready)
			}
			if c.text != "" && !strings.Contains(s.Conditions[0].Text, c.text) {
				t.Errorf("text %q, want %q in it", s.Conditions[0].Text, c.text)
			}
			if !slices.Equal(Conditions(s), s.Conditions) {
				t.Error("Conditions and Assess differ")
			}
		})
	}
}

// A list that is empty is [] in JSON, not null.
func TestNoConditionsIsAnEmptyList(t *testing.T) {
	s := healthy()
	if got := Conditions(s); got == nil {
		t.Error("Conditions is nil")
	}
}

func TestDeclarations(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range declarations() {
		if seen[d.id] {
			t.Errorf("%s is declared twice", d.id)
		}
		seen[d.id] = true
	}
}

// docs/operations.md has a line for each condition, with its severity, whether it
// makes the host unready, and its scope.
func TestConditionsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := regexp.MustCompile("(?m)^\\| `[a-z-]+` \\| (critical|warning)").FindAll(page, -1)
	if len(listed) != len(declarations()) {
		t.Errorf("%d conditions are documented, %d declared", len(listed), len(declarations()))
	}
	for _, d := range declarations() {
		says := string(d.severity)
		if d.unready && d.id != "stripe-no-owner" { // only after a while
			says += ", unready"
		}
		line := "| `" + d.id + "` | " + says + " | " + string(cmp.Or(d.scope, ScopeHost)) + " |"
		if !strings.Contains(string(page), line) {
			t.Errorf("there is no %s", line)
		}
	}
}

func TestBytes(t *testing.T) {
	for _, c := range []struct {
		n    int64
		want string
	}{
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1536, "1.5 KiB"},
		{1<<20 - 1, "1.0 MiB"},
		{1 << 30, "1.0 GiB"},
		{1<<63 - 1, "8.0 EiB"},
	} {
		if got := Bytes(c.n); got != c.want {
			t.Errorf("Bytes(%d) is %q, want %q", c.n, got, c.want)
		}
	}
}
