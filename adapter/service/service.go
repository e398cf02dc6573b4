package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/streams"
)

// A Committer is the owner of a stripe, as far as the service needs it.
type Committer interface {
	// Submit queues a proposal; see [streams.Proposal]. Its error has a code.
	Submit(p streams.Proposal, size int) error
	// Epoch tells the present claim, and whether this host serves under it.
	Epoch() (epoch position.Position, serving bool)
	// Behind is how many log records the local store may lack, at most.
	Behind() uint64
}

// A Service answers Adama's operations. Set the fields, then Start; they stay as
// they are until Close has returned.
type Service struct {
	Conn      *nats.Conn                                              // in the clients' account; the service does not close it
	Store     *buckets.Store                                          // required
	Host      string                                                  // this host's name; required
	Version   string                                                  // of the program; told as 0.0.0 when it is not a semantic one
	Layout    func() layout.Layout                                    // required
	Committer func(stripe string) Committer                           // nil for a stripe that is not here; required
	Directory Directory                                               // of the other hosts; nil for a host that stands alone
	Logger    *slog.Logger                                            // nothing is logged when nil
	Observe   func(op string, code contract.Code, took time.Duration) // told of every answer; nil for nobody
	Passed    func(owner string, again bool)                          // told of every request that is passed on; owner is "" when none is known; nil for nobody

	// Mend fetches the document, whose copy here is damaged, from another host, and
	// returns when the copy is whole or cannot be mended now. nil where there is no
	// other host.
	Mend func(ctx context.Context, k contract.Key) error

	Hold        time.Duration // how long a request waits for a commit at most; 15 s when 0
	MaxInFlight int           // requests that wait at once; 65536 when 0
	MaxBytes    int           // their size; 512 MiB when 0

	ops      map[string]*operation
	identity micro.ServiceIdentity
	started  time.Time
	lanes    *lanes
	loaded   *loaded
	flight   *flight
	router   *router // nil for a host that stands alone
	pulse    pulse

	inbox    chan *nats.Msg // what has arrived, in order; nil is the last
	admitted chan struct{}  // closed when the last of them is on its way

	mu     sync.Mutex
	closed bool
	subs   []*nats.Subscription
	ajar   time.Duration     // doorsAjar, but for tests
	grace  time.Duration     // abroadGrace, but for tests
	quiet  time.Duration     // silence, or a third of a short hold, but for tests
	of     map[string]*doors // of the stripes that this host serves, or did a moment ago

	ctx  context.Context // of all that runs, until stop
	stop context.CancelFunc
	wait sync.WaitGroup
}

const (
	queueGroup = "q"     // the one that the micro library uses
	inboxSize  = 1 << 17 // more than may be in flight: what is over that is refused, not dropped
	sweepEvery = 100 * time.Millisecond
	// largeBody is the size from which a request is decoded beside the others.
	// Small ones are decoded faster than a goroutine starts.
	largeBody = 32 << 10
)

// Start subscribes and returns when requests are taken.
func (s *Service) Start() error {
	s.defaults()
	s.ops = map[string]*operation{}
	for _, op := range s.operations() {
		s.ops[op.name] = op
	}
	s.lanes, s.loaded = newLanes(), newLoaded()
	s.flight = &flight{idle: make(chan struct{})}
	s.inbox = make(chan *nats.Msg, inboxSize)
	s.admitted = make(chan struct{})
	s.of = map[string]*doors{}
	s.started = time.Now().UTC()
	s.identity = s.identify()

	if s.Directory != nil {
		var err error
		if s.router, err = newRouter(s); err != nil {
			return fmt.Errorf("start service: %w", err)
		}
	}

	s.pulse.beat(time.Now())
	s.ctx, s.stop = context.WithCancel(context.Background())
	if s.router != nil {
		s.wait.Go(func() { s.router.run(s.ctx) })
	}
	s.wait.Go(func() { s.dispatch(s.ctx) })
	s.wait.Go(func() { s.sweep(s.ctx) })
	if err := s.subscribe(); err != nil {
		s.stop()
		s.wait.Wait()
		if s.router != nil {
			s.router.close()
		}
		return fmt.Errorf("start service: %w", err)
	}
	return nil
}

