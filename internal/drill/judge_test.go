package drill

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"trireme/adapter"
)

// A verdict is what a drill found.
type verdict struct {
	lost, doubled, ghosts, stale int
}

func (v verdict) String() string {
	return fmt.Sprintf("%d lost, %d doubled, %d applied though refused, %d documents not linearizable", v.lost, v.doubled, v.ghosts, v.stale)
}

// judge fails the test unless every acknowledged change is in its document exactly
// once, no refused one is, and the history of every document is linearizable. The
// load must have ended.
func (w *traffic) judge(c *cluster) verdict {
	w.t.Helper()
	if w.acked.Load() == 0 {
		w.t.Error("nothing was acknowledged: the load proves nothing")
	}
	var all verdict
	client := newAdapter(w.t, c.connect())
	turns := make(chan struct{}, 2) // porcupine takes memory
	var judges sync.WaitGroup
	var stale atomic.Int64
	for _, d := range w.documents() {
		v, present := w.account(client, d)
		d.resolve(present)
		all.lost, all.doubled, all.ghosts = all.lost+v.lost, all.doubled+v.doubled, all.ghosts+v.ghosts
		turns <- struct{}{}
		judges.Go(func() {
			if !d.judge(w.t, "document "+d.key, docState{1, "first"}) {
				stale.Add(1)
			}
			<-turns
		})
	}
	judges.Wait()
	all.stale = int(stale.Load())
	return all
}

// conclude judges the load, the logs and the stores of all hosts.
func (w *traffic) conclude(c *cluster) verdict {
	w.t.Helper()
	v := w.judge(c)
	for _, log := range c.tellLogs(w.t) {
		if log.first != 1 {
			w.t.Errorf("the log of %s begins at %d: the drill wants it whole", log.stripe, log.first)
		}
	}
	c.compareStores()
	return v
}

// tellLogs audits the logs and says who has owned them.
func (c *cluster) tellLogs(t testing.TB) []stripeLog {
	t.Helper()
	all := c.auditLogs()
	for _, log := range all {
		t.Logf("stripe %s: %d records from %d on, owned by %v", log.stripe, log.records, log.first, log.owners())
	}
	return all
}

// documents are all that clients have worked on.
func (w *traffic) documents() []*ledger {
	all := slices.Clone(w.adopted)
	for _, l := range w.lanes {
		all = append(all, l.docs...)
	}
	return all
}

// account compares a ledger with the document's log.
func (w *traffic) account(client *adapter.Client, d *ledger) (v verdict, present map[string]int32) {
	w.t.Helper()
	fault := func(format string, args ...any) { w.t.Errorf("document %s: "+format, append([]any{d.key}, args...)...) }
	present = map[string]int32{}
	for page, err := range client.History(w.t.Context(), adapter.HistoryRequest{Space: w.space, Key: d.key}) {
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range page.Entries {
			if _, twice := present[e.RequestID]; twice {
				v.doubled++
				fault("request %s was applied twice", e.RequestID)
			}
			present[e.RequestID] = e.SeqEnd
			_, acked := d.acked[e.RequestID]
			_, maybe := d.maybe[e.RequestID]
			if !acked && !maybe && e.RequestID != "first" {
				v.ghosts++
				fault("request %s was refused, and is in the log at seq %d", e.RequestID, e.SeqEnd)
			}
		}
	}
	for id, seq := range d.acked {
		if present[id] != seq {
			v.lost++
			fault("request %s was acknowledged at seq %d, the log has it at %d", id, seq, present[id])
		}
	}
	return v, present
}

// resolve tells the history what became of the changes that nobody knew of: the log
// has them or not. Left open they would keep the judge busy for ever.
func (d *ledger) resolve(present map[string]int32) {
	d.ops = slices.DeleteFunc(d.ops, func(op porcupine.Operation) bool {
		_, there := present[op.Input.(docInput).id]
		return op.Output.(docOutput).result == unknown && !there
	})
	for i := range d.ops {
		if d.ops[i].Output.(docOutput).result == unknown { // some time after the call
			d.ops[i].Output = docOutput{result: success}
		}
	}
}

// noErrors fails the test if a client was told anything but success or "head differs".
func (w *traffic) noErrors() {
	w.t.Helper()
	if err := w.faults(); err != nil {
		w.t.Errorf("%d errors at clients with a deadline of %v:\n%v", w.failed.Load(), w.plan.bound, err)
	}
}

// summary is one line of figures.
func (w *traffic) summary() string {
	return fmt.Sprintf("%d changes acknowledged, %d head-differs, %d reads, %d unknown, %d errors",
		w.acked.Load(), w.refused.Load(), w.reads.Load(), w.unknown.Load(), w.failed.Load())
}
