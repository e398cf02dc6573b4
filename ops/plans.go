package ops

import (
	"encoding/json"

	"trireme/internal/digest"
	"trireme/repair/plan"
)

func encodePlan(p plan.Plan) (json.RawMessage, error) { return json.Marshal(p) }

func parsePlan(text []byte) (p plan.Plan, err error) { return p, json.Unmarshal(text, &p) }

// planDigest names a plan by its file.
func planDigest(text []byte) string { return digest.Of(text).String() }
