package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"trireme/internal/contract"
	"trireme/internal/members"
	"trireme/streams"
)

const (
	leadershipEvery = 50 * time.Millisecond // a look costs a lock in this process
	balanceEvery    = time.Second
	handOverLimit   = 10 * time.Second // of a hand-over, from the end of the intake to the claim of the other
	pushEvery       = 3 * time.Second  // between two wishes that JetStream lead a stream elsewhere
	openLimit       = 2 * time.Second  // of one try: without a leader JetStream leaves requests unanswered
	openPauseMin    = 100 * time.Millisecond
	openPauseMax    = 5 * time.Second
)

// run keeps a stripe open for as long as ctx lives: it opens its log, follows and
// owns it, and begins anew when that has ended.
func (s *stripe) run(ctx context.Context) {
	pause := openPauseMin
	for {
		began := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			return
		}
		s.failed(err)
		if time.Since(began) > openPauseMax {
			pause = openPauseMin
		}
		if !s.pause(ctx, pause) {
			return
		}
		pause = min(2*pause, openPauseMax)
	}
}

// pause waits before the next try, unless that is wanted at once, and says whether ctx
// still lives.
func (s *stripe) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.wake:
	case <-ctx.Done():
		return false
	}
	return true
}

// again has the stripe try to open at once.
func (s *stripe) again() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// session opens the stripe's log and returns when its owner has ended.
func (s *stripe) session(ctx context.Context) error {
	opening, cancel := context.WithTimeout(ctx, openLimit)
	owner, err := s.open(opening)
	cancel()
	if err != nil {
		return err
	}
	if err = owner.Start(ctx); err == nil {
		s.healthy()
		select {
		case <-owner.Stopped():
		case <-ctx.Done():
			return nil // whoever ends ctx closes the stripe in his own time
		}
	}
	err = owner.Status().Err
	closing, cancel := context.WithTimeout(ctx, handOverLimit)
	defer cancel()
	return errors.Join(err, s.close(closing))
}

// failed notes why the stripe is not open, and whether this host must not own it.
func (s *stripe) failed(err error) {
	s.mu.Lock()
	again := s.err != nil && err != nil && s.err.Error() == err.Error()
	s.err, s.opened = err, false
	s.log, s.tail, s.owner = nil, nil, nil
	if ails := ailmentOf(err); ails != sound {
		s.sick, s.ails = err.Error(), ails
	}
	look := s.ails == fallenOff
	s.mu.Unlock()
	if r := s.host.repairing(); look && r != nil {
		r.Look()
	}
	if !again && err != nil {
		s.host.Logger.Warn("stripe is not open", "stripe", s.Name, "error", err)
	}
	s.host.report()
}

func (s *stripe) healthy() {
	s.mu.Lock()
	s.err, s.sick, s.ails, s.opened = nil, "", sound, true
	if s.log != nil {
		s.first = s.log.First()
	}
	s.mu.Unlock()
	s.host.report()
}

// leads tells whether JetStream has this host lead the stripe's stream.
func (s *stripe) leads() bool { return s.host.server.LeadsStream(streams.StreamName(s.Name)) }

// mayClaim says whether this host should own the stripe now. It is asked often.
func (s *stripe) mayClaim() bool { return s.leads() && s.settled.Load() && s.willing() }

// willing says whether this host would own the stripe if it led its stream.
func (s *stripe) willing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.yielding && s.sick == "" && s.losses == ""
}

func (s *stripe) poke() {
	s.mu.Lock()
	owner := s.owner
	s.mu.Unlock()
	if owner != nil {
		owner.Poke()
	}
}

// watchLeadership wakes owners when JetStream has moved the leadership of their
// stream, and gives back the leadership of what this host must not own. Who comes to
// lead asks the others first how far they have come.
func (h *Host) watchLeadership(ctx context.Context) {
	since := map[string]int64{} // of the streams that this host leads
	for rest(ctx, leadershipEvery) {
		for _, s := range h.members() {
			_, led := since[s.Name]
			leads := s.leads()
			switch {
			case leads && !led:
				since[s.Name] = h.cluster.peers.clock()
				h.askOthers()
			case !leads && led:
				delete(since, s.Name)
				s.settled.Store(false)
				s.poke()
			}
			if leads && !s.settled.Load() && h.cluster.peers.answered(s.Name, since[s.Name]) {
				s.settled.Store(true)
				s.poke()
			}
			if leads && !s.willing() {
				s.push(ctx)
			}
		}
	}
}

