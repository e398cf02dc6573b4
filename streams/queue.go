package streams

import (
	"time"

	"trireme/internal/position"
	"trireme/internal/record"
)

// A Proposal is one request that waits for a commit.
type Proposal interface {
	// Prepare is called when the machine has applied everything committed so
	// far. It decides and adds at most one change. After a commit that failed it
	// is called again, and decides anew. It returns false to drop the proposal,
	// which has been answered already; Done is not called then.
	//
	// Proposals of one batch are prepared on the same state: none sees what
	// another adds. Whoever submits keeps back what depends on a proposal that
	// is not done, and sees to it that a batch has one change per document.
	Prepare(b *record.Builder) bool

	// Done is called once: with nil when the record that Prepare took part in,
	// a batch or an empty one as a barrier, is committed and applied, or with
	// the error, of the contract's codes, with which the proposal ended for
	// good. All but contract.OutcomeUnknown promise that its change is not in
	// the log. Done may be called from several goroutines for several proposals
	// and must not block. It is never called during Prepare.
	Done(err error)
}

// An item is a proposal on its way.
type item struct {
	p      Proposal
	size   int
	at     time.Time
	change bool // the last Prepare added a change
	done   bool // answered

	// horizon of a release, which is a record of its own; zero for a proposal.
	horizon position.Position
}

// sharesRecord says whether two items may go into one record.
func (it *item) sharesRecord(with *item) bool { return it.horizon.IsZero() && with.horizon.IsZero() }

// A queue holds what waits, oldest first.
type queue struct {
	items []*item
	bytes int
}

func (q *queue) push(it *item) {
	q.items = append(q.items, it)
	q.bytes += it.size
}

func (q *queue) pop() *item {
	it := q.items[0]
	q.items[0] = nil
	q.items = q.items[1:]
	q.bytes -= it.size
	return it
}

// putBack puts items before all others, in their order.
func (q *queue) putBack(items []*item) {
	all := make([]*item, 0, len(items)+len(q.items))
	for _, it := range items {
		if !it.done {
			all = append(all, it)
			q.bytes += it.size
		}
	}
	q.items = append(all, q.items...)
}

// takeOlder removes what came before a time; times grow along the queue, but for
// what was put back, which is older still.
func (q *queue) takeOlder(than time.Time) []*item {
	var old []*item
	for len(q.items) > 0 && q.items[0].at.Before(than) {
		old = append(old, q.pop())
	}
	return old
}
