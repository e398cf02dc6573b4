package document

import (
	"math"
	"strings"
	"testing"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
	"trireme/internal/record"
)

var testKey = contract.Key{Space: "space", Key: "key"}

func at(seq uint64) position.Position { return position.Position{Birth: 1, Seq: seq} }

func update(begin, end int32) contract.Update {
	return contract.Update{SeqBegin: begin, SeqEnd: end, Redo: "{}", Undo: "{}", UpdateType: contract.Internal}
}

// live is a document at position 3 of incarnation 2 whose head is 10.
func live() State {
	return State{Live: true, Position: at(3), Incarnation: at(2), Head: 10}
}

func with(s State, change func(s *State)) State {
	change(&s)
	return s
}

func TestRefuse(t *testing.T) {
	marked := with(live(), func(s *State) { s.Marked = true })
	tombstone := State{Position: at(3)}
	cut := with(live(), func(s *State) { s.Redos = Window{Count: 2, Cut: true, Floor: 7} })
	top := with(live(), func(s *State) { s.Head = math.MaxInt32 })
	init := func(u ...contract.Update) record.Change { return record.Change{Verb: record.Init, Updates: u} }
	patch := func(u ...contract.Update) record.Change { return record.Change{Verb: record.Patch, Updates: u} }
	snapshot := func(seq, history int32) record.Change {
		return record.Change{Verb: record.Snapshot, Seq: seq, History: history}
	}
	of := func(c record.Change, p position.Position) record.Change { c.Incarnation = p; return c }
	drop := record.Change{Verb: record.Delete, Phase: record.PhaseRemove}
	recov := record.Change{Verb: record.Recover, Seq: 3}

	cases := []struct {
		name   string
		state  State
		change record.Change
		want   contract.Code // 0 for taken
	}{
		{"init a new one", State{}, init(update(0, 1)), 0},
		{"init after a delete", tombstone, init(update(0, 1)), 0},
		{"init an existing one", live(), init(update(11, 11)), contract.Exists},
		{"init a marked one", marked, init(update(0, 1)), contract.BeingDeleted},
		{"init does not look at seq_begin", State{}, init(update(5, 3)), 0},
		{"init below zero", State{}, init(update(-9, -7)), 0},
		{"init without an update", State{}, init(), contract.Malformed},
		{"init with two", State{}, init(update(0, 1), update(2, 2)), contract.Malformed},

		{"patch", live(), patch(update(11, 11)), 0},
		{"patch with ranges", live(), patch(update(11, 20), update(21, 21)), 0},
		{"patch a missing one", State{}, patch(update(1, 1)), contract.NotFound},
		{"patch a tombstone", tombstone, patch(update(1, 1)), contract.NotFound},
		{"patch a marked one", marked, patch(update(11, 11)), contract.BeingDeleted},
		{"patch nothing", live(), patch(), contract.Malformed},
		{"patch a missing one with nothing", State{}, patch(), contract.Malformed},
		{"patch reversed", live(), patch(update(11, 10)), contract.Malformed},
		{"patch with a gap", live(), patch(update(11, 11), update(13, 13)), contract.Malformed},
		{"patch with an overlap", live(), patch(update(11, 12), update(12, 13)), contract.Malformed},
		{"patch behind", live(), patch(update(10, 10)), contract.HeadDiffers},
		{"patch ahead", live(), patch(update(12, 12)), contract.HeadDiffers},
		{"patch its incarnation", live(), of(patch(update(11, 11)), at(2)), 0},
		{"patch another incarnation", live(), of(patch(update(11, 11)), at(1)), contract.HeadDiffers},
		{"patch up to the last seq", live(), patch(update(11, math.MaxInt32)), 0},
		{"patch beyond the last seq", top, patch(update(math.MinInt32, math.MinInt32)), contract.HeadDiffers},
		{"patch whose batch overflows", live(), patch(update(11, math.MaxInt32), update(math.MinInt32, 0)), contract.Malformed},

		{"snapshot at the head", live(), snapshot(10, 1), 0},
		{"snapshot without history", live(), snapshot(10, 0), contract.NoHistory},
		{"snapshot of a missing one without history", State{}, snapshot(10, -1), contract.NoHistory},
		{"snapshot a missing one", State{}, snapshot(10, 1), contract.NotFound},
		{"snapshot a marked one", marked, snapshot(10, 1), contract.BeingDeleted},
		{"snapshot above the head", live(), snapshot(11, 1), contract.SnapshotSeq},
		{"snapshot of another incarnation", live(), of(snapshot(10, 1), at(1)), contract.SnapshotSeq},
		{"snapshot far below, nothing dropped", live(), snapshot(math.MinInt32, 1), 0},
		{"snapshot at the floor", cut, snapshot(7, 1), 0},
		{"snapshot below the floor", cut, snapshot(6, 1), contract.SnapshotSeq},

		{"recover", live(), recov, 0},
		{"recover a missing one", State{}, recov, contract.NotFound},
		{"recover a marked one", marked, recov, contract.BeingDeleted},

		{"delete", live(), drop, 0},
		{"delete a missing one", State{}, drop, 0},
		{"delete a marked one", marked, drop, 0},
		{"an unknown verb", live(), record.Change{Verb: 77}, contract.Malformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.change.Key = testKey
			before := c.state
			if got := contract.CodeOf(c.state.Refuse(&c.change)); got != c.want {
				t.Errorf("refused with %v, want %v", got, c.want)
			}
			if c.state != before {
				t.Error("asking changed the state")
			}
		})
	}
}

