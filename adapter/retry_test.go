package adapter

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"trireme/internal/contract"
)

func refusalOf(c Code) error { return contract.Errorf(c, "as the script says") }

// script makes a try that meets each error in turn, and then the last for ever.
func script(met *int, errs ...error) func(context.Context) error {
	return func(context.Context) error {
		err := errs[min(*met, len(errs)-1)]
		*met++
		return err
	}
}

func TestRun(t *testing.T) {
	const unknown, known = true, false
	for _, test := range []struct {
		name  string
		errs  []error
		tries int
		fate  bool
		want  []error // nothing: success
	}{
		{"success", []error{nil}, 1, known, nil},
		{"a decision", []error{refusalOf(contract.Exists)}, 1, known, []error{ErrExists}},
		{"outages, then success", []error{
			refusalOf(contract.NoOwner), refusalOf(contract.NoQuorum), refusalOf(contract.Deposed), refusalOf(contract.Overloaded),
			refusalOf(contract.BufferFull), refusalOf(contract.OutcomeUnknown), nats.ErrNoResponders, nats.ErrDisconnected,
			errNotConnected, nats.ErrReconnectBufExceeded, errNoReply, nil,
		}, 12, known, nil},
		{"a decision after an unknown fate is true of it", []error{errNoReply, refusalOf(contract.HeadDiffers)}, 2, known, []error{ErrHeadDiffers}},
		{"a few damaged copies, then success", []error{refusalOf(contract.Damaged), refusalOf(contract.Damaged), refusalOf(contract.Damaged), nil}, 4, known, nil},
		{"damaged for good", []error{refusalOf(contract.Damaged)}, damagedTries, known, []error{ErrDamaged}},
		{"damaged after an unknown fate", []error{errNoReply, refusalOf(contract.Damaged)}, 1 + damagedTries, unknown, []error{ErrDamaged}},
		{"a code that nobody knows", []error{refusalOf(500)}, 1, unknown, []error{refusalOf(500)}},
		{"an unreadable reply", []error{errReply}, 1, unknown, []error{errReply}},
		{"closed while it waited", []error{nats.ErrConnectionClosed}, 1, unknown, []error{nats.ErrConnectionClosed}},
		{"closed before", []error{errClosed}, 1, known, []error{errClosed}},
		{"closed after an unknown fate", []error{nats.ErrDisconnected, errClosed}, 2, unknown, []error{errClosed}},
		{"draining", []error{nats.ErrConnectionDraining}, 1, known, []error{nats.ErrConnectionDraining}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				met := 0
				tries, err := newRetry().run(t.Context(), true, script(&met, test.errs...))
				if tries != test.tries || met != tries {
					t.Errorf("said %d tries and made %d, want %d", tries, met, test.tries)
				}
				if len(test.want) == 0 && err != nil {
					t.Errorf("got %v, want success", err)
				}
				for _, want := range test.want {
					if !errors.Is(err, want) {
						t.Errorf("got %v, want it to be %v", err, want)
					}
				}
				if got := errors.Is(err, ErrOutcomeUnknown); got != test.fate {
					t.Errorf("outcome unknown: %t, want %t: %v", got, test.fate, err)
				}
			})
		})
	}
}

func TestRunUntilTheContextEnds(t *testing.T) {
	const changes, reads = true, false
	for _, test := range []struct {
		name    string
		err     error
		changes bool
		unknown bool
	}{
		{"an outage", refusalOf(contract.NoQuorum), changes, false},
		{"no responders", nats.ErrNoResponders, changes, false},
		{"told that it is unknown", refusalOf(contract.OutcomeUnknown), changes, true},
		{"no reply", errNoReply, changes, true},
		{"disconnected", nats.ErrDisconnected, changes, true},
		{"an outage of a read", refusalOf(contract.NoQuorum), reads, false},
		{"no reply to a read", errNoReply, reads, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				met := 0
				start := time.Now()
				tries, err := newRetry().run(ctx, test.changes, script(&met, test.err))
				if took := time.Since(start); took != time.Minute {
					t.Errorf("it took %v, want all of the minute", took)
				}
				if tries != met || tries < 30 {
					t.Errorf("said %d tries and made %d, want as many, at least every 2 s", tries, met)
				}
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, test.err) {
					t.Errorf("got %v, want the deadline and %v", err, test.err)
				}
				if got := errors.Is(err, ErrOutcomeUnknown); got != test.unknown {
					t.Errorf("outcome unknown: %t, want %t: %v", got, test.unknown, err)
				}
				if test.unknown && CodeOf(err) != contract.OutcomeUnknown {
					t.Errorf("its code is %d", CodeOf(err))
				}
			})
		})
	}
}

// A refusal that followed a try of unknown fate says nothing about that try.
func TestRunRefusedAfterUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		met := 0
		_, err := newRetry().run(ctx, true, script(&met, errNoReply, refusalOf(contract.NoOwner)))
		for _, want := range []error{ErrOutcomeUnknown, ErrNoOwner, context.DeadlineExceeded} {
			if !errors.Is(err, want) {
				t.Errorf("got %v, want it to be %v", err, want)
			}
		}
		if CodeOf(err) != contract.OutcomeUnknown {
			t.Errorf("its code is %d, want that of an unknown outcome", CodeOf(err))
		}
	})
}

func TestRunStopsBeforeTheIDIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last time.Duration
		start := time.Now()
		tries, err := newRetry().run(t.Context(), true, func(ctx context.Context) error {
			last = time.Since(start)
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, ErrOutcomeUnknown) || !errors.Is(err, errTooLate) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v after %d tries, want an unknown outcome because it is too late", err, tries)
		}
		if last > resendFor || time.Since(start) > 2*time.Minute {
			t.Errorf("sent again after %v, gave up after %v", last, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		met := 0
		start := time.Now()
		_, err := newRetry().run(ctx, true, script(&met, refusalOf(contract.NoQuorum)))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Hour {
			t.Errorf("got %v after %v, want an hour of refusals that promise no effect", err, time.Since(start))
		}
	})
}

func TestRunWithAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	met := 0
	tries, err := newRetry().run(ctx, true, script(&met, nil))
	if tries != 0 || met != 0 || !errors.Is(err, context.Canceled) || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("got %v after %d tries, want canceled after none", err, tries)
	}
}

func TestOneTryHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start := time.Now()
		var began []time.Duration
		_, err := newRetry().run(ctx, false, func(ctx context.Context) error {
			began = append(began, time.Since(start))
			<-ctx.Done()
			return ctx.Err()
		})
		if len(began) != 2 || began[1] < 10*time.Second || began[1] > 11*time.Second {
			t.Errorf("tries began at %v, want 0s and a little after 10s", began)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errNoReply) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWait(t *testing.T) {
	p := retry{waitMin: 50 * time.Millisecond, waitMax: 2 * time.Second}
	for tries, most := range map[int]time.Duration{
		1: 50 * time.Millisecond, 2: 100 * time.Millisecond, 5: 800 * time.Millisecond,
		6: 1600 * time.Millisecond, 7: 2 * time.Second, 1 << 30: 2 * time.Second,
	} {
		seen := make(map[time.Duration]bool)
		for range 200 {
			d := p.wait(tries)
			if d < most/2 || d > most {
				t.Fatalf("after %d tries it waits %v, want %v to %v", tries, d, most/2, most)
			}
			seen[d] = true
		}
		if len(seen) < 2 {
			t.Errorf("after %d tries it always waits the same", tries)
		}
	}
}

// TestOutcome compares run with what can be said of a call when all that its
// tries did is known: success only if one was acknowledged, and never a plain no
// if one may have taken effect without anybody deciding later.
func TestOutcome(t *testing.T) {
	kinds := []error{
		nil, refusalOf(contract.HeadDiffers), refusalOf(contract.NotFound), refusalOf(contract.NoOwner), refusalOf(contract.OutcomeUnknown),
		refusalOf(contract.Damaged), refusalOf(500), nats.ErrNoResponders, nats.ErrDisconnected, nats.ErrConnectionClosed, errNoReply, errReply, errClosed,
	}
	mayHaveActed := map[error]bool{kinds[4]: true, kinds[6]: true, nats.ErrDisconnected: true, nats.ErrConnectionClosed: true, errNoReply: true, errReply: true}
	decides := map[error]bool{kinds[1]: true, kinds[2]: true}

	rapid.Check(t, func(t *rapid.T) {
		story := rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 12).Draw(t, "story")
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		met := 0
		tries, err := retry{tryTimeout: time.Hour, waitMin: 1, waitMax: 1, sleep: sleep}.run(ctx, true, func(context.Context) error {
			met++
			if met == len(story) {
				cancel()
			}
			return story[met-1]
		})
		told := story[:tries]
		last := told[tries-1]
		unknown := false
		var refusal error
		for _, e := range told {
			unknown = unknown || mayHaveActed[e]
			if CodeOf(e) != 0 {
				refusal = e
			}
		}
		switch {
		case tries != met:
			t.Fatalf("said %d tries and made %d", tries, met)
		case last == nil && err != nil, last != nil && err == nil:
			t.Fatalf("the last try said %v, the call %v", last, err)
		case last != nil && !errors.Is(err, last),
			err != nil && refusal != nil && !errors.Is(err, refusal):
			t.Fatalf("%v does not tell the last answer, %v, or the last refusal, %v", err, last, refusal)
		case decides[last] && err != last: //nolint:errorlint // the very error, not one that wraps it
			t.Fatalf("the decision %v came back as %v", last, err)
		case last != nil && !decides[last] && errors.Is(err, ErrOutcomeUnknown) != unknown:
			t.Fatalf("after %v: outcome unknown is %t, want %t: %v", told, !unknown, unknown, err)
		}
		for _, e := range told[:tries-1] {
			if e == nil || decides[e] {
				t.Fatalf("went on after %v", e)
			}
		}
	})
}

func TestEveryCodeIsRuled(t *testing.T) {
	again := fmt.Sprint([]Code{1500001, 1500002, 1500003, 1500004, 1500007, 1500008, 1500010})
	var got []Code
	for _, x := range contract.Codes() {
		r := ruleCode(x.Code)
		if r.again {
			got = append(got, x.Code)
		}
		if maybe := x.Happened == "maybe"; r.maybe != maybe {
			t.Errorf("%d: may have happened is %t, the contract says %s", x.Code, r.maybe, x.Happened)
		}
		if r.settled == r.again {
			t.Errorf("%d: settled and again are both %t", x.Code, r.again)
		}
	}
	if fmt.Sprint(got) != again {
		t.Errorf("asks again after %v, want %v", got, again)
	}
}
