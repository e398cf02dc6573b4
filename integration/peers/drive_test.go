package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// steady answers each request after a time.
type steady struct {
	takes  time.Duration
	fails  int // the how-manieth request of all fails, 0 for none
	asked  int
	queued chan int
}

var errTorn = errors.New("torn cable")

func (s *steady) send(client int) error {
	if s.asked++; s.asked == s.fails {
		return errTorn
	}
	time.AfterFunc(s.takes, func() { s.queued <- client })
	return nil
}

func (s *steady) answer(ctx context.Context) (int, error) {
	select {
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case i := <-s.queued:
		return i, nil
	}
}

// alone is an ordinary client of a steady one.
type alone struct{ steady }

func (a *alone) call(ctx context.Context) error {
	if err := a.send(0); err != nil {
		return err
	}
	_, err := a.answer(ctx)
	return err
}

// newDriver makes clients of one kind. What they wait on must be made in the bubble.
func newDriver(kind string, clients int, takes time.Duration, fails int) driver {
	if kind == clientLean {
		return lean{&steady{takes: takes, fails: fails, queued: make(chan int, clients)}}
	}
	var c callers
	for range clients {
		c = append(c, &alone{steady{takes: takes, fails: fails, queued: make(chan int, 1)}})
	}
	return c
}

// Only what is answered in the window counts, and every client is asked for.
func TestDrivers(t *testing.T) {
	for _, kind := range []string{clientLean, clientOrdinary} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			w := window{began.Add(95 * time.Millisecond), began.Add(295 * time.Millisecond)}
			took, err := newDriver(kind, 5, 10*time.Millisecond, 0).drive(t.Context(), 4, w)
			if err != nil {
				t.Fatal(err)
			}
			// Answers come every 10 ms: those of 100 to 290 count, of 4 clients.
			if len(took) != 4*20 || slices.Max(took) != 10*time.Millisecond || slices.Min(took) != 10*time.Millisecond {
				t.Errorf("%s: %d answers: %v", kind, len(took), took)
			}
			if over := time.Since(began); over != 300*time.Millisecond {
				t.Errorf("%s: ended after %v, want the last answer waited for", kind, over)
			}
		})
	}
}

func TestOneFailureEndsAll(t *testing.T) {
	for _, kind := range []string{clientLean, clientOrdinary} {
		synctest.Test(t, func(t *testing.T) {
			f := &fleet{perConn: 2}
			for _, fails := range []int{0, 30, 0} {
				f.drivers = append(f.drivers, newDriver(kind, 2, time.Second, fails))
			}
			began := time.Now()
			_, err := f.drive(t.Context(), 5, window{began, began.Add(24 * time.Hour)})
			if !errors.Is(err, errTorn) {
				t.Errorf("%s: %v", kind, err)
			}
			if over := time.Since(began); over > time.Minute {
				t.Errorf("%s: the others went on for %v", kind, over)
			}
		})
	}
}

// A fleet connects as many clients as are wanted at most, and asks as many as are
// wanted now.
func TestFleet(t *testing.T) {
	var sizes []int
	closed := 0
	s := &settings{clients: []int{3, 10}, perConn: 4}
	f, err := newFleet(s, func(f *fleet, first, clients int) (driver, error) {
		if first != 4*len(sizes) {
			t.Errorf("group %d begins at %d", len(sizes), first)
		}
		sizes = append(sizes, clients)
		f.closers = append(f.closers, func() { closed++ })
		return nil, nil
	})
	if err != nil || !slices.Equal(sizes, []int{4, 4, 2}) {
		t.Fatalf("groups %v, %v", sizes, err)
	}
	f.close()
	if closed != 3 {
		t.Errorf("%d groups closed", closed)
	}
	if _, err := newFleet(s, func(*fleet, int, int) (driver, error) { return nil, errTorn }); !errors.Is(err, errTorn) {
		t.Error(err)
	}
}
