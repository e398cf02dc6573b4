package repair

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// A Host is what a [Repairer] needs to know of the daemon around it. Its methods are
// called from several goroutines and answer from memory, [Host.Healed] excepted.
type Host interface {
	// Layout is the layout in force, and its digest.
	Layout() (l layout.Layout, digest string)
	// Stripes are the stripes that this host is a member of and has a replica of, those
	// included whose log is not open.
	Stripes() []Stripe
	// Healthy names the other members of a stripe that are alive and not sick there,
	// the owner first while one of them owns it.
	Healthy(stripe string) []string
	// Partial names those that are alive and sick only because rows of some buckets were
	// lost there: of the other buckets they tell what they have.
	Partial(stripe string) []string
	// Healed is called when the replica of a sick stripe stands at a position of a
	// healthy member and every bucket is equal to that member's. The host opens the log
	// from there, and takes the stripe for healthy when it returns nil: [Host.Stripes]
	// says so then. An error means that it is not: the healing is done again, at once
	// where the error is [ErrLogPassed].
	Healed(ctx context.Context, stripe string, at buckets.Applied) error
}

// A Stripe is what this host keeps of one.
type Stripe struct {
	Name       string
	Members    []string           // every host of it, this one too
	Partitions []layout.Partition // that it carries, in the order of their buckets
	Replica    *buckets.Replica
	// Sick is why the log alone cannot bring this replica up to date; "" when it can.
	// A sick stripe is healed, one stripe after another, and is not part of rounds. Its
	// log must not be applied meanwhile, unless it follows.
	Sick string
	// Follows says that only rows of some buckets were lost, and the log is applied all
	// the same. So the buckets may be filled one by one, from several members.
	Follows bool
}

// A Scope is what a run looks at. The zero value is everything.
type Scope struct {
	Stripe    string              `json:"stripe,omitempty"`    // "" for every stripe
	Partition *layout.PartitionID `json:"partition,omitempty"` // nil for every partition
}

// A Repairer compares the replicas of one host with those of other members and makes
// them equal. Set the fields, then Start; it starts once. Its methods may be called
// from several goroutines, between Start and Close.
//
// Three things go on beside one another: rounds, which compare; the healing of sick
// stripes; and the scrub, which re-reads. All pull through one turn, so that one peer at
// a time sends documents here. Requests that wait for a document do not wait for it.
type Repairer struct {
	Self   string         // the name of this host; required
	Store  *buckets.Store // required
	Host   Host           // required
	Peers  Peers          // how others are asked; nil for a host that stands alone
	Config Config
	// Dir is where repair.json is kept: positions, progress, rate and pause. Nothing is
	// kept when it is empty.
	Dir      string
	Listener func(Event)  // told of everything, on the Repairer's goroutines, at once; must be quick; nil for nobody
	Logger   *slog.Logger // of what the Repairer cannot tell anybody else; nil for none

	background context.Context
	stop       context.CancelFunc
	life       sync.Mutex // guards closed and what is added to wait
	closed     bool
	wait       sync.WaitGroup

	pauses   []time.Duration // between two looks at what may be otherwise soon
	throttle *throttle
	clean    *cleanTable
	healing  *healings
	mends    mends
	scrubs   *scrubs
	count    *tally
	cpu      cpuMeter
	keeper   keeper

	rounds lock          // held by the round that runs
	pulls  lock          // the turn: held by whoever pulls
	kicks  chan struct{} // have a round done now
	looks  chan struct{} // something may have become sick

	mu       sync.Mutex // guards what follows
	running  bool
	next     time.Time // the next round
	last     *RoundResult
	reported map[string]position.Position // by stripe: clean, and durable
}

var errClosed = errors.New("repair has ended")

// Start reads what was kept and begins: a round every [Config.Interval], the healing
// of sick stripes, the slow scrub. It fails when the fields are not valid or repair.json
// cannot be read. What was begun goes on until Close, whatever becomes of ctx.
func (r *Repairer) Start(ctx context.Context) error {
	if r.Self == "" || r.Store == nil || r.Host == nil {
		return errors.New("repair: Self, Store and Host are required")
	}
	if err := r.Config.Validate(); err != nil {
		return err
	}
	k, err := readKept(r.Dir)
	if err != nil {
		return err
	}
	r.prepare(k)
	r.background, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, loop := range []func(context.Context){r.heals, r.everyRound, r.scrubSlowly, r.watchPause} {
		r.wait.Go(func() { loop(r.background) })
	}
	return nil
}

// prepare makes what the fields do not bring, from what was kept.
func (r *Repairer) prepare(k kept) {
	r.Config = r.Config.withDefaults()
	if r.Listener == nil {
		r.Listener = func(Event) {}
	}
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}
	rate, tranquility, until := r.Config.Rate, r.Config.Tranquility, time.Time{}
	if k.Rate != nil {
		rate = *k.Rate
	}
	if k.Tranquility != nil {
		tranquility = *k.Tranquility
	}
	if k.PausedUntil != nil {
		until = *k.PausedUntil
	}
	if r.pauses == nil {
		r.pauses = lookPauses()
	}
	r.throttle = newThrottle(rate, tranquility, until)
	r.clean = newCleanTable(k.Clean)
	r.healing = &healings{kept: k.Heals}
	r.mends.of = map[contract.Key]*mending{}
	r.scrubs = newScrubs(k.Scrub)
	r.count = newTally()
	r.keeper.is = k
	r.rounds, r.pulls = newLock(), newLock()
	r.kicks, r.looks = make(chan struct{}, 1), make(chan struct{}, 1)
	r.reported = map[string]position.Position{}
}

