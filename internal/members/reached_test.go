package members

import (
	"testing"

	"pgregory.net/rapid"
)

// reaches is a report of how far a host has applied stripe s1 of a log.
func reaches(host string, boot, seq, first, applied uint64) Report {
	return report(host, boot, seq, Stripe{Applied: applied, Log: first})
}

func TestReachedIsWhatOthersHaveToldOfTheSameLog(t *testing.T) {
	tab := New("h1", three(3, 1))
	if seq, host := tab.Reached(100, "s1", 1); seq != 0 || host != "" {
		t.Errorf("nobody was heard, and %q has reached %d", host, seq)
	}
	for now, r := range []Report{reaches("h1", 1, 1, 1, 900), reaches("h2", 1, 1, 1, 331), reaches("h3", 1, 1, 1, 348), reaches("h3", 1, 2, 1, 350)} {
		tab.Hear(int64(now), r)
	}
	for _, c := range []struct {
		first, want uint64
		host        string
	}{{1, 350, "h3"}, {351, 0, ""}} {
		if seq, host := tab.Reached(100, "s1", c.first); seq != c.want || host != c.host {
			t.Errorf("of the log from %d on %q has reached %d, want %q and %d", c.first, host, seq, c.host, c.want)
		}
	}
	tab.Hear(10, reaches("h3", 1, 3, 351, 350)) // it follows a rebuilt log
	if seq, host := tab.Reached(100, "s1", 1); seq != 331 || host != "h2" {
		t.Errorf("%q has reached %d, want h2 and 331", host, seq)
	}
	tab.Hear(11, reaches("h2", 2, 2, 0, 340)) // it was started again, and has not found the log yet
	for first, want := range map[uint64]uint64{1: 340, 351: 350} {
		if seq, _ := tab.Reached(100, "s1", first); seq != want {
			t.Errorf("of the log from %d on somebody has reached %d, want %d", first, seq, want)
		}
	}
	tab.Hear(12, report("h2", 2, 3, Stripe{Applied: 331, Log: 1, Foreign: true}))
	if seq, _ := tab.Reached(100, "s1", 1); seq != 0 {
		t.Errorf("somebody has reached %d", seq)
	}
	if seq, _ := tab.Reached(11+DeadAfter, "s1", 351); seq != 0 {
		t.Errorf("a dead host has reached %d", seq)
	}
}

// TestReachedNeverExceedsALogThatOnlyGrows plays members that follow a log, lose their
// disks and come back, with reports that are late: who asks before it looks at the end
// of the log is never told more than that.
func TestReachedNeverExceedsALogThatOnlyGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab, last, now := New("h1", three(3, 1)), uint64(0), int64(0)
		boot := map[string]uint64{"h2": 1, "h3": 1}
		told, heard := map[string]uint64{"h2": 0, "h3": 0}, map[string]int64{}
		var seq uint64
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += rapid.Int64Range(0, 2000).Draw(t, "time")
			last += rapid.Uint64Range(0, 5).Draw(t, "appended")
			h := rapid.SampledFrom([]string{"h2", "h3"}).Draw(t, "host")
			if rapid.Bool().Draw(t, "started again") {
				boot[h]++
			}
			seq++
			applied := rapid.Uint64Range(0, last).Draw(t, "applied")
			tab.Hear(now, reaches(h, boot[h], seq, 1, applied))
			told[h], heard[h] = applied, now
			want := uint64(0)
			for h, n := range told {
				if now-heard[h] <= DeadAfter {
					want = max(want, n)
				}
			}
			got, _ := tab.Reached(now, "s1", 1)
			if got != want || got > last {
				t.Fatalf("somebody has reached %d, want %d of %d", got, want, last)
			}
		}
	})
}

func TestAnswered(t *testing.T) {
	tab := New("h1", three(3, 1))
	tab.Hear(0, reaches("h1", 1, 1, 1, 0))
	if tab.Answered(100, 50, "s1") {
		t.Error("nobody was heard since this host began to listen, and all have answered")
	}
	if !tab.Answered(DeadAfter+51, 50, "s1") {
		t.Error("hosts that have never been heard are waited for for ever")
	}
	tab.Hear(5000, reaches("h1", 1, 2, 1, 0)) // it has slept, and begins to listen anew
	tab.Hear(5000, reaches("h2", 1, 1, 1, 0))
	tab.Hear(5001, reaches("h3", 1, 1, 1, 0))
	if !tab.Answered(5001, 5000, "s1") {
		t.Error("both were heard since then, and have not answered")
	}
	if tab.Answered(5002, 5001, "s1") {
		t.Error("h2 was not heard since then, and has answered")
	}
	for now := int64(6000); now < 9000; now += 1000 {
		tab.Hear(now, reaches("h3", 1, uint64(now), 1, 0))
	}
	if !tab.Answered(8700, 7000, "s1") {
		t.Error("h2 is dead, and is waited for")
	}
}
