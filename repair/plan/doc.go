// Package plan decides what repair does, and does none of it.
//
// Members of a stripe say what they keep, at one moment each: a [Side], with the
// digests of their buckets ([BucketState]) and the documents of a bucket ([Doc]).
// Two of them are compared from coarse to fine:
//
//	look, lag, clean := plan.Buckets(mine, theirs, myBuckets, theirBuckets)
//	findings := plan.Documents(mine, theirs, myDocs, theirDocs) // of each bucket of look
//
// A [Finding] has a [Verdict]. What is to be done about a document, from whom, and
// by which rule, is decided from what all members say of it: [Decide]. Where not all
// of them have been asked it decides from fewer, or says that it cannot:
//
//	decision := plan.Decide("h1", []plan.View{mine, theirs, plan.Unknown("h3", "not asked")})
//
// A [Plan] is a list of such decisions as operations, in a file that people can read:
// what it was made from is in it, so that it is refused when the state has moved on.
//
// The package is pure: no IO, no clock, no NATS. The rules and why they hold are in
// repair/DESIGN.md; a simulation of three members, their log and their faults tests
// them.
package plan
