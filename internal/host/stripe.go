package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/members"
	"trireme/internal/position"
	"trireme/streams"
)

// A stripe is one log with the replica that it drives, on one of its members.
type stripe struct {
	layout.Stripe
	host    *Host
	replica *buckets.Replica

	wake      chan struct{} // try again at once
	settled   atomic.Bool   // since this host leads the stream it has heard how far the other members have come
	following sync.Mutex    // held while the subjects of its partitions are opened or closed

	mu       sync.Mutex
	log      *streams.Log // nil until it is found
	tail     *streams.Tail
	owner    *streams.Owner
	closed   bool      // these are, or are being
	first    uint64    // where the log that was followed last was made to begin; 0 for none
	err      error     // why it is not open, or has ended
	opened   bool      // the log is, and the replica follows it or owns it
	sick     string    // why this host must not own it
	ails     ailment   // what kind of sickness that is
	losses   string    // rows that the store has lost; "" for none
	yielding bool      // being handed over
	pushed   time.Time // when JetStream was last asked to lead it elsewhere
}

// An ailment is what kind of fault keeps a member from owning a stripe.
type ailment uint8

const (
	sound     ailment = iota
	fallenOff         // the log does not hold what comes next: others' documents have to be fetched
	logLost           // the log is gone, or ends before the store: the documents are right
	strange           // the store is not this log's, or does not take its records
)

// ailmentOf tells the faults that trying again does not mend.
func ailmentOf(err error) ailment {
	switch {
	case errors.Is(err, streams.ErrTrimmed):
		return fallenOff
	case errors.Is(err, errLogGone), errors.Is(err, streams.ErrBehindStore):
		return logLost
	case errors.Is(err, streams.ErrForeign), errors.Is(err, streams.ErrApply):
		return strange
	}
	return sound
}

// machine makes a replica what streams drives.
type machine struct{ *buckets.Replica }

func (m machine) Applied() streams.State { return streamsState(m.Replica.Applied()) }

func streamsState(a buckets.Applied) streams.State {
	return streams.State{Seq: a.Seq, Chain: a.Chain, Epoch: a.Epoch, Time: a.Time}
}

func (h *Host) newStripe(s layout.Stripe) (*stripe, error) {
	replica, err := h.replica(s)
	if err != nil {
		return nil, err
	}
	return &stripe{Stripe: s, host: h, replica: replica, wake: make(chan struct{}, 1)}, nil
}

// replica is the store's part of a stripe. One that does not know any more where it
// stands begins at 0: with the log if that goes back so far, else filled from others.
func (h *Host) replica(s layout.Stripe) (*buckets.Replica, error) {
	replica, err := h.store.Replica(s.Name, s.Birth)
	if errors.Is(err, buckets.ErrLostReplica) && h.cluster != nil {
		h.Logger.Warn("the store does not know any more how far it has come", "stripe", s.Name, "error", err)
		return h.store.Renew(s.Name, s.Birth)
	}
	return replica, err
}

