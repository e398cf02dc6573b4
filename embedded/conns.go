package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// A conn is a connection of this process that tells when it is closed.
type conn struct {
	*nats.Conn
	name   string
	closed chan struct{}
}

// open connects through memory, as one of this process' own users.
func (r *running) open(name, inbox string, key userKey) (*conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrNotRunning
	}
	c := &conn{name: name, closed: make(chan struct{})}
	var err error
	c.Conn, err = nats.Connect("",
		nats.InProcessServer(r.nats),
		nats.Name(r.nats.Name()+" "+name),
		nats.Nkey(key.public, key.pair.Sign),
		r.echo(name),
		nats.CustomInboxPrefix(inbox),
		nats.Timeout(10*time.Second), // of a machine under load
		// The server drops a connection that is too slow for it. That must not be the
		// end of the host; but what was published meanwhile must not arrive late either.
		nats.MaxReconnects(-1),
		nats.ReconnectWait(20*time.Millisecond),
		nats.ReconnectJitter(20*time.Millisecond, 20*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.DrainTimeout(shutdownLimit),
		nats.ErrorHandler(r.report(name)),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	)
	if err != nil {
		return nil, fmt.Errorf("connect %s to the NATS server in this process: %w", name, err)
	}
	r.conns = append(slices.DeleteFunc(r.conns, (*conn).IsClosed), c)
	return c, nil
}

// echo spares a connection among the logs what it publishes itself: an owner need not
// hear its own broadcast. Answers of JetStream are not affected.
func (r *running) echo(name string) nats.Option {
	if name == "log" {
		return nats.NoEcho()
	}
	return func(*nats.Options) error { return nil }
}

// report logs what goes wrong on a connection behind its user's back.
func (r *running) report(connection string) nats.ErrHandler {
	return func(_ *nats.Conn, sub *nats.Subscription, err error) {
		level, subject := slog.LevelWarn, ""
		if errors.Is(err, nats.ErrPermissionViolation) {
			level = slog.LevelDebug // a client that asks for its answer where it may not go can cause these at will
		}
		if sub != nil {
			subject = sub.Subject
		}
		r.log.Log(context.Background(), level, "error on a connection in this process", "connection", connection, "subject", subject, "error", err)
	}
}

// drain lets every connection finish what it has received and sent, all at once, and
// closes them. From here on no new one is given.
func (r *running) drain() error {
	r.mu.Lock()
	r.closed = true
	conns := r.conns
	r.mu.Unlock()
	for _, c := range conns {
		if err := c.Drain(); err != nil { // closed by its owner, or away
			c.Close()
		}
	}
	limit := time.NewTimer(shutdownLimit + time.Second)
	defer limit.Stop()
	var errs []error
	for _, c := range conns {
		select {
		case <-c.closed:
		case <-limit.C:
			limit.Reset(0) // the others have had their time too
			c.Close()
			errs = append(errs, fmt.Errorf("drain %s connection: still busy after %v", c.name, shutdownLimit))
		}
	}
	return errors.Join(errs...)
}
