package host

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
)

// TestBadInput is the table of docs/adapter.md: each bad request gets its code,
// in words that name what is wrong, the next good request works, and nothing is
// lost.
func TestBadInput(t *testing.T) {
	r := newRig(t)
	r.must("initialize", doc("s", "good", "patch", update(0, 1, `{"n":1}`, `{}`)))
	head := 1
	good := func() {
		t.Helper()
		head++
		r.must("patch", doc("s", "good", "patches", []object{update(head, head, fmt.Sprintf(`{"n":%d}`, head), `{}`)}))
	}
	raw := func(s string) []byte { return []byte(s) }
	name := func(n int) string { return strings.Repeat("k", n) }
	patch := func(updates ...object) object { return doc("s", "good", "patches", updates) }
	with := func(u object, field string, value any) object { u[field] = value; return u }
	const malformed, large = contract.Malformed, contract.TooLarge
	for _, c := range []struct {
		name string
		op   string
		body any
		code contract.Code
		says string
	}{
		{"empty body", "get", raw(``), malformed, "empty"},
		{"blank body", "get", raw("  \n"), malformed, "empty"},
		{"not JSON", "get", raw(`{"space":`), malformed, "JSON"},
		{"text after the JSON", "get", raw(`{"space":"s","key":"good"} x`), malformed, "JSON"},
		{"an array", "get", raw(`[]`), malformed, "array"},
		{"a field of another type", "get", raw(`{"space":7,"key":"k"}`), malformed, "space"},
		{"bytes that are no UTF-8", "get", raw("{\"space\":\"s\",\"key\":\"\xff\"}"), malformed, "UTF-8"},
		{"half a surrogate pair", "get", raw(`{"space":"s","key":"\ud800"}`), malformed, "surrogate"},
		{"the other half", "get", raw(`{"space":"s","key":"\\\udc00x"}`), malformed, "surrogate"},
		{"no key", "get", doc("s", ""), malformed, "key"},
		{"no space", "get", doc("", "k"), malformed, "space"},
		{"a key of 1025 bytes", "get", doc("s", name(1025)), large, "1024"},
		{"a key of 64 KB", "initialize", doc("s", name(64<<10), "patch", update(0, 1, `{}`, `{}`)), large, "65536"},
		{"a space of 64 KB", "get", doc(name(64<<10), "k"), large, "65536"},
		{"an unknown operation", "frobnicate", doc("s", "k"), malformed, "frobnicate"},
		{"unknown consistency", "get", doc("s", "good", "consistency", "maybe"), malformed, "maybe"},
		{"unknown fold", "get", doc("s", "good", "fold", "paper"), malformed, "paper"},
		{"initialize without patch", "initialize", doc("s", "k"), malformed, "patch"},
		{"no redo", "initialize", doc("s", "k", "patch", object{"seq_begin": 0, "seq_end": 1, "undo": ""}), malformed, "patch.redo"},
		{"redo is no text", "initialize", doc("s", "k", "patch", object{"seq_begin": 0, "seq_end": 1, "redo": object{}, "undo": ""}), malformed, "redo"},
		{"an empty batch", "patch", patch(), malformed, "empty"},
		{"no batch", "patch", doc("s", "good"), malformed, "empty"},
		{"a reversed range", "patch", patch(update(2, 1, `{}`, `{}`)), malformed, "patches[0]"},
		{"a gap in a batch", "patch", patch(update(2, 2, `{}`, `{}`), update(4, 4, `{}`, `{}`)), malformed, "patches[1].seq_begin"},
		{"an overlap in a batch", "patch", patch(update(2, 3, `{}`, `{}`), update(3, 4, `{}`, `{}`)), malformed, "patches[1].seq_begin"},
		{"a seq over 32 bits", "patch", raw(`{"space":"s","key":"good","patches":[{"seq_begin":2147483648,"seq_end":2147483648,"redo":"","undo":""}]}`), malformed, "seq_begin"},
		{"a broken seq", "patch", raw(`{"space":"s","key":"good","patches":[{"seq_begin":2.5,"seq_end":3,"redo":"","undo":""}]}`), malformed, "seq_begin"},
		{"asset bytes over 64 bits", "patch", raw(`{"space":"s","key":"good","patches":[{"seq_begin":2,"seq_end":2,"redo":"","undo":"","asset_bytes":9223372036854775808}]}`), malformed, "asset_bytes"},
		{"an unknown update type", "patch", patch(with(update(2, 2, `{}`, `{}`), "update_type", "Magic")), malformed, "Magic"},
		{"a seq below the head", "patch", patch(update(-5, -5, `{}`, `{}`)), contract.HeadDiffers, "-5"},
		{"the largest seq", "patch", patch(update(1<<31-1, 1<<31-1, `{}`, `{}`)), contract.HeadDiffers, "2147483647"},
		{"a bad incarnation", "patch", doc("s", "good", "patches", []object{update(2, 2, `{}`, `{}`)}, "incarnation", "yesterday"), malformed, "yesterday"},
		{"another incarnation", "snapshot", doc("s", "good", "seq", 1, "json", "{}", "history", 1, "incarnation", "9-9"), contract.SnapshotSeq, "9-9"},
		{"an entry over 16 MiB", "patch", patch(update(2, 2, strings.Repeat("x", 16<<20+1), `{}`)), large, "16777216"},
		{"a batch over 24 MiB", "patch", patch(update(2, 2, strings.Repeat("x", 13<<20), ``), update(3, 3, strings.Repeat("x", 13<<20), ``)), large, "25165824"},
		{"a recover over 24 MiB", "recover", doc("s", "good", "seq", 9, "document", strings.Repeat("x", 24<<20+1)), large, "25165824"},
		{"a snapshot over 24 MiB", "snapshot", doc("s", "good", "seq", 1, "json", strings.Repeat("x", 24<<20+1), "history", 1), large, "25165824"},
		{"recover without document", "recover", doc("s", "good", "seq", 9), malformed, "document"},
		{"recover without seq", "recover", doc("s", "good", "document", "{}"), malformed, "seq"},
		{"compute without seq", "compute", doc("s", "good", "method", "HeadPatch"), malformed, "seq"},
		{"compute of nothing known", "compute", doc("s", "good", "method", "Guess", "seq", 1), contract.UnknownMethod, "Guess"},
		{"snapshot without history", "snapshot", doc("s", "good", "seq", 1, "json", "{}"), malformed, "history"},
		{"snapshot with history 0", "snapshot", doc("s", "good", "seq", 1, "json", "{}", "history", 0), contract.NoHistory, "0"},
		{"an unknown phase", "delete", doc("s", "good", "phase", "maybe"), malformed, "maybe"},
		{"a bad cursor", "inventory", object{"cursor": "!!"}, malformed, "cursor"},
		{"an unknown scope", "inventory", object{"scope": "galaxy"}, malformed, "galaxy"},
		{"another host", "inventory", object{"host": "h9"}, malformed, "h9"},
		{"scope writer without writer", "inventory", object{"scope": "writer"}, malformed, contract.HeaderWriter},
		{"a negative limit", "history", doc("s", "good", "limit", -1), malformed, "limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			a := r.refused(c.code, c.op, c.body)
			if text, _ := a.body["message"].(string); !strings.Contains(text, c.says) {
				t.Errorf("message %.300q does not name %q", text, c.says)
			}
			good()
		})
	}
	r.t = t
	for _, bad := range [][]string{
		{contract.HeaderRequestID, strings.Repeat("i", 65)},
		{contract.HeaderRequestID, "caf\u00e9"},
		{contract.HeaderWriter, strings.Repeat("w", 65)},
	} {
		r.refused(malformed, "get", doc("s", "good"), bad...)
	}
	m, err := r.nc.RequestMsg(&nats.Msg{Subject: "adama.v1.get", Data: raw(`{"space":"s","key":"good"}`), Header: nats.Header{contract.HeaderRequestID: {"a", "b"}}}, patience)
	if err != nil || r.read(m).code != malformed {
		t.Errorf("two ids: %v", err)
	}
	r.restart()
	if a := r.must("get", doc("s", "good")); a.body["seq"] != float64(head) || a.body["reads"] != float64(head) || a.body["patch"] != fmt.Sprintf(`{"n":%d}`, head) {
		t.Errorf("after all that the document is %v, head %d", a.body, head)
	}
	if keys := r.must("inventory", object{}).body["keys"].([]any); len(keys) != 1 {
		t.Errorf("bad requests have left %v", keys)
	}
	if err := r.host.store.Verify(); err != nil {
		t.Error(err)
	}
}

