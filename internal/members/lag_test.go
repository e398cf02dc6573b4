package members

import (
	"testing"

	"pgregory.net/rapid"
)

func TestLag(t *testing.T) {
	table := New("h1", three(3, 1))
	if l := table.Lag(0, "s1", "h2"); l.Known {
		t.Errorf("lag of the unheard: %+v", l)
	}
	table.Hear(0, report("h2", 1, 1, Stripe{Applied: 60}))
	table.Hear(0, report("h3", 1, 1, Stripe{Applied: 80}))
	if l := table.Lag(0, "s1", "h2"); !l.Known || l.Records != 20 {
		t.Errorf("without an owner, behind whoever has most: %+v", l)
	}
	for i := range int64(10) {
		now := 1000 * (i + 1)
		last := uint64(100 + 10*i)
		table.Hear(now, report("h1", 1, uint64(i), owning("1-90", last, last)))
		table.Hear(now+900, report("h2", 1, uint64(10+i), Stripe{Applied: last + 9})) // keeps up: it has more than the owner had said
		table.Hear(now+900, report("h3", 1, uint64(10+i), Stripe{Applied: 120}))      // stands still since 3 s
	}
	now := int64(11_000) - 50
	if l := table.Lag(now, "s1", "h2"); l != (Lag{Known: true}) {
		t.Errorf("who keeps up lags: %+v", l)
	}
	if l, want := table.Lag(now, "s1", "h3"), (Lag{Known: true, Records: 70, Bytes: 7000, Millis: now - 3000}); l != want {
		t.Errorf("lag %+v, want %+v", l, want)
	}
	if l := table.Lag(now, "s1", "h1"); l != (Lag{Known: true}) {
		t.Errorf("the owner lags: %+v", l)
	}
	table.Hear(60_000, report("h1", 1, 99, owning("1-90", 1000, 1000)))
	if l := table.Lag(60_000, "s1", "h2"); l.Records != 1000-199 {
		t.Errorf("a dead member lags behind what there is now: %+v", l)
	}
}

// A log that rests for an hour, and then gets one record, makes nobody an hour late.
func TestLagAfterARest(t *testing.T) {
	table := New("h1", three(3, 1))
	for i := range int64(3600) {
		table.Hear(i*1000, report("h1", 1, uint64(i), owning("1-1", 5, 5)))
	}
	now := int64(3600_000)
	table.Hear(now, report("h1", 1, 3600, owning("1-1", 6, 6)))
	table.Hear(now+10, report("h2", 1, 1, Stripe{Applied: 5}))
	if l, want := table.Lag(now+20, "s1", "h2"), (Lag{Known: true, Records: 1, Bytes: 100, Millis: 1020}); l != want {
		t.Errorf("lag %+v, want %+v", l, want)
	}
}

// TestHistoryIsNeverTooYoung compares with all that was ever told. The time since a
// copy was whole is never less than the truth, and at most twice it and a little.
func TestHistoryIsNeverTooYoung(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h history
		var all []mark
		now, last := int64(0), uint64(0)
		for range rapid.IntRange(1, 2000).Draw(t, "reports") {
			now += rapid.Int64Range(1, 2000).Draw(t, "pause")
			last += rapid.Uint64Range(0, 3).Draw(t, "records")
			h.add(now, last)
			all = append(all, mark{last, now, now})
		}
		if len(h) > historyMarks {
			t.Fatalf("%d marks", len(h))
		}
		applied := rapid.Uint64Range(all[0].last, last).Draw(t, "applied")
		truth := all[0].until
		for _, m := range all {
			if m.last <= applied {
				truth = m.until
			}
		}
		got, ok := h.whole(applied)
		if !ok || got > truth {
			t.Fatalf("whole at %d, it was last at %d", got, truth)
		}
		if now-got > 4*(now-truth)+4*2000+markEvery {
			t.Fatalf("behind for %d, the truth is %d", now-got, now-truth)
		}
	})
}
