// Package streams is a stripe's log: one JetStream stream with one subject,
// written by conditional appends, and the rules of who may write it.
//
// A [Log] is the thin edge over NATS: append if the log ends where the writer
// thinks it ends, read a range, tell the bounds, trim. A [Machine] is whatever
// applies the log's records in order; [CatchUp] brings one to the log's end.
// An [Owner] claims the log for this host and commits what is proposed to it,
// many proposals to a record, one record in flight. Where it should not own the
// log it follows it instead, by what the owner broadcasts: see [Log.Publish] and
// [Log.Tail].
//
//	log, err := streams.Open(ctx, nc, streams.Config{Stripe: "s1", Birth: 1})
//	owner, err := streams.NewOwner(log, machine, streams.OwnerConfig{Host: "h1", Boot: id, Birth: 1})
//	err = owner.Start(ctx)
//	err = owner.Submit(proposal, size)
//
// The package knows nothing of documents. DESIGN.md has the invariants and what
// happens in a crash.
package streams