func TestNoEffect(t *testing.T) {
	marked := with(live(), func(s *State) { s.Marked = true })
	cases := []struct {
		phase string
		state State
		want  bool
	}{
		{contract.PhaseMark, State{}, true},
		{contract.PhaseMark, live(), false},
		{contract.PhaseMark, marked, true},
		{contract.PhaseAbort, State{}, true},
		{contract.PhaseAbort, live(), true},
		{contract.PhaseAbort, marked, false},
		{contract.PhaseCommit, State{Position: at(1)}, true},
		{contract.PhaseCommit, live(), false},
		{contract.PhaseCommit, marked, false},
		{record.PhaseRemove, State{}, true},
		{record.PhaseRemove, marked, false},
	}
	for _, c := range cases {
		change := record.Change{Verb: record.Delete, Phase: c.phase}
		if got := c.state.NoEffect(&change); got != c.want {
			t.Errorf("%s on live %v marked %v: no effect is %v", c.phase, c.state.Live, c.state.Marked, got)
		}
	}
	if s := (State{}); s.NoEffect(&record.Change{Verb: record.Init}) {
		t.Error("an initialize has no effect")
	}
}

// TestWindows takes snapshots of documents made of the given ranges.
func TestWindows(t *testing.T) {
	type window struct {
		count int
		cut   bool
		floor int32
	}
	singles := [][2]int32{{0, 1}, {2, 2}, {3, 3}, {4, 4}}
	ranges := [][2]int32{{0, 1}, {2, 10}, {11, 20}, {21, 30}}
	cases := []struct {
		name         string
		stored       [][2]int32
		seq, history int32
		redos, undos window
		dropped      int
	}{
		{"at the head", singles, 4, 2, window{2, true, 2}, window{2, true, 2}, 2},
		{"at the head, all kept", singles, 4, 4, window{4, false, 0}, window{4, false, 0}, 0},
		{"below the head: redos by seq, undos by count", singles, 3, 1, window{2, true, 2}, window{1, true, 3}, 2},
		{"far below", singles, -100, 1, window{4, false, 0}, window{1, true, 3}, 0},
		{"ranges: redos by seq, undos by count", ranges, 30, 2, window{1, true, 20}, window{2, true, 10}, 2},
		{"ranges: a straddled one stays", ranges, 15, 1, window{2, true, 10}, window{1, true, 20}, 2},
		{"ranges: history counts seqs for redos", ranges, 30, 20, window{2, true, 10}, window{4, false, 0}, 0},
		{"history that overflows 32 bits", singles, 4, math.MaxInt32, window{4, false, 0}, window{4, false, 0}, 0},
		{"odd initialize", [][2]int32{{5, 3}, {4, 4}}, 4, 1, window{1, true, 3}, window{1, true, 3}, 1},
		{"negative seqs", [][2]int32{{-9, -7}, {-6, -6}, {-5, -1}}, -1, 5, window{1, true, -6}, window{3, false, 0}, 0},
		{
			"the whole range of seqs",
			[][2]int32{{math.MinInt32, math.MinInt32}, {math.MinInt32 + 1, 0}, {1, math.MaxInt32}},
			math.MaxInt32, math.MaxInt32,
			window{1, true, 0},
			window{3, false, 0},
			0,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, stored := built(c.stored)
			before, start := s, s.ChainStart
			change := record.Change{Verb: record.Snapshot, Key: testKey, Seq: c.seq, History: c.history, Text: "{}", AssetBytes: 7}
			if err := s.Refuse(&change); err != nil {
				t.Fatal(err)
			}
			dropped := s.Snapshot(&change, at(99), stored)
			if got := (window{s.Redos.Count, s.Redos.Cut, s.Redos.Floor}); got != c.redos {
				t.Errorf("redos %v, want %v", got, c.redos)
			}
			if got := (window{s.Undos.Count, s.Undos.Cut, s.Undos.Floor}); got != c.undos {
				t.Errorf("undos %v, want %v", got, c.undos)
			}
			if dropped != c.dropped {
				t.Errorf("dropped %d, want %d", dropped, c.dropped)
			}
			for _, e := range stored[:dropped] {
				start = Chain(start, e.Bytes)
			}
			if s.ChainStart != start || s.ChainEnd != before.ChainEnd {
				t.Error("the chain does not begin after what was dropped")
			}
			if s.Head != before.Head || s.Incarnation != before.Incarnation {
				t.Error("a snapshot moved head or incarnation")
			}
			if s.Damaged {
				t.Error("the copy counts as damaged")
			}
		})
	}
}

