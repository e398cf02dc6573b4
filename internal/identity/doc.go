// Package identity says who a host is, and whether it may take part.
//
// A host is its name plus the id of its disk. The data directory tells both, in the
// file id, and what this host has seen of the others, in the file seen. Before its
// NATS server starts, a host asks the others what they have seen of it:
//
//	id, err := identity.Open(dir, "h1", "trireme")
//	replies := identity.Ask(ctx, addresses)
//	verdict := identity.Admit(identity.Facts{Self: id.Self(), Replies: replies, ...})
//
// On [Start] it calls Begin and starts; on [Reset] it calls Reset and Begin and
// starts with an empty directory; on [Wait] and [Held] it tells why, and asks again.
// [Admit] is pure. DESIGN.md has the invariants and the crash story.
package identity
