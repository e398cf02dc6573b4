package document

import "trireme/internal/digest"

// Request ids are remembered as long as the contract asks: at least the last
// [KeepIDs] of a document and all of the last [KeepIDsFor], by the time that
// stands in the log. They are forgotten many at a time, when twice as many are
// remembered as had to be: every replica does so at the same change.
const (
	KeepIDs    = 16
	KeepIDsFor = int64(2 * 60 * 1000) // milliseconds
)

// IDs sums up the request ids that the document remembers.
type IDs struct {
	Count int
	Kept  int           // how many were left when some were last forgotten
	Sum   digest.Digest // of all of them, in no order
}

// Remember counts an id and reports whether it is time to forget old ones.
func (i *IDs) Remember(d digest.Digest) (due bool) {
	i.Count++
	i.Sum = i.Sum.Add(d)
	return i.Count >= 2*max(KeepIDs, i.Kept)
}

// Forget uncounts an id.
func (i *IDs) Forget(d digest.Digest) {
	i.Count--
	i.Sum = i.Sum.Sub(d)
}

// Past reports whether an id of a time is too old, at time now, to be remembered
// for its age. A tombstone that is released forgets all of its ids, when all are.
func Past(time, now int64) bool { return time < now-KeepIDsFor }

// Forgettable tells how many ids, from the front, may go at time now. Times are
// those of all ids of a document, oldest first, in Unix milliseconds of the log.
func Forgettable(times []int64, now int64) int {
	n := 0
	for n < len(times)-KeepIDs && Past(times[n], now) {
		n++
	}
	return n
}
