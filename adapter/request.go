package adapter

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

var (
	errNotConnected = errors.New("not connected to NATS")
	errClosed       = errors.New("the NATS connection is closed")
)

// try sends a request once and reads its reply into out. It does not send while
// there is no connection: the message would wait in nats.go's buffer, and go out
// after the caller was told no.
func (c *Client) try(ctx context.Context, r *call, msg *nats.Msg, out any) (nats.Header, error) {
	switch {
	case c.nc.IsClosed():
		return nil, errors.Join(errClosed, nats.ErrConnectionClosed)
	case !c.nc.IsConnected():
		return nil, errNotConnected
	}
	if subject, id, ok := c.direct(r); ok {
		return c.tryOwner(ctx, r, id, &nats.Msg{Subject: subject, Header: msg.Header, Data: msg.Data}, out)
	}
	reply, err := c.send(ctx, msg)
	if err != nil {
		return nil, err
	}
	c.ways.learn(reply.Header)
	return reply.Header, decode(reply, out)
}

// tryOwner sends a request straight to where the owner listens. That saves a host
// in between, which on the other hand would wait for the next owner. So it is given
// little time, and the way is forgotten if it does not lead to an owner.
func (c *Client) tryOwner(ctx context.Context, r *call, id layout.PartitionID, msg *nats.Msg, out any) (nats.Header, error) {
	limited, cancel := context.WithTimeoutCause(ctx, c.retry.directTimeout, errNoReply)
	defer cancel()
	reply, err := c.send(limited, msg)
	if err == nil {
		err = decode(reply, out)
	} else if ctx.Err() == nil && limited.Err() != nil && errors.Is(err, limited.Err()) {
		err = errNoReply
	}
	if err != nil && !rule(err).settled {
		c.ways.forget(r.bucket, id)
		return nil, &strayError{err}
	}
	if err != nil {
		return nil, err
	}
	return reply.Header, nil
}

// strayError is what came of a request that was sent straight to an owner and was not
// decided there.
type strayError struct{ error }

func (s *strayError) Unwrap() error { return s.error }

// send sends msg and waits for its reply.
func (c *Client) send(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	reply, err := c.request(ctx, msg)
	if errors.Is(err, nats.ErrMaxPayload) {
		return nil, contract.Errorf(contract.TooLarge, "the request has %d bytes, the server's max_payload is %d", len(msg.Data), c.nc.MaxPayload())
	}
	return reply, err
}

// watchAfter is how long a request waits before its connection is watched. Most
// are answered sooner and need not pay for that.
const watchAfter = 100 * time.Millisecond

// request sends msg and waits for its reply, or until the connection is lost.
// nats.go alone would wait on for a reply that went to the old connection.
func (c *Client) request(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	reconnects := c.nc.Stats().Reconnects
	watched := make(chan struct{})
	timer := time.AfterFunc(watchAfter, func() {
		defer close(watched)
		if c.lost(ctx, reconnects) {
			cancel(nats.ErrDisconnected)
		}
	})
	defer func() {
		cancel(nil)
		if !timer.Stop() {
			<-watched
		}
	}()
	reply, err := c.nc.RequestMsgWithContext(ctx, msg)
	if err != nil && errors.Is(context.Cause(ctx), nats.ErrDisconnected) {
		err = nats.ErrDisconnected
	}
	return reply, err
}

// lost waits until the connection, which had reconnected so many times when the
// request was sent, is lost, or ctx ends. It says which.
func (c *Client) lost(ctx context.Context, reconnects uint64) bool {
	changes := c.nc.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	defer c.nc.RemoveStatusListener(changes)
	// LISTEN FIRST, THEN LOOK: what happens in between is seen either way.
	if c.nc.Stats().Reconnects != reconnects || !c.nc.IsConnected() {
		return true
	}
	select {
	case <-changes:
		return true
	case <-ctx.Done():
		return false
	}
}
