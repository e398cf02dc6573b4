package plan

import (
	"trireme/internal/layout"
	"trireme/internal/position"
)

// Buckets compares buckets, which both sides list in the same order: those of one
// partition, or fewer. look are those whose documents have to be compared; lag those
// that differ but cannot be compared yet. clean is the position up to which the sides
// are equal, when all of the buckets are, and otherwise zero. It fails when the lists
// are not of the same buckets.
func Buckets(mine, theirs Side, m, t []BucketState) (look, lag []layout.Bucket, clean position.Position, err error) {
	return nil, nil, position.Position{}, nil
}

// Documents compares the documents of a bucket, in any order, each listed once by a
// side. What is equal on both sides is not in the result, which is in the order of
// the names.
func Documents(mine, theirs Side, m, t []Doc) []Finding { return nil }

// Document compares one document; one that a side does not have is a Doc with only a
// Key, or nothing, in it. The result may be [Same].
func Document(mine, theirs Side, m, t Doc) Finding { return Finding{} }