// Close ends everything and waits for it. What was pulled stays.
func (r *Repairer) Close() error {
	r.life.Lock()
	r.closed = true
	r.life.Unlock()
	if r.stop == nil {
		return nil
	}
	r.stop()
	r.wait.Wait()
	return r.saveNow()
}

// begin runs something until it ends or the Repairer closes; false after Close.
func (r *Repairer) begin(do func(context.Context)) bool {
	r.life.Lock()
	defer r.life.Unlock()
	if r.closed || r.background == nil {
		return false
	}
	r.wait.Go(func() { do(r.background) })
	return true
}

// Look has the Repairer look soon whether a stripe has become sick.
func (r *Repairer) Look() { kick(r.looks) }

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// await waits for a while, or until there is a kick; false when ctx has ended.
func (r *Repairer) await(ctx context.Context, d time.Duration, kicks <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-kicks:
	}
	return true
}

// everyRound does a round every interval, until ctx ends.
func (r *Repairer) everyRound(ctx context.Context) {
	for {
		interval := r.Config.Interval
		pause := time.Duration(float64(interval) * (0.8 + 0.4*rand.Float64()))
		r.mu.Lock()
		r.next = time.Now().Add(pause)
		r.mu.Unlock()
		if !r.await(ctx, pause, r.kicks) || r.throttle.awaken(ctx) != nil {
			return
		}
		if _, err := r.round(ctx, Scope{}, nil); err != nil && ctx.Err() == nil && !errors.Is(err, ErrPaused) {
			r.Logger.Warn("a round of repair ended early", "error", err)
		}
	}
}

// ended notes that a round is over.
func (r *Repairer) ended(result RoundResult) {
	r.count.add(func(c *Counters) { c.Rounds++ })
	r.mu.Lock()
	r.last = &result
	r.mu.Unlock()
	r.report()
	r.save(false)
	r.tell(RoundEnded{result})
}

// report makes what is clean known to [Repairer.Clean], once it is durable: else a crash
// might take a document that was pulled, and leave the report.
func (r *Repairer) report() {
	clean := map[string]position.Position{}
	moved := false
	for _, s := range r.Host.Stripes() {
		if s.Sick != "" {
			moved = moved || !r.Clean(s.Name).IsZero()
			continue
		}
		p := r.clean.equalTo(s.Name, others(s.Members, r.Self))
		clean[s.Name] = p
		moved = moved || p != r.reportedClean(s.Name)
	}
	if !moved {
		return
	}
	if err := r.Store.Checkpoint(); err != nil {
		r.Logger.Warn("checkpoint of the document store", "error", err)
		return
	}
	r.mu.Lock()
	r.reported = clean
	r.mu.Unlock()
}

func others(members []string, self string) []string {
	var list []string
	for _, m := range members {
		if m != self {
			list = append(list, m)
		}
	}
	return list
}

func (r *Repairer) reportedClean(stripe string) position.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reported[stripe]
}

func (r *Repairer) unreport(stripe string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.reported, stripe)
}

// Clean is the position of a stripe up to which this host has found every bucket of it
// equal to each of the other members', durably, since it was started; zero while it has
// not. It never lies above what the replica has applied. It is what a member reports for
// the release of tombstones.
func (r *Repairer) Clean(stripe string) position.Position {
	p := r.reportedClean(stripe)
	for _, s := range r.Host.Stripes() {
		if s.Name != stripe {
			continue
		}
		applied := s.Replica.Applied().Seq
		switch {
		case s.Sick != "":
			return position.Position{}
		case p.Seq > applied:
			p.Seq = applied
		}
		return p
	}
	return position.Position{}
}

// Run does a round now over a part of the stripes, and repairs what it finds. It fails
// while repair is paused, with [ErrPaused], and with [ErrNothingHere] for a scope that this
// host has nothing of. What a peer does wrong is in the result.
func (r *Repairer) Run(ctx context.Context, scope Scope) (RoundResult, error) {
	if err := r.throttle.paused(); err != nil {
		return RoundResult{}, err
	}
	return joined(ctx, r, func(ctx context.Context) (RoundResult, error) { return r.round(ctx, scope, nil) })
}

// joined does something that ends with ctx and with the Repairer.
func joined[T any](ctx context.Context, r *Repairer, do func(context.Context) (T, error)) (T, error) {
	var none T
	r.life.Lock()
	if r.closed || r.background == nil {
		r.life.Unlock()
		return none, errClosed
	}
	r.wait.Add(1)
	background := r.background
	r.life.Unlock()
	defer r.wait.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(background, func() { cancel(errClosed) })()
	return do(ctx)
}

// tell tells the listener.
func (r *Repairer) tell(e Event) { r.Listener(e) }

// peerFailed counts and tells that a peer did not do what it was asked for.
func (r *Repairer) peerFailed(peer, stripe string, err error) {
	r.count.add(func(c *Counters) { c.Failures++ })
	r.tell(PeerFailed{Peer: peer, Stripe: stripe, Err: err})
}

// turn waits until this host pulls from nobody else.
func (r *Repairer) turn(ctx context.Context) error { return r.pulls.lock(ctx) }
func (r *Repairer) turnOver()                      { r.pulls.unlock() }

// A lock is a mutex that can be waited for with a context.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) lock(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l lock) unlock() { <-l }
