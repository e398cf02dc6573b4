package document

// Request ids are remembered as long as the contract asks: at least the last
// [KeepIDs] of a document and all of the last [KeepIDsFor], by the time that
// stands in the log, so that every replica forgets the same ones.
const (
	KeepIDs    = 16
	KeepIDsFor = int64(2 * 60 * 1000) // milliseconds
)

// Forget reports whether the oldest remembered id may go at time now (Unix
// milliseconds in the log).
func (i *IDs) Forget(now int64) bool {
	return i.Count > KeepIDs && i.OldestTime < now-KeepIDsFor
}
