package adapter

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/merge"
)

func TestCompactVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/compact.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name  string
		Steps []struct {
			Args   struct{ Updates []Update }
			Expect struct{ Updates []Update }
		}
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 3 {
		t.Fatalf("%d cases, want 3", len(cases))
	}
	for _, test := range cases {
		t.Run(test.Name, func(t *testing.T) {
			for _, step := range test.Steps {
				got, err := Compact(step.Args.Updates)
				if err != nil {
					t.Fatal(err)
				}
				for i := range got { // the cases leave these out
					if got[i].Who == nil || got[i].Request != "REQUEST" {
						t.Errorf("update %d lost its who or request: %+v", i, got[i])
					}
					got[i].Who, got[i].Request = nil, ""
				}
				if !reflect.DeepEqual(got, step.Expect.Updates) {
					t.Errorf("got %+v\nwant %+v", got, step.Expect.Updates)
				}
			}
		})
	}
}

func TestCompactRefuses(t *testing.T) {
	broken, invalidate := update(1, 1), update(2, 2)
	broken.Redo, invalidate.UpdateType = "{", Invalidate
	brokenUndo := update(1, 1)
	brokenUndo.Undo = "{"
	for _, test := range []struct {
		name    string
		updates []Update
		want    error
	}{
		{"a gap", []Update{update(1, 1), update(3, 3)}, ErrMalformed},
		{"an overlap", []Update{update(1, 2), update(2, 3)}, ErrMalformed},
		{"a reversed range", []Update{update(2, 1)}, ErrMalformed},
		{"a redo that cannot be read", []Update{broken, invalidate}, ErrUnmergeable},
		{"an undo that cannot be read", []Update{brokenUndo, invalidate}, ErrUnmergeable},
		{"one that nobody has to read", []Update{broken}, nil},
		{"nothing", nil, nil},
	} {
		got, err := Compact(test.updates)
		if !errors.Is(err, test.want) || err == nil && len(got) != len(test.updates) {
			t.Errorf("%s: got %v, %v; want %v", test.name, got, err, test.want)
		}
	}
}

func TestCompactKeepsEntriesSmall(t *testing.T) {
	updates := []Update{update(1, 1), update(2, 2), update(3, 3)}
	for i := range updates {
		updates[i].UpdateType = Invalidate
		updates[i].Redo = `{"x":"` + strings.Repeat("x", contract.MaxEntry/2-100) + `"}`
	}
	got, err := Compact(updates)
	if err != nil || len(got) != 2 || got[0].SeqEnd != 2 || got[1].SeqBegin != 3 {
		t.Errorf("got %d updates, %v; want 1-2 and 3", len(got), err)
	}
}

// TestCompact compares with merging the last update into the one before it,
// again and again from the left.
func TestCompact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var updates []Update
		next := rapid.Int32Range(-5, 5).Draw(t, "first seq")
		for range rapid.IntRange(0, 8).Draw(t, "count") {
			u := update(next, next+rapid.Int32Range(0, 2).Draw(t, "width"))
			u.UpdateType = rapid.SampledFrom([]string{AddUserData, Invalidate, Invalidate}).Draw(t, "type")
			u.Redo = fmt.Sprintf(`{"k%d":%d}`, rapid.IntRange(0, 2).Draw(t, "key"), next)
			u.Undo = fmt.Sprintf(`{"k%d":%d}`, rapid.IntRange(0, 2).Draw(t, "key"), -next)
			u.AssetBytes = rapid.Int64Range(-9, 9).Draw(t, "assets")
			u.RequiresFutureInvalidation = rapid.Bool().Draw(t, "flag")
			u.WhenToInvalidateMS = rapid.Int32().Draw(t, "when")
			updates = append(updates, u)
			next = u.SeqEnd + 1
		}
		before := fmt.Sprint(updates)
		var want []Update
		for _, u := range updates {
			if len(want) == 0 || u.UpdateType != Invalidate {
				want = append(want, u)
				continue
			}
			into := &want[len(want)-1]
			redo, err1 := merge.Fold([]byte(into.Redo), []byte(u.Redo))
			undo, err2 := merge.Fold([]byte(u.Undo), []byte(into.Undo))
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			into.Redo, into.Undo, into.SeqEnd = string(redo), string(undo), u.SeqEnd
			into.AssetBytes += u.AssetBytes
			into.RequiresFutureInvalidation, into.WhenToInvalidateMS = u.RequiresFutureInvalidation, u.WhenToInvalidateMS
		}
		got, err := Compact(updates)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v\nwant %+v", got, want)
		}
		if fmt.Sprint(updates) != before {
			t.Fatal("the updates given were changed")
		}
		again, err := Compact(got)
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("a second time it gives %+v, %v", again, err)
		}
	})
}
