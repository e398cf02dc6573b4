package members

import "slices"

// A history remembers when a log ended where, to tell how old the end of a member's
// copy is. It is coarser the further back it goes.
type history []mark

// A mark says that from one time to another this was the newest record of the log.
type mark struct {
	last        uint64
	from, until int64
}

const (
	historyMarks = 128
	markEvery    = 500 // milliseconds, at least, between two marks
)

// add notes the log's end.
func (h *history) add(now int64, last uint64) {
	marks := *h
	n := len(marks)
	switch {
	case n > 0 && last < marks[n-1].last:
		return // an overtaken report
	case n > 0 && last == marks[n-1].last:
		marks[n-1].until = now
		return
	case n > 1 && now-marks[n-2].until < markEvery:
		marks[n-1] = mark{last, now, now}
		return
	case n == historyMarks:
		for i := range n / 2 { // KEEP every second one, the oldest among them
			marks[i] = marks[2*i]
		}
		marks = marks[:n/2]
	}
	*h = append(marks, mark{last, now, now})
}

// end is where the log ended at a time, as far as was known then; false when
// nothing was known yet.
func (h history) end(at int64) (uint64, bool) {
	for _, m := range slices.Backward(h) {
		if m.from <= at {
			return m.last, true
		}
	}
	return 0, false
}

// whole is when a copy that goes up to a record was known to be complete last; the
// oldest time known when it was not in all that time, 0 and false for an empty
// history.
func (h history) whole(applied uint64) (int64, bool) {
	for _, m := range slices.Backward(h) {
		if m.last <= applied {
			return m.until, true
		}
	}
	if len(h) == 0 {
		return 0, false
	}
	return h[0].from, true
}
