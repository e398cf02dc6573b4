package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"trireme/adapter"
	"trireme/internal/contract"
)

// A failure is an error with the exit code it ends the program with, and what to
// do about it.
type failure struct {
	exit exitCode
	hint string
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usage is a fault in the arguments.
func usage(format string, args ...any) error {
	return &failure{exit: exitUsage, err: fmt.Errorf(format, args...)}
}

// hint says what to do about an error.
func hint(err error, format string, args ...any) error {
	return &failure{exit: exitOf(err), hint: fmt.Sprintf(format, args...), err: err}
}

// exitOf sorts an error into the exit codes.
func exitOf(err error) exitCode {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.exit
	}
	switch code := adapter.CodeOf(err); code {
	case 0:
	case contract.OutcomeUnknown:
		return exitFailed
	case contract.NoOwner, contract.NoQuorum, contract.Deposed:
		return exitUnreachable
	case contract.Malformed, contract.TooLarge:
		if call, ok := errors.AsType[*adapter.CallError](err); ok && call.Tries == 0 {
			return exitUsage
		}
		return exitRefused
	default:
		return exitRefused
	}
	for _, away := range []error{nats.ErrNoServers, nats.ErrNoResponders, nats.ErrTimeout, nats.ErrConnectionClosed, nats.ErrDisconnected, context.DeadlineExceeded} {
		if errors.Is(err, away) {
			return exitUnreachable
		}
	}
	return exitFailed
}

// An errorView is an error as -o json tells it.
type errorView struct {
	Code    contract.Code `json:"code"` // of the contract; 0 for errors of this program
	Name    string        `json:"name"`
	Message string        `json:"message"`
	Hint    string        `json:"hint,omitempty"`
}

func view(err error, exit exitCode) errorView {
	v := errorView{Name: exit.name(), Message: err.Error()}
	if e, ok := errors.AsType[*contract.Error](err); ok {
		v = errorView{Code: e.Code, Name: e.Code.Name(), Message: err.Error(), Hint: e.Reply().Hint}
	}
	if call, ok := errors.AsType[*adapter.CallError](err); ok && v.Code == contract.OutcomeUnknown {
		v.Hint = "repeat the command with --request-id " + call.RequestID + ", within two minutes: it acts once at most"
	}
	switch v.Code { // what this program has for it
	case contract.NotFound:
		v.Hint = "`trireme doc put` creates it"
	case contract.Unmergeable:
		v.Hint = "`trireme doc get --parts` prints it unfolded"
	}
	if exit == exitUnreachable && v.Hint == "" {
		v.Hint = "is a host running? `trireme serve` starts one; --server, NATS_URL or a NATS context say where it is"
	}
	if f, ok := errors.AsType[*failure](err); ok && f.hint != "" {
		v.Hint = f.hint
	}
	return v
}

// finish tells of the error that a command has ended with, and gives the exit
// code.
func (a *app) finish(ctx context.Context, err error) int {
	if err == nil {
		return int(exitOK)
	}
	exit := exitOf(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		exit = exitInterrupted
	}
	if exit == exitDegraded || exit == exitDiffers || exit == exitIncomplete {
		return int(exit) // the answer has told it
	}
	v := view(err, exit)
	if exit == exitInterrupted && v.Code == 0 {
		v = errorView{Name: exit.name(), Message: "interrupted"}
	}
	if a.output == asJSON {
		// When stderr cannot be written, the exit code still tells.
		_ = writeJSON(a.err, map[string]errorView{"error": v})
		return int(exit)
	}
	fmt.Fprintf(a.err, "trireme: %s\n", strings.TrimSpace(v.Message))
	if v.Hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", v.Hint)
	}
	return int(exit)
}
