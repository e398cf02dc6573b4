package adapter

import "trireme/internal/contract"

// The nouns of the contract.
type (
	// Key names a document.
	Key = contract.Key
	// Who is the principal that an update is written for.
	Who = contract.Who
	// Update is one change of a document: a range of seqs, the JSON that does
	// it and the JSON that undoes it. The texts are opaque.
	Update = contract.Update
	// Location says where a document lives. Owner is "" while there is none.
	Location = contract.LocateReply
	// History is one page of a document's retained log, oldest entry first.
	History = contract.HistoryReply
	// Entry is one retained update with its place in the log.
	Entry = contract.Entry
	// Base is the snapshot that a document stands on.
	Base = contract.Base

	// SnapshotRequest says what becomes the base, and how much history to keep.
	SnapshotRequest = contract.SnapshotRequest
	// RecoverRequest says what replaces a document and its history.
	RecoverRequest = contract.RecoverRequest
	// InventoryRequest says which documents to list; a Cursor says where to
	// begin.
	InventoryRequest = contract.InventoryRequest
	// HistoryRequest says where in a document's log to begin (from the oldest
	// entry if FromSeq is nil) and how many entries a page may have.
	HistoryRequest = contract.HistoryRequest
)

// The types of an [Update].
const (
	DirectMessageExecute = contract.DirectMessageExecute
	AddUserData          = contract.AddUserData
	Invalidate           = contract.Invalidate
	Internal             = contract.Internal
	CompactedResult      = contract.CompactedResult
	Restore              = contract.Restore
)

// The methods of [Client.Compute].
const (
	HeadPatch = contract.HeadPatch // what to apply to the document at seq to reach its head
	Rewind    = contract.Rewind    // what to apply to the head to get back before seq
)

// The phases of [Client.DeletePhase].
const (
	PhaseMark   = contract.PhaseMark   // from now on the document answers ErrBeingDeleted
	PhaseCommit = contract.PhaseCommit // remove it, marked or not
	PhaseAbort  = contract.PhaseAbort  // take the mark away
)

// The scopes of [Client.Inventory].
const (
	ScopeHost   = contract.ScopeHost   // what the host owns; the default
	ScopeAll    = contract.ScopeAll    // the whole cluster
	ScopeWriter = contract.ScopeWriter // what this client's writer has loaded and not released
)

// A Document is the answer of a get or a compute.
type Document struct {
	Patch       string // the JSON text
	Reads       int    // what Adama counts as reads
	Seq         int32  // the document's head
	Incarnation string // changes when the document is created again or recovered
	Behind      int64  // log records that a local read may lack, at most; 0 for others, -1 if not told
}

// Parts is a document that nobody has folded yet.
type Parts struct {
	Base        *string  // the snapshot, nil without one
	Redos       []string // just those to fold onto it, oldest first
	Reads       int
	Seq         int32
	Incarnation string
	Behind      int64 // as in Document
}
