package register

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
)

var errTrouble = errors.New("the network is in trouble")

// A fakeJournal is a journal in memory that loses answers, delays records and tells
// old news.
type fakeJournal struct {
	mu      sync.Mutex
	rng     *rand.Rand
	left    int // troubles
	records []*message
	late    []lateRecord
}

type lateRecord struct {
	expected uint64
	m        *message
}

// trouble says, with mu held, which of n troubles happens; 0 for none.
func (j *fakeJournal) trouble(n int) int {
	if len(j.late) > 0 && j.rng.IntN(4) == 0 { // something late comes in
		late := j.late[0]
		j.late = j.late[1:]
		if late.expected == uint64(len(j.records)) {
			j.records = append(j.records, late.m)
		}
	}
	if j.left <= 0 || j.rng.IntN(2) == 0 {
		return 0
	}
	j.left--
	return 1 + j.rng.IntN(n)
}

func (j *fakeJournal) last(context.Context) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	last := uint64(len(j.records))
	switch j.trouble(2) {
	case 1:
		return 0, errTrouble
	case 2:
		return last - min(last, uint64(j.rng.IntN(3))), nil // old news
	}
	return last, nil
}

func (j *fakeJournal) get(_ context.Context, seq uint64) (*message, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.trouble(1) == 1 || seq > uint64(len(j.records)) {
		return nil, errTrouble // a replica that does not have it yet
	}
	return j.records[seq-1], nil
}

func (j *fakeJournal) put(_ context.Context, expected uint64, m *message) error {
	m = &message{m.Subject, maps.Clone(m.Header), m.Data} // as it went over the network
	j.mu.Lock()
	defer j.mu.Unlock()
	what := j.trouble(4)
	if what == 1 {
		return errTrouble // never arrives
	}
	if what == 2 {
		j.late = append(j.late, lateRecord{expected, m})
		return errTrouble
	}
	last := uint64(len(j.records))
	if last != expected {
		return &refusedError{last}
	}
	if what == 3 { // something is under way there, and is lost
		return &refusedError{last + 1}
	}
	j.records = append(j.records, m)
	if what == 4 {
		return errTrouble // the answer is lost
	}
	return nil
}
