// Package contract holds the nouns that Trireme and Adama share: operations,
// requests and replies as they travel, limits, and error codes.
//
// It imports nothing of the project and does no IO; everything else depends
// inward on it. docs/adapter.md describes the same for people.
package contract

// The operations of the service, as they end a subject: adama.v1.<op>.
const (
	OpGet        = "get"
	OpInitialize = "initialize"
	OpPatch      = "patch"
	OpCompute    = "compute"
	OpSnapshot   = "snapshot"
	OpRecover    = "recover"
	OpDelete     = "delete"
	OpDeleting   = "deleting"
	OpClose      = "close"
	OpShed       = "shed"
	OpInventory  = "inventory"
	OpLocate     = "locate"
	OpHistory    = "history"
)

// Ops returns every operation, in the order of the contract.
func Ops() []string {
	return []string{
		OpGet, OpInitialize, OpPatch, OpCompute, OpSnapshot, OpRecover, OpDelete,
		OpDeleting, OpClose, OpShed, OpInventory, OpLocate, OpHistory,
	}
}

// The service on NATS.
const (
	ServiceName   = "adama"
	SubjectPrefix = "adama.v1."

	// HeaderRequestID names one request on one document; a resend carries the
	// same id and never acts twice.
	HeaderRequestID = "Trireme-Request-Id"
	// HeaderWriter names the Adama node instance that asks.
	HeaderWriter = "Trireme-Writer"
	// HeaderBehind, on replies to local reads, is how many log records the
	// answering replica may be behind, at most.
	HeaderBehind = "Trireme-Behind"
)

// Limits, in bytes. What is larger is refused with [TooLarge] before anything
// is written.
const (
	MaxName     = 1024     // a space or a key, at least 1; an agent or an authority
	MaxHeader   = 64       // a request id or a writer, printable ASCII
	MaxEntry    = 16 << 20 // request, redo and undo of one update together
	MaxDocument = 24 << 20 // a snapshot, a recover, or one patch batch by [Update.LogSize]
	MaxReply    = 60 << 20 // a reply
)

// The update types, as Adama names them.
const (
	DirectMessageExecute = "DirectMessageExecute"
	AddUserData          = "AddUserData"
	Invalidate           = "Invalidate"
	Internal             = "Internal"
	CompactedResult      = "CompactedResult"
	Restore              = "Restore"
)

// UpdateTypes returns every update type.
func UpdateTypes() []string {
	return []string{DirectMessageExecute, AddUserData, Invalidate, Internal, CompactedResult, Restore}
}

// Who is the principal an update is written for.
type Who struct {
	Agent     string `json:"agent"`
	Authority string `json:"authority"`
}

// Update is one change of a document: a range of seqs with the JSON that does
// it and the JSON that undoes it. Request, Redo and Undo are opaque texts.
type Update struct {
	SeqBegin                   int32  `json:"seq_begin"`
	SeqEnd                     int32  `json:"seq_end"`
	Who                        *Who   `json:"who"`
	Request                    string `json:"request"`
	Redo                       string `json:"redo"`
	Undo                       string `json:"undo"`
	RequiresFutureInvalidation bool   `json:"requires_future_invalidation"`
	WhenToInvalidateMS         int32  `json:"when_to_invalidate_ms"`
	AssetBytes                 int64  `json:"asset_bytes"`
	UpdateType                 string `json:"update_type"`
}

// TextSize is the size of the update's texts together, in bytes.
func (u *Update) TextSize() int { return len(u.Request) + len(u.Redo) + len(u.Undo) }

// LogSize bounds from above what the update takes in the log, in bytes: its
// texts, its names escaped, its numbers at their longest. So many small updates
// cannot add up to a record that the log refuses.
func (u *Update) LogSize() int {
	const numbers, escaped = 160, 3
	n := u.TextSize() + numbers
	if u.Who != nil {
		n += escaped * (len(u.Who.Agent) + len(u.Who.Authority))
	}
	return n
}

// Key names a document.
type Key struct {
	Space string `json:"space"`
	Key   string `json:"key"`
}

// Compare orders by the UTF-8 bytes of space, then key: the order of every
// list.
func (k Key) Compare(o Key) int {
	switch {
	case k.Space < o.Space, k.Space == o.Space && k.Key < o.Key:
		return -1
	case k == o:
		return 0
	}
	return 1
}

// Read consistencies of get.
const (
	Linearizable = "linearizable" // the default: sees everything acknowledged before it was asked
	Local        = "local"        // this replica, however far behind; says so in HeaderBehind
)

// Where get folds.
const (
	FoldServer = "server" // the default: the reply holds the merged document
	FoldClient = "client" // the reply holds base and redos, unread
)

// Methods of compute.
const (
	HeadPatch = "HeadPatch" // what to apply to the document at seq to reach the head
	Rewind    = "Rewind"    // what to apply to the head to get back before seq
)

// Phases of delete; none means mark and commit in one.
const (
	PhaseMark   = "mark"
	PhaseCommit = "commit"
	PhaseAbort  = "abort"
)

