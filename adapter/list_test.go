package adapter

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"trireme/internal/contract"
)

func keysPage(cursor string, keys ...string) answer {
	page := contract.KeysReply{Keys: []Key{}, Cursor: cursor}
	for _, k := range keys {
		page.Keys = append(page.Keys, Key{Space: "s", Key: k})
	}
	return replyWith(page)
}

func names(keys []Key) string {
	var all []string
	for _, k := range keys {
		all = append(all, k.Key)
	}
	return fmt.Sprint(all)
}

func TestListPages(t *testing.T) {
	for _, test := range []struct {
		name   string
		script []answer
		keys   string
		asked  []string
		err    error
	}{
		{"nothing", []answer{keysPage("")}, "[]", []string{`{}`}, nil},
		{"one page", []answer{keysPage("", "a", "b")}, "[a b]", []string{`{}`}, nil},
		{
			"three pages, one of them empty, one refused at first",
			[]answer{keysPage("1", "a"), refuse(contract.NoOwner), keysPage("2"), keysPage("", "b")},
			"[a b]",
			[]string{`{}`, `{"cursor":"1"}`, `{"cursor":"1"}`, `{"cursor":"2"}`},
			nil,
		},
		{
			"an error in the middle",
			[]answer{keysPage("1", "a"), refuse(contract.Malformed)},
			"[a]",
			[]string{`{}`, `{"cursor":"1"}`},
			ErrMalformed,
		},
		{
			"a cursor that goes nowhere",
			[]answer{keysPage("1", "a"), keysPage("1", "a")},
			"[a]",
			[]string{`{}`, `{"cursor":"1"}`},
			errReply,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, op := range []string{contract.OpDeleting, contract.OpInventory} {
				f := newFake(t, test.script...)
				list := f.newClient().Deleting(t.Context())
				if op == contract.OpInventory {
					list = f.newClient().Inventory(t.Context(), InventoryRequest{})
				}
				keys, err := Collect(list)
				if names(keys) != test.keys || !errors.Is(err, test.err) {
					t.Errorf("%s: got %s, %v; want %s, %v", op, names(keys), err, test.keys, test.err)
				}
				var asked []string
				for _, m := range f.requests() {
					asked = append(asked, string(m.Data))
				}
				if !slices.Equal(asked, test.asked) {
					t.Errorf("%s: asked %v, want %v", op, asked, test.asked)
				}
			}
		})
	}
}

func TestListStopsWithItsLoop(t *testing.T) {
	f := newFake(t, keysPage("1", "a", "b"), keysPage("", "c"))
	for k, err := range f.newClient().Deleting(t.Context()) {
		if err != nil || k.Key != "a" {
			t.Fatalf("got %v, %v", k, err)
		}
		break
	}
	if n := len(f.requests()); n != 1 {
		t.Errorf("asked %d times for the first key", n)
	}
}

// historyPage makes a page of single changes begin..end of a document whose head
// is 9.
func historyPage(incarnation string, more bool, begin, end int32) History {
	page := History{Entries: []Entry{}, Seq: 9, Incarnation: incarnation, More: more}
	for seq := begin; seq <= end; seq++ {
		page.Entries = append(page.Entries, Entry{Update: update(seq, seq), Position: fmt.Sprintf("1-%d", seq)})
	}
	return page
}

func TestHistoryPages(t *testing.T) {
	whole := historyPage("1-2", false, 0, 3)
	whole.Base = &Base{Seq: 1, JSON: `{"x":1}`, AssetBytes: 3}
	wide := historyPage("1-2", true, 0, 2)
	wide.Entries[2].SeqEnd = 5
	last := historyPage("1-2", true, 1, 1)
	last.Entries[0].SeqEnd = math.MaxInt32
	finished := historyPage("1-2", false, 1, 0)
	finished.Seq = 3
	for _, test := range []struct {
		name  string
		pages []History
		count int // of entries
		asked []string
		err   error
	}{
		{"one page", []History{whole}, 4, []string{`{"space":"s","key":"k"}`}, nil},
		{
			"three pages, the first ends with a range",
			[]History{wide, historyPage("1-2", true, 6, 7), historyPage("1-2", false, 8, 9)},
			7,
			[]string{`{"space":"s","key":"k"}`, `{"space":"s","key":"k","from_seq":6}`, `{"space":"s","key":"k","from_seq":8}`},
			nil,
		},
		{"nothing after all", []History{historyPage("1-2", true, 1, 3), finished}, 3, nil, nil},
		{"created again in between", []History{historyPage("1-2", true, 1, 3), historyPage("1-8", false, 4, 9)}, 3, nil, ErrChanged},
		{"dropped in between", []History{historyPage("1-2", true, 1, 3), historyPage("1-2", false, 6, 9)}, 3, nil, ErrChanged},
		{"gone in between", []History{historyPage("1-2", true, 1, 3), historyPage("1-2", false, 1, 0)}, 3, nil, ErrChanged},
		{"more after nothing", []History{historyPage("1-2", true, 1, 0)}, 0, nil, errReply},
		{"more after the last seq there can be", []History{last}, 0, nil, errReply},
		{"going in circles", []History{historyPage("1-2", true, 1, 3), historyPage("1-2", true, 1, 3)}, 3, nil, errReply},
	} {
		t.Run(test.name, func(t *testing.T) {
			var script []answer
			for _, page := range test.pages {
				script = append(script, replyWith(page))
			}
			f := newFake(t, script...)
			pages, err := Collect(f.newClient().History(t.Context(), HistoryRequest{Space: "s", Key: "k"}))
			if !errors.Is(err, test.err) {
				t.Errorf("got %v, want %v", err, test.err)
			}
			count := 0
			for i, page := range pages {
				count += len(page.Entries)
				if fmt.Sprint(page.Base, page.Seq, page.Incarnation) != fmt.Sprint(test.pages[i].Base, test.pages[i].Seq, test.pages[i].Incarnation) && page.Base == nil {
					t.Errorf("page %d is %+v, want %+v", i, page, test.pages[i])
				}
			}
			if count != test.count {
				t.Errorf("got %d entries, want %d", count, test.count)
			}
			for i, m := range f.requests() {
				if test.asked != nil && string(m.Data) != test.asked[i] {
					t.Errorf("asked %s, want %s", m.Data, test.asked[i])
				}
			}
		})
	}
}

func TestHistoryStopsWithItsLoop(t *testing.T) {
	f := newFake(t, replyWith(historyPage("1-2", true, 1, 3)), refuse(contract.NotFound))
	for page, err := range f.newClient().History(t.Context(), HistoryRequest{Space: "s", Key: "k"}) {
		if err != nil || len(page.Entries) != 3 || page.Entries[2].Position != "1-3" {
			t.Fatalf("got %+v, %v", page, err)
		}
		break
	}
	if n := len(f.requests()); n != 1 {
		t.Errorf("asked %d times for the first page", n)
	}
}
