package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
)

// The bodies of requests, and of answers when they are not empty.
type (
	drainRequest struct {
		Drain *bool `json:"drain"`
	}
	moveRequest struct {
		Stripe string `json:"stripe"`
		To     string `json:"to"`
	}
	layoutRequest struct{}
	layoutAnswer  struct {
		Layout       uint64 `json:"layout"` // in force now
		LayoutDigest string `json:"layout_digest"`
	}
)

// A verb does what a request asks for, and returns what is answered.
type verb func(ctx context.Context, body []byte) (any, error)

func (c *Control) verbs() map[string]verb {
	all := map[string]verb{}
	if c.Controller != nil {
		all[VerbDrain], all[VerbMove], all[VerbLayout] = c.drain, c.move, c.layout
	}
	if c.Repair != nil {
		maps.Copy(all, c.repairVerbs())
	}
	return all
}

func (c *Control) drain(ctx context.Context, body []byte) (any, error) {
	var r drainRequest
	if err := parse(body, &r); err != nil {
		return nil, err
	}
	if r.Drain == nil {
		return nil, malformed("drain is missing: send true or false")
	}
	return struct{}{}, c.Controller.Drain(ctx, *r.Drain)
}

func (c *Control) move(ctx context.Context, body []byte) (any, error) {
	var r moveRequest
	if err := parse(body, &r); err != nil {
		return nil, err
	}
	if r.Stripe == "" || r.To == "" {
		return nil, malformed("stripe %q, to %q: send the name of a stripe and that of a host", r.Stripe, r.To)
	}
	return struct{}{}, c.Controller.Move(ctx, r.Stripe, r.To)
}

func (c *Control) layout(ctx context.Context, body []byte) (any, error) {
	if err := parse(body, &layoutRequest{}); err != nil {
		return nil, err
	}
	if err := c.Controller.CheckLayout(ctx); err != nil {
		return nil, err
	}
	s := c.Status()
	return layoutAnswer{s.Layout, s.LayoutDigest}, nil
}

// parse reads a body; an empty one is {}. A field that is not known is refused: what
// it asks for would not be done.
func parse(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return malformed("the request is not understood: %v", err)
	}
	if d.More() {
		return malformed("something follows the request's JSON")
	}
	return nil
}

func malformed(format string, args ...any) error {
	return &Refusal{Code: CodeMalformed, Text: fmt.Sprintf(format, args...), Hint: "`trireme owner`, `drain`, `layout`, `repair`, `scrub` and `stripe` send requests that are right"}
}
