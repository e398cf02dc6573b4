package containers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"trireme/adapter"
)

// A ledger is what a client knows of a document that only it writes.
type ledger struct {
	space, key string

	mu    sync.Mutex
	acked map[string]int32 // request ids that were answered with success, and their seq
	maybe map[string]bool  // and those that nobody knows of
	last  int32            // the highest seq that was acknowledged
	tries int
}

func newLedger(space, key string) *ledger {
	return &ledger{space: space, key: key, acked: map[string]int32{}, maybe: map[string]bool{}}
}

// id is a new request id.
func (d *ledger) id(seq int32) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries++
	return fmt.Sprintf("%s-%d-%d", d.key, seq, d.tries)
}

func (d *ledger) update(seq int32) adapter.Update {
	u := adapter.Update{SeqBegin: seq, SeqEnd: seq, Redo: fmt.Sprintf(`{"n":%d}`, seq), Undo: `{}`, UpdateType: adapter.AddUserData}
	if seq == 1 {
		u.SeqBegin = 0
	}
	return u
}

func (d *ledger) success(id string, seq int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.acked[id], d.last = seq, seq
}

func (d *ledger) unknown(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.maybe[id] = true
}

// doubtful tells whether there is a request of which nobody knows.
func (d *ledger) doubtful() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.maybe) > 0
}

// top is the highest seq that was acknowledged.
func (d *ledger) top() int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// Findings are what an audit has found.
type findings struct {
	documents, acked, lost, doubled, ghosts int
}

func (f findings) String() string {
	return fmt.Sprintf("%d changes of %d documents audited: %d lost, %d doubled, %d applied though refused", f.acked, f.documents, f.lost, f.doubled, f.ghosts)
}

// audit compares the documents of this scenario, and of all before it, with what was
// acknowledged: each change must be there exactly once.
func (c *cluster) audit() findings {
	c.Helper()
	client, err := adapter.NewClient(c.connect(0))
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	var all findings
	for _, d := range c.past {
		present, doubled, err := history(ctx, client, d)
		if err != nil {
			c.Fatalf("history of %s %s: %v", d.space, d.key, err)
		}
		f := d.compare(present)
		f.doubled = doubled
		if f.lost+f.doubled+f.ghosts > 0 {
			c.Errorf("document %s %s: %s\nacknowledged %v\nin the log %v\nunknown %v", d.space, d.key, f, d.acked, present, d.maybe)
		}
		all = findings{all.documents + 1, all.acked + f.acked, all.lost + f.lost, all.doubled + f.doubled, all.ghosts + f.ghosts}
	}
	if all.acked == 0 {
		c.Error("nothing was acknowledged: the audit proves nothing")
	}
	return all
}

// history reads which requests have changed a document, and at which seq.
func history(ctx context.Context, client *adapter.Client, d *ledger) (present map[string]int32, doubled int, err error) {
	present = map[string]int32{}
	for page, err := range client.History(ctx, adapter.HistoryRequest{Space: d.space, Key: d.key}) {
		if errors.Is(err, adapter.ErrNotFound) {
			return present, 0, nil // what was acknowledged is then lost
		}
		if err != nil {
			return nil, 0, err
		}
		for _, e := range page.Entries {
			if _, twice := present[e.RequestID]; twice {
				doubled++
			}
			present[e.RequestID] = e.SeqEnd
		}
	}
	return present, doubled, nil
}

// compare holds what is in a document against the ledger.
func (d *ledger) compare(present map[string]int32) findings {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := findings{documents: 1, acked: len(d.acked)}
	for id, seq := range d.acked {
		if present[id] != seq {
			f.lost++
		}
	}
	for id := range present {
		if _, acked := d.acked[id]; !acked && !d.maybe[id] {
			f.ghosts++
		}
	}
	return f
}

// The audit must be able to say no.
func TestTheAuditSeesWhatIsWrong(t *testing.T) {
	d := newLedger("space", "key")
	d.success("one", 1)
	d.success("two", 2)
	d.unknown("three")
	for name, c := range map[string]struct {
		present map[string]int32
		want    findings
	}{
		"all":                   {map[string]int32{"one": 1, "two": 2}, findings{documents: 1, acked: 2}},
		"an unknown one, too":   {map[string]int32{"one": 1, "two": 2, "three": 3}, findings{documents: 1, acked: 2}},
		"one lost":              {map[string]int32{"one": 1}, findings{documents: 1, acked: 2, lost: 1}},
		"one at another seq":    {map[string]int32{"one": 1, "two": 3}, findings{documents: 1, acked: 2, lost: 1}},
		"one that was refused":  {map[string]int32{"one": 1, "two": 2, "four": 3}, findings{documents: 1, acked: 2, ghosts: 1}},
		"no document, at worst": {nil, findings{documents: 1, acked: 2, lost: 2}},
	} {
		if got := d.compare(c.present); got != c.want {
			t.Errorf("%s: found %+v, want %+v", name, got, c.want)
		}
	}
}
