package merge_test

import (
	"errors"
	"strings"
	"testing"

	"trireme/internal/merge"
)

func TestUnreadable(t *testing.T) {
	for _, c := range []struct {
		name, text string
		offset     int
		why        string
	}{
		{"empty", ``, 0, "the text ends where a value should be"},
		{"only blanks", " ,: ", 4, "the text ends where a value should be"},
		{"a word", `nul`, 0, `"nul" is not a value`},
		{"a long word", `{"a":` + strings.Repeat("x", 50), 5, `"xxxxxxxxxxxxxxxx" is not a value`},
		{"wrong case", `True`, 0, `"True" is not a value`},
		{"two words in one", `{"a":truefalse}`, 5, `"truefalse" is not a value`},
		{"plus infinity", `+Infinity`, 0, `"+Infinity" is not a value`},
		{"a point", `.`, 0, `"." is not a value`},
		{"a sign", `-`, 0, `"-" is not a value`},
		{"a bare exponent", `e5`, 0, `"e5" is not a value`},
		{"an open exponent", `1e+`, 0, `"1e+" is not a value`},
		{"hex", `0x10`, 0, `"0x10" is not a value`},
		{"two points", `1.2.3`, 0, `"1.2.3" is not a value`},
		{"form feed is no blank", "\f1", 0, `"\f1" is not a value`},
		{"byte order mark", "\ufeff{}", 0, `"\ufeff" is not a value`},
		{"NUL", "\x00", 0, `"\x00" is not a value`},
		{"NUL for a bracket", "{\x00", 1, "a key is not a string"},
		{"text after an object", `{} x`, 3, "the text goes on after its value"},
		{"a second object", `{}{}`, 2, "the text goes on after its value"},
		{"text after a string", `"a""b"`, 3, "the text goes on after its value"},
		{"object not closed", `{"a":1`, 6, "the text ends before its '}'"},
		{"array not closed", `{"a":[1,`, 8, "the text ends before its ']'"},
		{"object in array not closed", `[{"a":1`, 7, "the text ends before its '}'"},
		{"crossed brackets", `[1}`, 2, `'}' where a value should be`},
		{"crossed the other way", `{"a":1]`, 6, "a key is not a string"},
		{"string not closed", `{"a":"b`, 5, "a string is not closed"},
		{"string ends in its escape", `"a\"`, 0, "a string is not closed"},
		{"string ends in a backslash", `"a\`, 0, "a string is not closed"},
		{"key without value", `{"a"}`, 4, "a key has no value"},
		{"key without value, with colon", `{"a":,}`, 6, "a key has no value"},
		{"key without value, then the end", `{"a"`, 4, "the text ends where a value should be"},
		{"key without value in an array", `[{"a"}]`, 5, "a key has no value"},
		{"key is a word", `{a:1}`, 1, "a key is not a string"},
		{"key is a number", `{"a":1 2:3}`, 7, "a key is not a string"},
		{"key is an object", `{{}:1}`, 1, "a key is not a string"},
		{"key is a word, in an array", `[{a:1}]`, 2, "a key is not a string"},
		{"only a closer", `}`, 0, `'}' where a value should be`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := merge.Fold([]byte(`{}`), []byte(`{}`), []byte(c.text))
			var detail *merge.UnreadableError
			if !errors.Is(err, merge.ErrUnreadable) || !errors.As(err, &detail) {
				t.Fatalf("error is %v", err)
			}
			if want := (merge.UnreadableError{Text: 2, Offset: c.offset, Why: c.why}); *detail != want {
				t.Errorf("got  %+v\nwant %+v", *detail, want)
			}
			if !strings.Contains(err.Error(), c.why) || !strings.Contains(err.Error(), "text 2") {
				t.Errorf("message %q does not tell", err)
			}
		})
	}
}

func TestFirstTextIsReadWithTheSecond(t *testing.T) {
	_, err := merge.Fold([]byte(`{"a"`), []byte(`{`))
	if detail, ok := errors.AsType[*merge.UnreadableError](err); !ok || detail.Text != 0 {
		t.Fatalf("error is %v", err)
	}
}

func TestFailedAddChangesNothing(t *testing.T) {
	var a merge.Accumulator
	add := func(text string, want error) {
		t.Helper()
		if err := a.Add([]byte(text)); !errors.Is(err, want) {
			t.Fatalf("Add(%q): %v", text, err)
		}
	}
	holds := func(want string) {
		t.Helper()
		if got := string(a.Bytes()); got != want {
			t.Fatalf("holds %s, want %s", got, want)
		}
	}
	add(`{ "a":1, "b":{"c":2} }`, nil)
	add(`{"a":2,"b":{"c":null},`, merge.ErrUnreadable)
	holds(`{ "a":1, "b":{"c":2} }`)
	add(`{"b":{"d":3}}`, nil)
	add(`{"a":null,"b":{"d":null,"e"}}`, merge.ErrUnreadable)
	holds(`{"a":1,"b":{"c":2,"d":3}}`)
	add(`{"a":null}`, nil)
	holds(`{"b":{"c":2,"d":3},"a":null}`)
}

func TestDepth(t *testing.T) {
	const limit = 10_000
	for _, c := range []struct {
		name        string
		open, close string
	}{
		{"arrays", `[`, `]`},
		{"objects", `{"a":`, `}`},
		{"objects in an array", `[{"a":`, `}]`},
		{"arrays in objects", `{"a":[`, `]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			levels := limit / (strings.Count(c.open, "[") + strings.Count(c.open, "{"))
			deep := strings.Repeat(c.open, levels) + "1" + strings.Repeat(c.close, levels)
			if got := fold(t, `0`, deep, `{}`, deep, deep); got != deep {
				t.Errorf("%d levels came out changed", limit)
			}
			if _, err := foldAll(true, `0`, deep); err != nil {
				t.Errorf("without nulls: %v", err)
			}
			for _, deeper := range []string{`[` + deep + `]`, `{"x":` + deep + `}`} {
				_, err := foldAll(false, `0`, deeper)
				if !errors.Is(err, merge.ErrUnreadable) || !strings.Contains(err.Error(), "more than 10000 levels") {
					t.Errorf("%d levels: %v", limit+1, err)
				}
			}
		})
	}
}

// Texts that would cost a careless reader its stack, or time in the square of
// their length.
func TestHostileTexts(t *testing.T) {
	const size = 16 << 20
	for _, c := range []struct {
		name, text string
		readable   bool
	}{
		{"brackets", strings.Repeat(`[`, size), false},
		{"braces", strings.Repeat(`{"":`, size/4), false},
		{"one string of escapes", `"` + strings.Repeat(`\n`, size/2) + `"`, true},
		{"one string of escaped quotes", `"` + strings.Repeat(`\"`, size/2) + `"`, true},
		{"one open string of escaped quotes", `"` + strings.Repeat(`\"`, size/2), false},
		{"a key of escapes", `{"` + strings.Repeat(`\/\q`, size/4) + `":1}`, true},
		{"blanks", strings.Repeat(`,`, size) + "1", true},
		{"a bare run", strings.Repeat(`1`, size), true},
		{"equal keys", `{` + strings.Repeat(`"a":{},`, size/8) + `}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := foldAll(false, `{}`, c.text)
			if c.readable != (err == nil) {
				t.Errorf("readable should be %t: %v", c.readable, err)
			}
			if err != nil && !errors.Is(err, merge.ErrUnreadable) {
				t.Errorf("error is %v", err)
			}
		})
	}
}