func (s *Service) defaults() {
	if s.Hold == 0 {
		s.Hold = 15 * time.Second
	}
	if s.MaxInFlight == 0 {
		s.MaxInFlight = 65536
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = 512 << 20
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.Observe == nil {
		s.Observe = func(string, contract.Code, time.Duration) {}
	}
	s.ajar = cmp.Or(s.ajar, doorsAjar)
	s.grace = cmp.Or(s.grace, abroadGrace)
	s.quiet = cmp.Or(s.quiet, min(silence, s.Hold/3))
	if s.Passed == nil {
		s.Passed = func(string, bool) {}
	}
}

// subscribe listens for requests. All subscriptions share one channel: the
// client library fills it in the order in which messages arrive, across
// subjects, and that is the order that the contract promises. The micro
// library's endpoints, with a goroutine each, would lose it.
func (s *Service) subscribe() error {
	sub, err := s.Conn.ChanQueueSubscribe(contract.SubjectPrefix+"*", queueGroup, s.inbox)
	if err != nil {
		return err
	}
	s.subs = append(s.subs, sub)
	// In a cluster the NATS server sends what is for any host to the one that the
	// client is connected to, by the name of "any".
	for _, to := range []string{"h.", "any."} {
		if sub, err = s.Conn.ChanSubscribe(contract.SubjectPrefix+to+s.Host+".*", s.inbox); err != nil {
			return err
		}
		s.subs = append(s.subs, sub)
	}
	if err := s.discoverable(); err != nil {
		return err
	}
	return s.Conn.Flush()
}

// Serve opens the subjects of a stripe's partitions: this host owns it now. After a
// layout that splits or merges them it is called again.
func (s *Service) Serve(stripe string) error {
	defer s.turned()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	d := s.of[stripe]
	if d == nil {
		d = &doors{open: map[layout.PartitionID]*nats.Subscription{}}
		s.of[stripe] = d
	}
	d.stay()
	carried := map[layout.PartitionID]bool{}
	for _, p := range s.Layout().PartitionsOf(stripe) {
		carried[p.ID] = true
		if d.open[p.ID] != nil {
			continue
		}
		sub, err := s.Conn.ChanSubscribe(contract.SubjectPrefix+"p."+p.ID.String()+".*", s.inbox)
		if err != nil {
			return fmt.Errorf("serve stripe %s: %w", stripe, err)
		}
		d.open[p.ID] = sub
	}
	for id, sub := range d.open {
		if !carried[id] {
			s.unsubscribe([]*nats.Subscription{sub})
			delete(d.open, id)
		}
	}
	return nil
}

// Release says that this host owns a stripe no more. The subjects of its partitions
// stay open for a moment: what others have sent here before they hear of it would
// be lost unanswered. What is known of who has loaded its documents is forgotten: this
// host will not hear of their closing.
func (s *Service) Release(stripe string) {
	defer s.turned()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.of[stripe]
	if d == nil || d.leaving != nil {
		return
	}
	if s.Directory != nil {
		s.loaded.forget(s.in([]string{stripe}))
	}
	d.leaving = time.AfterFunc(s.ajar, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.of[stripe] == d && d.leaving != nil {
			s.shut(stripe, d)
		}
	})
}

// doorsAjar is for how long the subjects of a stripe stay open that this host does not
// own any more: longer than news of a subscription's end takes to every host.
const doorsAjar = 2 * time.Second

// doors are the subjects of a stripe's partitions.
type doors struct {
	open    map[layout.PartitionID]*nats.Subscription
	leaving *time.Timer // set when they are to be shut
}

// stay takes back that they are to be shut.
func (d *doors) stay() {
	if d.leaving != nil {
		d.leaving.Stop()
		d.leaving = nil
	}
}

// shut closes the subjects of a stripe's partitions; mu is held.
func (s *Service) shut(stripe string, d *doors) {
	d.stay()
	s.unsubscribe(slices.Collect(maps.Values(d.open)))
	delete(s.of, stripe)
}

// turned has requests that wait for an owner look again.
func (s *Service) turned() {
	if s.router != nil {
		s.router.nudge()
	}
}

// unsubscribe takes no more from the server. What it has sent already still
// arrives: dropped, it would never be answered.
func (s *Service) unsubscribe(subs []*nats.Subscription) {
	for _, sub := range subs {
		if err := sub.Drain(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			s.Logger.Warn("unsubscribe", "subject", sub.Subject, "error", err)
		}
	}
}

// Close takes no more requests and answers those it has, until ctx ends; what is
// left then is answered with what is known of it.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	s.unsubscribe(s.subs)
	for stripe, d := range s.of {
		s.shut(stripe, d)
	}
	s.closed = true
	s.mu.Unlock()
	// After the flush nothing more arrives; nil is the last to come.
	err := s.Conn.FlushWithContext(ctx)
	s.settle(ctx)
	s.stop()
	s.wait.Wait()
	s.flight.expire(time.Now().Add(time.Hour)) // LAST: nothing is taken any more
	if s.router != nil {
		s.router.close()
	}
	return errors.Join(err, s.Conn.FlushWithContext(ctx))
}

// settle waits until everything that has arrived is answered, or ctx ends.
func (s *Service) settle(ctx context.Context) {
	select {
	case s.inbox <- nil:
	case <-ctx.Done():
		return
	}
	select {
	case <-s.admitted:
	case <-ctx.Done():
		return
	}
	select {
	case <-s.flight.empty():
	case <-ctx.Done():
	}
}

// sweep answers requests whose hold has ended.
func (s *Service) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.pulse.beat(now)
			s.flight.expire(now)
		}
	}
}

// InFlight tells how many requests wait for an answer, and their bytes.
func (s *Service) InFlight() (count, bytes int) { return s.flight.inFlight() }
