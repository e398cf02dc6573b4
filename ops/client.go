package ops

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
)

// A Client asks hosts for their status and tells them what to do, over a connection
// that stays the caller's. Its errors wrap those of NATS, or a [Refusal] that says
// what to do. Names of hosts must be valid: see [layout.CheckName].
//
// [layout.CheckName]: https://pkg.go.dev/trireme/internal/layout#CheckName
type Client struct{ Conn *nats.Conn }

// StatusJSON is the status of a host as it came; of any host when the name is "".
func (c Client) StatusJSON(ctx context.Context, host string) ([]byte, error) {
	subject := StatusSubject
	if host != "" {
		subject = HostSubject(host, VerbStatus)
	}
	return c.ask(ctx, subject, nil)
}

// Status is the status of a host; of any host when the name is "".
func (c Client) Status(ctx context.Context, host string) (s Status, err error) {
	data, err := c.StatusJSON(ctx, host)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read the status: %w", err)
	}
	return s, nil
}

// Drain tells a host whether it should own nothing, and returns when the host has
// noted it.
func (c Client) Drain(ctx context.Context, host string, on bool) error {
	_, err := c.ask(ctx, HostSubject(host, VerbDrain), drainRequest{&on})
	return err
}

// Move tells the owner of a stripe to hand it to another host, and returns when that
// one serves it.
func (c Client) Move(ctx context.Context, owner, stripe, to string) error {
	_, err := c.ask(ctx, HostSubject(owner, VerbMove), moveRequest{stripe, to})
	return err
}

// CheckLayout tells a host to read the layout's source now, and returns the version
// and the digest that are in force then.
func (c Client) CheckLayout(ctx context.Context, host string) (version uint64, digest string, err error) {
	data, err := c.ask(ctx, HostSubject(host, VerbLayout), layoutRequest{})
	if err != nil {
		return 0, "", err
	}
	var a layoutAnswer
	if err := json.Unmarshal(data, &a); err != nil {
		return 0, "", fmt.Errorf("read the answer: %w", err)
	}
	return a.Layout, a.LayoutDigest, nil
}

func (c Client) ask(ctx context.Context, subject string, request any) ([]byte, error) {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return nil, fmt.Errorf("ask %s: %w", subject, err)
		}
	}
	reply, err := c.Conn.RequestWithContext(ctx, subject, body)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", subject, err)
	}
	if err := refused(reply); err != nil {
		return nil, err
	}
	return reply.Data, nil
}
