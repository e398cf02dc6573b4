package localcluster

import (
	"context"
	"fmt"
	"time"
)

// awaitStep is how long [Await] pauses between two looks.
const awaitStep = 20 * time.Millisecond

// Await looks again and again until check returns nil. When ctx ends first it tells
// what was awaited and what check said last.
func Await(ctx context.Context, what string, check func(context.Context) error) error {
	tick := time.NewTicker(awaitStep)
	defer tick.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; at last: %w", what, ctx.Err(), last)
		case <-tick.C:
		}
	}
}
