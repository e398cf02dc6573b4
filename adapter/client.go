package adapter

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// Client asks for the operations of the service over one NATS connection. It
// is safe for use by many goroutines, has none of its own, and needs no
// closing; the connection stays the caller's.
//
// Requests on one document that follow one another take effect in that order,
// whatever their operations.
type Client struct {
	nc      *nats.Conn
	writer  string
	timeout time.Duration
	retry   retry
	nextID  func() string
	ways    *ways
}

// NewClient makes a client of a connection, which should reconnect for as long
// as the program lives, as one made by [Dial] does. It sends nothing. It fails
// with [ErrMalformed] for a nil connection or a bad option.
func NewClient(nc *nats.Conn, opts ...Option) (*Client, error) {
	if nc == nil {
		return nil, contract.Errorf(contract.Malformed, "new client: the NATS connection is nil")
	}
	c := &Client{nc: nc, timeout: 30 * time.Second, retry: newRetry(), nextID: nuid.Next, ways: &ways{}}
	for _, opt := range opts {
		if err := opt(c); err != nil {
			return nil, &CallError{Op: "new client", Err: err}
		}
	}
	return c, nil
}

// A call is one request, however often it is sent.
type call struct {
	op      string
	host    string // "" asks any
	key     Key
	changes bool // carries a request id
	toOwner bool // is for the owner of the document, whoever that is
	bucket  layout.Bucket
	id      string
	body    any
}

func (r *call) subject() string {
	if r.host == "" {
		return contract.SubjectPrefix + r.op
	}
	return contract.SubjectPrefix + "h." + r.host + "." + r.op
}

// do sends r until it is decided and reads the reply into out.
func (c *Client) do(ctx context.Context, r *call, out any) (nats.Header, error) {
	msg, err := c.message(r)
	if err != nil {
		return nil, r.refused(err)
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	var header nats.Header
	tries, err := c.retry.run(ctx, r.changes, func(ctx context.Context) (err error) {
		header, err = c.try(ctx, r, msg, out)
		return err
	})
	if err != nil {
		return nil, &CallError{Op: r.op, Key: r.key, RequestID: r.id, Tries: tries, Err: err}
	}
	return header, nil
}

func (c *Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.timeout)
}

func (c *Client) message(r *call) (*nats.Msg, error) {
	if r.changes && r.id == "" {
		r.id = c.nextID()
		if err := checkHeader(contract.HeaderRequestID, r.id); err != nil {
			return nil, err
		}
	}
	data, err := encode(r.body)
	if err != nil {
		return nil, err
	}
	msg := &nats.Msg{Subject: r.subject(), Data: data, Header: nats.Header{}}
	if r.id != "" {
		msg.Header[contract.HeaderRequestID] = []string{r.id}
	}
	if c.writer != "" {
		msg.Header[contract.HeaderWriter] = []string{c.writer}
	}
	return msg, nil
}