// Every byte value that UTF-8 text can hold, alone and in company, names a
// document of its own.
func TestEveryByteInNames(t *testing.T) {
	r := newRig(t)
	var names []string
	for c := range rune(256) {
		names = append(names, string(c))
	}
	names = append(names, "a\x00b", "a\x00", "\x00a", " ", "-", "%", "%2D", ".", "*", ">", "a b", "\r\n", "\u2028", "\U0001F600", "\ufffd", strings.Repeat("\x00", 1024))
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	for i, name := range names {
		r.must("initialize", doc(name, name, "patch", update(0, 1, fmt.Sprintf(`{"i":%d}`, i), `{}`)), contract.HeaderRequestID, "id")
	}
	r.restart()
	for i, name := range names {
		if a := r.must("get", doc(name, name)); a.body["patch"] != fmt.Sprintf(`{"i":%d}`, i) {
			t.Errorf("%q holds %v", name, a.body["patch"])
		}
		r.refused(contract.NotFound, "get", doc(name, "absent"))
	}
	if keys := r.must("inventory", object{}).body["keys"].([]any); len(keys) != len(names) {
		t.Errorf("%d documents are listed, want %d", len(keys), len(names))
	}
}

// Entries of the largest sizes go in and come out.
func TestLargestSizes(t *testing.T) {
	r := newRig(t)
	text := `{"t":"` + strings.Repeat("x", 16<<20-100) + `"}`
	r.must("initialize", doc("s", "entry", "patch", update(0, 1, text, `{}`)))
	if a := r.must("get", doc("s", "entry")); a.body["patch"] != text {
		t.Error("an entry of 16 MiB comes back otherwise")
	}
	text = `{"t":"` + strings.Repeat("x", 24<<20-8) + `"}`
	r.must("recover", doc("s", "entry", "seq", 5, "document", text))
	r.restart()
	if a := r.must("get", doc("s", "entry")); a.body["patch"] != text {
		t.Error("a document of 24 MiB comes back otherwise")
	}
	// Four entries of 16 MiB are more than a reply holds.
	for i := range 4 {
		text := fmt.Sprintf(`{"t%d":"%s"}`, i, strings.Repeat("x", 16<<20-100))
		r.must("patch", doc("s", "entry", "patches", []object{update(6+i, 6+i, text, ``)}))
	}
	r.refused(contract.TooLarge, "get", doc("s", "entry"))
	r.must("recover", doc("s", "entry", "seq", 20, "document", `{}`))
	r.must("get", doc("s", "entry"))
}
