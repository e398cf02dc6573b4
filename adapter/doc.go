// Package adapter is the Go client of Trireme's document service: Adama's
// operations, asked for over NATS.
//
// A [Client] lives on a NATS connection that the caller opens and closes:
//
//	nc, err := adapter.Dial("nats://h1:4222,nats://h2:4222,nats://h3:4222")
//	c, err := adapter.NewClient(nc, adapter.WithWriter("node-7-boot-3"))
//
// A document is a space and a key. It is created once, and then grows by
// updates: each a range of seqs with the JSON that does it and the JSON that
// undoes it. An update is accepted only on top of the present head, so of two
// writers with the same idea of the head exactly one succeeds:
//
//	err := c.Initialize(ctx, "chess", "game-1", adapter.Update{
//		SeqEnd: 1, Redo: `{"turn":"white"}`, Undo: `{}`,
//		UpdateType: adapter.AddUserData,
//	})
//	err = c.Patch(ctx, "chess", "game-1", []adapter.Update{{
//		SeqBegin: 2, SeqEnd: 2, Redo: `{"turn":"black"}`, Undo: `{"turn":"white"}`,
//		UpdateType: adapter.DirectMessageExecute,
//	}})
//	doc, err := c.Get(ctx, "chess", "game-1") // doc.Patch is {"turn":"black"}, doc.Seq is 2
//
// # Errors
//
// Every refusal of the service is a sentinel here, for [errors.Is]. Three of
// them are decisions about documents that a program acts on: [ErrHeadDiffers],
// [ErrNotFound] and [ErrExists]; they never stand for an outage. [Explain] knows
// more about each code, and [CallError] about the call that failed.
//
// # Retries
//
// A call that changes something carries a request id, the same on every try, and
// the service never acts twice on one id. So the client sends a request again,
// after a wait, as long as that can help: when the document has no owner, the log
// no quorum or no room, when nobody answers, or the connection is lost. Damaged
// copies are asked for a few times. Everything else is returned at once.
//
// A call ends with its context, or after 30 s if that has no deadline
// ([WithTimeout]). Its error then wraps that of the context and the last
// refusal. If any try may have taken effect, it also matches
// [ErrOutcomeUnknown]: ask that first. To learn the outcome, make the same call
// again [WithRequestID] of the [CallError], within two minutes, for which the
// store remembers ids at least; the client itself stops resending such a
// request after 90 s.
//
// # Failures of hosts
//
// Any host takes any request and waits for the next owner in the client's place.
// The client asks owners directly where a host has told it the way, and any host
// again when that fails. With a connection made by [Dial], or with [NATSOptions],
// calls get over the death of any one host, and over one that stands still, within
// their 30 s.
//
// # Reads
//
// [Client.Get] and [Client.Compute] see everything that was acknowledged before
// they were called. [Local] reads ask one replica, which says how far behind it
// may be. [Client.GetParts] reads without folding. [Client.History],
// [Client.Inventory] and [Client.Deleting] are loops that fetch their pages as
// they go.
package adapter
