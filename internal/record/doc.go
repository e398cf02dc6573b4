// Package record is the format of a stripe's log: what one JetStream message
// holds.
//
// A record is text, so that `nats stream view` shows it to a person: a header
// line, then, in a batch, frames in the manner of NATS' own protocol: a line of
// verb, arguments and sizes, then the JSON as it came.
//
//	BATCH 1 <epoch> <time> <prev> <changes> <bytes>\r\n
//	PATCH <space> <key> <id> <writer> <incarnation> <updates> <bytes>\r\n
//	+ <seq_begin> <seq_end> <type> <agent> <authority> <rfi> <when> <assets> <request> <redo> <undo>\r\n
//	{"command":"send"}\r\n
//	{"x":2}\r\n
//	{"x":1}\r\n
//
// The other records are a line each: a claim, by which a host takes the log
// over, and a release, by which the owner lets tombstones go:
//
//	CLAIM 1 <time> <prev> <host> <boot> <layout>\r\n
//	RELEASE 1 <epoch> <time> <prev> <horizon>\r\n
//
// A record holds at most one change per document, so a document and a position
// name a change. docs/formats.md has every line and the rules of escaping.
//
// The package is pure: it reads and writes bytes.
package record
