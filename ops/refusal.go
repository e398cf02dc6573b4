package ops

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// What a host may answer when it does not do what it is told.
const (
	CodeMalformed = 400 // the request is wrong in itself
	CodeNotFound  = 404 // no such stripe, no such host
	CodeRefused   = 409 // not in the state that things are in; the text says why
	CodeStopped   = 499 // a job was ended before it was done
	CodeFailed    = 500
	CodeNotNow    = 503 // later
	CodeTimeout   = 504 // it was begun; the status tells what became of it
)

// HeaderHint carries a refusal's hint, beside the headers of micro services.
const HeaderHint = "Trireme-Hint"

// A Refusal is why a host has not done what it was told, and what to do about it.
type Refusal struct { //nolint:errname // it is an answer first: hosts send it
	Code int    `json:"code"`
	Text string `json:"message"`
	Hint string `json:"hint,omitempty"`
}

func (r *Refusal) Error() string { return r.Text }

func refusalOf(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	for _, known := range repairRefusals() {
		if errors.Is(err, known.is) {
			return &Refusal{Code: known.code, Text: err.Error(), Hint: known.hint}
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Refusal{Code: CodeTimeout, Text: err.Error(), Hint: "`trireme status` tells what became of it"}
	}
	return &Refusal{Code: CodeFailed, Text: err.Error()}
}

// write makes the refusal a reply.
func (r *Refusal) write(m *nats.Msg) {
	m.Header.Set(micro.ErrorCodeHeader, strconv.Itoa(r.Code))
	m.Header.Set(micro.ErrorHeader, oneLine(r.Text))
	if r.Hint != "" {
		m.Header.Set(HeaderHint, oneLine(r.Hint))
	}
	m.Data = nil
	if body, err := json.Marshal(r); err == nil { // numbers and texts always can be
		m.Data = body
	}
}

// refused reads a refusal from a reply; nil when it is none.
func refused(m *nats.Msg) error {
	text, number := m.Header.Get(micro.ErrorHeader), m.Header.Get(micro.ErrorCodeHeader)
	if text == "" && number == "" {
		return nil
	}
	code, err := strconv.Atoi(number)
	if err != nil {
		code = CodeFailed
	}
	r := &Refusal{Code: code, Text: text, Hint: m.Header.Get(HeaderHint)}
	if full := (Refusal{}); json.Unmarshal(m.Data, &full) == nil && full.Text != "" {
		r = &full
	}
	return r
}

// oneLine makes a text fit into a header.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
