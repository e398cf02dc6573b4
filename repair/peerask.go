package repair

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/internal/layout"
)

const (
	defaultTimeout  = 5 * time.Second
	defaultStall    = 10 * time.Second
	defaultWindow   = 4 << 20
	minWindow       = 64 << 10
	defaultMaxImage = 1 << 30
)

// A call is one question, or several, to one host under one layout.
type call struct {
	peer   *Peer
	host   string
	layout layout.Layout
	digest string
}

func (p *Peer) call(host string) *call {
	c := &call{peer: p, host: host}
	c.layout, c.digest = p.Layout()
	return c
}

func (c *call) asking() asking {
	return asking{Version: protocolVersion, From: c.peer.Self, Layout: c.layout.Version, LayoutDigest: c.digest}
}

func (c *call) expected() expected {
	return expected{host: c.host, layout: &c.layout, digest: c.digest}
}

func (c *call) stripe(name string) (stripeAsked, error) {
	s, ok := c.layout.Stripe(name)
	if !ok {
		return stripeAsked{}, fmt.Errorf("ask %s: layout %d has no stripe %q", c.host, c.layout.Version, name)
	}
	return stripeAsked{s.Name, s.Birth}, nil
}

func (c *call) stripeOf(b layout.Bucket) (stripeAsked, error) {
	s, ok := c.layout.StripeOf(b)
	if !ok {
		return stripeAsked{}, fmt.Errorf("ask %s: no stripe of layout %d carries bucket %v", c.host, c.layout.Version, b)
	}
	return stripeAsked{s.Name, s.Birth}, nil
}

// judge says whose answer it was that is not valid.
func (c *call) judge(endpoint string, err error) error {
	if err == nil {
		return nil
	}
	if !errors.Is(err, ErrLayout) {
		err = fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	return fmt.Errorf("ask %s for %s: %w", c.host, endpoint, err)
}

// ask asks one question with one answer, which is read into tell.
func (c *call) ask(ctx context.Context, endpoint string, ask, tell any) error {
	body, err := json.Marshal(ask)
	if err != nil {
		return fmt.Errorf("ask %s for %s: %w", c.host, endpoint, err)
	}
	limited, cancel := context.WithTimeout(ctx, or(c.peer.Timeout, defaultTimeout))
	defer cancel()
	m := &nats.Msg{Subject: Subject(c.host, endpoint), Data: body}
	reply, err := c.peer.Conn.RequestMsgWithContext(limited, m)
	c.peer.sent.Add(uint64(m.Size()))
	if err != nil {
		return fmt.Errorf("ask %s for %s: %w", c.host, endpoint, unanswered(ctx, err))
	}
	c.peer.received.Add(uint64(reply.Size()))
	if err := c.refused(reply); err != nil {
		return fmt.Errorf("ask for %s: %w", endpoint, err)
	}
	return c.judge(endpoint, parseTell(reply.Data, tell))
}

// unanswered is what it means that NATS gives an error.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// refused reads the reason for which the peer does not answer; nil when it does.
func (c *call) refused(m *nats.Msg) error {
	text, number := m.Header.Get(micro.ErrorHeader), m.Header.Get(micro.ErrorCodeHeader)
	if text == "" && number == "" {
		return nil
	}
	r := &RefusedError{Host: c.host, Why: text}
	var told refusalTold
	if parseTell(m.Data, &told) == nil && told.Code != 0 {
		r.take(&told)
	} else if r.Code, _ = strconv.Atoi(number); r.Code == 0 {
		r.Code = CodeFailed
	}
	return r
}

// refusalTold is a refusal as it travels.
type refusalTold struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	RetryMS int64  `json:"retry_ms,omitzero"`
}

const maxRetry = time.Hour

func (r *RefusedError) tell() *refusalTold {
	return &refusalTold{Code: r.Code, Message: clip(r.Why, maxRefusalText), RetryMS: r.Retry.Milliseconds()}
}

func (r *RefusedError) take(told *refusalTold) {
	r.Code, r.Why = told.Code, clip(told.Message, maxRefusalText)
	r.Retry = time.Duration(min(max(told.RetryMS, 0), maxRetry.Milliseconds())) * time.Millisecond
}

// write makes the refusal a message, as micro services write errors.
func (r *RefusedError) write(m *nats.Msg) {
	m.Header.Set(micro.ErrorCodeHeader, strconv.Itoa(r.Code))
	m.Header.Set(micro.ErrorHeader, clip(strings.Join(strings.Fields(r.Why), " "), maxRefusalText))
	if body, err := json.Marshal(r.tell()); err == nil { // numbers and texts always can be
		m.Data = body
	}
}

func or[T comparable](v, standard T) T {
	var zero T
	if v == zero {
		return standard
	}
	return v
}
