package service

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/record"
)

func TestLoneSurrogate(t *testing.T) {
	for text, want := range map[string]int{
		`{}`:                         -1,
		`{"a":"\u0041"}`:             -1,
		`{"a":"\ud83d\ude00"}`:       -1,
		`{"a":"\uD83D\uDE00x"}`:      -1,
		`{"a":"\\ud800"}`:            -1, // an escaped backslash, then text
		`{"a":"\\\ud800"}`:           8,
		`{"a":"\ud800"}`:             6,
		`{"a":"\udc00\ud800"}`:       6,
		`{"a":"\ud800\ud800\udc00"}`: 6,
		`{"a":"\ud83d\u0041"}`:       6,
		`{"a":"\ud83d\ude00\ud83d"}`: 18,
		`{"a":"\ud83`:                -1, // not JSON, which is told elsewhere
		`\`:                          -1,
	} {
		if got := loneSurrogate([]byte(text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// A text that passes is what its sender meant: decoding it loses nothing.
func TestNoTextIsChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units := rapid.SliceOf(rapid.OneOf(rapid.Uint16Range(0, 0x7f), rapid.Uint16Range(0xd7f0, 0xe010), rapid.Uint16())).Draw(t, "units")
		body := `{"space":"`
		for _, u := range units {
			body += `\u` + string([]byte{hex(u >> 12), hex(u >> 8), hex(u >> 4), hex(u)})
		}
		body += `","key":"k"}`
		got, err := decode[contract.KeyRequest]([]byte(body))
		whole := utf16.Decode(units)
		if slices.Contains(whole, utf8.RuneError) && !slices.Contains(units, utf8.RuneError) {
			if contract.CodeOf(err) != contract.Malformed {
				t.Fatalf("%s: taken as %q", body, got.Space)
			}
			return
		}
		if err == nil && !slices.Equal(utf16.Encode([]rune(got.Space)), units) {
			t.Fatalf("%s: decoded as %q", body, got.Space)
		}
	})
}

func hex(u uint16) byte { return "0123456789abcdef"[u&15] }

func FuzzEnvelope(f *testing.F) {
	for _, s := range []string{
		`{"space":"s","key":"k"}`,
		`{"space":"s","key":"k","patch":{"seq_begin":0,"seq_end":1,"redo":"{}","undo":"{}","who":{"agent":"a","authority":"b"}}}`,
		`{"space":"s","key":"k","patches":[{"seq_begin":2,"seq_end":3,"redo":"{}","undo":""}],"incarnation":"1-2"}`,
		`{"space":"s","key":"k","seq":1,"json":"{}","history":5,"document":"\ud83d\ude00","phase":"mark"}`,
		`[`, "\xff", `{"space":"\udc00"}`, ``,
	} {
		f.Add([]byte(s))
	}
	changes := map[string]func([]byte) (*record.Change, error){
		"initialize": initializeChange, "patch": patchChange, "snapshot": snapshotChange,
		"recover": recoverChange, "delete": deleteChange,
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, change := range changes {
			c, err := change(body)
			if err != nil {
				if code := contract.CodeOf(err); code != contract.Malformed && code != contract.TooLarge {
					t.Errorf("%s: error %v has code %d", name, err, code)
				}
				continue
			}
			// What is taken goes through the log unchanged.
			if contract.CheckKey(c.Key) != nil {
				continue
			}
			var b record.Builder
			b.Add(c)
			r, err := record.Parse(b.Record(c.Incarnation, 0, [16]byte{}))
			if err != nil || len(r.Changes) != 1 {
				t.Fatalf("%s: the log does not take %+v: %v", name, c, err)
			}
			if got, want := string(r.Changes[0].Fingerprint(nil)), string(c.Fingerprint(nil)); got != want {
				t.Errorf("%s: the log gives back\n%s\nfor\n%s", name, got, want)
			}
		}
	})
}

func TestCursor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := contract.Key{Space: rapid.StringN(1, 20, 100).Draw(t, "space"), Key: rapid.StringN(1, 20, 100).Draw(t, "key")}
		if !utf8.ValidString(k.Space) || !utf8.ValidString(k.Key) {
			return
		}
		back, err := parseCursor(cursor(k))
		if err != nil || back != k {
			t.Fatalf("%v comes back as %v, %v", k, back, err)
		}
	})
	for _, bad := range []string{".", "a", "a.b.c", "!.!", "AA.", strings.Repeat("A", 5000) + ".AA"} {
		if k, err := parseCursor(bad); err == nil {
			t.Errorf("cursor %.20q was taken as %v", bad, k)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("c3BhY2U.a2V5")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := parseCursor(s); err == nil && s != "" && contract.CheckKey(k) != nil {
			t.Errorf("cursor %q gives the key %v", s, k)
		}
	})
}

func TestSchemasAreJSON(t *testing.T) {
	s := &Service{}
	for _, op := range s.operations() {
		for _, text := range []string{schemaText(op.request), schemaText(op.response)} {
			var v map[string]any
			if err := json.Unmarshal([]byte(text), &v); err != nil || v["type"] != "object" {
				t.Errorf("%s: schema %s: %v", op.name, text, err)
			}
		}
	}
	patch := schemaText(contract.PatchRequest{})
	for _, want := range []string{`"required":["space","key","patches"]`, `"seq_begin":{"maximum":2147483647,"minimum":-2147483648,"type":"integer"}`, `"who":{"properties"`} {
		if !strings.Contains(patch, want) {
			t.Errorf("schema of patch lacks %s:\n%s", want, patch)
		}
	}
}
