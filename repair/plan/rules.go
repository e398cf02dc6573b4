package plan

// The rules, each as people are told it.
const (
	equalCopies   = "the copies are equal"
	damagedHere   = "the copy here fails its own check, so it does not count, and is replaced by one that passes"
	damagedThere  = "the copy there fails its own check: that member replaces it"
	damagedSource = "the copy there fails its own check, and the one here may lack something: it comes from another member"
	lagHere       = "this member has not applied the newer copy's position yet: the log brings it"
	lagThere      = "the other member has not applied this copy's position yet: the log brings it"
	lagForgets    = "the other member has forgotten tombstones up to a horizon that this one has not come to yet: the log brings it"
	lagRemembers  = "this member has forgotten tombstones up to a horizon that the other one has not come to yet: the log brings it"
	missingHere   = "this member has applied the newer copy's position and does not have it"
	missingThere  = "the other member has applied this copy's position and does not have it: it pulls it"
	sameElsewise  = "the copies are at the same position and differ, so the members vote"
	forked        = "the newer copy does not continue the older one, so the members vote"
	goneHere      = "the tombstone is at or below the horizon of this member, and nobody has the document"
	goneBelow     = "a member whose tombstones are released further than this copy is up to date has nothing of the document: it was deleted"
	goneThere     = "the other member has kept a tombstone at or below its horizon: it drops it"
	winsByVote    = "more than half of the members have this copy"
	winsAlone     = "it is the newest copy that passes its own check"
	noMajority    = "copies contradict each other, and no copy is held by more than half of the members"
	noGood        = "no member has a copy that passes its own check"
	noneAsNew     = "a damaged copy is newer than those that pass their own check, or may be"
	nowhereElse   = "the copy here fails its own check, and every other member has applied as much and has nothing of the document"
	nothingKnown  = "nothing is known of this member's copy"
)
