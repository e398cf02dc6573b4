package service

import (
	"sync"

	"trireme/internal/contract"
)

// lanes keep the order of requests on one key: of those that have arrived one
// after another, a writer runs alone, and readers next to each other run
// together. Different keys do not wait for one another.
type lanes struct {
	mu sync.Mutex
	of map[contract.Key]*lane
}

type lane struct {
	running int
	writer  *request // the one that runs, if it writes
	waiting []*request
}

func newLanes() *lanes { return &lanes{of: map[contract.Key]*lane{}} }

// enter starts the request, or keeps it until those before it have left.
func (l *lanes) enter(r *request) {
	l.mu.Lock()
	at := l.of[r.key]
	if at == nil {
		at = &lane{}
		l.of[r.key] = at
	}
	runs := len(at.waiting) == 0 && at.admit(r)
	if !runs {
		at.waiting = append(at.waiting, r)
	}
	l.mu.Unlock()
	if runs {
		r.begin()
	}
}

// leave ends the request's turn and starts those whose turn it is.
func (l *lanes) leave(r *request) {
	l.mu.Lock()
	at := l.of[r.key]
	at.running--
	at.writer = nil
	if r.open.Load() {
		at.doubt(r.id)
	}
	var next []*request
	for len(at.waiting) > 0 && at.admit(at.waiting[0]) {
		next = append(next, at.waiting[0])
		at.waiting[0] = nil
		at.waiting = at.waiting[1:]
	}
	if at.running == 0 {
		delete(l.of, r.key)
	}
	l.mu.Unlock()
	for _, r := range next {
		r.begin()
	}
}

// doubt has the resends of a write whose outcome was never told inherit that: what
// has not happened under their id by them may have by it.
func (a *lane) doubt(id string) {
	for _, w := range a.waiting {
		if id != "" && w.id == id && w.writes() {
			w.unknown = true
			w.advance(appended)
		}
	}
}

// admit lets a request run if it may beside those that do.
func (a *lane) admit(r *request) bool {
	if a.running > 0 && (a.writer != nil || r.writes()) {
		return false
	}
	a.running++
	if r.writes() {
		a.writer = r
	}
	return true
}

// resends reports whether the request waits behind one with its own id that has
// been handed to the log.
func (l *lanes) resends(r *request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.of[r.key]
	return at != nil && at.writer != nil && at.writer != r && r.id != "" && at.writer.id == r.id && at.writer.handed.Load()
}
