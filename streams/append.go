package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"trireme/internal/controls"
)

// The one condition that records are written under. The expected-last-message-id
// header must never be sent: nats-server 2.15 checks it too late, and one
// mismatch disables every replica of the stream for good.
const headerExpectedLast = "Nats-Expected-Last-Sequence"

// Append writes body as the record after expectedLast if the log ends there, and
// returns its sequence. It never retries. The error is one of [ErrRefused],
// [ErrFull], [ErrTooLarge], [ErrUndelivered] and [ErrUnknown]; also when ctx
// ends, which after the sending means [ErrUnknown].
func (l *Log) Append(ctx context.Context, expectedLast uint64, body []byte) (uint64, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return 0, fmt.Errorf("append: %w: %w", ErrUndelivered, ctx.Err())
	}
	l.token++
	reply := l.prefix + strconv.FormatUint(l.token, 36)
	m := nats.Msg{Subject: l.subject, Reply: reply, Data: body}
	if controls.Fence {
		m.Header = nats.Header{headerExpectedLast: {strconv.FormatUint(expectedLast, 10)}}
	}
	if err := l.nc.PublishMsg(&m); err != nil {
		return 0, fmt.Errorf("append: %w: %w", publishFate(err), err)
	}
	for {
		var m *nats.Msg
		select {
		case m = <-l.acks:
		case <-ctx.Done():
			return 0, fmt.Errorf("append: %w: %w", ErrUnknown, ctx.Err())
		}
		if m.Subject != reply { // the late answer to an earlier append
			continue
		}
		if m.Header.Get("Status") == "503" { // no subscriber, so nobody has it
			return 0, fmt.Errorf("append: %w: %w", ErrUndelivered, nats.ErrNoResponders)
		}
		return outcome(l.name, expectedLast, m.Data)
	}
}

// publishFate sorts the errors of a publish by whether the record may have left.
func publishFate(err error) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return ErrTooLarge
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining), errors.Is(err, nats.ErrReconnectBufExceeded),
		errors.Is(err, nats.ErrInvalidConnection), errors.Is(err, nats.ErrHeadersNotSupported), errors.Is(err, nats.ErrBadSubject):
		return ErrUndelivered
	}
	return ErrUnknown
}

// An ack is what JetStream answers to a publish.
type ack struct {
	Stream string `json:"stream"`
	Seq    uint64 `json:"seq"`
	Error  *struct {
		Code        int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
}

// outcome reads the answer to an append. Whatever is not certain is [ErrUnknown].
func outcome(stream string, expectedLast uint64, answer []byte) (uint64, error) {
	var a ack
	if err := json.Unmarshal(answer, &a); err != nil {
		return 0, fmt.Errorf("append: %w: read the answer %.100q: %w", ErrUnknown, answer, err)
	}
	if a.Error != nil {
		return 0, fmt.Errorf("append: %w", refusal(expectedLast, a.Error.Code, a.Error.Description))
	}
	if a.Stream != stream || a.Seq != expectedLast+1 {
		return 0, fmt.Errorf("append: %w: the answer %.100q is not of the record after %d of stream %s", ErrUnknown, answer, expectedLast, stream)
	}
	return a.Seq, nil
}

// JetStream's error codes that are given before a record is proposed or stored,
// and so mean that it never will be. (Read in nats-server v2.15.2: stream.go,
// processJetStreamMsgWithBatch; jetstream_cluster.go, processClusteredInboundMsg;
// jetstream_batching.go, checkMsgHeadersPreClusteredProposal.)
const (
	codeAccountResources = 10002
	codeInsufficient     = 10023
	codeMessageSize      = 10054
	codeWrongLast        = 10071
	codeStoreFailed      = 10077 // also for other reasons, later: the text decides
	codeHeaderSize       = 10097
	codeTooManyRequests  = 10167
)

func refusal(expectedLast uint64, code int, text string) error {
	var kind error
	switch code {
	case codeWrongLast:
		if _, n, ok := strings.Cut(text, "wrong last sequence: "); ok {
			if last, err := strconv.ParseUint(n, 10, 64); err == nil && last != expectedLast {
				return &RefusedError{Expected: expectedLast, Last: last}
			}
		}
		kind = ErrUnknown
	case codeAccountResources, codeInsufficient, codeTooManyRequests:
		kind = ErrFull
	case codeMessageSize, codeHeaderSize:
		kind = ErrTooLarge
	case codeStoreFailed:
		switch text {
		case "maximum bytes exceeded", "maximum messages exceeded", "maximum messages per subject exceeded":
			kind = ErrFull
		case "message too large":
			kind = ErrTooLarge
		default:
			kind = ErrUnknown
		}
	default:
		kind = ErrUnknown
	}
	return fmt.Errorf("%w: %s (JetStream error %d)", kind, text, code)
}
