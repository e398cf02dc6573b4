package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"trireme/buckets"
	"trireme/internal/config"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/members"
	"trireme/internal/position"
	"trireme/repair"
	"trireme/streams"
)

const (
	lossesEvery  = time.Second      // between two looks whether the store has lost rows
	releaseEvery = 10 * time.Second // between two looks whether tombstones may go
	releaseMost  = 1000             // tombstones let go by one record
	healedLimit  = 30 * time.Second // for a healed stripe to open its log
)

// startRepair begins to compare this host's documents with those of others, and lets
// others compare theirs. A host that stands alone only re-reads its own.
func (h *Host) startRepair(ctx, background context.Context) error {
	k := &meteredRepair{}
	repairer := &repair.Repairer{
		Self: h.Config.Host, Store: h.store, Host: repairs{h}, Dir: h.Config.Data,
		Config: repairConfig(h.Config), Logger: h.Logger,
		Listener: func(e repair.Event) {
			h.repairEvent(e)
			k.ended(e)
		},
	}
	if h.cluster != nil {
		conn, err := h.server.Log()
		if err != nil {
			return err
		}
		h.repairs = conn
		h.answers = &repair.Server{
			Conn: conn, Host: h.Config.Host, Version: h.Version, Source: repairs{h},
			Limits: repair.Limits{Rate: h.Config.Repair.ServeBytes}, Logger: h.Logger,
		}
		if err := h.answers.Start(); err != nil {
			return err
		}
		k.peer, k.answers = &repair.Peer{Conn: conn, Self: h.Config.Host, Layout: repairs{h}.Layout}, h.answers
		repairer.Peers = k.peer
	}
	k.repairer = repairer
	if err := repairer.Start(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	h.metering = k
	h.mu.Unlock()
	h.wait.Go(func() { h.watchLosses(background) })
	h.wait.Go(func() { h.releaseTombstones(background) })
	return nil
}

// closeRepair is the end of startRepair.
func (h *Host) closeRepair() error {
	var errs []error
	if r := h.repairing(); r != nil {
		errs = append(errs, r.Close())
	}
	if h.answers != nil {
		errs = append(errs, h.answers.Close())
	}
	return errors.Join(errs...)
}

// repairing is the host's repair, nil while it has not begun.
func (h *Host) repairing() *repair.Repairer {
	if k := h.metered(); k != nil {
		return k.repairer
	}
	return nil
}

func (h *Host) metered() *meteredRepair {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.metering
}

func repairConfig(c config.Config) repair.Config {
	r := repair.Config{
		Interval: c.Repair.Interval, Rate: c.Repair.RateBytes, Tranquility: float64(c.Repair.Tranquility), ScrubEvery: c.Repair.Scrub,
	}
	if r.ScrubEvery == 0 {
		r.ScrubEvery = -1
	}
	return r
}

// repairs is the host as repair sees it.
type repairs struct{ h *Host }

// Layout is the layout in force, and its digest.
func (r repairs) Layout() (layout.Layout, string) {
	l := r.h.layout()
	return l, l.Digest()
}

// Stripe is this host's copy of a stripe.
func (r repairs) Stripe(name string) (replica *buckets.Replica, sick string, ok bool) {
	s := r.h.stripe(name)
	if s == nil {
		return nil, "", false
	}
	return s.replica, s.astray(), true
}

// Stripes are those that this host is a member of.
func (r repairs) Stripes() []repair.Stripe {
	l := r.h.layout()
	var list []repair.Stripe
	for _, s := range r.h.members() {
		list = append(list, repair.Stripe{
			Name: s.Name, Members: s.Hosts, Partitions: l.PartitionsOf(s.Name), Replica: s.replica, Sick: s.healable(), Follows: s.partial(),
		})
	}
	return list
}

// Healthy names the other members that are well, the owner first.
func (r repairs) Healthy(stripe string) []string {
	return r.others(stripe, func(m members.Stripe) bool { return m.Sick == "" })
}

// Partial names the others that have only lost rows of some buckets.
func (r repairs) Partial(stripe string) []string {
	return r.others(stripe, func(m members.Stripe) bool { return m.Sick != "" && m.Partial })
}

// others are the other members that are alive and of which a report says so, the owner first.
func (r repairs) others(stripe string, are func(members.Stripe) bool) []string {
	c := r.h.cluster
	if c == nil {
		return nil
	}
	s := r.h.stripe(stripe)
	if s == nil {
		return nil
	}
	return ask(c.peers, func(t *members.Table, now int64) []string {
		owner, _ := t.Owner(now, stripe)
		var list []string
		for _, v := range t.Hosts(now) {
			m, has := v.Report.Stripes[stripe]
			if v.Name == r.h.Config.Host || !v.Alive || !has || !are(m) || !slices.Contains(s.Hosts, v.Name) {
				continue
			}
			if v.Name == owner {
				list = slices.Insert(list, 0, v.Name)
			} else {
				list = append(list, v.Name)
			}
		}
		return list
	})
}

// Healed opens the log of a stripe whose documents are now as at a position of it.
func (r repairs) Healed(ctx context.Context, stripe string, at buckets.Applied) error {
	s := r.h.stripe(stripe)
	if s == nil {
		return fmt.Errorf("stripe %s is not on this host any more", stripe)
	}
	ctx, cancel := context.WithTimeout(ctx, healedLimit)
	defer cancel()
	if err := s.holdsAfter(ctx, at.Seq); err != nil {
		return err
	}
	s.lookForLosses()
	s.again()
	for {
		sick, open := s.unwell(), s.isOpen()
		switch {
		case sick == "" && open:
			return nil
		case sick != "" && s.isTrimmed():
			return fmt.Errorf("%w: %s", repair.ErrLogPassed, sick)
		}
		if !rest(ctx, leadershipEvery) {
			return fmt.Errorf("stripe %s does not open after it was healed up to %d: %w: %s", stripe, at.Seq, ctx.Err(), sick)
		}
	}
}

// holdsAfter makes sure that the log holds what comes after a sequence.
func (s *stripe) holdsAfter(ctx context.Context, seq uint64) error {
	log, err := streams.Open(ctx, s.host.log, s.logConfig())
	if err != nil {
		return err
	}
	st, err := log.State(ctx)
	if err = errors.Join(err, log.Close()); err != nil {
		return err
	}
	if st.First > seq+1 {
		return fmt.Errorf("%w: stripe %s was healed up to %d, its log begins at %d", repair.ErrLogPassed, s.Name, seq, st.First)
	}
	s.mu.Lock()
	s.sick, s.ails = "", sound
	s.mu.Unlock()
	return nil
}

// healable is why this replica has to be filled from others, "" when it need not be, or
// when that would not do.
func (s *stripe) healable() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ails == fallenOff {
		return s.sick
	}
	return s.losses
}

