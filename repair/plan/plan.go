package plan

import (
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// A Plan is what one host would do to its store, and what it was made from.
type Plan struct {
	Host         string // whose store it changes
	Layout       uint64 // version of the layout in force
	LayoutDigest string
	Stripes      []StripeSeen
	Ops          []Op
	Undecided    []Open // differences that it does nothing about
}

// StripeSeen is where a stripe stood when the plan was made.
type StripeSeen struct {
	Stripe  string
	Birth   uint32
	Applied position.Position
	Horizon position.Position
	Root    digest.Digest // of all its buckets, as kept here
	Peers   []string      // that were compared with
}

// A Seen is a copy as it was when the plan was made. The zero value is none.
type Seen struct {
	Position position.Position
	Digest   digest.Digest
}

// An Op changes one document. It may be done again.
type Op struct {
	Kind    Action // Pull or Drop
	Verdict Verdict
	Stripe  string
	Bucket  layout.Bucket
	Key     contract.Key
	Here    Seen     // the copy that it changes
	Damaged bool     // that copy fails its own check
	Right   Seen     // for Pull: the copy to pull, or a later one
	From    []string // for Pull: the peers to pull from
	Rule    string   // why
}

// An Open is a document that differs and of which no copy can be told to be right.
type Open struct {
	Stripe string
	Bucket layout.Bucket
	Key    contract.Key
	Rule   string   // why
	Asks   []string // hosts whose answer might change it
}
