package plan

import (
	"trireme/internal/layout"
	"trireme/internal/position"
)

// Clean keeps how far each partition of a stripe was found equal to each other
// member. The zero value knows of no equality.
//
// What it tells is reported to the owner, who releases tombstones by it, so it must
// hold whatever happens afterwards. See [Clean.Position].
type Clean struct {
	equal map[layout.PartitionID]map[string]position.Position
}

// Equal notes that the partition was found equal to a peer's up to a position: the
// clean of [Buckets].
func (c *Clean) Equal(p layout.PartitionID, peer string, up position.Position) {}

// Pulled notes that a document of the partition was replaced or dropped here: what was
// equal was so without it, so every equality of the partition is forgotten. It has to be
// called BEFORE an equality that was seen after the change is noted, and after any that
// was seen before.
func (c *Clean) Pulled(p layout.PartitionID) {}

// Position is how far the partitions are equal to all of the peers, which are all other
// members of the stripe; zero when there is one to which they are not.
func (c *Clean) Position(partitions []layout.PartitionID, peers []string) position.Position {
	return position.Position{}
}