// unwell is why this replica as a whole does not count, "" when it does. Unlike sickness it
// leaves aside whether the log is there and open: what was applied is right.
func (s *stripe) unwell() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.whyAstray(), s.losses)
}

// astray is why nothing of this replica counts, "" when it does but for the buckets that
// have lost rows.
func (s *stripe) astray() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whyAstray()
}

// whyAstray is the same, for who holds the lock.
func (s *stripe) whyAstray() string {
	if s.ails == fallenOff || s.ails == strange {
		return s.sick
	}
	return ""
}

// partial says that all that is wrong with the replica is that rows of some buckets were
// lost.
func (s *stripe) partial() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.losses != "" && s.whyAstray() == ""
}

func (s *stripe) isTrimmed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ails == fallenOff
}

// logGone is why the stripe's log cannot be gone on with, "" when it can.
func (s *stripe) logGone() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ails != logLost {
		return ""
	}
	return s.sick
}

func (s *stripe) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// watchLosses notes which stripes have lost rows, and has the repairer look.
func (h *Host) watchLosses(ctx context.Context) {
	for rest(ctx, lossesEvery) {
		for _, s := range h.members() {
			if s.lookForLosses() {
				h.report()
				h.repairing().Look()
			}
		}
	}
}

// lookForLosses notes whether the store has lost rows of the stripe. It says whether
// that is news.
func (s *stripe) lookForLosses() (news bool) {
	l := s.host.layout()
	losses := s.replica.Losses(buckets.RangesOf(l.PartitionsOf(s.Name))...)
	s.mu.Lock()
	defer s.mu.Unlock()
	news = s.losses != losses
	s.losses = losses
	return news
}

// releaseTombstones lets tombstones go, of stripes that this host owns, when every
// member is known to have them.
func (h *Host) releaseTombstones(ctx context.Context) {
	for rest(ctx, releaseEvery) {
		for _, s := range h.members() {
			if _, serving := s.Epoch(); !serving {
				continue
			}
			if err := s.release(ctx); err != nil && ctx.Err() == nil {
				h.Logger.Warn("tombstones are not released", "stripe", s.Name, "error", err)
			}
		}
	}
}

func (s *stripe) release(ctx context.Context) error {
	s.mu.Lock()
	owner := s.owner
	s.mu.Unlock()
	horizon, n := s.replica.Releasable(s.cleanEverywhere(), releaseMost)
	if n == 0 || owner == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, releaseEvery)
	defer cancel()
	if err := owner.Release(ctx, horizon); err != nil {
		return err
	}
	s.host.Logger.Info("tombstones released", "stripe", s.Name, "tombstones", n, "horizon", horizon.String())
	return nil
}

// cleanEverywhere is the position up to which every member's copy is known to be equal
// to another's. Where there is no other member it is what is durable.
func (s *stripe) cleanEverywhere() position.Position {
	p := position.Position{Birth: s.Birth, Seq: s.replica.Durable()}
	if len(s.Hosts) > 1 {
		p.Seq = ask(s.host.cluster.peers, func(t *members.Table, _ int64) uint64 { return t.Clean(s.Name) })
	}
	return p
}

// clean is what this member reports of itself.
func (s *stripe) clean() uint64 {
	r := s.host.repairing()
	if r == nil {
		return 0
	}
	p := r.Clean(s.Name)
	if p.Birth != s.Birth {
		return 0
	}
	return p.Seq
}

// mend has a document fetched for a request that waits.
func (h *Host) mend(ctx context.Context, k contract.Key) error {
	r := h.repairing()
	if r == nil {
		return errors.New("repair has not begun on this host yet")
	}
	return r.Mend(ctx, k)
}

// repairEvent tells people of what repair has found and done.
func (h *Host) repairEvent(e repair.Event) {
	level := slog.LevelInfo
	switch e.(type) {
	case repair.RoundEnded:
		level = slog.LevelDebug
	case repair.Found, repair.Undecided, repair.ScrubFound, repair.Dropped:
		level = slog.LevelWarn
	}
	h.Logger.Log(context.Background(), level, "repair", "event", fmt.Sprintf("%T", e), "what", fmt.Sprintf("%+v", e))
}
