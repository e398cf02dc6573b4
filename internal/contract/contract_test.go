package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestEveryCodeIsExplainedOnce(t *testing.T) {
	all := []Code{
		HeadDiffers, NotFound, Exists, BeingDeleted, UnknownMethod, NothingToPatch, NothingToUndo, NoHistory, SnapshotSeq, WrongMachine,
		NoOwner, NoQuorum, Deposed, OutcomeUnknown, Malformed, TooLarge, Overloaded, Damaged, Fenced, BufferFull, Unmergeable, NotHere,
	}
	var explained []Code
	names := map[string]Code{}
	for _, e := range Codes() {
		explained = append(explained, e.Code)
		if other, taken := names[e.Name]; taken {
			t.Errorf("%d and %d are both called %q", other, e.Code, e.Name)
		}
		names[e.Name] = e.Code
		if e.Name == "" || e.Meaning == "" || e.Caller == "" {
			t.Errorf("%d: something is left unsaid: %+v", e.Code, e)
		}
		if want := map[bool]string{true: "maybe", false: "no"}[e.Code == OutcomeUnknown]; e.Happened != want {
			t.Errorf("%s: happened %q, want %q", e.Name, e.Happened, want)
		}
		if got, ok := Explain(e.Code); !ok || got != e || e.Code.Name() != e.Name {
			t.Errorf("Explain(%d) = %+v, %v", e.Code, got, ok)
		}
	}
	if !slices.Equal(explained, all) {
		t.Errorf("explained are\n %v, want\n %v", explained, all)
	}
	if e, ok := Explain(42); ok || Code(42).Name() != "42" {
		t.Errorf("42 is explained: %+v", e)
	}
}

// The numbers are Adama's: a typing slip here would steer its runtime wrongly.
func TestNumbersOfTheContract(t *testing.T) {
	for name, number := range map[string]Code{
		"head-differs": 621580, "not-found": 625676, "exists": 667658, "being-deleted": 786620, "unknown-method": 785491,
		"no-head-patch": 787507, "no-rewind": 791602, "history-not-positive": 734263, "snapshot-seq": 729311, "wrong-machine": 735344,
		"no-owner": 1500001, "no-quorum": 1500002, "deposed": 1500003, "outcome-unknown": 1500004, "malformed": 1500005, "too-large": 1500006,
		"overloaded": 1500007, "damaged": 1500008, "fenced": 1500009, "buffer-full": 1500010, "unmergeable": 1500011, "not-here": 1500012,
	} {
		if number.Name() != name {
			t.Errorf("%d is called %q, want %q", number, number.Name(), name)
		}
	}
}

func TestErrors(t *testing.T) {
	err := fmt.Errorf("patch: %w", Errorf(HeadDiffers, "seq_begin is %d", 7))
	if !errors.Is(err, &Error{Code: HeadDiffers}) || errors.Is(err, &Error{Code: NotFound}) || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("errors.Is goes by something else than the code of %v", err)
	}
	if got := CodeOf(err); got != HeadDiffers {
		t.Errorf("CodeOf(%v) = %d", err, got)
	}
	if CodeOf(nil) != 0 || CodeOf(errors.ErrUnsupported) != 0 {
		t.Error("CodeOf finds a code where there is none")
	}
	if got, want := err.Error(), "patch: 621580 head-differs: seq_begin is 7"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := (&Error{Code: NotFound}).Error(), "625676 not-found"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	body, failed := json.Marshal(Errorf(OutcomeUnknown, "waited 15 s").Reply())
	want := `{"code":1500004,"name":"outcome-unknown","message":"waited 15 s","hint":"send it again under the same request id, until you are told"}`
	if failed != nil || string(body) != want {
		t.Errorf("%s, %v\nwant %s", body, failed, want)
	}
}

func TestOpsAndTypesAreDistinct(t *testing.T) {
	for _, list := range [][]string{Ops(), UpdateTypes()} {
		if n := len(slices.Compact(slices.Sorted(slices.Values(list)))); n != len(list) {
			t.Errorf("%v says something twice", list)
		}
	}
	if len(Ops()) != 13 || len(UpdateTypes()) != 6 {
		t.Errorf("%d operations, %d update types; want 13 and 6", len(Ops()), len(UpdateTypes()))
	}
}

