package main

import (
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A call is what may be made to fail.
type call string

// The calls. A write that needs room on the disk is a grow too, as is whatever makes a name.
const (
	read  call = "read"
	write call = "write"
	fsync call = "fsync"
	grow  call = "grow"
)

// forever is a number of failures that never ends.
const forever = -1

// A rule says which calls fail, and how.
type rule struct {
	call  call
	path  *regexp.Regexp
	errno syscall.Errno
	left  int
}

// faults are what the disk was told to do wrong.
type faults struct {
	mu    sync.Mutex
	slow  time.Duration
	other chan struct{} // closed when slow becomes another; nil before the first
	rules []rule
	hits  int
}

func (f *faults) add(r rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, r)
}

// heal ends all failures, but not the lack of room.
func (f *faults) heal() { f.drop(func(r rule) bool { return r.call != grow }) }

// room ends the lack of room.
func (f *faults) room() { f.drop(func(r rule) bool { return r.call == grow }) }

func (f *faults) drop(which func(rule) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = slices.DeleteFunc(f.rules, which)
}

// of is how a call on a path ends, 0 unless it fails. It counts.
func (f *faults) of(c call, path string) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.rules {
		r := &f.rules[i]
		if r.call != c || r.left == 0 || !r.path.MatchString(path) {
			continue
		}
		if r.left > 0 {
			r.left--
		}
		f.hits++
		return r.errno
	}
	return 0
}

// isFull tells whether there is no room at a path.
func (f *faults) isFull(path string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.rules, func(r rule) bool { return r.call == grow && r.path.MatchString(path) })
}

// slowBy has every write and fsync take so much longer. Those that wait go on.
func (f *faults) slowBy(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.other != nil {
		close(f.other)
	}
	f.slow, f.other = d, make(chan struct{})
}

// delay lets a call take longer, for as long as the disk is slow.
func (f *faults) delay() {
	f.mu.Lock()
	by, other := f.slow, f.other
	f.mu.Unlock()
	if by == 0 {
		return
	}
	t := time.NewTimer(by)
	defer t.Stop()
	select {
	case <-t.C:
	case <-other:
	}
}

func (f *faults) failed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits
}
