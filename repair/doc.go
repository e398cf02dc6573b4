// Package repair keeps the members of a stripe equal, beside its log and never
// through it: it finds documents that differ, decides which copy is right, and pulls
// that one. DESIGN.md says what must hold and why.
//
// Every host has a [Server], which tells others over NATS what this host keeps: roots
// of stripes and partitions, digests of buckets, the documents of a bucket, and documents
// themselves as a stream of images. It changes nothing, and everything but the stream
// can be read by hand:
//
//	nats req trireme.repair.h1.roots ''
//	nats req trireme.repair.h1.document '{"space":"chess","key":"game-1"}'
//
// A [Peer] asks such servers, and hands nothing on that is not what was asked for and
// what its own state says:
//
//	roots, err := p.Roots(ctx, "h2")
//	side, docs, err := p.Index(ctx, "h2", 4711)
//	missed, err := p.Documents(ctx, "h2", "s1", wants, func(d *repair.Pulled) error { ... })
//
// A [Repairer] works with it in rounds: a round with a healthy peer is one question and
// one answer. What differs is looked at more closely, decided by package plan, and
// pulled. It heals sick stripes, mends a damaged document while a request waits for it,
// and re-reads the whole store slowly.
package repair
