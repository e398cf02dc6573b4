package streams

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"trireme/internal/contract"
	"trireme/internal/position"
	"trireme/internal/record"
)

// An Owner claims a stripe's log for this host and commits what is proposed: all
// that waits goes into one record, one record is in flight, and the next gathers
// meanwhile. A record that is refused or unanswered ends the ownership; the
// owner claims again, and learns from the log what became of it.
type Owner struct {
	log     Stream
	machine Machine
	cfg     OwnerConfig

	wake    chan struct{}      // something was queued
	poke    chan struct{}      // MayClaim may answer otherwise
	kick    chan struct{}      // the log fills up
	ctl     chan chan struct{} // requests to step down
	ready   chan struct{}      // closed when the first catch-up and claim are done
	stopped chan struct{}      // closed when everything is answered
	others  sync.WaitGroup     // the goroutines other than the loop

	soft     context.Context // ends when Close begins
	hard     context.Context // ends when Close has waited long enough
	stopSoft context.CancelFunc
	stopHard context.CancelFunc

	trimming sync.Mutex // one trim at a time; taken before mu

	// Of the loop alone.
	builder   record.Builder
	batch     []*item
	attempt   *attempt // a record whose fate is unknown
	tail      <-chan Record
	verified  bool          // log and store were seen to belong together
	doubt     time.Time     // since when the log seems behind or gone
	relieved  time.Time     // when a full log was last trimmed
	claimWait time.Duration // of the last claim, 0 after one that came in

	mu       sync.Mutex // of all that follows
	phase    Phase
	since    time.Time
	why      error // why it does not serve
	epoch    position.Position
	at       State // written by the loop, which reads it without mu
	logState LogState
	heard    uint64 // how far the log goes, as others have told
	queue    queue
	flight   []*item // sent and not settled
	closed   bool    // nothing more is queued
	may      bool    // MayClaim's last answer to the loop
	turn     func()  // ends the look at the log under way; nil when there is none
}

// An attempt is a record that was sent.
type attempt struct {
	expected uint64
	body     []byte
	items    []*item
	changes  int
	took     time.Duration
}

// NewOwner makes an owner that does nothing yet. From Start on the machine is
// its own.
func NewOwner(log Stream, m Machine, cfg OwnerConfig) (*Owner, error) {
	cfg, err := cfg.withDefaults(m)
	if err != nil {
		return nil, err
	}
	o := &Owner{
		log: log, machine: m, cfg: cfg,
		wake: make(chan struct{}, 1), poke: make(chan struct{}, 1), kick: make(chan struct{}, 1), ctl: make(chan chan struct{}),
		ready: make(chan struct{}), stopped: make(chan struct{}),
		tail: cfg.Tail, since: time.Now(),
	}
	o.soft, o.stopSoft = context.WithCancel(context.Background())
	o.hard, o.stopHard = context.WithCancel(context.Background())
	return o, nil
}

// Start catches up, claims, and serves from then on. It returns when the claim is
// committed; when MayClaim says no, as soon as the machine has caught up; or with
// the error that ends the owner for good ([ErrBehindStore], [ErrForeign],
// [ErrTrimmed], [ErrNoStream], [ErrApply]). Other errors are tried again until ctx
// ends. After an error the owner is closed.
func (o *Owner) Start(ctx context.Context) error {
	o.mu.Lock()
	if o.phase != Idle {
		o.mu.Unlock()
		return errors.New("start owner: it was started or closed before")
	}
	o.enter(Claiming, nil)
	o.at = o.machine.Applied()
	o.mu.Unlock()

	o.others.Go(o.tend)
	o.others.Go(o.expire)
	go o.run()
	select {
	case <-o.ready:
		return nil
	case <-o.stopped:
		return fmt.Errorf("start owner: %w", errors.Join(o.Status().Err, o.Close(ctx)))
	case <-ctx.Done():
		why := o.Status().Err
		_ = o.Close(ctx) // says only that ctx has ended
		return fmt.Errorf("start owner: %w", errors.Join(ctx.Err(), why))
	}
}

// Submit queues a proposal of about size bytes. It returns [ErrOverloaded] when
// the queue is full, [ErrNotOwner] when this host should not own the stripe now,
// and [ErrClosed] when the owner is not running, and then nothing is kept of the
// proposal. Otherwise the proposal is answered within the configured hold, or a
// little later when it is on its way to the log then; and at once with
// contract.Deposed, which promises that nothing happened, when MayClaim comes to
// say no, unless the log has yet to tell what became of it.
func (o *Owner) Submit(p Proposal, size int) error {
	return o.submit(&item{p: p, size: max(0, size), at: time.Now()})
}

