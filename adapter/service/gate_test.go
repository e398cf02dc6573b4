package service

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestGate(t *testing.T) {
	now := time.Unix(0, 0)
	var g gate
	wantRelease := func(want, waiting int) {
		t.Helper()
		if got := g.release(now, waiting); got != want {
			t.Errorf("of %d it lets %d go, want %d: %+v", waiting, got, want, g)
		}
	}
	wantRelease(1000, 1000)
	for range 1000 { // all those that were let through fail together: that is one failure
		g.failed(0, now)
	}
	wantRelease(0, 1000)
	for _, n := range []int{1, 2, 4, 8} {
		now = now.Add(gatePauseMin)
		wantRelease(n, 1000)
		wantRelease(0, 1000)
	}
	g.failed(g.turn, now)
	now = now.Add(gatePauseMin)
	wantRelease(0, 1000) // the pause has doubled
	now = now.Add(gatePauseMin)
	wantRelease(1, 1000)
	g.passed(g.turn - 1) // an answer to what was sent before says nothing
	wantRelease(0, 1000)
	g.passed(g.turn)
	wantRelease(1000, 1000)
}

// However tries end, what waits is let go within the longest pause.
func TestGateNeverStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, g := time.Unix(0, 0), gate{}
		for range rapid.IntRange(0, 50).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond)
			turn := g.turn - rapid.IntRange(0, 1).Draw(t, "age")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				g.failed(turn, now)
			case 1:
				g.passed(turn)
			case 2:
				g.open()
			default:
				g.release(now, rapid.IntRange(0, 3).Draw(t, "waiting"))
			}
		}
		if g.release(now.Add(gatePauseMax), 1) != 1 {
			t.Fatalf("it stays shut: %+v", g)
		}
	})
}
