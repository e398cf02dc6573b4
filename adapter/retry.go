package adapter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
)

const (
	// tryTimeout is a little more than the 20 s within which a service answers.
	tryTimeout = 21 * time.Second
	// firstTimeout is that of the first try: of an answer that was lost with a
	// connection between two others nobody hears. A resend joins the first.
	firstTimeout = 10 * time.Second
	// directTimeout is how long an owner is asked directly. A frozen one is
	// followed by another after 4 s at the earliest.
	directTimeout = 4 * time.Second
	// resendFor bounds the resending of a request that may have taken effect.
	// The store remembers its id for two minutes at least; a resend that waits
	// at the owner until after that would be a new request there, and could act
	// a second time.
	resendFor = 90 * time.Second
	// damagedTries is how often a damaged replica is met before giving up.
	damagedTries = 4
)

// retry is how a call is repeated until it is decided.
type retry struct {
	firstTimeout     time.Duration
	tryTimeout       time.Duration
	directTimeout    time.Duration
	waitMin, waitMax time.Duration
	sleep            func(context.Context, time.Duration)
}

func newRetry() retry {
	return retry{firstTimeout: firstTimeout, tryTimeout: tryTimeout, directTimeout: directTimeout, waitMin: 50 * time.Millisecond, waitMax: 2 * time.Second, sleep: sleep}
}

// errNoReply is a try that nobody answered in its time.
var errNoReply = errors.New("no reply")

// A ruling is what the failure of one try means for the call.
type ruling struct {
	again   bool // the same request may be sent again
	maybe   bool // this try may have taken effect
	settled bool // true of every try under the same id, not only of this one
	atOnce  bool // another way is known to be better
}

func rule(err error) ruling {
	if s, ok := errors.AsType[*strayError](err); ok {
		return s.rule()
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return ruleCode(e.Code)
	}
	for _, unsent := range []error{nats.ErrNoResponders, errNotConnected, nats.ErrReconnectBufExceeded} {
		if errors.Is(err, unsent) {
			return ruling{again: true}
		}
	}
	for _, unheard := range []error{errNoReply, nats.ErrDisconnected, nats.ErrTimeout} {
		if errors.Is(err, unheard) {
			return ruling{again: true, maybe: true}
		}
	}
	for _, unusable := range []error{errClosed, nats.ErrConnectionDraining, nats.ErrHeadersNotSupported, nats.ErrBadSubject} {
		if errors.Is(err, unusable) {
			return ruling{}
		}
	}
	return ruling{maybe: true} // closed while it waited, an unreadable reply: who knows
}

// rule is that of a request which went astray: now any host is asked, which knows
// more. When a host says that it is not the owner, two may have got the request
// while the ownership moved, the new owner too.
func (s *strayError) rule() ruling {
	r := rule(s.error)
	r.atOnce = r.again && !errors.Is(s, ErrOverloaded) && !errors.Is(s, ErrBufferFull) && !errors.Is(s, ErrDamaged)
	if errors.Is(s, ErrNoOwner) || errors.Is(s, ErrDeposed) {
		r.maybe = true
	}
	return r
}

func ruleCode(c Code) ruling {
	switch c {
	case contract.NoOwner, contract.NoQuorum, contract.Deposed, contract.Overloaded, contract.BufferFull, contract.Damaged:
		return ruling{again: true}
	case contract.OutcomeUnknown:
		return ruling{again: true, maybe: true}
	}
	if _, known := contract.Explain(c); !known {
		return ruling{maybe: true}
	}
	// A decision. The service looks for the id before it decides, so it would
	// have told if an earlier try had taken effect.
	return ruling{settled: true}
}

// story is what a call has met so far.
type story struct {
	tries   int
	damaged int
	last    error
	refusal *Error    // the last that the service told
	unknown time.Time // when the first try of unknown fate began; zero if there was none
}

// run calls try until it is decided or ctx ends, and says how many tries it
// took. Only a call that changes something can have an unknown outcome.
func (p retry) run(ctx context.Context, changes bool, try func(context.Context) error) (int, error) {
	var s story
	for {
		if err := ctx.Err(); err != nil {
			return s.tries, s.end(err)
		}
		began := time.Now()
		err := p.once(ctx, s.tries, try)
		s.tries++
		if err == nil {
			return s.tries, nil
		}
		r := rule(err)
		if r.settled {
			return s.tries, err
		}
		s.note(err, changes && r.maybe, began)
		if !r.again || s.damaged == damagedTries {
			return s.tries, s.end(nil)
		}
		if !s.unknown.IsZero() && time.Since(s.unknown) >= resendFor {
			return s.tries, s.end(errTooLate)
		}
		if !r.atOnce {
			p.sleep(ctx, p.wait(s.tries))
		}
	}
}

var errTooLate = fmt.Errorf("no answer for %v: after two minutes the store may forget the request id", resendFor)

// once gives a try its own time. Its end is told apart from that of the call.
func (p retry) once(ctx context.Context, before int, try func(context.Context) error) error {
	limit := p.tryTimeout
	if before == 0 && p.firstTimeout > 0 {
		limit = min(limit, p.firstTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := try(ctx)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return errNoReply
	}
	return err
}

// wait is the time before the next try: between half and all of waitMin doubled
// with every try, up to waitMax.
func (p retry) wait(tries int) time.Duration {
	d := p.waitMin
	for i := 1; i < tries && d < p.waitMax; i++ {
		d *= 2
	}
	d = min(d, p.waitMax)
	return d - rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *story) note(err error, maybe bool, began time.Time) {
	s.last = err
	if maybe && s.unknown.IsZero() {
		s.unknown = began
	}
	if e, ok := errors.AsType[*Error](err); ok {
		s.refusal = e
	}
	if errors.Is(err, ErrDamaged) {
		s.damaged++
	}
}

// end is the error of a call that was not decided: cause says why it stopped,
// nil if the last try is reason enough. If any try may have taken effect,
// ErrOutcomeUnknown comes first: whatever was refused later does not undo it.
func (s *story) end(cause error) error {
	if s.last == nil {
		return cause
	}
	err := s.last
	if s.refusal != nil && !errors.Is(s.last, s.refusal) {
		err = fmt.Errorf("%w, before that %w", s.last, s.refusal)
	}
	if cause != nil {
		err = fmt.Errorf("gave up at try %d: %w; the last answer: %w", s.tries, cause, err)
	}
	if s.unknown.IsZero() {
		return err
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}
