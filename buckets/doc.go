// Package buckets is a host's document store.
//
// A [Store] is one Pebble database that holds the documents of every stripe the
// host is a member of. It changes in one way only: a [Replica] applies the
// records of its stripe's log, in order, each in one atomic batch together with
// the position it has reached. Applying is deterministic and idempotent, so
// replicas that applied the same log are equal, and a store that fell back after
// a crash re-reads the log from where it is.
//
// Equality can be checked cheaply: every document has a digest, every bucket the
// sum of its documents' digests, every partition a root, all kept up to date as
// records apply.
//
//	store, err := buckets.Open(dir, buckets.Options{})
//	replica, err := store.Replica("s1", 1)
//	err = replica.Apply(seq, body) // for each record of the log
//	doc, err := store.Get(key)
//
// Applies are not synced; [Store.Checkpoint] makes what has been applied durable
// every few seconds, and only what is durable may be trimmed from the log.
//
// The package knows nothing of NATS. DESIGN.md beside it states the invariants.
package buckets
