package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// window is when answers count.
type window struct{ from, to time.Time }

func (w window) holds(t time.Time) bool { return !t.Before(w.from) && t.Before(w.to) }

// A driver makes the requests of clients that share a connection to each server.
// Each of them asks again as soon as it is answered, until the window has ended,
// and waits for its last answer.
type driver interface {
	// drive returns how long the requests took that were answered in the window. It
	// is for the first so many of the driver's clients.
	drive(ctx context.Context, clients int, w window) ([]time.Duration, error)
}

// A caller is one client with an ordinary library: it makes one change and returns
// when that is acknowledged. It is used by one goroutine at a time.
type caller interface {
	call(ctx context.Context) error
}

// callers are clients with a goroutine each.
type callers []caller

func (c callers) drive(ctx context.Context, clients int, w window) (took []time.Duration, err error) {
	each, errs := make([][]time.Duration, clients), make([]error, clients)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { each[i], errs[i] = callOn(ctx, c[i], w) })
	}
	all.Wait()
	for i := range clients {
		if errs[i] != nil {
			return nil, errs[i] // one of many alike
		}
		took = append(took, each[i]...)
	}
	return took, nil
}

func callOn(ctx context.Context, c caller, w window) (took []time.Duration, err error) {
	for began := time.Now(); began.Before(w.to); {
		if err := c.call(ctx); err != nil {
			return nil, err
		}
		done := time.Now()
		if w.holds(done) {
			took = append(took, done.Sub(began))
		}
		began = done
	}
	return took, nil
}

// A line carries many clients' requests at once. It is used by one goroutine.
type line interface {
	// send makes a client's next request.
	send(client int) error
	// answer waits for the next acknowledgement, and says whose it is.
	answer(ctx context.Context) (client int, err error)
}

// lean drives all clients of a line from one goroutine, as a load generator does
// that shares the machine with what it measures.
type lean struct{ line }

func (l lean) drive(ctx context.Context, clients int, w window) (took []time.Duration, err error) {
	sent := make([]time.Time, clients)
	for i := range clients {
		sent[i] = time.Now()
		if err := l.send(i); err != nil {
			return nil, err
		}
	}
	for out := clients; out > 0; {
		i, err := l.answer(ctx)
		if err != nil {
			return nil, err
		}
		if i < 0 || i >= clients {
			return nil, fmt.Errorf("an answer for client %d of %d", i, clients)
		}
		now := time.Now()
		if w.holds(now) {
			took = append(took, now.Sub(sent[i]))
		}
		if !now.Before(w.to) {
			out--
			continue
		}
		sent[i] = now
		if err := l.send(i); err != nil {
			return nil, err
		}
	}
	return took, nil
}
