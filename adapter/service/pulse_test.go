package service

import (
	"testing"
	"time"

	"trireme/internal/contract"
)

func TestPulse(t *testing.T) {
	var p pulse
	now := time.Now()
	at := func(d time.Duration) time.Time { return now.Add(d) }
	p.beat(now)
	for _, step := range []struct {
		at   time.Duration
		want time.Duration
	}{
		{29 * time.Second, 0},
		{90 * time.Second, 61 * time.Second}, // a request is read before the next beat
		{91 * time.Second, 61 * time.Second},
		{92 * time.Second, 0},
		{93 * time.Second, 0},
	} {
		if got := p.stale(at(step.at)); got != step.want {
			t.Errorf("at %v: stood still for %v, want %v", step.at, got, step.want)
		}
	}
	// A machine that slept: only the wall clock has moved.
	if got := p.stale(now.Round(0).Add(time.Hour)); got < time.Minute {
		t.Errorf("after an hour of sleep: %v", got)
	}
}

// A host that was stopped for a minute does nothing with what waited for it.
func TestAThawedHostPassesNothingOn(t *testing.T) {
	w := newWorld(t)
	w.claim("h1", "s1")
	k := w.keyOn("s1", "k")
	p := &w.hosts["h2"].service().pulse
	p.mu.Lock()
	p.last = p.last.Add(-time.Minute)
	p.mu.Unlock()
	w.want(w.send("h.h2.initialize", createBody(k)), contract.NoOwner)
	p.mu.Lock()
	p.until = time.Time{}
	p.mu.Unlock()
	w.want(w.send("h.h2.initialize", createBody(k)), 0)
}
