package service

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/record"
)

// Against the rule in its plainest form: a request runs when no request before it
// on its key is left, but for readers before a reader.
func TestLanes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLanes()
		var all []*laneRequest // in the order of arrival, those that have left are nil
		runnable := func(i int) bool {
			for _, before := range all[:i] {
				if before != nil && before.key == all[i].key && (before.writes() || all[i].writes()) {
					return false
				}
			}
			return true
		}
		check := func() {
			for i, r := range all {
				if r != nil && r.running(l) != runnable(i) {
					t.Fatalf("request %d runs: %v, should: %v", i, r.running(l), runnable(i))
				}
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "arrive") {
				r := newLaneRequest(l, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), rapid.Bool().Draw(t, "writes"))
				all = append(all, r)
				l.enter(&r.request)
			} else if i := rapid.IntRange(0, max(0, len(all)-1)).Draw(t, "who"); i < len(all) && all[i] != nil && runnable(i) {
				r := all[i]
				all[i] = nil
				l.leave(&r.request)
			}
			check()
		}
		for i := range all {
			if all[i] != nil {
				r := all[i]
				all[i] = nil
				l.leave(&r.request)
				check()
			}
		}
		if len(l.of) != 0 {
			t.Fatalf("%d lanes are left", len(l.of))
		}
	})
}

// A laneRequest stands in a lane and does nothing when it runs: it counts as
// answered by nobody and its stripe takes it without a word.
type laneRequest struct{ request }

func newLaneRequest(l *lanes, key string, writes bool) *laneRequest {
	r := &laneRequest{request{key: contract.Key{Space: "s", Key: key}}}
	if writes {
		r.change = &record.Change{}
	}
	r.svc = &Service{lanes: l, Layout: singleLayout, Committer: func(string) Committer { return silent{} }}
	r.msg = noMessage
	return r
}

// running asks the lane: what waits does not run.
func (r *laneRequest) running(l *lanes) bool {
	return !slices.Contains(l.of[r.key].waiting, &r.request)
}
