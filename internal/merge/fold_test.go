package merge_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/merge"
)

func fold(t rapid.TB, texts ...string) string {
	t.Helper()
	out, err := foldAll(false, texts...)
	if err != nil {
		t.Fatalf("fold %q: %v", texts, err)
	}
	return out
}

// foldAll goes through Fold where that can be, else through the Accumulator.
func foldAll(dropNulls bool, texts ...string) (string, error) {
	if !dropNulls {
		raw := make([][]byte, len(texts))
		for i, text := range texts {
			raw[i] = []byte(text)
		}
		out, err := merge.Fold(raw...)
		return string(out), err
	}
	a := merge.Accumulator{DropNulls: true}
	for _, text := range texts {
		if err := a.Add([]byte(text)); err != nil {
			return "", err
		}
	}
	return string(a.Bytes()), nil
}

func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name  string
		Steps []struct {
			Op   string
			Args struct {
				KeepNulls bool `json:"keep_nulls"`
				Docs      []string
			}
			Expect struct {
				OK   bool
				JSON string
			}
		}
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 8 {
		t.Fatalf("%d cases, want 8", len(cases))
	}
	for _, c := range cases {
		for i, step := range c.Steps {
			t.Run(fmt.Sprint(c.Name, "/", i), func(t *testing.T) {
				if step.Op != "merge" || !step.Expect.OK {
					t.Fatalf("a step this test cannot run: %+v", step)
				}
				got, err := foldAll(!step.Args.KeepNulls, step.Args.Docs...)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(plain(t, got), plain(t, step.Expect.JSON)) {
					t.Errorf("got %s, want %s", got, step.Expect.JSON)
				}
			})
		}
	}
}

// plain is the JSON value of text, without the order of its keys.
func plain(t rapid.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("decode %q: %v", text, err)
	}
	return v
}

