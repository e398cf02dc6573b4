// Package verify decides whether all members of all stripes keep the same documents, and
// asks nobody: whoever asks the members feeds it their answers.
//
//	run := verify.New(stripes)
//	for more {
//	        for _, q := range run.Questions() {
//	                run.Tell(q, ask(q)) // in any order, some of them at once
//	        }
//	        // no questions any more: wait a little, as long as it is worth it
//	        more = run.Again()
//	}
//	report := run.Report()
//
// Each stripe has a fixed position: the furthest that anything of it was when the run
// began, whether in the log or applied. What a member says counts when it has applied at
// least that, so that everything written before the run began is compared, and members
// that lag are waited for. Digests are compared from coarse to fine, by the rules of
// package plan: partitions, buckets, documents. Where a bucket is written to all the time,
// two members are seldom at the same change when they are asked; so what they said before
// is kept: contents that were the same at any two moments past the fixed position are the
// same.
//
// The verdict is [Pass] only if every bucket of every member was found equal to that of
// another member, so that all of them are tied together. It is [Fail] when a document
// differs and the log will not change that, and otherwise [Incomplete].
//
// The package is pure: no IO, no clock, no NATS.
package verify
