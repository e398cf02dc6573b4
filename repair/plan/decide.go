package plan

import "trireme/internal/digest"

// An Action is what a member does about a document.
type Action uint8

// The actions.
const (
	// Nothing: the copy here is right, or the log brings what it lacks.
	Nothing Action = iota + 1
	// Pull an image of the document from one of [Decision.From].
	Pull
	// Drop every row of the document.
	Drop
	// Undecided: no copy can be told to be right, so nothing is done, and told.
	Undecided
)

// A Decision is what one member does about a document, and why.
type Decision struct {
	Action  Action
	Verdict Verdict
	From    []string // hosts that have the right copy, for Pull; in the order of their names
	Right   Doc      // the right copy, for Pull and Nothing; zero when there is none
	// Over is the digest of the copy here that is to be replaced although it is whole
	// (for Pull, an outvoted one) or dropped (zero where its state cannot be read);
	// otherwise nil.
	Over *digest.Digest
	Rule string   // the rule that decided, in a sentence
	Asks []string // hosts whose answer, or progress in the log, might change Undecided
}

// Decide says what a host does about a document, from what the members of the stripe
// say of it. members has a view of every member, the host's own one too, in any order;
// a member that has not been asked, or has not answered, is [Unknown]. All hosts that
// see the same decide for the same copy.
func Decide(host string, members []View) Decision { return Decision{} }
