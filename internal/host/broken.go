package host

import (
	"context"
	"time"
)

// brokenEvery is how often the NATS server is asked whether it can still write. Meanwhile
// nothing false is acknowledged: this member of its streams is silent.
const brokenEvery = time.Second

// Broken tells, at most once, why this host cannot go on: its NATS server will never
// write again, as the disk has failed or was full. Close the host then and end the
// process; started again it catches up. It may be called when Start has returned.
func (h *Host) Broken() <-chan error { return h.broken }

// watchServer waits until the NATS server cannot go on. It ends a start that is still on
// its way.
func (h *Host) watchServer(ctx context.Context, giveUp context.CancelCauseFunc) {
	for rest(ctx, brokenEvery) {
		if err := h.server.Broken(); err != nil {
			h.broken <- err
			giveUp(err)
			return
		}
	}
}
