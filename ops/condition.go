package ops

// Severity says how bad a condition is.
type Severity string

// The severities, worst first.
const (
	Critical Severity = "critical" // requests are refused, or data is at risk
	Warning  Severity = "warning"  // works, but needs a look
)

// Scope says whose state a condition is.
type Scope string

// The scopes.
const (
	ScopeHost    Scope = "host"    // of the host that tells it
	ScopeCluster Scope = "cluster" // of what the subject names: every host may tell the same
)

// A Condition is a bad state that a host or its cluster is in, with its remedy.
type Condition struct {
	ID       string   `json:"id"` // stable, for programs
	Severity Severity `json:"severity"`
	Scope    Scope    `json:"scope"`
	Text     string   `json:"text"`              // what is wrong, with the figures
	Remedy   string   `json:"remedy"`            // the next step
	Subject  string   `json:"subject,omitempty"` // a stripe, a host, or a member as "stripe/host"
}