// open finds the log, or makes it, and prepares the owner. A log is made only for
// a store that has never applied anything: "stream not found" does not mean "no
// documents".
func (s *stripe) open(ctx context.Context) (*streams.Owner, error) {
	log, err := s.findLog(ctx)
	if err != nil {
		return nil, err
	}
	cfg := s.ownerConfig()
	var tail *streams.Tail
	if s.host.cluster != nil {
		if tail, err = log.Tail(tailRecords, tailBytes); err != nil {
			return nil, errors.Join(err, log.Close())
		}
		cfg.Tail = tail.C
		cfg.Broadcast = func(seq uint64, body []byte) {
			if err := log.Publish(seq, body); err != nil { // they find it in the log
				s.host.Logger.Debug("broadcast", "stripe", s.Name, "error", err)
			}
		}
		cfg.MayClaim = s.mayClaim
		first := log.First()
		cfg.Reached = func() (uint64, string) { return s.host.cluster.peers.reached(s.Name, first) }
		cfg.Grace = grace
		cfg.TrimFloor = func() uint64 {
			return ask(s.host.cluster.peers, func(t *members.Table, now int64) uint64 { return t.TrimFloor(now, s.Name) })
		}
	}
	owner, err := streams.NewOwner(log, machine{s.replica}, cfg)
	if err != nil {
		if tail != nil {
			err = errors.Join(err, tail.Close())
		}
		return nil, errors.Join(err, log.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log, s.tail, s.owner, s.closed = log, tail, owner, false
	return owner, nil
}

// What of the owner's broadcast may wait here; what is over that is read from the log.
const (
	tailRecords = 1 << 14
	tailBytes   = 32 << 20
)

// grace is for how long a log that seems to be gone, or behind the store, is asked
// again: a leader that was cut off tells old news for up to 20 s.
const grace = 30 * time.Second

func (s *stripe) logConfig() streams.Config {
	cfg := streams.Config{Stripe: s.Name, Birth: s.Birth, Replicas: s.Replicas, MaxBytes: s.host.logBound()}
	if s.host.cluster != nil {
		cfg.Tags = []string{stripeTag(s.Stripe)}
	}
	return cfg
}

func (s *stripe) findLog(ctx context.Context) (*streams.Log, error) {
	h, cfg := s.host, s.logConfig()
	log, err := streams.Open(ctx, h.log, cfg)
	if errors.Is(err, streams.ErrNoStream) {
		if applied := s.replica.Applied().Seq; applied > 0 {
			return nil, fmt.Errorf("%w: %w, but the store has applied its records up to %d: nothing was overwritten; "+s.remedy(), errLogGone, err, applied)
		}
		if err := h.unborn(ctx, s.Stripe, err); err != nil {
			return nil, err
		}
		log, err = streams.Create(ctx, h.log, cfg)
	}
	if err != nil {
		return nil, err
	}
	if err := h.born(ctx, s); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return log, nil
}

// remedy says what can be done about a log that is gone.
func (s *stripe) remedy() string {
	if s.host.cluster == nil {
		return "bring back the jetstream folder that belongs to this store, or start with an empty data directory"
	}
	return "bring back the jetstream folders of a majority of its members, or begin a new log from the members' documents: trireme stripe rebuild " + s.Name
}

func (s *stripe) ownerConfig() streams.OwnerConfig {
	h := s.host
	return streams.OwnerConfig{
		Host: h.Config.Host, Boot: h.boot, Birth: s.Birth,
		Layout: func() int { return int(h.layout().Version) },
		// The service answers when the hold ends; the owner's own bound comes after
		// it and is the net below.
		Hold:      h.Config.Requests.Hold + 2*time.Second,
		KeepBytes: h.Config.Log.KeepBytes,
		Admit:     h.admit,
		Listener:  func(e streams.Event) { h.ownerEvent(s, e) },
		Progress:  h.progress(s.Name),
		Logger:    h.Logger.With("stripe", s.Name),
	}
}

// close ends what open has begun. Only one caller does; what the owner ended with
// can still be asked for.
func (s *stripe) close(ctx context.Context) error {
	s.mu.Lock()
	log, tail, owner, closed := s.log, s.tail, s.owner, s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	var errs []error
	if owner != nil {
		errs = append(errs, owner.Close(ctx))
	}
	if tail != nil {
		errs = append(errs, tail.Close())
	}
	if log != nil {
		errs = append(errs, log.Close())
	}
	return errors.Join(errs...)
}

// Submit queues a proposal at the stripe's owner.
func (s *stripe) Submit(p streams.Proposal, size int) error {
	s.mu.Lock()
	owner := s.owner
	s.mu.Unlock()
	if owner == nil {
		return contract.Errorf(contract.NoOwner, "the log of stripe %s is not open here yet", s.Name)
	}
	return owner.Submit(p, size)
}

// status is the owner's, or that of a log that is not open.
func (s *stripe) status() streams.Status {
	s.mu.Lock()
	owner, err := s.owner, s.err
	s.mu.Unlock()
	if owner == nil {
		return streams.Status{Phase: streams.Idle, Applied: streamsState(s.replica.Applied()), Err: err}
	}
	return owner.Status()
}

// Epoch tells the claim under which this host serves the stripe.
func (s *stripe) Epoch() (position.Position, bool) {
	st := s.status()
	return st.Epoch, st.Phase == streams.Serving
}

// Behind is how many records the replica may lack.
func (s *stripe) Behind() uint64 { return s.lag().Records }

// lag is how far the replica is behind what is known of the log.
func (s *stripe) lag() members.Lag {
	if c := s.host.cluster; c != nil {
		return ask(c.peers, func(t *members.Table, now int64) members.Lag { return t.Lag(now, s.Name, s.host.Config.Host) })
	}
	if last, applied := s.status().Log.Last, s.replica.Applied().Seq; last > applied {
		return members.Lag{Records: last - applied}
	}
	return members.Lag{}
}

// logBound is the bound of a log that is made now.
func (h *Host) logBound() int64 {
	if n := h.Config.Log.MaxBytes; n > 0 {
		return n
	}
	const most, least = 1 << 30, 64 << 20
	disk, err := diskOf(h.Config.Data)
	if err != nil {
		return most
	}
	return min(most, max(least, int64(disk.free/4)))
}

// admit refuses changes while the disk is nearly full, and everything, claims and
// barriers too, when it is fuller still: JetStream and the store must never meet
// the end of it. nats-server keeps a write error until it is restarted.
func (h *Host) admit(bytes int) error {
	disk, err := diskOf(h.Config.Data)
	if err != nil {
		return contract.Errorf(contract.BufferFull, "the data directory: %v", err)
	}
	need := h.reserve + uint64(bytes)
	if bytes == 0 {
		need = h.reserve / 4
	}
	if disk.free < need {
		return contract.Errorf(contract.BufferFull, "the disk of the data directory has %d bytes free, %d are kept in reserve: make room", disk.free, h.reserve)
	}
	return nil
}

// progress tells of a long catch-up now and then.
func (h *Host) progress(stripe string) func(streams.Progress) {
	const long = 1000 // records
	var last time.Time
	return func(p streams.Progress) {
		if p.Records < long {
			return
		}
		if now := time.Now(); now.Sub(last) > 2*time.Second {
			last = now
			h.Logger.Info("catching up with the log", slog.String("stripe", stripe),
				slog.Uint64("applied", p.Applied), slog.Uint64("last", p.Last), slog.Int64("bytes", p.Bytes))
		}
	}
}

// ownerEvent feeds the metrics, and notes that ownership may have changed. What
// the owner logs itself is not logged again. It runs on the owner's goroutines.
func (h *Host) ownerEvent(s *stripe, e streams.Event) {
	switch e := e.(type) {
	case streams.Committed:
		h.metrics.Committed(s.Name, e.Proposals, e.Changes, e.Bytes, e.Append, e.Apply)
		return
	case streams.Claimed:
		h.metrics.Claimed(s.Name)
	case streams.Lost:
		h.metrics.Lost(s.Name)
	case streams.Refused:
		h.metrics.Refused(s.Name, e.Changes)
		h.Logger.Warn("changes refused", "stripe", s.Name, "changes", e.Changes, "error", e.Err)
		return
	case streams.Trimmed:
		h.metrics.Trimmed(s.Name)
		h.Logger.Info("log trimmed", "stripe", s.Name, "below", e.Below, "bytes", e.Log.Bytes)
		return
	}
	h.follow(s)
	h.tellOwner(s, e)
}
