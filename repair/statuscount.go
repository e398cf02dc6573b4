package repair

import (
	"maps"
	"sync"

	"trireme/repair/plan"
)

// A tally counts what a round, or all repair since the start, has found and done.
type tally struct {
	mu sync.Mutex
	c  Counters
}

func newTally() *tally {
	return &tally{c: Counters{Verdicts: map[string]uint64{}, Pulled: map[string]uint64{}}}
}

func (t *tally) add(do func(*Counters)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	do(&t.c)
}

func (t *tally) verdict(v plan.Verdict, n int) {
	if n > 0 {
		t.add(func(c *Counters) { c.Verdicts[v.String()] += uint64(n) })
	}
}

func (t *tally) taken(reason Reason, bytes int) {
	t.add(func(c *Counters) {
		c.Pulled[string(reason)]++
		c.BytesPulled += uint64(bytes)
	})
}

func (t *tally) read() { t.add(func(c *Counters) { c.DiskReads++ }) }

// counters is a copy.
func (t *tally) counters() Counters {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.c
	c.Verdicts, c.Pulled = maps.Clone(c.Verdicts), maps.Clone(c.Pulled)
	return c
}
