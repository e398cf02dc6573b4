package buckets

import (
	"trireme/internal/contract"
	"trireme/internal/layout"
)

// A CheckResult says what a check has read and found.
type CheckResult struct {
	Documents int // tombstones included
	Rows      int
	Bytes     int64    // of keys and values
	Damaged   []Damage // noted in the store as well
	Mended    int      // rows of lists and of the bucket that were put right from the states
}

// CheckBucket re-reads every row of a bucket and checks each document. What
// follows from the states is mended: rows of the lists of names, and the bucket's
// kept digest, so that a comparison finds what has been lost. Records apply
// meanwhile, except while something is mended.
func (r *Replica) CheckBucket(b layout.Bucket) (CheckResult, error) {
	return CheckResult{}, errNotBuilt
}

// A NamesResult says what [Store.CheckNames] has read and found.
type NamesResult struct {
	Next    contract.Key // where to go on, when More
	More    bool
	Rows    int
	Damaged []Damage // names without a state, or with one that cannot be read
	Mended  int
}

// CheckNames re-reads the lists of names after a key, at most limit names of
// each, and compares them with the states: a row that a state contradicts is
// mended. A document that is missing in the lists is found by [Replica.CheckBucket].
func (s *Store) CheckNames(after contract.Key, limit int) (NamesResult, error) {
	return NamesResult{}, errNotBuilt
}