// built is a document with the given ranges, each with 1 asset byte.
func built(ranges [][2]int32) (State, []Stored) {
	var s State
	var stored []Stored
	s.Initialize(at(1))
	for i, r := range ranges {
		u := update(r[0], r[1])
		u.AssetBytes = 1
		entry := []byte{byte(i)}
		s.Append(&u, entry)
		stored = append(stored, Stored{SeqBegin: r[0], SeqEnd: r[1], Position: at(uint64(i) + 1), Assets: 1, Bytes: entry})
	}
	return s, stored
}

func TestSnapshotCountsAssetsAboveIt(t *testing.T) {
	s, stored := built([][2]int32{{0, 1}, {2, 5}, {6, 9}})
	if s.Assets != 3 {
		t.Fatalf("%d asset bytes before", s.Assets)
	}
	s.Snapshot(&record.Change{Seq: 3, History: 1, AssetBytes: 100}, at(9), stored)
	if s.Assets != 102 || s.Base.Assets != 100 {
		t.Errorf("%d asset bytes, %d in the base", s.Assets, s.Base.Assets)
	}
}

func TestSnapshotOfADamagedCopy(t *testing.T) {
	ranges := [][2]int32{{0, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}}
	cases := []struct {
		name   string
		seq    int32
		damage func(stored []Stored) []Stored
		want   bool
	}{
		{"none", 3, func(l []Stored) []Stored { return l }, false},
		{"first missing", 5, func(l []Stored) []Stored { return l[1:] }, true},
		{"middle missing", 5, func(l []Stored) []Stored { return append(l[:2:2], l[3:]...) }, true},
		{"last missing", 3, func(l []Stored) []Stored { return l[:4] }, true},
		{"all missing", 5, func([]Stored) []Stored { return nil }, true},
		{"unread below", 3, func(l []Stored) []Stored { l[1] = Stored{SeqEnd: 2, Unread: true}; return l }, false},
		{"unread first", 3, func(l []Stored) []Stored { l[0] = Stored{SeqEnd: 1, Unread: true}; return l }, false},
		{"unread above", 3, func(l []Stored) []Stored { l[4] = Stored{SeqEnd: 5, Unread: true}; return l }, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, stored := built(ranges)
			healthy, all := built(ranges)
			snapshot := func(seq int32) *record.Change {
				return &record.Change{Verb: record.Snapshot, Seq: seq, History: 1, Text: "{}"}
			}
			stored = c.damage(stored)
			stored = stored[s.Snapshot(snapshot(c.seq), at(9), stored):]
			all = all[healthy.Snapshot(snapshot(c.seq), at(9), all):]
			if s.Damaged != c.want {
				t.Fatalf("damaged is %v", s.Damaged)
			}
			if !c.want && (s.Redos != healthy.Redos || s.Undos != healthy.Undos || s.Assets != healthy.Assets) {
				t.Errorf("windows %v %v, assets %d: a healthy copy has %v %v %d",
					s.Redos, s.Undos, s.Assets, healthy.Redos, healthy.Undos, healthy.Assets)
			}
			// What comes after is complete: sooner or later the damage is dropped.
			for seq := int32(6); seq < 10; seq++ {
				u := update(seq, seq)
				for _, d := range []struct {
					s *State
					l *[]Stored
				}{{&s, &stored}, {&healthy, &all}} {
					d.s.Append(&u, []byte{1})
					*d.l = append(*d.l, Stored{SeqBegin: seq, SeqEnd: seq, Position: at(10), Bytes: []byte{1}})
					*d.l = (*d.l)[d.s.Snapshot(snapshot(seq), at(10), *d.l):]
				}
			}
			if s.Damaged || s.Redos != healthy.Redos || s.Undos != healthy.Undos || s.Assets != healthy.Assets {
				t.Errorf("the copy did not heal: %+v", s)
			}
		})
	}
}

