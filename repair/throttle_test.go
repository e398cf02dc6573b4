package repair

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func took(t *testing.T, do func() error) time.Duration {
	t.Helper()
	began := time.Now()
	if err := do(); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestTheRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(1000, 0, time.Time{})
		ctx := t.Context()
		all := took(t, func() error {
			for range 100 {
				if err := th.take(ctx, 100); err != nil {
					return err
				}
			}
			return nil
		})
		// The last piece is not waited for.
		if want := 9900 * time.Millisecond; all < want || all > want+10*time.Millisecond {
			t.Errorf("10 KB at 1 KB/s took %v", all)
		}
		if d := took(t, func() error { return th.take(ctx, 1_000_000) }); d > 200*time.Millisecond {
			t.Errorf("a large document waited %v for itself", d)
		}
		if err := th.setRate(1_000_000); err != nil {
			t.Fatal(err)
		}
		if d := took(t, func() error { return th.take(ctx, 1) }); d < 900*time.Millisecond || d > 1100*time.Millisecond {
			t.Errorf("what followed it waited %v at the new rate, want 1 s", d)
		}
	})
}

func TestAWaitNoticesANewRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(1, 0, time.Time{})
		th.charge(1_000_000)
		go func() {
			<-time.After(time.Minute)
			if err := th.setRate(0); err != nil {
				t.Error(err)
			}
		}()
		if d := took(t, func() error { return th.take(t.Context(), 1) }); d != time.Minute {
			t.Errorf("waited %v, want until the bound was lifted", d)
		}
		if d := took(t, func() error { return th.take(t.Context(), 1<<30) }); d != 0 {
			t.Errorf("waited %v without a bound", d)
		}
	})
}

func TestABurstIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(1000, 0, time.Time{})
		<-time.After(time.Hour)
		d := took(t, func() error {
			for range 20 {
				if err := th.take(t.Context(), 100); err != nil {
					return err
				}
			}
			return nil
		})
		if d < 1300*time.Millisecond {
			t.Errorf("2 KB at 1 KB/s took %v after a rest, want half a second less than without", d)
		}
	})
}

func TestAPauseEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(0, 0, time.Time{})
		if err := th.pause(time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := th.take(t.Context(), 1); !errors.Is(err, ErrPaused) {
			t.Errorf("take during a pause: %v", err)
		}
		if d := took(t, func() error { return th.awaken(t.Context()) }); d != time.Hour {
			t.Errorf("slept %v, want an hour", d)
		}
		if err := th.paused(); err != nil {
			t.Error(err)
		}
		if d := took(t, func() error { return th.awaken(t.Context()) }); d != 0 {
			t.Errorf("slept %v after it", d)
		}

		if err := th.pause(time.Hour); err != nil {
			t.Fatal(err)
		}
		go func() {
			<-time.After(time.Minute)
			th.resume()
		}()
		if d := took(t, func() error { return th.awaken(t.Context()) }); d != time.Minute {
			t.Errorf("slept %v, want until resumed", d)
		}
		for _, d := range []time.Duration{0, -1, longestPause + 1} {
			if err := th.pause(d); err == nil {
				t.Errorf("pause of %v was accepted", d)
			}
		}
	})
}

// A pause cuts a wait for the rate short, for whoever pulls to stop.
func TestAPauseReachesWhoeverWaitsForTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(1, 0, time.Time{})
		th.charge(1_000_000)
		go func() {
			<-time.After(time.Second)
			if err := th.pause(time.Minute); err != nil {
				t.Error(err)
			}
		}()
		began := time.Now()
		if err := th.take(t.Context(), 1); !errors.Is(err, ErrPaused) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(0, 3, time.Time{})
		if d := took(t, func() error { return th.rest(t.Context(), 2*time.Second) }); d != 6*time.Second {
			t.Errorf("rested %v after 2 s of work, want 6 s", d)
		}
		if d := took(t, func() error { return th.rest(t.Context(), time.Hour) }); d != restMost {
			t.Errorf("rested %v, want the most", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := th.rest(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("rest beyond its end: %v", err)
		}
		for _, times := range []float64{-1, 101, math.NaN(), math.Inf(1)} {
			if err := th.setTranquility(times); err == nil {
				t.Errorf("tranquility %v was accepted", times)
			}
		}
		if err := th.setTranquility(0); err != nil {
			t.Fatal(err)
		}
		if d := took(t, func() error { return th.rest(t.Context(), time.Hour) }); d != 0 {
			t.Errorf("rested %v", d)
		}
	})
}
