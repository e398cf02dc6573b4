package merge_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// The naive twin: encoding/json's tokens in slices of pairs, merged by the
// letter of the rule, copying everything. Only for valid JSON.

type (
	pair struct {
		key   string
		value any
	}
	pairs []pair // an object in order; an array is []any, the rest a token of json.Decoder
)

func twinFold(t rapid.TB, dropNulls bool, texts ...string) string {
	t.Helper()
	merged := twinRead(t, texts[0])
	for _, text := range texts[1:] {
		merged = twinMerge(merged, twinRead(t, text), dropNulls)
	}
	return twinWrite(t, merged)
}

func twinMerge(target, patch any, dropNulls bool) any {
	changes, ok := patch.(pairs)
	if !ok {
		return patch
	}
	held, _ := target.(pairs)
	out := slices.Clone(held)
	for _, c := range changes {
		at := slices.IndexFunc(out, func(p pair) bool { return p.key == c.key })
		switch {
		case c.value == nil:
			if at >= 0 {
				out = slices.Delete(out, at, at+1)
			}
			if !dropNulls {
				out = append(out, pair{c.key, nil})
			}
		case at >= 0:
			out[at].value = twinMerge(out[at].value, c.value, dropNulls)
		default:
			out = append(out, pair{c.key, twinMerge(nil, c.value, dropNulls)})
		}
	}
	if out == nil {
		return pairs{}
	}
	return out
}

func twinRead(t rapid.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return twinValue(t, d)
}

func twinValue(t rapid.TB, d *json.Decoder) any {
	t.Helper()
	switch token := twinToken(t, d); token {
	case json.Delim('{'):
		object := pairs{}
		for d.More() {
			key := twinToken(t, d).(string)
			value := twinValue(t, d)
			if at := slices.IndexFunc(object, func(p pair) bool { return p.key == key }); at >= 0 {
				object[at].value = value
			} else {
				object = append(object, pair{key, value})
			}
		}
		twinToken(t, d)
		return object
	case json.Delim('['):
		array := []any{}
		for d.More() {
			array = append(array, twinValue(t, d))
		}
		twinToken(t, d)
		return array
	default:
		return token
	}
}

func twinToken(t rapid.TB, d *json.Decoder) json.Token {
	t.Helper()
	token, err := d.Token()
	if err != nil {
		t.Fatalf("twin reads: %v", err)
	}
	return token
}

func twinWrite(t rapid.TB, v any) string {
	t.Helper()
	var out strings.Builder
	render(t, &out, v, compact{})
	return out.String()
}

// style says what stands around the tokens that render writes.
type style interface {
	blank() string               // anywhere
	comma() string               // between members and between elements
	colon() string               // between key and value
	quoted(plain string) string  // a key, from its JSON form
	repeats(key string) []string // texts of members to write before key's own
}

func render(t rapid.TB, out *strings.Builder, v any, s style) {
	t.Helper()
	out.WriteString(s.blank())
	switch v := v.(type) {
	case pairs:
		out.WriteString("{")
		for i, p := range v {
			if i > 0 {
				out.WriteString(s.comma())
			}
			key := s.quoted(token(t, p.key))
			for _, repeat := range s.repeats(key) {
				out.WriteString(repeat)
			}
			out.WriteString(s.blank() + key + s.colon())
			render(t, out, p.value, s)
		}
		out.WriteString(s.blank() + "}")
	case []any:
		out.WriteString("[")
		for i, element := range v {
			if i > 0 {
				out.WriteString(s.comma())
			}
			render(t, out, element, s)
		}
		out.WriteString(s.blank() + "]")
	default:
		out.WriteString(token(t, v))
	}
	out.WriteString(s.blank())
}

func token(t rapid.TB, v any) string {
	t.Helper()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// compact is the style of a merged text.
type compact struct{}

func (compact) blank() string           { return "" }
func (compact) comma() string           { return "," }
func (compact) colon() string           { return ":" }
func (compact) quoted(s string) string  { return s }
func (compact) repeats(string) []string { return nil }
