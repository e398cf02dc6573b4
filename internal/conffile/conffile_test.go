package conffile

import (
	"math"
	"strings"
	"testing"
	"time"
)

func decode(t *testing.T, text string, fields func(d *Decoder) map[string]Field) (*Decoder, error) {
	t.Helper()
	values, err := Parse("x", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	d := NewDecoder("x")
	d.Block("", values, fields(d))
	return d, d.Err()
}

func TestDurations(t *testing.T) {
	var got time.Duration
	fields := func(d *Decoder) map[string]Field { return map[string]Field{"a": d.Duration(&got)} }
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "15s": 15 * time.Second, "1m": time.Minute, "90m": 90 * time.Minute,
		"1m30s": 90 * time.Second, "2h": 2 * time.Hour, "'3m'": 3 * time.Minute,
	} {
		if _, err := decode(t, "a: "+text, fields); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"5", "0", "1k", "-2m", "1G5", "9223372036854M", "soon", "true", "[1s]"} {
		if _, err := decode(t, "a: "+text, fields); err == nil || !strings.HasPrefix(err.Error(), "x:1: a: ") {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestCounts(t *testing.T) {
	var got uint64
	fields := func(d *Decoder) map[string]Field {
		return map[string]Field{"a": d.Count(7, func(n uint64) { got = n }), "b": d.Count(math.MaxUint64, func(n uint64) { got = n })}
	}
	if _, err := decode(t, "a: 7", fields); err != nil || got != 7 {
		t.Errorf("%d, %v", got, err)
	}
	if _, err := decode(t, "b: 9223372036854775807", fields); err != nil || got != math.MaxInt64 {
		t.Errorf("%d, %v", got, err)
	}
	for text, want := range map[string]string{"a: 8": "from 0 to 7", "a: -1": "from 0 to 7", "a: x": "from 0 to 7", "b: -1": "to 9223372036854775807"} {
		if _, err := decode(t, text, fields); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPlaces(t *testing.T) {
	var text string
	d, err := decode(t, "\nlist: [\n {\n  Name: x\n }\n {}\n]", func(d *Decoder) map[string]Field {
		return map[string]Field{"list": d.List("{ }", d.Nested(map[string]Field{"name": d.Text(&text)}))}
	})
	if err != nil || text != "x" {
		t.Fatalf("%q, %v", text, err)
	}
	for key, want := range map[string]string{
		"list[0].name": "x:4", "list[0].size": "x:5", "list[1].name": "x:6", "list[9].name": "x:2", "list": "x:2", "other": "x", "": "x",
	} {
		if got := d.Place(key); got != want {
			t.Errorf("%s stands at %s, want %s", key, got, want)
		}
	}
}

func TestParserErrorsHaveTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\nb: {":    "x:2: Unexpected EOF",
		"a: 1\n]":       "x:2: config is invalid",
		"a: $no_such_1": "x: variable reference for 'no_such_1' on line 1",
	} {
		if _, err := Parse("x", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a: 1\nb { c: [ 1, 2s, { d: 'x' } ] }")
	f.Add("}}\n{")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "include") {
			t.Skip("would read other files")
		}
		values, err := Parse("x", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "x:") {
				t.Errorf("%v has no place", err)
			}
			return
		}
		d := NewDecoder("x")
		d.Block("", values, map[string]Field{})
		if (d.Err() == nil) != (len(values) == 0) && !strings.Contains(text, "$") {
			t.Errorf("%d values, %v", len(values), d.Err())
		}
	})
}
