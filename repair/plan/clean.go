package plan

import (
	"maps"

	"trireme/internal/layout"
	"trireme/internal/position"
)

// Clean keeps how far each partition of a stripe was found equal to each other
// member. The zero value knows of no equality, as after a start of the process.
//
// The owner releases tombstones by what members report of it, so that must hold
// whatever happens to them afterwards. Three things see to it, all of them needed:
// what is reported is durable ([Clean.Position]), an equality is forgotten when a
// document is replaced ([Clean.Pulled]), and no answer from before it is put
// ([Clean.Floor]).
type Clean struct {
	of    map[layout.PartitionID]*equalities
	floor position.Position
}

// equalities are those of one partition.
type equalities struct {
	pulls Pulls
	to    map[string]position.Position // by peer
}

// Pulls counts what was replaced or dropped in a partition.
type Pulls uint64

func (c *Clean) partition(p layout.PartitionID) *equalities {
	e := c.of[p]
	if e == nil {
		if c.of == nil {
			c.of = map[layout.PartitionID]*equalities{}
		}
		e = &equalities{to: map[string]position.Position{}}
		c.of[p] = e
	}
	return e
}

// Pulls is to be asked for BEFORE the buckets of a partition are read here, for
// [Clean.Equal].
func (c *Clean) Pulls(p layout.PartitionID) Pulls { return c.partition(p).pulls }

// Equal notes that the partition was found equal to a peer's up to a position: the
// clean of [Buckets]. It is left alone when something was pulled since, and when it is
// less than what is known.
func (c *Clean) Equal(p layout.PartitionID, peer string, up position.Position, since Pulls) {
	if e := c.partition(p); e.pulls == since && e.to[peer].Less(up) {
		e.to[peer] = up
	}
}

// Pulled notes that a document of the partition was replaced or dropped here. What was
// equal was so without it, so every equality of the partition is forgotten.
func (c *Clean) Pulled(p layout.PartitionID) {
	e := c.partition(p)
	e.pulls++
	clear(e.to)
}

// Position is how far the partitions are equal to all of the peers, which are all other
// members of the stripe; zero when there is one to which they are not, and when there are
// no partitions or peers.
//
// It may be reported once a checkpoint of the store that began AFTER the call is through:
// else a crash might take a document that was pulled before, and leave the report.
func (c *Clean) Position(partitions []layout.PartitionID, peers []string) position.Position {
	var low position.Position
	for i, p := range partitions {
		for j, peer := range peers {
			up := c.partition(p).to[peer]
			if i+j == 0 || up.Less(low) {
				low = up
			}
		}
	}
	c.floor = later(c.floor, low)
	return low
}

// Floor is the highest position that [Clean.Position] has told. An image of a moment
// before it must not be put: it may be of a document whose deletion everybody may have
// forgotten since.
func (c *Clean) Floor() position.Position { return c.floor }

// Equals are the positions up to which a partition is equal to each peer.
func (c *Clean) Equals(p layout.PartitionID) map[string]position.Position {
	return maps.Clone(c.partition(p).to)
}
