package plan

import (
	"reflect"
	"testing"

	"trireme/internal/layout"
	"trireme/internal/position"
)

func TestCleanIsToEveryMemberInEveryPartition(t *testing.T) {
	var c Clean
	both, peers := []layout.PartitionID{1, 2}, []string{"h2", "h3"}
	want := func(what string, partitions []layout.PartitionID, peers []string, up uint64) {
		t.Helper()
		if got := c.Position(partitions, peers); got != seq(up) {
			t.Errorf("%s: %v, want %d", what, got, up)
		}
	}
	equal := func(p layout.PartitionID, peer string, up uint64) { c.Equal(p, peer, seq(up), c.Pulls(p)) }

	want("nothing is known", both, peers, 0)
	want("nothing is asked", nil, nil, 0)
	equal(1, "h2", 5)
	equal(1, "h3", 6)
	equal(2, "h2", 7)
	want("one is missing", both, peers, 0)
	want("nobody else", both, nil, 0)
	want("one partition", both[:1], peers, 5)
	equal(2, "h3", 8)
	want("the lowest", both, peers, 5)
	want("fewer peers", both, peers[1:], 6)
	equal(1, "h2", 9)
	equal(1, "h2", 4)
	want("an equality once seen has been seen", both, peers, 6)
	if got := c.Equals(1); !reflect.DeepEqual(got, map[string]position.Position{"h2": seq(9), "h3": seq(6)}) {
		t.Errorf("%v", got)
	}

	before := c.Pulls(1)
	c.Pulled(1)
	want("what is pulled was not equal", both, peers, 0)
	want("in the other partition it still is", both[1:], peers, 7)
	c.Equal(1, "h2", seq(10), before)
	want("what was read before the pull does not count", both[:1], peers[:1], 0)
	equal(1, "h2", 10)
	want("what was read after it does", both[:1], peers[:1], 10)
	if got := c.Floor(); got != seq(10) {
		t.Errorf("the floor is %v", got)
	}
	c.Pulled(1)
	if got := c.Floor(); got != seq(10) {
		t.Errorf("what was told stays told: %v", got)
	}
}