// Scopes of inventory.
const (
	ScopeHost   = "host"   // documents of the partitions that the host owns; the default
	ScopeAll    = "all"    // the whole cluster
	ScopeWriter = "writer" // what the asking writer has loaded and not released
)

// The requests. A field that the contract calls optional has omitempty.
type (
	// GetRequest asks for a document.
	GetRequest struct {
		Space       string `json:"space"`
		Key         string `json:"key"`
		Consistency string `json:"consistency,omitempty"`
		Fold        string `json:"fold,omitempty"`
	}
	// InitializeRequest creates a document.
	InitializeRequest struct {
		Space string `json:"space"`
		Key   string `json:"key"`
		Patch Update `json:"patch"`
	}
	// PatchRequest appends updates atomically if the first begins at head+1.
	PatchRequest struct {
		Space       string   `json:"space"`
		Key         string   `json:"key"`
		Patches     []Update `json:"patches"`
		Incarnation string   `json:"incarnation,omitempty"`
	}
	// ComputeRequest asks for a fold of redos or undos.
	ComputeRequest struct {
		Space  string `json:"space"`
		Key    string `json:"key"`
		Method string `json:"method"`
		Seq    int32  `json:"seq"`
	}
	// SnapshotRequest replaces what lies below seq with one text.
	SnapshotRequest struct {
		Space       string `json:"space"`
		Key         string `json:"key"`
		Seq         int32  `json:"seq"`
		JSON        string `json:"json"`
		History     int32  `json:"history"`
		AssetBytes  int64  `json:"asset_bytes"`
		Incarnation string `json:"incarnation,omitempty"`
	}
	// RecoverRequest replaces a document and its history.
	RecoverRequest struct {
		Space    string `json:"space"`
		Key      string `json:"key"`
		Seq      int32  `json:"seq"`
		Document string `json:"document"`
		Who      *Who   `json:"who,omitempty"`
	}
	// DeleteRequest removes a document, in one step or two.
	DeleteRequest struct {
		Space string `json:"space"`
		Key   string `json:"key"`
		Phase string `json:"phase,omitempty"`
	}
	// KeyRequest is that of close, shed and locate.
	KeyRequest struct {
		Space string `json:"space"`
		Key   string `json:"key"`
	}
	// DeletingRequest lists what is marked and not yet committed.
	DeletingRequest struct {
		Cursor string `json:"cursor,omitempty"`
	}
	// InventoryRequest lists documents.
	InventoryRequest struct {
		Host   string `json:"host,omitempty"`
		Scope  string `json:"scope,omitempty"`
		Cursor string `json:"cursor,omitempty"`
	}
	// HistoryRequest asks for the retained log.
	HistoryRequest struct {
		Space   string `json:"space"`
		Key     string `json:"key"`
		FromSeq *int32 `json:"from_seq,omitempty"`
		Limit   int32  `json:"limit,omitempty"`
	}
)

// The replies.
type (
	// DocumentReply answers get and compute.
	DocumentReply struct {
		Patch       string `json:"patch"`
		Reads       int    `json:"reads"`
		Seq         int32  `json:"seq"`
		Incarnation string `json:"incarnation"`
	}
	// PartsReply answers get with fold "client". Redos are just those to fold.
	PartsReply struct {
		Base        *string  `json:"base"`
		Redos       []string `json:"redos"`
		Reads       int      `json:"reads"`
		Seq         int32    `json:"seq"`
		Incarnation string   `json:"incarnation"`
	}
	// EmptyReply answers what has nothing to say.
	EmptyReply struct{}
	// SnapshotReply answers snapshot.
	SnapshotReply struct {
		Value int `json:"value"`
	}
	// KeysReply answers inventory and deleting. Cursor is absent when the list
	// is complete.
	KeysReply struct {
		Keys   []Key  `json:"keys"`
		Cursor string `json:"cursor,omitempty"`
	}
	// LocateReply says where a document lives.
	LocateReply struct {
		Bucket    int      `json:"bucket"`
		Partition int      `json:"partition"`
		Stripe    string   `json:"stripe"`
		Owner     string   `json:"owner"`
		Epoch     string   `json:"epoch"`
		Members   []string `json:"members"`
		Adama     string   `json:"adama"`
		Layout    int      `json:"layout"`
	}
	// Base is a document's snapshot.
	Base struct {
		Seq        int32  `json:"seq"`
		JSON       string `json:"json"`
		AssetBytes int64  `json:"asset_bytes"`
	}
	// Entry is one retained update with its place in the log.
	Entry struct {
		Update
		Position  string `json:"position"`
		Writer    string `json:"writer"`
		RequestID string `json:"request_id"`
	}
	// HistoryReply answers history, oldest entry first. More says that the
	// next page begins after the last entry's seq_end.
	HistoryReply struct {
		Base        *Base   `json:"base"`
		Entries     []Entry `json:"entries"`
		Seq         int32   `json:"seq"`
		Incarnation string  `json:"incarnation"`
		AssetBytes  int64   `json:"asset_bytes"`
		More        bool    `json:"more,omitempty"`
	}
	// ErrorReply is the body of every refused request.
	ErrorReply struct {
		Code    Code   `json:"code"`
		Name    string `json:"name"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
	}
)
