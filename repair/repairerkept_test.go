package repair

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"trireme/internal/layout"
	"trireme/internal/position"
)

func TestWhatIsKeptComesBack(t *testing.T) {
	dir := t.TempDir()
	none, err := readKept(dir)
	if err != nil || none.Version != keptVersion || none.Clean != nil {
		t.Errorf("a new beginning: %+v, %v", none, err)
	}
	at, rate, rest := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC), int64(7), 1.5
	k := kept{
		Version: keptVersion, PausedUntil: &at, Rate: &rate, Tranquility: &rest,
		Clean: map[string][]keptClean{"s1": {{First: 0, Last: 255, Position: "1-42", At: at, Against: "h2"}}},
		Heals: map[string]keptHeal{"s2": {Began: at, Buckets: 4, Verified: 3, Documents: 2, Bytes: 1, Tries: 1}},
		Scrub: keptScrub{Began: &at, Next: 77, Read: 5, Documents: 6, Bytes: 7, Damaged: 8, Mended: 9, Ended: &at},
	}
	for range 2 {
		if err := k.write(dir); err != nil {
			t.Fatal(err)
		}
	}
	back, err := readKept(dir)
	if err != nil || !reflect.DeepEqual(back, k) {
		t.Errorf("%+v, %v", back, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestWhatCannotBeKeptIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{`:             "unexpected end",
		`{"version":0}`: "version 0",
		`{"version":2}`: "version 2",
		`{"version":1,"rate_bytes_per_second":-1}`:                                              "rate_bytes_per_second",
		`{"version":1,"tranquility":101}`:                                                       "tranquility",
		`{"version":1,"scrub":{"next":16385}}`:                                                  "scrub.next",
		`{"version":1,"clean":{"s1":[{"first":5,"last":4,"position":"1-1"}]}}`:                  "stripe s1",
		`{"version":1,"clean":{"s1":[{"first":5,"last":16384,"position":"1-1"}]}}`:              "stripe s1",
		`{"version":1,"clean":{"s1":[{"first":5,"last":6,"position":"x"}]}}`:                    "stripe s1",
		`{"version":1,"clean":{"s1":[{"first":5,"last":6,"position":"1-1","at":"yesterday"}]}}`: "time",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, keptFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readKept(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "remove the file") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzKept(f *testing.F) {
	f.Add([]byte(`{"version":1,"clean":{"s1":[{"first":5,"last":6,"position":"1-1"}]},"scrub":{"next":3}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseKept(text)
		if err != nil {
			return
		}
		out, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseKept(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		again, err := json.Marshal(back)
		if err != nil || string(again) != string(out) {
			t.Errorf("%s became %s, %v", out, again, err)
		}
		newCleanTable(k.Clean)
	})
}

func at(seq uint64) position.Position { return position.Position{Birth: 1, Seq: seq} }

func stripeOf(parts ...layout.Partition) []Stripe {
	return []Stripe{{Name: "s1", Members: []string{"h1", "h2", "h3"}, Partitions: parts}}
}

func TestCleanPositions(t *testing.T) {
	p0, p1 := layout.Partition{ID: 0, First: 0, Last: 9}, layout.Partition{ID: 1, First: 10, Last: 19}
	peers := []string{"h2", "h3"}
	table := newCleanTable(nil)
	table.follow(stripeOf(p0, p1))
	now := time.Unix(1000, 0)
	find := func(id layout.PartitionID, seq uint64, peer string) {
		table.found("s1", id, at(seq), table.seen("s1", id), now, peer)
	}
	find(0, 10, "h2")
	if got := lowest(table.ranges("s1")); !got.IsZero() {
		t.Errorf("half a stripe is clean up to %v", got)
	}
	find(1, 12, "h3")
	if got := lowest(table.ranges("s1")); got != at(10) {
		t.Errorf("clean up to %v", got)
	}
	if got := table.equalTo("s1", peers); !got.IsZero() {
		t.Errorf("equal to everybody up to %v", got)
	}
	find(0, 9, "h3")
	find(1, 8, "h2")
	if got := table.equalTo("s1", peers); got != at(8) {
		t.Errorf("equal to everybody up to %v", got)
	}
	if got := lowest(table.ranges("s1")); got != at(10) {
		t.Errorf("it moved back to %v", got)
	}
	// What was seen before a document was replaced does not count.
	seen := table.seen("s1", 1)
	table.pulled("s1", 15)
	table.found("s1", 1, at(50), seen, now, "h2")
	if got := lowest(table.ranges("s1")); !got.IsZero() || !table.equalTo("s1", peers).IsZero() {
		t.Errorf("clean up to %v", got)
	}
	find(1, 20, "h2")
	find(1, 20, "h3")
	if got := table.equalTo("s1", peers); got != at(9) {
		t.Errorf("equal to everybody up to %v", got)
	}
	table.lagged("s1", 1, 3)
	if r := table.ranges("s1")[1]; r.lagging != 3 || r.position != at(20) || r.against == "" {
		t.Errorf("%+v", r)
	}
}

// Partitions that are cut or joined keep the lowest of what they come from; nothing
// is reported of them before they were compared as what they are.
func TestCleanPositionsFollowTheLayout(t *testing.T) {
	table := newCleanTable(map[string][]keptClean{"s1": {
		{First: 0, Last: 9, Position: "1-5", Against: "h2"}, {First: 10, Last: 19, Position: "1-7", Against: "h3"},
	}})
	table.follow(stripeOf(
		layout.Partition{ID: 0, First: 0, Last: 4}, layout.Partition{ID: 1, First: 5, Last: 14}, layout.Partition{ID: 2, First: 15, Last: 24},
	))
	var got []position.Position
	for _, r := range table.ranges("s1") {
		got = append(got, r.position)
	}
	if want := []position.Position{at(5), at(5), {}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for id := range layout.PartitionID(3) {
		for _, h := range []string{"h2", "h3"} {
			table.found("s1", id, at(30), table.seen("s1", id), time.Time{}, h)
		}
	}
	if got := table.equalTo("s1", []string{"h2", "h3"}); got != at(30) {
		t.Errorf("equal up to %v", got)
	}
	table.follow(stripeOf(layout.Partition{ID: 0, First: 0, Last: 24}))
	if got := table.equalTo("s1", []string{"h2", "h3"}); !got.IsZero() {
		t.Errorf("another partition of that number is equal up to %v", got)
	}
	table.follow(nil)
	table.pulled("s1", 3)
	table.lagged("s1", 0, 1)
	if got := table.equalTo("s1", nil); !got.IsZero() || len(table.keep()) != 0 {
		t.Errorf("of a stripe that is gone: %v", got)
	}
}

func TestConfig(t *testing.T) {
	c := Config{}.withDefaults()
	if c.Interval != 30*time.Second || c.Parallel != 4 || c.ScrubEvery != 14*24*time.Hour {
		t.Errorf("%+v", c)
	}
	for field, c := range map[string]Config{
		"interval": {Interval: -1}, "bucket timeout": {BucketTimeout: -1}, "parallel": {Parallel: 65},
		"rate": {Rate: -1}, "tranquility": {Tranquility: -1}, "mend timeout": {MendTimeout: -1}, "heal retry": {HealRetry: -1},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := (&Repairer{}).Start(t.Context()); err == nil {
		t.Error("started without anything")
	}
}
