package buckets

import (
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
)

// A Put asks for one document to be replaced by an image.
type Put struct {
	Image *Image
	// AsOf is the position of the peer's [Moment] that the image is from: the
	// image lacks no change up to it.
	AsOf position.Position
	// Over, when not nil, is the digest of a copy that was outvoted: it may be
	// replaced although it is whole and at the image's position.
	Over *digest.Digest
}

// An Outcome says what became of a [Put].
type Outcome uint8

// The outcomes.
const (
	// Taken: the image is the document now.
	Taken Outcome = iota + 1
	// Older: the local copy is whole and as new as the image, or newer.
	Older
	// TooOld: the local copy lacks changes that the image may lack too. Fetch an
	// image of a later moment.
	TooOld
	// Moved: the local copy is whole, at the image's position, of another digest,
	// and not the one that was to be replaced. Compare and decide again.
	Moved
)

var outcomeNames = [...]string{Taken: "taken", Older: "older", TooOld: "too old", Moved: "moved"}

func (o Outcome) String() string { return outcomeNames[o] }

// A PutResult says what became of every Put, in their order.
type PutResult struct {
	Outcomes []Outcome
	Taken    int
	Bytes    int64 // of the images taken, as encoded
}

// Put replaces documents by images, in one batch that is there in whole or not
// at all. A document moves forward only, or at the same position away from a copy
// that fails its own check or was outvoted. It may move beyond where the
// replica stands: the log passes it. An image that fails its check is an
// error, and so is a document that is in the list twice; nothing is put then.
// What was put is durable with the next [Store.Checkpoint] or [Replica.Adopt].
//
// Lists of about 1 MiB go fastest. Records wait while a list is put.
func (r *Replica) Put(list []Put) (PutResult, error) { return PutResult{}, errNotBuilt }

// Drop removes every row of a document, if its digest is still the given one,
// and reports whether it was. It is for documents whose members have decided
// that they are deleted. The zero digest stands for a copy whose state is missing
// or cannot be read.
func (r *Replica) Drop(k contract.Key, over digest.Digest) (bool, error) { return false, errNotBuilt }

// Adopt sets where the replica stands, once its documents are those of a member
// that stood there: durably, and with everything put before. It moves forward
// only.
func (r *Replica) Adopt(a Applied) error { return errNotBuilt }
