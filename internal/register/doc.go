// Package register is the small replicated stream on which the hosts of a cluster
// agree: which layout is in force, and which stripes' logs were ever made.
//
//	r, err := register.Open(ctx, nc, len(layout.Hosts))
//	state, err := r.State(ctx)
//	state, err = r.Propose(ctx, version, digest, text, func(current register.State) error { ... })
//	state, err = r.Bear(ctx, "s1", 1, "h1")
//
// Every record is written on the condition that the register ends where its writer
// has read to. So whatever a writer has decided on what it has read is still true
// when its record is accepted, and of all who propose at the same time one
// succeeds. Nothing is ever removed: a record once read stays true.
//
// What a layout says is none of this package's business. It is a text with a
// version and a digest, and there is at most one for each version.
//
// # Format 1
//
// The stream is trireme-cluster. Each record is one message, made to be read by a
// person with `nats stream view trireme-cluster`. Its headers are
//
//	Trireme-Format: 1
//	Trireme-Proposal: who proposed is told by this if no answer came; any text, unique
//	Trireme-By: name of the connection that proposed, for people
//	Trireme-Time: when, by the proposer's clock, for people (RFC 3339)
//
// On trireme.cluster.layout, a layout that is accepted: the body is its text, and
//
//	Trireme-Version: a number from 1
//	Trireme-Digest: any text of printable ASCII
//
// It counts if its version is higher than that of every layout before it. On
// trireme.cluster.born.<stripe>, that the stripe's log was made: the body is JSON,
//
//	{"birth":1,"host":"h1"}
//
// It counts if it is the first of its stripe. What does not count, cannot be read,
// or is on another subject changes nothing, on every host alike. A record of
// another format than 1 is refused with [ErrFormat], and so is all that follows: a
// program that cannot read it must not decide.
package register
