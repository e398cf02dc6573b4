package service

import "time"

const (
	gatePauseMin = 10 * time.Millisecond
	gatePauseMax = 250 * time.Millisecond
)

// A gate decides when requests go on their way to a stripe's owner. Open, it
// lets all pass. When a try finds no owner it shuts, and lets one through after a
// pause, then two, then four: an outage of seconds with thousands of requests
// waiting must not become a storm. It decides and does nothing.
type gate struct {
	shut    bool
	turn    int // grows whenever it opens or shuts: what an older try has met says nothing of now
	pause   time.Duration
	retryAt time.Time
	burst   int
}

// failed notes that a try of a turn found no owner.
func (g *gate) failed(turn int, now time.Time) {
	if turn != g.turn {
		return
	}
	g.pause = min(max(gatePauseMin, 2*g.pause), gatePauseMax)
	g.shut, g.burst, g.retryAt = true, 1, now.Add(g.pause)
	g.turn++
}

// passed notes that a try of a turn was answered by the owner.
func (g *gate) passed(turn int) {
	if turn == g.turn && g.shut {
		g.open()
	}
}

// open lets all pass: there is news.
func (g *gate) open() { *g = gate{turn: g.turn + 1} }

// release says how many of those that wait may go now.
func (g *gate) release(now time.Time, waiting int) int {
	if !g.shut {
		return waiting
	}
	if waiting == 0 || now.Before(g.retryAt) {
		return 0
	}
	n := min(g.burst, waiting)
	g.burst = min(2*g.burst, 1<<16)
	g.retryAt = now.Add(g.pause)
	return n
}
