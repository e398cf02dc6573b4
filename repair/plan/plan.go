package plan

import (
	"cmp"
	"slices"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// A Plan is what one host would do to its store, and what it was made from. As JSON it
// is a file for people and for [Parse]; repair/DESIGN.md describes it.
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

// Sort puts the operations in the order in which they are best done: stripe by stripe,
// first what clients are refused, bucket by bucket. Any order is right.
func (p *Plan) Sort() {
	slices.SortStableFunc(p.Ops, func(a, b Op) int {
		return cmp.Or(
			cmp.Compare(a.Stripe, b.Stripe),
			cmp.Compare(urgency[a.Verdict], urgency[b.Verdict]),
			cmp.Compare(a.Bucket, b.Bucket),
			a.Key.Compare(b.Key),
		)
	})
	slices.SortStableFunc(p.Undecided, func(a, b Open) int {
		return cmp.Or(cmp.Compare(a.Stripe, b.Stripe), cmp.Compare(a.Bucket, b.Bucket), a.Key.Compare(b.Key))
	})
}

// urgency: a damaged copy answers nothing, one that lacks something answers wrongly, and
// one that is gone should not answer.
var urgency = [...]int{Corruption: 1, Divergence: 2, Missing: 3, Gone: 4, Theirs: 5, Lag: 6, Same: 7}

// A Standing is what has become of the document of an operation since the plan was made.
type Standing uint8

// The standings.
const (
	// Todo: the copy here is the one that the plan was made from.
	Todo Standing = iota + 1
	// Done: the copy here is as it should be.
	Done
	// Moved: the copy here is another one. The plan does not apply to it.
	Moved
)

// Standing compares the copy here, which was read whole, with what the operation was
// made for.
func (o *Op) Standing(here Doc) Standing {
	at := Seen{here.Position, here.Digest}
	switch {
	case at == o.Here && (here.Damaged != "") == o.Damaged:
		return Todo
	case here.Damaged != "":
		return Moved
	case o.Kind == Drop && here.Absent():
		return Done
	case o.Kind == Pull && at == o.Right:
		return Done
	case o.Kind == Pull && o.Right.Position.Less(at.Position) && (o.Damaged || o.Here.Position.Less(o.Right.Position)):
		return Done // and gone on from there; an outvoted copy that goes on is no better
	}
	return Moved
}
