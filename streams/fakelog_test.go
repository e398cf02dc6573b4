package streams

import (
	"context"
	"fmt"
	"sync"
)

// A fakeLog is a Stream in memory whose appends end as a script says.
type fakeLog struct {
	mu      sync.Mutex
	records [][]byte
	first   uint64
	late    []lateAppend
	script  func(body []byte) verdict // nil: all is well
	bytes   int64
	bound   int64
	trims   int
}

// A lateAppend is a record under way that reaches the log some operations later.
type lateAppend struct {
	expected uint64
	body     []byte
	in       int // operations
}

type verdict struct {
	kind  string // ok, undelivered, full, unknown-stored, unknown-lost, unknown-late, deposed
	delay int    // of unknown-late
}

func newFakeLog() *fakeLog { return &fakeLog{first: 1} }

// step lets time pass for what is under way; mu is held.
func (l *fakeLog) step() {
	var rest []lateAppend
	for _, a := range l.late {
		if a.in--; a.in > 0 {
			rest = append(rest, a)
		} else if a.expected == l.lastLocked() {
			l.store(a.body)
		}
	}
	l.late = rest
}

func (l *fakeLog) lastLocked() uint64 { return l.first - 1 + uint64(len(l.records)) }

func (l *fakeLog) store(body []byte) {
	l.records = append(l.records, body)
	l.bytes += footprint(body)
}

func (l *fakeLog) Append(_ context.Context, expected uint64, body []byte) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.step()
	v := verdict{kind: "ok"}
	if l.script != nil {
		v = l.script(body)
	}
	if last := l.lastLocked(); v.kind != "unknown-late" && v.kind != "unknown-lost" && v.kind != "undelivered" && last != expected {
		return 0, &RefusedError{Expected: expected, Last: last}
	}
	switch v.kind {
	case "undelivered":
		return 0, ErrUndelivered
	case "full":
		return 0, ErrFull
	case "unknown-lost":
		return 0, ErrUnknown
	case "unknown-late":
		l.late = append(l.late, lateAppend{expected, body, v.delay})
		return 0, ErrUnknown
	case "unknown-stored":
		l.store(body)
		return 0, ErrUnknown
	}
	if l.bound > 0 && l.bytes+footprint(body) > l.bound {
		return 0, ErrFull
	}
	l.store(body)
	return l.lastLocked(), nil
}

func (l *fakeLog) Read(_ context.Context, from, to uint64, fn func(uint64, []byte) error) error {
	for seq := from; seq <= to; seq++ {
		l.mu.Lock()
		l.step()
		if seq < l.first {
			defer l.mu.Unlock()
			return &TrimmedError{Want: seq, First: l.first}
		}
		if seq > l.lastLocked() {
			defer l.mu.Unlock()
			return fmt.Errorf("read of %d, the log ends at %d", seq, l.lastLocked())
		}
		body := l.records[seq-l.first]
		l.mu.Unlock()
		if err := fn(seq, body); err != nil {
			return err
		}
	}
	return nil
}

func (l *fakeLog) State(context.Context) (LogState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := LogState{First: l.first, Last: l.lastLocked(), Bytes: l.bytes, MaxBytes: l.bound}
	l.step()
	return st, nil
}

func (l *fakeLog) Trim(_ context.Context, below uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trims++
	for l.first < below && len(l.records) > 0 {
		l.bytes -= footprint(l.records[0])
		l.records, l.first = l.records[1:], l.first+1
	}
	return nil
}

func (l *fakeLog) setScript(f func([]byte) verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.script = f
}

// setRecords makes the log one that has gone on.
func (l *fakeLog) setRecords(records [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append([][]byte(nil), records...)
}