func TestRecoverAndRemove(t *testing.T) {
	s, _ := built([][2]int32{{0, 1}, {2, 2}})
	s.Damaged = true
	s.IDs = IDs{Count: 3, Kept: 2}
	s.Recover(&record.Change{Seq: -5, Text: "{}", Writer: "w"}, at(7))
	want := Window{Cut: true, Floor: -5}
	switch {
	case s.Head != -5, s.Redos != want, s.Undos != want, s.Incarnation != at(7), s.RecoverWriter != "w", s.IDs.Count != 3, s.Assets != 0, s.Damaged:
		t.Errorf("after recover: %+v", s)
	}
	s.Remove(at(8))
	if s != (State{Position: at(8), IDs: IDs{Count: 3, Kept: 2}}) || !s.Tombstone() {
		t.Errorf("after remove: %+v", s)
	}
	s.Initialize(at(9))
	if s != (State{Live: true, Position: at(9), Incarnation: at(9), IDs: IDs{Count: 3, Kept: 2}}) {
		t.Errorf("after initialize: %+v", s)
	}
}

func TestForgettable(t *testing.T) {
	const now = 10 * KeepIDsFor
	times := func(old, young int) []int64 {
		list := make([]int64, old+young)
		for i := range list {
			if list[i] = now - KeepIDsFor; i < old {
				list[i]--
			}
		}
		return list
	}
	for _, c := range []struct{ old, young, want int }{
		{0, 0, 0}, {KeepIDs, 0, 0}, {KeepIDs + 3, 0, 3}, {0, 100, 0}, {5, KeepIDs, 5}, {5, KeepIDs - 2, 3},
	} {
		if got := Forgettable(times(c.old, c.young), now); got != c.want {
			t.Errorf("%d old and %d young ids: %d may go, want %d", c.old, c.young, got, c.want)
		}
	}
}

func TestRememberIsDueAtTwice(t *testing.T) {
	var ids IDs
	for n := 1; n < 2*KeepIDs; n++ {
		if ids.Remember(digest.Digest{1}) {
			t.Fatalf("due at %d", n)
		}
	}
	if !ids.Remember(digest.Digest{1}) {
		t.Fatal("not due at twice what is kept")
	}
	ids.Kept = ids.Count
	if ids.Remember(digest.Digest{1}) {
		t.Error("due again at once, although none could go")
	}
	for ids.Count > 0 {
		ids.Forget(digest.Digest{1})
	}
	if !ids.Sum.IsZero() {
		t.Error("the sum of no ids is not zero")
	}
}

func TestReadableNamesTheDocument(t *testing.T) {
	err := new(State).Readable(testKey)
	if err == nil || !strings.Contains(err.Error(), `"key"`) || !strings.Contains(err.Error(), `"space"`) {
		t.Errorf("%v", err)
	}
}
