package service

import (
	"sync"
	"time"

	"trireme/internal/contract"
)

// abroadGrace is how much longer a request waits that another host was asked.
const abroadGrace = time.Second

// flight holds every request that has not been answered, so that their number
// and size are bounded and none waits for ever.
type flight struct {
	mu       sync.Mutex
	requests []*request // in the order of arrival, some of them answered
	count    int
	bytes    int
	idle     chan struct{} // closed and made anew whenever count falls to 0
}

// takeOff counts the request in, or refuses it when too much is waiting.
func (f *flight) takeOff(r *request, maxCount, maxBytes int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count >= maxCount || f.bytes+r.size() > maxBytes && f.count > 0 {
		return contract.Errorf(contract.Overloaded, "%d requests with %d bytes wait already, the limits are %d and %d", f.count, f.bytes, maxCount, maxBytes)
	}
	f.count++
	f.bytes += r.size()
	f.requests = append(f.requests, r)
	return nil
}

// land counts the request out: it is answered and out of its lane.
func (f *flight) land(r *request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count--
	f.bytes -= r.size()
	if f.count == 0 {
		close(f.idle)
		f.idle = make(chan struct{})
	}
}

// expire answers what is due, and forgets what is answered. What another host was
// asked has a little longer: that host answers when the same hold ends.
func (f *flight) expire(now time.Time) {
	f.mu.Lock()
	var late []*request
	kept := f.requests[:0]
	for _, r := range f.requests {
		switch {
		case r.phase.Load() == answered:
		case r.isDue(now):
			late = append(late, r)
		default:
			kept = append(kept, r)
		}
	}
	clear(f.requests[len(kept):])
	f.requests = kept
	f.mu.Unlock()
	for _, r := range late {
		r.expire()
	}
}

// isDue says whether the hold of the request has ended.
func (r *request) isDue(now time.Time) bool {
	due := r.due
	if r.abroad.Load() {
		due = due.Add(r.svc.grace)
	}
	return due.Before(now)
}

// empty returns a channel that is closed when nothing is in flight.
func (f *flight) empty() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	return f.idle
}

// inFlight tells number and bytes of what waits.
func (f *flight) inFlight() (count, bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count, f.bytes
}
