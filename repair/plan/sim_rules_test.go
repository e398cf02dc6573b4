package plan

// A simRule is a rule of repair that a simulation can be run without.
type simRule string

const (
	lagIsNotRepaired           simRule = "lag is not repaired"
	tombstonesMayBeReleased    simRule = "what is absent below a horizon may have been released"
	releaseWaitsForAll         simRule = "a release waits for the clean positions of all"
	cleanIsToEveryMember       simRule = "clean means equal to every other member"
	cleanIsDurable             simRule = "a clean position is reported once it is durable"
	pullsBreakEqualities       simRule = "a pull forgets what was equal"
	imagesKnowTheFloor         simRule = "no image of a moment before a reported clean position is put"
	imagesKnowTheHorizon       simRule = "no image at or below the horizon is put that does not know of it"
	imagesMoveForward          simRule = "an image moves a document forward only"
	imagesLackNoChange         simRule = "an image has to be as new as what the copy has missed"
	onlyTheOutvotedCopyGoes    simRule = "only the copy that was outvoted is replaced"
	passedChangesAreLeftAlone  simRule = "a change at or below the document's position is left alone"
	damagedCopiesDoNotCount    simRule = "damaged copies do not count"
	theMajorityDecides         simRule = "the majority decides"
	newerContinuesOlder        simRule = "a newer copy has to continue the older one"
	aLiveCopyWins              simRule = "below a horizon a live copy wins"
	healingDropsWhatIsGone     simRule = "a healing drops what is gone"
	healingWaitsForWholeCopies simRule = "a healing waits for whole copies"
	healingTakesNoStepBack     simRule = "a healing begins again when its peer has fallen back"
	whatIsAdoptedIsOlder       simRule = "the position adopted is from before the comparison"
	whoHealsDoesNotAnswer      simRule = "a member that heals answers nobody"
)
