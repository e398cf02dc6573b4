package repair

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A throttle is what a person may turn while repair works: how many bytes it pulls a
// second, how much it rests, and that it pauses. Whoever waits in it notices a change at
// once.
type throttle struct {
	mu          sync.Mutex
	rate        int64   // bytes a second; 0 for no bound
	tranquility float64 // rest, in multiples of the work before it
	until       time.Time
	changed     chan struct{} // closed, and replaced, by every change

	// balance is how many bytes may be taken now, as of a time. It goes below zero by
	// what was taken at once, so that a document larger than the rate gets through.
	balance float64
	at      time.Time
}

// burst is for how long the balance grows while nothing is taken.
const burst = 500 * time.Millisecond

// longestPause bounds a pause; a longer one would be forgotten by whoever made it.
const longestPause = 7 * 24 * time.Hour

// restMost bounds one rest between two pieces of work.
const restMost = time.Minute

func newThrottle(rate int64, tranquility float64, until time.Time) *throttle {
	return &throttle{rate: rate, tranquility: tranquility, until: until, changed: make(chan struct{}), at: time.Now()}
}

// change does a change under the lock and wakes whoever waits.
func (t *throttle) change(do func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle(time.Now())
	do()
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *throttle) setRate(rate int64) error {
	if rate < 0 {
		return fmt.Errorf("rate %d bytes/s: want 0 for no bound, or more", rate)
	}
	t.change(func() { t.rate, t.balance = rate, min(t.balance, 0) })
	return nil
}

func (t *throttle) setTranquility(times float64) error {
	if err := checkTranquility(times); err != nil {
		return err
	}
	t.change(func() { t.tranquility = times })
	return nil
}

func checkTranquility(times float64) error {
	if times >= 0 && times <= 100 { // not for NaN
		return nil
	}
	return fmt.Errorf("tranquility %v: want 0 to 100", times)
}

func (t *throttle) pause(d time.Duration) error {
	if d <= 0 || d > longestPause {
		return fmt.Errorf("pause of %v: want more than 0, and at most %v", d, longestPause)
	}
	t.change(func() { t.until = time.Now().Add(d) })
	return nil
}

func (t *throttle) resume() { t.change(func() { t.until = time.Time{} }) }

// changes is closed by the next change.
func (t *throttle) changes() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// settings tells the rate, the tranquility, and the end of a pause; zero while there
// is none.
func (t *throttle) settings() (rate int64, tranquility float64, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Now().Before(t.until) {
		until = t.until
	}
	return t.rate, t.tranquility, until
}

// paused is [ErrPaused] during a pause.
func (t *throttle) paused() error {
	if _, _, until := t.settings(); !until.IsZero() {
		return fmt.Errorf("%w until %s", ErrPaused, until.UTC().Format(time.RFC3339))
	}
	return nil
}

// awaken waits for the end of a pause.
func (t *throttle) awaken(ctx context.Context) error {
	return t.await(ctx, func(now time.Time) time.Duration { return t.until.Sub(now) })
}

// rest waits after a piece of work.
func (t *throttle) rest(ctx context.Context, worked time.Duration) error {
	began := time.Now()
	return t.await(ctx, func(now time.Time) time.Duration {
		return min(time.Duration(float64(worked)*t.tranquility), restMost) - now.Sub(began)
	})
}

// take waits until so many bytes may be pulled. It does not wait for the end of a
// pause, but fails when there is one.
func (t *throttle) take(ctx context.Context, bytes int) error {
	err := t.await(ctx, func(now time.Time) time.Duration {
		t.settle(now)
		if t.rate == 0 || t.balance >= 0 || now.Before(t.until) {
			return 0
		}
		return time.Duration(-t.balance/float64(t.rate)*float64(time.Second)) + 1
	})
	if err == nil {
		err = t.paused()
	}
	if err == nil {
		t.charge(bytes)
	}
	return err
}

// charge counts bytes that were pulled without waiting.
func (t *throttle) charge(bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle(time.Now())
	if t.rate > 0 {
		t.balance -= float64(bytes)
	}
}

// settle brings the balance up to date.
func (t *throttle) settle(now time.Time) {
	rate := float64(t.rate)
	t.balance = min(t.balance+now.Sub(t.at).Seconds()*rate, burst.Seconds()*rate)
	t.at = now
}

// await waits for as long as left, asked under the lock and again after each change,
// tells to.
func (t *throttle) await(ctx context.Context, left func(now time.Time) time.Duration) error {
	for {
		t.mu.Lock()
		d, changed := left(time.Now()), t.changed
		t.mu.Unlock()
		if d <= 0 {
			return context.Cause(ctx)
		}
		timer := time.NewTimer(d)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}
