package ops

// Severity says how bad a condition is.
type Severity string

// The severities, worst first.
const (
	Critical Severity = "critical" // requests are refused, or data is at risk
	Warning  Severity = "warning"  // works, but needs a look
)

// A Condition is a bad state that a host is in, with its remedy.
type Condition struct {
	ID       string   `json:"id"` // stable, for programs
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`   // what is wrong, with the figures
	Remedy   string   `json:"remedy"` // the next step
	Subject  string   `json:"subject,omitempty"`
}
