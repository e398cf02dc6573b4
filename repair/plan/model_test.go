package plan

import (
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Three members of a stripe, their log, faults of every kind, and repair by the functions
// of this package from answers that come late: nothing that was deleted comes back,
// nothing is lost, nothing that only lags is found, and in the end all are equal to what
// the log says. What may go wrong at once is said in sim_faults_test.go.
func TestRepairAgainstTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roll := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		if err := newSim(roll).run(rapid.IntRange(20, 300).Draw(t, "steps")); err != nil {
			t.Fatal(err)
		}
	})
}

func seeded(seed uint64) dice {
	r := rand.New(rand.NewPCG(seed, 0))
	return func(n int, _ string) int { return r.IntN(n) }
}

// simSteps is how long a simulation from a seed is.
const simSteps = 400

func TestRepairAgainstTheModelAtLength(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 60
	}
	for seed := range seeds {
		if err := newSim(seeded(seed)).run(simSteps); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// Every rule is needed: without it, the model fails. from is a seed that shows it; where
// the simulation was changed, one that follows may.
func TestTheModelFindsEveryBrokenRule(t *testing.T) {
	for _, c := range []struct {
		rule    simRule
		from    uint64
		history simHistory
		want    string // part of what is found
	}{
		{rule: lagIsNotRepaired, want: "both are right"},
		{rule: tombstonesMayBeReleased, want: "both are right"},
		{rule: whoHealsDoesNotAnswer, want: "both are right"},
		{rule: releaseWaitsForAll},
		{rule: imagesMoveForward, want: "now serves an old one"},
		{rule: imagesLackNoChange, want: "now serves an old one"},
		{rule: damagedCopiesDoNotCount},
		{rule: theMajorityDecides, want: "and repair has replaced it"},
		{rule: whatIsAdoptedIsOlder, want: "is healed, and"},

		{rule: passedChangesAreLeftAlone, history: imageAheadOfTheLog, want: "has spoilt it"},
		{rule: newerContinuesOlder, history: ownerOnAnotherCourse, want: "and repair has replaced it"},
		{rule: imagesKnowTheFloor, history: lateImageOfTheDeleted, want: "repair brings it back"},
		{rule: imagesKnowTheHorizon, history: lateImageOfATombstone, want: "and repair has replaced it"},
		{rule: cleanIsDurable, history: repairThatIsNotDurable, want: "repair brings it back"},
		{rule: cleanIsToEveryMember, history: deletedComesBackToTwo, want: "repair brings it back"},
		{rule: pullsBreakEqualities, history: deletedComesBackToTwo, want: "repair brings it back"},
		{rule: aLiveCopyWins, history: lostBelowTheHorizon, want: "repair loses"},
		{rule: onlyTheOutvotedCopyGoes, history: lateImageForAnOutvotedCopy, want: "and repair has replaced it"},
		{rule: healingDropsWhatIsGone, history: awayDuringARelease, want: "is healed, and"},
		{rule: healingWaitsForWholeCopies, history: healingFromADamagedPeer, want: "is healed, and"},
		{rule: healingTakesNoStepBack, history: healingFromAPeerThatFallsBack, want: "is healed, and"},
	} {
		t.Run(string(c.rule), func(t *testing.T) {
			t.Parallel()
			if c.history == nil {
				findSeed(t, c.rule, c.from, c.want)
				return
			}
			tell := func(off ...simRule) error {
				s := newSim(steady, off...)
				if c.history(s); s.wrong == nil {
					s.settle()
				}
				return s.err()
			}
			if err := tell(); err != nil {
				t.Errorf("with all rules: %v", err)
			}
			if err := tell(c.rule); err == nil || !strings.Contains(firstLine(err), c.want) {
				t.Errorf("without the rule: %v, want %q", err, c.want)
			}
		})
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func findSeed(t *testing.T, rule simRule, from uint64, want string) {
	t.Helper()
	const tries = 3000
	for seed := from; seed < from+tries; seed++ {
		if err := newSim(seeded(seed), rule).run(simSteps); err != nil && strings.Contains(firstLine(err), want) {
			t.Logf("seed %d shows it: %s", seed, firstLine(err))
			return
		}
	}
	t.Errorf("%d simulations without the rule go well", tries)
}
