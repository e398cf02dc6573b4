package plan

import (
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// A Side is where a member of a stripe stands at the moment that it speaks of.
type Side struct {
	Host    string
	Applied position.Position // of the last record that it has applied
	Horizon position.Position // tombstones at or below it have been released
	// Heals: the log will not bring this member any further, so what it lags in is
	// repaired. Applied is then the position as of which its copies are complete:
	// zero for a member that was wiped, later the position that an earlier pass of the
	// same healing has reached.
	Heals bool
}

// A BucketState is the digest of a bucket, the order-free sum of the digests of its
// documents, and the position of the last change in it.
type BucketState struct {
	Bucket   layout.Bucket
	Digest   digest.Digest
	Position position.Position
}

// A Doc is what a member keeps of one document. Without a Position and Damaged the
// document is absent.
type Doc struct {
	Key         contract.Key
	Position    position.Position // of the last change that touched it
	Incarnation position.Position // of the initialize or recover it descends from; zero for a tombstone
	Head        int32             // the seq_end of the last update
	Digest      digest.Digest     // of its state, which vouches for all its rows
	// Chain is the digest chain of all updates of the incarnation; zero where it is
	// not known.
	Chain  digest.Digest
	Live   bool // false with a Position: a tombstone
	Marked bool // being deleted
	// Damaged says why the copy fails its own check, "" when it does not. Where its
	// state cannot be read, only Key is set beside it.
	Damaged string
}

// Absent reports whether there is nothing: neither document nor tombstone, nor what
// is left of them.
func (d *Doc) Absent() bool { return d.Position.IsZero() && d.Damaged == "" }

// Tombstone reports whether d remembers a deletion.
func (d *Doc) Tombstone() bool { return d.sound() && !d.Live }

// sound: there is a copy, and it passes its own check as far as is known.
func (d *Doc) sound() bool { return d.Damaged == "" && !d.Position.IsZero() }

// same: both are sound and equal.
func (d *Doc) same(o *Doc) bool {
	return d.sound() && o.sound() && d.Position == o.Position && d.Digest == o.Digest
}

// A View is what one member says of one document.
type View struct {
	Side
	Doc Doc
	// Unknown says why nothing is known of this member's copy, "" when it has
	// answered. Only Host is set beside it.
	Unknown string
}

// Unknown is the view of a member that has not said anything, and why.
func Unknown(host, why string) View { return View{Side: Side{Host: host}, Unknown: why} }

// A Root sums up buckets, in their order: those of a partition or of a stripe.
type Root struct {
	Digest   digest.Digest
	Position position.Position // the highest of them
}

// RootOf is the root of buckets, which are in their order.
func RootOf(buckets []BucketState) Root {
	var root Root
	b := make([]byte, 0, len(buckets)*len(root.Digest))
	for i := range buckets {
		b = append(b, buckets[i].Digest[:]...)
		if root.Position.Less(buckets[i].Position) {
			root.Position = buckets[i].Position
		}
	}
	root.Digest = digest.Of(b)
	return root
}

// Sum is the digest that the bucket of the documents has. Where all of them are
// sound and it is not what the bucket's row says, that row is wrong.
func Sum(docs []Doc) digest.Digest {
	var sum digest.Digest
	for i := range docs {
		sum = sum.Add(docs[i].Digest)
	}
	return sum
}

func earlier(p, q position.Position) position.Position {
	if p.Less(q) {
		return p
	}
	return q
}

func later(p, q position.Position) position.Position {
	if p.Less(q) {
		return q
	}
	return p
}
