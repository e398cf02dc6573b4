package service

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"trireme/internal/contract"
)

const ordinary = `{"space":"perf","key":"doc-7","patches":[{"seq_begin":2,"seq_end":3,"who":{"agent":"jeff","authority":"overlord"},` +
	`"request":"{\"command\":\"send\"}","redo":"{\"x\":2,\"t\":\"a\\nb\"}","undo":"{\"x\":1}","requires_future_invalidation":true,` +
	`"when_to_invalidate_ms":250,"asset_bytes":4096,"update_type":"DirectMessageExecute"},` +
	`{"seq_begin":4,"seq_end":4,"who":null,"request":"","redo":"{}","undo":"{}","requires_future_invalidation":false}],"incarnation":"1-9"}`

// sameAsGeneral checks that what readPatch takes is what the general way reads.
func sameAsGeneral(t interface{ Fatalf(string, ...any) }, body []byte) (taken bool) {
	if !utf8.Valid(body) {
		return false
	}
	fast, ok := readPatch(body)
	if !ok {
		return false
	}
	general, err := decode[patchForm](body)
	if err != nil {
		t.Fatalf("%s: taken, and it is refused: %v", body, err)
	}
	if len(general.Patches) == 0 {
		general.Patches = fast.Patches[:0:0] // an empty list or none
	}
	if !reflect.DeepEqual(fast, general) {
		t.Fatalf("%s:\n%+v\nis\n%+v", body, fast, general)
	}
	return true
}

func FuzzReadPatch(f *testing.F) {
	f.Add([]byte(ordinary))
	f.Add([]byte(` { "space" : "s" , "key" : "\"\\\/\b\f\n\r\t" , "patches" : [ ] } `))
	f.Add([]byte(`{"patches":[{"seq_begin":-0,"seq_end":-2147483648,"asset_bytes":999999999999999999}]}`))
	f.Add([]byte(`{"space":"a","space":"b","key":"\u0041"}`))
	f.Fuzz(func(t *testing.T, body []byte) { sameAsGeneral(t, body) })
}

func TestReadPatchTakesWhatClientsSend(t *testing.T) {
	if !sameAsGeneral(t, []byte(ordinary)) {
		t.Error("the ordinary form is not taken")
	}
	rapid.Check(t, func(t *rapid.T) {
		request := contract.PatchRequest{Space: rapid.String().Draw(t, "space"), Key: "k", Incarnation: "1-2"}
		for range rapid.IntRange(1, 3).Draw(t, "updates") {
			request.Patches = append(request.Patches, contract.Update{
				SeqBegin: rapid.Int32().Draw(t, "begin"), SeqEnd: rapid.Int32().Draw(t, "end"),
				Redo: rapid.String().Draw(t, "redo"), AssetBytes: rapid.Int64().Draw(t, "assets"),
				RequiresFutureInvalidation: rapid.Bool().Draw(t, "rfi"),
			})
		}
		body, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		sameAsGeneral(t, body)
	})
}

func TestReadPatchGivesUp(t *testing.T) {
	for _, body := range []string{
		``, `{`, `[]`, `{}x`, `{"space":7}`, `{"space":"a\u0041"}`, `{"space":"a","space":"b"}`, `{"other":1}`, `{"Space":"s"}`,
		`{"patches":[{"seq_begin":2147483648}]}`, `{"patches":[{"seq_begin":01}]}`, `{"patches":[{"seq_begin":1.0}]}`,
		`{"patches":[{"seq_begin":1e3}]}`, `{"patches":[{"seq_begin":-}]}`, `{"patches":[{"redo":null}]}`, `{"patches":[,]}`,
		`{"patches":null}`, `{"space":"` + "\x01" + `"}`, `{"space":"\x"}`, `{"space":"a`, `{"space":"a\`, `{"patches":[{}`, `{"key":"k",}`,
	} {
		if f, ok := readPatch([]byte(body)); ok {
			t.Errorf("%q is taken as %+v", body, f)
		}
	}
}

func BenchmarkPatch(b *testing.B) {
	for name, read := range map[string]func([]byte) error{
		"fast":    func(body []byte) error { _, ok := readPatch(body); return map[bool]error{false: missing("x")}[ok] },
		"general": func(body []byte) error { _, err := decode[patchForm](body); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := read([]byte(ordinary)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
