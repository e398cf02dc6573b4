package contract

import (
	"errors"
	"fmt"
	"strconv"
)

// A Code is a number that Adama's runtime or an operator acts on.
type Code int

// The codes that Adama knows. Only the first three steer its runtime.
const (
	HeadDiffers    Code = 621580
	NotFound       Code = 625676
	Exists         Code = 667658
	BeingDeleted   Code = 786620
	UnknownMethod  Code = 785491
	NothingToPatch Code = 787507
	NothingToUndo  Code = 791602
	NoHistory      Code = 734263
	SnapshotSeq    Code = 729311
	WrongMachine   Code = 735344
)

// The codes that are Trireme's own.
const (
	NoOwner        Code = 1500001
	NoQuorum       Code = 1500002
	Deposed        Code = 1500003
	OutcomeUnknown Code = 1500004
	Malformed      Code = 1500005
	TooLarge       Code = 1500006
	Overloaded     Code = 1500007
	Damaged        Code = 1500008
	Fenced         Code = 1500009
	BufferFull     Code = 1500010
	Unmergeable    Code = 1500011
	NotHere        Code = 1500012
)

// An Explanation is what there is to know of a code.
type Explanation struct {
	Code     Code   `json:"code"`
	Name     string `json:"name"`
	Meaning  string `json:"meaning"`
	Happened string `json:"happened"` // whether the request took effect: "no" is a promise
	Caller   string `json:"caller"`   // what the caller should do
}

// Codes returns the explanation of every code, Adama's own first.
func Codes() []Explanation {
	const no, maybe = "no", "maybe"
	const again = "send it again under the same request id"
	return []Explanation{
		{HeadDiffers, "head-differs", "the patch does not begin at the document's head + 1, or names another incarnation", no, "undo, take HeadPatch from the last seq you know, and try again on top"},
		{NotFound, "not-found", "the document does not exist; the owner has confirmed it", no, "initialize it, or recover it if it should exist"},
		{Exists, "exists", "the document exists already; its first content stays", no, "get it and go on from its head"},
		{BeingDeleted, "being-deleted", "the document is marked for deletion", no, "wait for the deletion to be committed, or abort it with delete and phase abort"},
		{UnknownMethod, "unknown-method", "compute knows HeadPatch and Rewind only", no, "send method HeadPatch or Rewind"},
		{NothingToPatch, "no-head-patch", "there is no retained change after that seq, or changes after it are no longer retained", no, "get the whole document"},
		{NothingToUndo, "no-rewind", "the retained undos do not reach back to that seq", no, "rewind less far, or recover the document"},
		{NoHistory, "history-not-positive", "a snapshot must keep at least one change of history", no, "send history of 1 or more"},
		{SnapshotSeq, "snapshot-seq", "the snapshot's seq lies above the head, below what is retained, or belongs to another incarnation", no, "take a snapshot of the present document"},
		{WrongMachine, "wrong-machine", "reserved: the node must let the document go", no, "close the document"},
		{NoOwner, "no-owner", "no host owns the document's partition at present", no, again},
		{NoQuorum, "no-quorum", "the log cannot commit at present: too few of its hosts answer", no, again},
		{Deposed, "deposed", "this host has lost the ownership of the document's stripe", no, again},
		{OutcomeUnknown, "outcome-unknown", "the wait ended before the log told whether the request is in it", maybe, again + ", until you are told"},
		{Malformed, "malformed", "the request is wrong in itself", no, "do not repeat it; the message names field, value and remedy"},
		{TooLarge, "too-large", "the request or its reply is over a limit", no, "do not repeat it; send less, or get with fold client"},
		{Overloaded, "overloaded", "too many requests wait already", no, again + ", later"},
		{Damaged, "damaged", "this replica's copy of the document fails its checksum", no, "ask again; another replica or the repair will answer"},
		{Fenced, "fenced", "the snapshot does not come from the writer of what it covers", no, "harmless: try again after a get or the next write"},
		{BufferFull, "buffer-full", "the log or its disk has no room for more at present", no, again + "; an operator must make room if it lasts"},
		{Unmergeable, "unmergeable", "a stored text is not readable as JSON where a fold needs it", no, "get with fold client, or recover the document"},
		{NotHere, "not-here", "the replica asked has no such document; that says nothing about the cluster", no, "ask for a linearizable read"},
	}
}

// Explain finds the explanation of a code.
func Explain(c Code) (Explanation, bool) {
	for _, e := range Codes() {
		if e.Code == c {
			return e, true
		}
	}
	return Explanation{}, false
}

// Name is the code's short name, or its number when it has none.
func (c Code) Name() string {
	if e, ok := Explain(c); ok {
		return e.Name
	}
	return strconv.Itoa(int(c))
}

// An Error is a refusal with its code. Two errors are alike ([errors.Is]) when
// their codes are.
type Error struct {
	Code    Code
	Message string // what is wrong with this request: field, value, remedy
}

// Errorf makes the error of a code; the message is formatted as by [fmt.Sprintf].
func Errorf(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	name := e.Code.Name()
	if e.Message == "" {
		return fmt.Sprintf("%d %s", e.Code, name)
	}
	return fmt.Sprintf("%d %s: %s", e.Code, name, e.Message)
}

// Is reports whether target is an [Error] of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Reply is the body that carries the error.
func (e *Error) Reply() ErrorReply {
	x, _ := Explain(e.Code)
	return ErrorReply{Code: e.Code, Name: e.Code.Name(), Message: e.Message, Hint: x.Caller}
}

// CodeOf returns the code that err carries, or 0.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return 0
}
