package ops

import (
	"encoding/json"
	"time"
)

// A Job is long work that an operator has begun on a host. The host forgets those that
// ended some time ago, and all of them when it ends; what they repaired stays.
type Job struct {
	ID       string          `json:"job"`
	Host     string          `json:"host"`
	Kind     JobKind         `json:"kind"`
	Request  json.RawMessage `json:"request"` // as it was sent, without the plan
	Began    time.Time       `json:"began"`
	Ended    *time.Time      `json:"ended"`              // null while it is under way
	Progress json.RawMessage `json:"progress,omitempty"` // what the kind of job tells
	Result   json.RawMessage `json:"result,omitempty"`   // once it has ended well
	Error    *Refusal        `json:"error,omitempty"`    // once it has not
}

// JobKind says what a job does.
type JobKind string

// The kinds, with the types of their progress and result.
const (
	JobRun     JobKind = "run"     // nothing; repair.RoundResult
	JobScrub   JobKind = "scrub"   // repair.ScrubProgress; repair.ScrubResult
	JobPlan    JobKind = "plan"    // nothing; plan.Plan, encoded
	JobApply   JobKind = "apply"   // ApplyProgress; ApplyResult
	JobRebuild JobKind = "rebuild" // RebuildProgress; RebuildResult
)
