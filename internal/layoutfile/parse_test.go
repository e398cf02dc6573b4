package layoutfile

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/layout"
)

func hostAt(name string, i int) layout.Host {
	at := func(port int) string { return fmt.Sprintf("10.0.0.%d:%d", i, port) }
	return layout.Host{Name: name, NATS: at(4222), Route: at(6222), HTTP: at(7422)}
}

// three is a layout of three hosts.
func three(t testing.TB, version uint64) layout.Layout {
	t.Helper()
	l, err := layout.Generate(layout.Plan{
		Version: version, Hosts: []layout.Host{hostAt("h1", 1), hostAt("h2", 2), hostAt("h3", 3)}, Partitions: 7,
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A file as a person may write it.
const byHand = `
version = 12 // see the ticket
hosts = [
  # the old rack
  { name: "h1", adama: "10.0.0.1:8080" }
]
stripes [
  {
    name: s1
    birth: 3
    replicas: 1
    hosts: [h1]
  }
]
partitions: [ { id: 7, buckets: "0-99", stripe: s1 }, { id: 0, buckets: '100-16383', stripe: "s1" } ]

end 12
`

func TestParseByHand(t *testing.T) {
	got, err := Parse("layout.conf", []byte(byHand))
	if err != nil {
		t.Fatal(err)
	}
	want := layout.Layout{
		Version: 12,
		Hosts:   []layout.Host{{Name: "h1", Adama: "10.0.0.1:8080"}},
		Stripes: []layout.Stripe{{Name: "s1", Birth: 3, Replicas: 1, Hosts: []string{"h1"}}},
		Partitions: []layout.Partition{
			{ID: 7, First: 0, Last: 99, Stripe: "s1"}, {ID: 0, First: 100, Last: 16383, Stripe: "s1"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestFaultsNamePlaceFieldValueAndRemedy(t *testing.T) {
	for _, tt := range []struct {
		name, old, new string // what is replaced in byHand
		want           []string
	}{
		{"unknown key", "version =", "verzion =", []string{"x:2: verzion is unknown: want one of end, hosts"}},
		{"unknown key of a host", "adama:", "admaa:", []string{"x:5: hosts[0].admaa is unknown"}},
		{"version as text", "version = 12", "version = twelve", []string{"x:2: version: twelve is not a number"}},
		{"no list", "hosts = [\n  # the old rack\n  { name: \"h1\", adama: \"10.0.0.1:8080\" }\n]", "hosts = h1", []string{"x:3: hosts: want a list"}},
		{"no block", "{ name: \"h1\", adama: \"10.0.0.1:8080\" }", "h1", []string{"x:5: hosts[0]: want a block"}},
		{"birth below", "birth: 3", "birth: -3", []string{"x:10: stripes[0].birth: -3 is not a number from 0"}},
		{"birth beyond", "birth: 3", "birth: 5GB", []string{"x:10: stripes[0].birth:"}},
		{"birth 0", "birth: 3", "birth: 0", []string{"x:10: stripes[0].birth: 0; number births from 1"}},
		{"host as a number", "hosts: [h1]", "hosts: [ 1 ]", []string{"x:12: stripes[0].hosts[0]: 1 is not a text"}},
		{"unknown host", "hosts: [h1]", "hosts: [h2]", []string{`x:12: stripes[0].hosts[0]: "h2" is no host`}},
		{"replicas", "replicas: 1", "replicas: 2", []string{"x:11: stripes[0].replicas: 2;", "x:12: stripes[0].hosts: 1 hosts"}},
		{"no id", "id: 7, ", "", []string{"x:15: partitions[0].id: is missing"}},
		{"no buckets", `buckets: "0-99", `, "", []string{"x:15: partitions[0].buckets: is missing"}},
		{"buckets beyond", "100-16383", "100-16384", []string{`x:15: partitions[1].buckets: "100-16384": bucket "16384"`}},
		{"one bucket", "0-99", "99", []string{`x:15: partitions[0].buckets: "99": want a range`}},
		{"buckets as a number", `"0-99"`, "99", []string{"x:15: partitions[0].buckets: 99: want a range of buckets in quotes"}},
		{"buckets without quotes", `"0-99"`, "0-99", []string{"x:15: ", "put the range into quotes"}},
		{"gap", "0-99", "0-98", []string{"x:15: partitions: buckets 99-99 belong to none"}},
		{"no version", "version = 12", "", []string{"end: 12 is not the version, 0", "version: 0; number"}},
		{"other end", "end 12", "end 13", []string{"x:17: end: 13 is not the version, 12"}},
		{"no end", "end 12", "", []string{"x:15: the last line is not `end: VERSION`"}},
		{"more after the end", "end 12", "end 12\n# bye", []string{"x:17: end: stands before", "x:18: the last line"}},
		{"end twice", "partitions:", "end 12\npartitions:", []string{"x:15: end: stands before the end"}},
		{"end within", "partitions:", "end: 12\npartitions:", []string{"x:15: end: stands before"}},
		{"include", "partitions:", "include 'x'\npartitions:", []string{`x:15: include: a layout has no includes`}},
		{"variable", "birth: 3", "birth: $HOME", []string{`x:10: $: a layout has no`}},
		{"not closed", "]\nstripes", "stripes", []string{"x:"}},
		{"strings not closed", "'100-16383'", "'100-16383", []string{"x:"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(byHand, tt.old, tt.new, 1)
			if text == byHand {
				t.Fatal("nothing was replaced")
			}
			_, err := Parse("x", []byte(text))
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("error %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %q", err, want)
				}
			}
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "x:") {
					t.Errorf("%q has no place", line)
				}
			}
		})
	}
	if _, err := Parse("x", make([]byte, MaxBytes+1)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "16777216") {
		t.Errorf("a large text: %v", err)
	}
}

// What a comment says is nobody's business.
func TestCommentsMayNameIncludesAndVariables(t *testing.T) {
	text := "# include $x\n// $y\n" + strings.Replace(byHand, "birth: 3", "birth: 3 # include $z", 1)
	if _, err := Parse("x", []byte(text)); err != nil {
		t.Error(err)
	}
}

// draw makes any valid layout.
func draw(t *rapid.T) layout.Layout {
	name := rapid.StringMatching(`[a-zA-Z0-9_-]{1,8}`)
	distinct := func(label string, least, most int) []string {
		words := rapid.OneOf(name, rapid.SampledFrom([]string{"on", "true", "no", "12", "1m", "-", "include", "2020-01-01T00:00:00Z"[:10], "end", "h1"}))
		return rapid.SliceOfNDistinct(words, least, most, rapid.ID[string]).Draw(t, label)
	}
	plan := layout.Plan{Version: rapid.Uint64Range(1, 1<<63-1).Draw(t, "version")}
	for i, n := range distinct("hosts", 1, 6) {
		h := hostAt(n, i+1)
		h.Adama = rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[!#%&(-\[\]-~]{0,12}`)).Draw(t, "adama")
		plan.Hosts = append(plan.Hosts, h)
	}
	if len(plan.Hosts) == 1 && rapid.Bool().Draw(t, "bare") {
		plan.Hosts[0] = layout.Host{Name: plan.Hosts[0].Name}
	}
	plan.Partitions = rapid.IntRange(1, 20).Draw(t, "partitions")
	plan.Stripes = rapid.IntRange(1, plan.Partitions).Draw(t, "stripes")
	l, err := layout.Generate(plan)
	if err != nil {
		t.Fatal(err)
	}
	names := distinct("stripes", len(l.Stripes), len(l.Stripes))
	for i := range l.Partitions {
		l.Partitions[i].Stripe = names[i%len(names)]
	}
	for i := range l.Stripes {
		l.Stripes[i].Name = names[i]
	}
	return l
}

func TestFormatRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := draw(t)
		got, err := Parse("x", Format(l))
		if err != nil {
			t.Fatalf("%v\n%s", err, Format(l))
		}
		if !reflect.DeepEqual(got, l) || got.Digest() != l.Digest() {
			t.Fatalf("got %+v, want %+v", got, l)
		}
	})
}

// A file that breaks off anywhere is refused. Only blanks may be missing at its end.
func TestHalfWrittenIsRefused(t *testing.T) {
	for _, text := range []string{byHand, string(Format(three(t, 121)))} {
		for i := range len(text) {
			_, err := Parse("x", []byte(text[:i]))
			if blank := strings.TrimSpace(text[i:]) == ""; blank != (err == nil) {
				t.Errorf("%d of %d bytes: %v", i, len(text), err)
			}
		}
	}
}

// A file that is written over in place holds, for a moment, the head of the new one
// and the tail of the old one.
func TestWrittenOverIsRefused(t *testing.T) {
	was, l := three(t, 8), three(t, 9)
	old := string(Format(was))
	l.Hosts[0].NATS = "host-with-a-longer-name:4222"
	l.Stripes[0].Hosts[1], l.Stripes[0].Hosts[2] = l.Stripes[0].Hosts[2], l.Stripes[0].Hosts[1]
	text := string(Format(l))
	for i := 0; i < len(old); i += 5 {
		got, err := Parse("x", []byte(text[:i]+old[i:]))
		if err == nil && got.Digest() != was.Digest() {
			t.Errorf("%d bytes of the new one: taken", i)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(byHand)
	f.Add(string(Format(three(f, 3))))
	f.Add("version: 1\n}\nend: 1")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse("x", []byte(text))
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%v is not ErrInvalid", err)
			}
			return
		}
		if err := l.Validate(); err != nil {
			t.Fatalf("an invalid layout was taken: %v", err)
		}
		again, err := Parse("x", Format(l))
		if err != nil || again.Digest() != l.Digest() {
			t.Fatalf("%v: %+v, want %+v", err, again, l)
		}
	})
}
