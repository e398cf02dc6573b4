package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"trireme/adapter"
)

// dialLimit bounds one attempt to connect.
const dialLimit = 5 * time.Second

// connect reaches a host. The caller closes the connection.
func (a *app) connect(cmd *cobra.Command) (*nats.Conn, error) {
	t, err := a.target()
	if err != nil {
		return nil, err
	}
	nc, err := adapter.Dial(t.urls, append(t.options,
		nats.Name(cmd.CommandPath()), nats.Timeout(min(dialLimit, a.timeout)), nats.RetryOnFailedConnect(false),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // calls tell
	)...)
	if err != nil {
		return nil, &failure{exit: exitUnreachable, err: fmt.Errorf("connect to %s: %w", redacted(t.urls), err)}
	}
	return nc, nil
}

// call runs fn with a client and the command's time.
func (a *app) call(cmd *cobra.Command, fn func(ctx context.Context, c *adapter.Client) error) error {
	nc, err := a.connect(cmd)
	if err != nil {
		return err
	}
	defer nc.Close()
	client, err := adapter.NewClient(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	return fn(ctx, client)
}
