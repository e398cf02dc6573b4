package members

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestParseReport(t *testing.T) {
	r := report("h1", 3, 4, owning("1-9", 9, 9))
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ParseReport(text); err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("%s reads back as %+v, %v", text, back, err)
	}
	for text, want := range map[string]string{
		``:                                   "report: ",
		`{}`:                                 "host: the name is empty",
		`{"host":17}`:                        "report: ",
		`{"host":"h1","stripes":{"a.b":{}}}`: "report of h1: stripe: ",
		`{"host":"h1","stripes":{"s1":{"owner":{"epoch":"newest"}}}}`: "report of h1: stripe s1: epoch: ",
	} {
		if _, err := ParseReport([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}

func FuzzParseReport(f *testing.F) {
	text, err := json.Marshal(report("h1", 3, 4, owning("1-9", 9, 9)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"host":"h2","stripes":{"s1":{"applied":18446744073709551615,"owner":{"epoch":"1-2","first":9,"last":1,"bytes":-5}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseReport(text)
		if err != nil {
			return
		}
		table := New("h1", three(3, 2)) // whatever was parsed can be heard
		table.Hear(0, report("h2", 1, 1, owning("1-1", 5, 5)))
		table.Hear(1, r)
		table.Hear(2, r)
		for _, s := range []string{"s1", "s2"} {
			table.Owner(3, s)
			table.TrimFloor(3, s)
			table.Clean(s)
			table.Rescue(3, s)
			for _, h := range []string{"h1", "h2", "h3"} {
				table.Lag(3, s, h)
			}
		}
		table.Balance(3)
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseReport(again); err != nil || back.Host != r.Host {
			t.Fatalf("%s reads back as %+v, %v", again, back, err)
		}
	})
}
