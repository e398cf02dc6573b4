// Package service answers Adama's operations over NATS.
//
// A [Service] listens on the subjects of docs/adapter.md in the clients'
// account, reads requests, keeps the order of requests on one key, hands what
// needs a commit to the owner of the document's stripe, and answers every
// request exactly once.
//
// The way of a request: dispatch (one goroutine, in the order of arrival) ->
// decode -> lane of its key -> owner: Prepare decides on the applied state,
// Done tells the commit -> reply. Reads and refusals wait for a commit too, which
// is what makes them true on a host that may have been deposed meanwhile.
//
// On several hosts ([Service.Directory]) a request in its lane is tried here if this
// host serves the stripe, and else passed on to the host that does. What comes back
// undecided, from the owner here or from another host, is tried again within its
// hold. It stays in its lane meanwhile, so the order holds; and once its fate was
// out of this host's hands it counts as one that may have happened until somebody
// who looked for its id decides.
package service
