package service

import (
	"sync"
	"time"

	"trireme/internal/contract"
)

const (
	stoodStill = 30 * time.Second // without a beat, this process has not been running
	thawing    = 2 * time.Second  // how long it then reads what reached it meanwhile
)

// A pulse notices that the process stood still: stopped, or its machine paused.
// What it reads afterwards may have been sent long ago, and been sent again to
// another host since. While it was away that resend may have been answered and its
// id forgotten, so none of it may be passed on: a delete could remove what was
// created since. Requests taken before are safe: their hold has ended.
type pulse struct {
	mu    sync.Mutex
	last  time.Time
	until time.Time // what is read until then may be old
	gap   time.Duration
}

// beat says that the process runs.
func (p *pulse) beat(now time.Time) { p.stale(now) }

// stale tells for how long the process stood still if what it reads now may be
// that old, and 0 if not.
func (p *pulse) stale(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	// The monotonic clock stops while a machine sleeps, the other may be set.
	gap := max(now.Sub(p.last), now.Round(0).Sub(p.last.Round(0)))
	if !p.last.IsZero() && gap > stoodStill {
		p.until, p.gap = now.Add(thawing), gap
	}
	p.last = now
	if now.Before(p.until) {
		return p.gap
	}
	return 0
}

// fresh refuses a request that may be old.
func (s *Service) fresh(now time.Time) error {
	if s.Directory == nil {
		return nil // there is no other host to which it may have been sent since
	}
	if gap := s.pulse.stale(now); gap > 0 {
		return contract.Errorf(contract.NoOwner, "this host stood still for %v, and what reached it meanwhile may be old: nothing was done", gap.Round(time.Second))
	}
	return nil
}
