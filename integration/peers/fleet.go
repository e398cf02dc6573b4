package main

import (
	"context"
	"sync"
	"time"
)

// A fleet is all clients of a way, connected.
type fleet struct {
	drivers []driver // perConn clients each
	perConn int
	closers []func()
}

func (f *fleet) close() {
	for _, fn := range f.closers {
		fn()
	}
}

// newFleet connects so many clients as the settings want at most: group connects
// those from first on that share connections.
func newFleet(s *settings, group func(f *fleet, first, clients int) (driver, error)) (*fleet, error) {
	f := &fleet{perConn: s.perConn}
	for first := 0; first < s.most(); first += s.perConn {
		d, err := group(f, first, min(s.perConn, s.most()-first))
		if err != nil {
			f.close()
			return nil, err
		}
		f.drivers = append(f.drivers, d)
	}
	return f, nil
}

// drive lets the first so many clients ask. The first error ends it for all.
func (f *fleet) drive(ctx context.Context, clients int, w window) (took []time.Duration, err error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	each := make([][]time.Duration, len(f.drivers))
	var all sync.WaitGroup
	for i, d := range f.drivers {
		n := min(f.perConn, clients-i*f.perConn)
		if n <= 0 {
			break
		}
		all.Go(func() {
			var err error
			if each[i], err = d.drive(ctx, n, w); err != nil {
				fail(err)
			}
		})
	}
	all.Wait()
	for _, e := range each {
		took = append(took, e...)
	}
	return took, context.Cause(ctx)
}