func TestKeysOrderBySpaceThenKeyInBytes(t *testing.T) {
	sorted := []Key{{"", "z"}, {"A", "b"}, {"a", ""}, {"a", "B"}, {"a", "a"}, {"a", "ab"}, {"aa", "a"}, {"é", "a"}, {"☃", "a"}, {"\U0001F600", "a"}}
	for i, a := range sorted {
		for j, b := range sorted {
			if got, want := a.Compare(b), map[bool]int{true: 1}[i > j]-map[bool]int{true: 1}[i < j]; got != want {
				t.Errorf("%v to %v: %d, want %d", a, b, got, want)
			}
		}
	}
}

// Optional fields stay out of the envelope when unset, and null is kept where
// the contract writes null.
func TestEnvelopes(t *testing.T) {
	five := int32(5)
	text := "{}"
	for _, c := range []struct {
		value any
		want  string
	}{
		{GetRequest{Space: "s", Key: "k"}, `{"space":"s","key":"k"}`},
		{GetRequest{Space: "s", Key: "k", Consistency: Local, Fold: FoldClient}, `{"space":"s","key":"k","consistency":"local","fold":"client"}`},
		{HistoryRequest{Space: "s", Key: "k"}, `{"space":"s","key":"k"}`},
		{HistoryRequest{Space: "s", Key: "k", FromSeq: &five, Limit: 2}, `{"space":"s","key":"k","from_seq":5,"limit":2}`},
		{KeysReply{Keys: []Key{}}, `{"keys":[]}`},
		{KeysReply{Keys: []Key{{"s", "k"}}, Cursor: "c"}, `{"keys":[{"space":"s","key":"k"}],"cursor":"c"}`},
		{PartsReply{Redos: []string{"{}"}, Reads: 1, Seq: 1, Incarnation: "1-2"}, `{"base":null,"redos":["{}"],"reads":1,"seq":1,"incarnation":"1-2"}`},
		{PartsReply{Base: &text, Redos: []string{}}, `{"base":"{}","redos":[],"reads":0,"seq":0,"incarnation":""}`},
		{EmptyReply{}, `{}`},
		{SnapshotReply{}, `{"value":0}`},
		{
			Entry{Update: Update{SeqBegin: 1, SeqEnd: 2, Redo: "{}", UpdateType: Internal}, Position: "1-9", Writer: "w", RequestID: "r"},
			`{"seq_begin":1,"seq_end":2,"who":null,"request":"","redo":"{}","undo":"","requires_future_invalidation":false,` +
				`"when_to_invalidate_ms":0,"asset_bytes":0,"update_type":"Internal","position":"1-9","writer":"w","request_id":"r"}`,
		},
	} {
		body, err := json.Marshal(c.value)
		if err != nil || string(body) != c.want {
			t.Errorf("%T: %s, %v\nwant %s", c.value, body, err, c.want)
			continue
		}
		back := reflect.New(reflect.TypeOf(c.value))
		if err := json.Unmarshal(body, back.Interface()); err != nil || !reflect.DeepEqual(back.Elem().Interface(), c.value) {
			t.Errorf("%s reads back as %+v, %v", body, back.Elem(), err)
		}
	}
}

func TestCheckKey(t *testing.T) {
	long := strings.Repeat("x", MaxName)
	for _, c := range []struct {
		name string
		key  Key
		want Code
	}{
		{"plain", Key{"chat", "lobby"}, 0},
		{"one byte each", Key{"c", "l"}, 0},
		{"at the limit", Key{long, long}, 0},
		{"blanks, controls and beyond ASCII", Key{" \x00\r\n\x7f", "ü☃\U0001F600"}, 0},
		{"no space", Key{"", "k"}, Malformed},
		{"no key", Key{"s", ""}, Malformed},
		{"space over the limit", Key{long + "x", "k"}, TooLarge},
		{"key over the limit", Key{"s", long + "x"}, TooLarge},
		{"64 KB", Key{"s", strings.Repeat("x", 64<<10)}, TooLarge},
		{"not UTF-8", Key{"s", "\xff"}, Malformed},
		{"a lone surrogate", Key{"\xed\xa0\x80", "k"}, Malformed},
	} {
		if err := CheckKey(c.key); CodeOf(err) != c.want {
			t.Errorf("%s: %v, want code %d", c.name, err, c.want)
		}
	}
}

func TestCheckHeader(t *testing.T) {
	for value, want := range map[string]Code{
		"": 0, "r-1": 0, " ~": 0, strings.Repeat("x", MaxHeader): 0,
		strings.Repeat("x", MaxHeader+1): Malformed, "a\tb": Malformed, "a\x7f": Malformed, "ü": Malformed, "\r\n": Malformed,
	} {
		if err := CheckHeader(HeaderRequestID, value); CodeOf(err) != want {
			t.Errorf("%q: %v, want code %d", value, err, want)
		}
	}
}