func (o *Owner) submit(it *item) error {
	o.mu.Lock()
	switch {
	case o.closed, o.phase == Idle:
		o.mu.Unlock()
		return ErrClosed
	case o.phase == Waiting:
		o.mu.Unlock()
		return ErrNotOwner
	case len(o.queue.items) >= o.cfg.QueueProposals,
		len(o.queue.items) > 0 && o.queue.bytes+it.size > o.cfg.QueueBytes:
		o.mu.Unlock()
		return ErrOverloaded
	}
	o.queue.push(it)
	o.mu.Unlock()
	signal(o.wake)
	return nil
}

// StepDown finishes the record in flight, ends the ownership and answers what is
// queued with contract.Deposed. It returns when that is done. The caller has made
// MayClaim say no before, else the owner claims again.
func (o *Owner) StepDown(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case o.ctl <- done:
	case <-o.stopped:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("step down: %w", ctx.Err())
	}
	<-done // answered at once, once taken
	return nil
}

// Poke has the owner act on MayClaim's answer at once, as when the leadership of
// the stream has changed. It does not wait.
func (o *Owner) Poke() {
	may := o.cfg.MayClaim()
	o.mu.Lock()
	if may != o.may && o.turn != nil {
		o.turn() // what it looks for may take long, and is looked for again
	}
	o.mu.Unlock()
	signal(o.poke)
}

// Close takes no more proposals, finishes the record in flight, answers the rest
// with contract.NoOwner, and waits for all goroutines. When ctx ends first, the
// record in flight is given up as unknown and the error is ctx's.
func (o *Owner) Close(ctx context.Context) error {
	o.mu.Lock()
	idle := o.phase == Idle
	if o.closed = true; idle {
		o.enter(Ended, nil)
	}
	o.mu.Unlock()
	o.stopSoft()
	defer o.stopHard()
	if idle {
		close(o.stopped)
	}
	var err error
	select {
	case <-o.stopped:
	case <-ctx.Done():
		select {
		case <-o.stopped: // both: then nothing was given up
		default:
			err = fmt.Errorf("close owner: %w", ctx.Err())
			o.stopHard()
		}
	}
	<-o.stopped
	o.others.Wait()
	return err
}

// Stopped is closed when the owner has ended and everything is answered.
func (o *Owner) Stopped() <-chan struct{} { return o.stopped }

// Status tells what the owner is doing.
func (o *Owner) Status() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := Status{
		Phase: o.phase, Since: o.since, Applied: o.at,
		Queued: len(o.queue.items), QueuedBytes: o.queue.bytes,
		Log: o.logState, Err: o.why,
	}
	s.Log.Last = max(s.Log.Last, o.heard)
	if o.phase == Serving {
		s.Epoch = o.epoch
	}
	return s
}

// errClosing ends the loop without a fault.
var errClosing = errors.New("the owner is closing")

func (o *Owner) run() {
	defer close(o.stopped)
	var err error
	for err == nil {
		if err = o.claim(); err == nil {
			err = o.serve()
		}
	}
	if errors.Is(err, errClosing) {
		err = nil
	}
	o.end(err)
}

// end answers everything that is left.
func (o *Owner) end(err error) {
	o.stopSoft()
	o.mu.Lock()
	o.closed = true
	o.enter(Ended, err)
	sent, queued := o.flight, o.queue.items
	o.flight, o.queue = nil, queue{}
	o.mu.Unlock()

	why := "it is shutting down"
	if err != nil {
		why = err.Error()
		o.cfg.Logger.Error("owner stopped", "err", err)
	}
	answer(sent, contract.Errorf(contract.OutcomeUnknown, "the host stopped before the log told: %s", why))
	answer(queued, contract.Errorf(contract.NoOwner, "this host has stopped serving the stripe: %s", why))
	o.cfg.Listener(Stopped{Err: err})
}

// enter sets the phase; mu is held.
func (o *Owner) enter(p Phase, why error) {
	if o.phase != p {
		o.phase, o.since = p, time.Now()
	}
	o.why = why
}

// answer ends items that are in no queue and not in flight.
func answer(items []*item, err error) {
	for _, it := range items {
		if !it.done {
			it.done = true
			it.p.Done(err)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
