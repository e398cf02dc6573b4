package buckets

import "trireme/internal/layout"

// Incomplete lists the buckets of the ranges that have lost rows without anybody
// knowing which. Documents that are absent in them, and requests that they do
// not remember, answer damaged; a stripe with such a bucket is sick. The mark
// outlives restarts.
func (s *Store) Incomplete(ranges []Range) []layout.Bucket { return nil }

// ClearIncomplete takes buckets for complete again, durably. The caller has put
// into them whatever a peer had that has come at least as far as this replica. It
// reads the buckets again and fails with [ErrDamaged], clearing none, when a
// document in one of them is still damaged.
func (r *Replica) ClearIncomplete(buckets ...layout.Bucket) error { return errNotBuilt }
