package merge_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"trireme/internal/merge"
)

func FuzzFold(f *testing.F) {
	for _, seed := range [][3]string{
		{`{"a":1,"b":{"c":[1,{"d":null}]}}`, `{"a":null,"b":{"c":2}}`, `{"b":{"e":"\u00e9"}}`},
		{`{"a"1,,"b"::[1 2,]}`, `,{"\u0061":"\/"}`, "{\"a\":\"\n\"}"},
		{`{"\ud83d\ude00":.5,"\ud800":NaN}`, `{"😀":+1,"\q":-Infinity}`, `{"\ud800":null}`},
		{`{"a":1,"a":2}`, `[[[]]]`, `{"x":{"y":{}}}`},
		{`{"a":"b`, `{"a"}`, `{} {}`},
		{"1", "\"\xff\"", "{\"\x00\":[\"\\\\\\/\"]}"},
		{`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1}`, `{"n":null,"a":null,"b":null}`, `{"a":2,"o":3}`},
	} {
		f.Add(seed[0], seed[1], seed[2], false)
		f.Add(seed[0], seed[1], seed[2], true)
	}
	f.Fuzz(func(t *testing.T, document, first, second string, dropNulls bool) {
		all := []string{document, first, second}
		valid := validJSON(all)
		out, err := foldAll(dropNulls, all...)
		if err != nil {
			if valid || !errors.Is(err, merge.ErrUnreadable) {
				t.Fatalf("fold: %v", err)
			}
			return
		}
		if again, err := foldAll(false, "0", out); err != nil || again != out {
			t.Fatalf("%q\nread again is %q, %v", out, again, err)
		}
		prefix, err := foldAll(dropNulls, document, first)
		if err != nil {
			t.Fatalf("prefix: %v", err)
		}
		if got, err := foldAll(dropNulls, prefix, second); err != nil || got != out {
			t.Fatalf("%q\nfrom the prefix is %q, %v", out, got, err)
		}
		if !valid {
			return
		}
		if !json.Valid([]byte(out)) {
			t.Fatalf("not JSON: %q", out)
		}
		if sameKeysForAll(all) {
			want := twinFold(t, dropNulls, all...)
			if !reflect.DeepEqual(plain(t, out), plain(t, want)) {
				t.Fatalf("got  %q\nwant %q", out, want)
			}
		}
	})
}

func validJSON(texts []string) bool {
	for _, text := range texts {
		if !json.Valid([]byte(text)) {
			return false
		}
	}
	return true
}

// sameKeysForAll is false for texts whose keys encoding/json may take for
// equal where this package does not: it reads lone surrogates and bytes that
// are not UTF-8 as U+FFFD.
func sameKeysForAll(texts []string) bool {
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.Contains(text, `\ud`) || strings.Contains(text, `\uD`) {
			return false
		}
	}
	return true
}