// push asks JetStream to let a healthy member lead, now and then.
func (s *stripe) push(ctx context.Context) {
	s.mu.Lock()
	// Of a log that has lost records nobody may own the stripe.
	due := time.Since(s.pushed) >= pushEvery && !s.yielding && s.ails != logLost
	if due {
		s.pushed = time.Now()
	}
	s.mu.Unlock()
	if !due {
		return
	}
	to, ok := s.rescue()
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pushEvery)
	defer cancel()
	s.host.metrics.Moved(s.Name, "unfit")
	if err := s.moveLeader(ctx, to); err != nil {
		s.host.Logger.Warn("leadership cannot be moved", "stripe", s.Name, "to", to, "error", err)
	}
}

// moveLeader asks JetStream to let another host lead. The stripe need not be open.
func (s *stripe) moveLeader(ctx context.Context, to string) error {
	log, err := streams.Open(ctx, s.host.log, s.logConfig())
	if err != nil {
		return err
	}
	return errors.Join(log.MoveLeader(ctx, to), log.Close())
}

func (s *stripe) rescue() (to string, ok bool) {
	type answer struct {
		to string
		ok bool
	}
	a := ask(s.host.cluster.peers, func(t *members.Table, now int64) answer {
		to, ok := t.Rescue(now, s.Name)
		return answer{to, ok}
	})
	return a.to, a.ok
}

// handOver gives the stripe to another member: intake stops, the record in flight
// is finished, JetStream is asked to let the other lead, and the other claims. It
// returns when the other serves; when that fails this host goes on.
func (s *stripe) handOver(ctx context.Context, to, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, handOverLimit)
	defer cancel()
	s.mu.Lock()
	log, owner, busy := s.log, s.owner, s.yielding
	if !busy {
		s.yielding = true
	}
	s.mu.Unlock()
	switch {
	case busy:
		return contract.Errorf(contract.Overloaded, "stripe %s is being handed over already", s.Name)
	case owner == nil:
		s.unyield()
		return contract.Errorf(contract.NoOwner, "stripe %s is not open on this host", s.Name)
	}
	defer s.unyield()
	if err := owner.StepDown(ctx); err != nil {
		return err
	}
	began := time.Now()
	for {
		changed := s.host.cluster.peers.Changed()
		err := log.MoveLeader(ctx, to)
		if err == nil {
			err = s.served(ctx, to, changed)
		}
		if err == nil {
			s.host.metrics.Moved(s.Name, reason)
			s.host.Logger.Info("ownership moved", "stripe", s.Name, "to", to, "took", time.Since(began))
			return nil
		}
		if why := s.host.cluster.peers.unfit(to, s.Name); why != "" {
			return fmt.Errorf("hand stripe %s over to %s: %s", s.Name, to, why)
		}
		if !rest(ctx, leadershipEvery) {
			return fmt.Errorf("hand stripe %s over to %s: %w", s.Name, to, err)
		}
	}
}

// served waits until a host serves the stripe; not for ever, since a request to
// JetStream may have come to nothing.
func (s *stripe) served(ctx context.Context, by string, changed <-chan struct{}) error {
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	for {
		owner, _ := s.host.cluster.peers.Owner(s.Name)
		if owner == by {
			return nil
		}
		select {
		case <-changed:
			changed = s.host.cluster.peers.Changed()
		case <-limit.C:
			return fmt.Errorf("%s does not serve it yet", by)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *stripe) unyield() {
	s.mu.Lock()
	s.yielding = false
	s.mu.Unlock()
	s.poke()
}

// balance hands over, one at a time, what another host should rather own.
func (h *Host) balance(ctx context.Context) {
	for rest(ctx, balanceEvery) {
		type answer struct {
			move members.Move
			ok   bool
		}
		a := ask(h.cluster.peers, func(t *members.Table, now int64) answer {
			move, ok := t.Balance(now)
			return answer{move, ok}
		})
		s := h.stripe(a.move.Stripe)
		if !a.ok || s == nil {
			continue
		}
		reason := "preferred"
		if a.move.Urgent {
			reason = "drain"
		}
		err := s.handOver(ctx, a.move.To, reason)
		h.cluster.peers.moved(a.move, err == nil)
		if err != nil {
			h.Logger.Warn("stripe not handed over", "stripe", a.move.Stripe, "to", a.move.To, "error", err)
		}
	}
}

// giveUp hands over whatever this host owns, all at once, to whoever is best.
func (h *Host) giveUp(ctx context.Context) {
	var all sync.WaitGroup
	for _, s := range h.members() {
		if _, serving := s.Epoch(); !serving {
			continue
		}
		all.Go(func() {
			to, ok := s.rescue()
			if !ok {
				h.Logger.Warn("nobody can take the stripe over", "stripe", s.Name)
				return
			}
			if err := s.handOver(ctx, to, "closing"); err != nil {
				h.Logger.Warn("stripe not handed over", "stripe", s.Name, "to", to, "error", err)
			}
		})
	}
	all.Wait()
}

// rest waits, and says whether ctx still lives.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