func TestFold(t *testing.T) {
	for _, c := range []struct {
		name  string
		texts []string
		want  string
	}{
		{"one text is not read", []string{"{\"a\" oops"}, "{\"a\" oops"},
		{"one empty text", []string{""}, ""},
		{"null moves to the end", []string{`{"a":1,"b":2}`, `{"a":null}`}, `{"b":2,"a":null}`},
		{"null moves again", []string{`{"a":null,"b":null}`, `{"a":null}`}, `{"b":null,"a":null}`},
		{"null for a new key", []string{`{"b":2}`, `{"a":null}`}, `{"b":2,"a":null}`},
		{"null moves within its own object", []string{`{"o":{"a":1,"b":2},"p":3}`, `{"o":{"a":null}}`}, `{"o":{"b":2,"a":null},"p":3}`},
		{"value over null stays at the end", []string{`{"a":1,"b":2}`, `{"a":null}`, `{"a":3}`}, `{"b":2,"a":3}`},
		{"replaced keeps its place, new goes last", []string{`{"a":1,"b":2}`, `{"c":4,"a":3}`}, `{"a":3,"b":2,"c":4}`},
		{"deep", []string{`{"a":{"b":{"c":1,"d":2}}}`, `{"a":{"b":{"c":3}}}`}, `{"a":{"b":{"c":3,"d":2}}}`},
		{"object over scalar", []string{`{"a":5}`, `{"a":{"b":null,"c":{"d":null}}}`}, `{"a":{"b":null,"c":{"d":null}}}`},
		{"object over array", []string{`{"a":[1]}`, `{"a":{"b":1}}`}, `{"a":{"b":1}}`},
		{"scalar over object", []string{`{"a":{"b":1}}`, `{"a":5}`}, `{"a":5}`},
		{"arrays are replaced", []string{`{"a":[1,2,3]}`, `{"a":[4]}`}, `{"a":[4]}`},
		{"a patch that is no object", []string{`{"a":1}`, `7`}, `7`},
		{"a patch that is null", []string{`{"a":1}`, `null`}, `null`},
		{"an object over a document that is none", []string{`7`, `{"a":null}`}, `{"a":null}`},
		{"replaced by an object that came and went", []string{`{"a":{"x":1}}`, `{"a":2}`, `{"a":{"y":3}}`}, `{"a":{"y":3}}`},
		{"empty keys", []string{`{"":1,"a":2}`, `{"":null}`, `{"":3}`}, `{"a":2,"":3}`},

		{"no commas, no colons", []string{`{}`, `{"a"1"b""c""d"[1 2"x"{"y"3}]"e"{"f"true}}`}, `{"a":1,"b":"c","d":[1,2,"x",{"y":3}],"e":{"f":true}}`},
		{"too many of both", []string{`{}`, `,:{,,"a"::,1,:,"b",[:,1,,2:],}:,`}, `{"a":1,"b":[1,2]}`},
		{"blanks go", []string{`{}`, " { \"a\" :\t[ 1 , { \"x\" : 2 } ]\r\n, \"b\" : { } } "}, `{"a":[1,{"x":2}],"b":{}}`},
		{"last of equal keys, first place", []string{`{"a":1,"b":2,"a":3}`, `{}`}, `{"a":3,"b":2}`},
		{"equal keys do not merge with each other", []string{`{}`, `{"a":{"x":1},"a":{"y":2}}`}, `{"a":{"y":2}}`},
		{"equal keys, the last no null", []string{`{"a":1,"b":2}`, `{"a":null,"a":3}`}, `{"a":3,"b":2}`},
		{"equal keys, nested, onto a scalar", []string{`{"a":1}`, `{"a":{"b":1,"c":2,"b":3}}`}, `{"a":{"b":3,"c":2}}`},
		{"equal keys in an array stay", []string{`{}`, `{"a":[{"b":1,"b":2}]}`}, `{"a":[{"b":1,"b":2}]}`},

		{"numbers verbatim", []string{`{}`, `{"a":[1.50,1e+05,-0,123456789012345678901234567890]}`}, `{"a":[1.50,1e+05,-0,123456789012345678901234567890]}`},
		{"odd numbers", []string{`{}`, `[+1 007 .5 1. -.5e3 1.E-2 NaN Infinity -Infinity]`}, `[+1,007,.5,1.,-.5e3,1.E-2,NaN,Infinity,-Infinity]`},
		{"strings verbatim", []string{`{}`, `{"a":"\u00e9\ud800\"\\\n"}`}, `{"a":"\u00e9\ud800\"\\\n"}`},
		{"raw control characters", []string{`{}`, "{\"a\":\"x\ny\x00\x1f\",\"b\":[\"\t\"]}"}, "{\"a\":\"x\ny\x00\x1f\",\"b\":[\"\t\"]}"},
		{"not UTF-8", []string{`{}`, "{\"a\xff\":\"\xc3\x28\"}"}, "{\"a\xff\":\"\xc3\x28\"}"},
		{"slashes", []string{`{"k\/":"\/a\\\/b\\/c"}`, `{"l":["\/",{"m\/":"\\/"}],"k/":"x\/\n"}`}, `{"k/":"x/\n","l":["/",{"m/":"\\/"}]}`},

		{"escaped key", []string{`{"abc":1}`, `{"\u0061b\u0063":2}`}, `{"abc":2}`},
		{"the token there first stays", []string{`{"\u0061":1}`, `{"a":2}`}, `{"\u0061":2}`},
		{"surrogate pair", []string{`{"😀":1}`, `{"\ud83d\uDE00":2}`}, `{"😀":2}`},
		{"lone surrogates differ", []string{`{"\ud800":1,"\udc00":2,"\ud801":3,"�":4}`, `{"\ud801":5}`}, `{"\ud800":1,"\udc00":2,"\ud801":5,"�":4}`},
		{"high, then a pair", []string{`{"\ud83d\ud83d\ude00":1}`, `{"\ud83d😀":2}`}, `{"\ud83d\ud83d\ude00":2}`},
		{"low, then high is no pair", []string{`{"\ude00\ud83d":1}`, `{"😀":2}`}, `{"\ude00\ud83d":1,"😀":2}`},
		{"short escapes", []string{"{\"\b\f\n\r\t\\\"\\\\/\":1}", `{"\b\f\n\r\t\u0022\u005c\/":2}`}, "{\"\b\f\n\r\t\\\"\\\\/\":2}"},
		{"invalid escapes are literal", []string{`{"\q":1,"\u12":2,"\u00g0":3}`, `{"\\q":4,"\\u12":5,"\\u00g0":6}`}, `{"\q":4,"\u12":5,"\u00g0":6}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fold(t, c.texts...); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestDropNulls(t *testing.T) {
	for _, c := range []struct {
		name  string
		texts []string
		want  string
	}{
		{"null removes", []string{`{"a":1,"b":2}`, `{"a":null}`}, `{"b":2}`},
		{"null for a new key", []string{`{"b":2}`, `{"a":null}`}, `{"b":2}`},
		{"the document keeps its nulls", []string{`{"a":null,"b":{"c":null}}`, `{"b":{"d":1}}`}, `{"a":null,"b":{"c":null,"d":1}}`},
		{"and loses them when told", []string{`{"a":null}`, `{"a":null}`}, `{}`},
		{"object over nothing", []string{`{}`, `{"a":{"b":null,"c":{"d":null},"e":1}}`}, `{"a":{"c":{},"e":1}}`},
		{"object over a scalar document", []string{`1`, `{"a":null,"b":{"c":null}}`}, `{"b":{}}`},
		{"arrays keep theirs", []string{`{}`, `{"a":[null,{"b":null}]}`}, `{"a":[null,{"b":null}]}`},
		{"a patch that is null", []string{`{}`, `null`}, `null`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := foldAll(true, c.texts...)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// A fold of two texts does not alias them, a fold of one neither.
func TestResultIsItsOwn(t *testing.T) {
	for _, more := range [][][]byte{nil, {[]byte(`{}`)}} {
		text := []byte(`{"a":[1]}`)
		out, err := merge.Fold(append([][]byte{text}, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		clear(text)
		if string(out) != `{"a":[1]}` {
			t.Errorf("with %d more texts the result changed to %q", len(more), out)
		}
	}
}

// A merged text may be cached by its length: it holds no more memory than that.
func TestResultHasNoSlack(t *testing.T) {
	for _, patch := range []string{`{}`, `{"a":null}`, `{"b":{"c":[1 2],"d":{}}}`, `7`} {
		out, err := merge.Fold([]byte(`{"a":1,"o":{}}`), []byte(patch))
		if err != nil || cap(out) != len(out) {
			t.Errorf("with %s: %d bytes in %d, %v", patch, len(out), cap(out), err)
		}
	}
}

func TestNoTexts(t *testing.T) {
	if out, err := merge.Fold(); !errors.Is(err, merge.ErrNoTexts) || out != nil {
		t.Errorf("Fold() = %q, %v", out, err)
	}
	var a merge.Accumulator
	if out := a.Bytes(); len(out) != 0 {
		t.Errorf("Bytes of nothing = %q", out)
	}
}