func TestCheckUpdate(t *testing.T) {
	name := strings.Repeat("n", MaxName)
	part := strings.Repeat("x", MaxEntry/4)
	for _, c := range []struct {
		name string
		u    Update
		want Code
	}{
		{"least", Update{UpdateType: Restore}, 0},
		{"texts are not read", Update{UpdateType: Internal, Request: "\xff", Redo: "{", Undo: "nonsense"}, 0},
		{"seqs are not looked at", Update{UpdateType: Internal, SeqBegin: 5, SeqEnd: -5}, 0},
		{"texts at the limit", Update{UpdateType: Internal, Request: part, Redo: part, Undo: part + part}, 0},
		{"texts over the limit", Update{UpdateType: Internal, Request: part, Redo: part, Undo: part + part + "x"}, TooLarge},
		{"names at the limit", Update{UpdateType: Internal, Who: &Who{Agent: name, Authority: name}}, 0},
		{"empty names", Update{UpdateType: Internal, Who: &Who{}}, 0},
		{"agent over the limit", Update{UpdateType: Internal, Who: &Who{Agent: name + "n"}}, TooLarge},
		{"authority over the limit", Update{UpdateType: Internal, Who: &Who{Authority: name + "n"}}, TooLarge},
		{"no type", Update{}, Malformed},
		{"a type in lower case", Update{UpdateType: "internal"}, Malformed},
	} {
		if err := CheckUpdate("patch", &c.u); CodeOf(err) != c.want {
			t.Errorf("%s: %v, want code %d", c.name, err, c.want)
		}
	}
}

func TestCheckPatches(t *testing.T) {
	u := func(begin, end int32) Update { return Update{SeqBegin: begin, SeqEnd: end, UpdateType: Internal} }
	filled := func(size int) Update { return Update{UpdateType: Internal, Redo: strings.Repeat("x", size)} }
	room := MaxDocument - (&Update{}).LogSize()*2 // for the texts of two updates
	two := func(texts int) []Update {
		a, b := filled(texts/2), filled(texts-texts/2)
		b.SeqBegin, b.SeqEnd = 1, 1
		return []Update{a, b}
	}
	many := make([]Update, MaxDocument/(&Update{}).LogSize()+1)
	for i := range many {
		many[i] = u(int32(i), int32(i))
	}
	for _, c := range []struct {
		name    string
		patches []Update
		want    Code
	}{
		{"none", nil, Malformed},
		{"one", []Update{u(1, 1)}, 0},
		{"ranges", []Update{u(1, 3), u(4, 4), u(5, 9)}, 0},
		{"below zero", []Update{u(-3, -1), u(0, 0)}, 0},
		{"reversed", []Update{u(2, 1)}, Malformed},
		{"reversed later", []Update{u(1, 1), u(2, 1)}, Malformed},
		{"a gap", []Update{u(1, 1), u(3, 3)}, Malformed},
		{"an overlap", []Update{u(1, 2), u(2, 3)}, Malformed},
		{"up to the last seq", []Update{u(math.MaxInt32-1, math.MaxInt32-1), u(math.MaxInt32, math.MaxInt32)}, 0},
		{"over the last seq and round", []Update{u(math.MaxInt32, math.MaxInt32), u(math.MinInt32, math.MinInt32)}, Malformed},
		{"the widest range", []Update{u(math.MinInt32, math.MaxInt32)}, 0},
		{"the widest range reversed", []Update{u(math.MaxInt32, math.MinInt32)}, Malformed},
		{"an unknown type", []Update{u(1, 1), {SeqBegin: 2, SeqEnd: 2, UpdateType: "x"}}, Malformed},
		{"an entry over the limit", []Update{filled(MaxEntry + 1)}, TooLarge},
		{"together at the limit", two(room), 0},
		{"together over the limit", two(room + 1), TooLarge},
		{"too many, though all are empty", many, TooLarge},
		{"one fewer", many[1:], 0},
	} {
		if err := CheckPatches(c.patches); CodeOf(err) != c.want {
			t.Errorf("%s: %v, want code %d", c.name, err, c.want)
		}
	}
	err := CheckPatches([]Update{u(1, 1), u(3, 3)})
	if want := "1500005 malformed: patches[1].seq_begin is 3, but patches[0] ends at 1: a batch has no gaps and no overlaps"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestCheckDocument(t *testing.T) {
	text := strings.Repeat("x", MaxDocument+1)
	if err := CheckDocument("json", text[1:]); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if err := CheckDocument("json", text); CodeOf(err) != TooLarge {
		t.Errorf("over the limit: %v", err)
	}
}
