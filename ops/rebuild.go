package ops

import "time"

// A RebuildPlan says from what a new log of a stripe goes on, and what that costs. It is
// made of what every member said of itself.
type RebuildPlan struct {
	Stripe  string          `json:"stripe"`
	Birth   uint32          `json:"birth"`
	Log     string          `json:"log"`     // what is there of the log now, in a sentence
	Members []RebuildMember `json:"members"` // every member of the stripe, in the layout's order

	// From is the member whose store the new log goes on from, at Position: the first
	// record of the new log has the sequence after it.
	From     string `json:"from"`
	Position string `json:"position"`

	// Lost are the changes that are known to be lost, and Stake what may be because
	// somebody cannot be asked. Nothing acknowledged is lost when both are empty.
	Lost  []string `json:"lost"`
	Stake []string `json:"stake"`
	// Refused is why it cannot be done now; "" when it can.
	Refused string `json:"refused,omitempty"`
	// Situation is a digest of all of this. A plan is not carried out in another one.
	Situation string `json:"situation"`
}

// A RebuildMember is where a member of the stripe stands.
type RebuildMember struct {
	Host    string    `json:"host"`
	Unknown string    `json:"unknown,omitempty"` // why it could not be asked; then nothing else is set
	Sick    string    `json:"sick,omitempty"`    // why its copy must not be gone on from
	Applied string    `json:"applied"`           // "<birth>-<sequence>" of the last record applied
	Epoch   string    `json:"epoch"`             // of the owner that wrote it
	Chain   string    `json:"chain"`             // digest of all records up to it
	Time    time.Time `json:"time,omitzero"`     // of that record
	Newest  string    `json:"newest"`            // position of the last change in any of its documents
	Owner   bool      `json:"owner,omitempty"`   // it owned the stripe when that was known last
	// Stands is how it compares with From: "from", "same", "behind", "differs", "ahead" or "unknown".
	Stands string `json:"stands"`
}

// DecideRebuild fills in what follows from Stripe, Birth, Log and Members: everything
// else of the plan.
func DecideRebuild(p RebuildPlan) RebuildPlan { return p }

// RebuildProgress is what a rebuilding is at.
type RebuildProgress struct {
	Step string `json:"step"` // in a sentence
}

// RebuildResult is a stripe's new log.
type RebuildResult struct {
	Stripe string   `json:"stripe"`
	From   string   `json:"from"`
	First  uint64   `json:"first"` // sequence of its first record
	Heals  []string `json:"heals"` // members that are healed from the others before they take part
}
