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
package service
