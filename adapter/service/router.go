package service

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/layout"
	"trireme/internal/position"
)

// A router passes requests on to the hosts that own their stripes, and keeps them
// while there is no owner. One subscription takes all answers, and one goroutine
// looks after what waits, so that a failover with many thousands of requests
// waiting costs little.
//
// A request in the router is in its lane, and in one of two spots: parked, until
// there is an owner to try, or asked, until the answer comes. Whoever takes it out
// of its spot sees to it that it goes on or leaves its lane.
type router struct {
	svc   *Service
	inbox string // where answers come, before the token
	sub   *nats.Subscription
	wake  chan struct{} // something waits, or may go on

	mu    sync.Mutex // taken after no other lock, held while calling nobody
	last  uint64     // the newest token
	asked map[uint64]*request
	roads map[string]*road
	moved bool      // an owner has changed, and what was asked has not been looked at
	next  time.Time // when to look at it at the latest
}

// A road leads to the owner of one stripe.
type road struct {
	gate   gate
	parked []*request // some of them taken out
	host   string     // the owner, as seen last
	epoch  position.Position
	here   bool // this host served it when seen last
}

// A trip is where a request is in its router; guarded by the router's mutex.
type trip struct {
	spot      spot
	road      *road
	partition layout.Partition
	token     uint64
	turn      int // of the gate, when it was sent
	sent      time.Time
	host      string // the owner as known when it was sent
	epoch     position.Position
	burst     bool      // has been let through a shut gate
	turned    bool      // a host has said that it is not the owner
	again     time.Time // and the other one has until then to answer
}

type spot uint8

const (
	nowhere spot = iota
	parked
	asked
)

func newRouter(s *Service) (*router, error) {
	t := &router{
		svc: s, inbox: s.Conn.NewInbox() + ".", wake: make(chan struct{}, 1),
		asked: map[uint64]*request{}, roads: map[string]*road{},
	}
	sub, err := s.Conn.Subscribe(t.inbox+"*", t.answered)
	if err != nil {
		return nil, err
	}
	t.sub = sub
	// What waits here is bounded by the requests in flight. The library's own
	// bounds are below the size of one large reply, and it drops what is over.
	return t, sub.SetPendingLimits(-1, -1)
}

func (t *router) close() { t.svc.unsubscribe([]*nats.Subscription{t.sub}) }

// nudge has the router look at what waits.
func (t *router) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// road finds the way to a stripe; mu is held.
func (t *router) road(stripe string) *road {
	at := t.roads[stripe]
	if at == nil {
		at = &road{}
		t.roads[stripe] = at
	}
	return at
}

// pass sends a request to the owner of its partition, or parks it.
func (t *router) pass(r *request, p layout.Partition) {
	now := time.Now()
	host, epoch := t.svc.Directory.Owner(p.Stripe)
	t.mu.Lock()
	at := t.road(p.Stripe)
	if at.gate.shut && !r.trip.burst || !now.Before(r.due) {
		t.park(r, at, p)
		t.mu.Unlock()
		t.settled(r)
		return
	}
	t.last++
	went := trip{spot: asked, road: at, partition: p, token: t.last, turn: at.gate.turn, sent: now, host: host, epoch: epoch}
	t.mu.Unlock()

	// FIRST ALL THAT CHANGES THE REQUEST, then the spot: from there others may take it.
	if !r.goesOut() {
		r.leave()
		return
	}
	t.svc.Passed(host, r.passed)
	r.passed = true
	m := r.onward(p.ID, t.inbox+strconv.FormatUint(went.token, 36), now)
	t.mu.Lock()
	r.trip = went
	t.asked[went.token] = r
	t.mu.Unlock()
	t.settled(r)
	if err := t.svc.Conn.PublishMsg(m); err != nil && t.take(r, went.token) {
		r.unsent(err)
	}
}

// park keeps a request until its stripe has an owner to try; mu is held.
func (t *router) park(r *request, at *road, p layout.Partition) {
	r.trip = trip{spot: parked, road: at, partition: p}
	at.parked = append(at.parked, r)
	if len(at.parked) == 1 || !at.gate.shut { // else the time of the next try is set
		t.nudge()
	}
}

// back parks a request that was sent and found no owner.
func (t *router) back(r *request) {
	t.mu.Lock()
	at := r.trip.road
	at.gate.failed(r.trip.turn, time.Now())
	t.park(r, at, r.trip.partition)
	t.mu.Unlock()
	t.settled(r)
}

// turnedOut parks a request that this host took as the owner and can be no more.
func (t *router) turnedOut(r *request, p layout.Partition) {
	t.mu.Lock()
	at := t.road(p.Stripe)
	at.gate.failed(at.gate.turn, time.Now())
	t.park(r, at, p)
	t.mu.Unlock()
	t.settled(r)
}

// served notes that this host has taken a request that waited here.
func (t *router) served(stripe string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at := t.road(stripe); at.gate.shut {
		at.gate.open()
		t.nudge()
	}
}

// take takes a request out of its spot. It says false when somebody else did, or
// when it has been sent anew meanwhile.
func (t *router) take(r *request, token uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.takeLocked(r, token)
}

func (t *router) takeLocked(r *request, token uint64) bool {
	if r.trip.spot == nowhere || r.trip.token != token {
		return false
	}
	if r.trip.spot == asked {
		delete(t.asked, token)
	}
	r.trip.spot = nowhere
	return true
}

// settled lets a request that has been answered, by the end of its hold, leave. It
// is called after an answer and after each step into a spot: whichever comes last
// finds it.
func (t *router) settled(r *request) {
	if r.phase.Load() != answered {
		return
	}
	t.mu.Lock()
	mine := t.takeLocked(r, r.trip.token)
	t.mu.Unlock()
	if mine {
		r.leave()
	}
}

// answered takes an answer from another host. It runs on the goroutine of the
// subscription.
func (t *router) answered(m *nats.Msg) {
	token, err := strconv.ParseUint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 36, 64)
	if err != nil {
		return
	}
	t.mu.Lock()
	r := t.asked[token]
	if r != nil && t.turnedAway(r, m) {
		t.mu.Unlock()
		t.nudge()
		return
	}
	if r == nil || !t.takeLocked(r, token) {
		t.mu.Unlock()
		return // sent anew since, or too late
	}
	at, turn := r.trip.road, r.trip.turn
	t.mu.Unlock()
	if r.told(m) {
		t.mu.Lock()
		at.gate.passed(turn)
		more := len(at.parked) > 0
		t.mu.Unlock()
		if more {
			t.nudge()
		}
	}
}

// secondAnswer is how long the new owner has to answer after the old one has said
// that it is none.
const secondAnswer = 100 * time.Millisecond

// turnedAway says whether an answer is that of a host which owns the stripe no more,
// so that another one may come: for a moment both listen. mu is held.
func (t *router) turnedAway(r *request, m *nats.Msg) bool {
	if !ownerElsewhere(m) || r.trip.turned || r.ending() {
		return false
	}
	r.trip.turned, r.trip.again = true, time.Now().Add(secondAnswer)
	if r.trip.again.Before(t.next) {
		t.next = r.trip.again
	}
	return true
}

// run looks after what waits until ctx ends.
func (t *router) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		// TAKE THE CHANNEL, THEN LOOK: a change in between is seen either way.
		changed := t.svc.Directory.Changed()
		timer.Reset(t.look(time.Now()))
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-t.wake:
		case <-timer.C:
		}
	}
}

// lookAgain is how often what was asked is looked at, whatever happens.
const lookAgain = 500 * time.Millisecond

// look lets go what may go, and says when to look again at the latest.
func (t *router) look(now time.Time) time.Duration {
	t.mu.Lock()
	stripes := make([]string, 0, len(t.roads))
	for stripe := range t.roads {
		stripes = append(stripes, stripe)
	}
	t.mu.Unlock()
	for _, stripe := range stripes {
		host, epoch := t.svc.Directory.Owner(stripe)
		_, here := t.svc.serving(stripe)
		t.watch(stripe, host, epoch, here)
	}
	t.mu.Lock()
	free, again := t.freed(now)
	free = append(free, t.overdue(now)...)
	if len(t.asked) > 0 {
		again = min(again, max(time.Millisecond, t.next.Sub(now)))
	}
	t.mu.Unlock()
	for _, r := range free {
		r.run()
	}
	return again
}

// watch opens the gate of a stripe whose owner has changed.
func (t *router) watch(stripe, host string, epoch position.Position, here bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.roads[stripe]
	if host != at.host || epoch != at.epoch || here && !at.here {
		at.gate.open()
		t.moved = true
	}
	at.host, at.epoch, at.here = host, epoch, here
}

// freed takes out the parked requests that may go now; mu is held.
func (t *router) freed(now time.Time) (free []*request, again time.Duration) {
	again = lookAgain
	for _, at := range t.roads {
		if at.gate.shut && now.Before(at.gate.retryAt) {
			if len(at.parked) > 0 {
				again = min(again, at.gate.retryAt.Sub(now))
			}
			continue
		}
		at.parked = slices.DeleteFunc(at.parked, func(r *request) bool { return r.trip.spot != parked })
		n := at.gate.release(now, len(at.parked))
		for _, r := range at.parked[:n] {
			if now.Before(r.due) { // else its answer is on its way
				r.trip.spot, r.trip.burst = nowhere, true
				free = append(free, r)
			}
		}
		// WHAT GOES LEAVES THE LIST AT ONCE: it may come back.
		at.parked = slices.DeleteFunc(at.parked, func(r *request) bool { return r.trip.spot != parked })
		if at.gate.shut && len(at.parked) > 0 {
			again = min(again, max(time.Millisecond, at.gate.retryAt.Sub(now)))
		}
	}
	return free, again
}

// silence is after how long without an answer a request is sent again: it or its
// answer was lost with a connection between two hosts. At an owner that is only slow
// it joins the first.
const silence = 2 * time.Second

// overdue takes out the requests whose answer will not come, as it seems, so that
// they are sent again: another owner or this host has taken over since, which
// fences the one that was asked; or a host that is not the owner has answered, and
// nobody else; or it has been silent for long. mu is held.
func (t *router) overdue(now time.Time) (free []*request) {
	if !t.moved && now.Before(t.next) {
		return nil
	}
	t.moved, t.next = false, now.Add(lookAgain)
	for token, r := range t.asked {
		at := r.trip.road
		moved := at.here || at.host != "" && (at.host != r.trip.host || at.epoch != r.trip.epoch)
		alone := r.trip.turned && !now.Before(r.trip.again) // nobody else has answered
		if r.trip.turned && !alone && r.trip.again.Before(t.next) {
			t.next = r.trip.again
		}
		if !alone && !moved && now.Sub(r.trip.sent) < t.svc.quiet || !now.Before(r.due) {
			continue
		}
		if alone {
			at.gate.failed(r.trip.turn, now)
		}
		delete(t.asked, token)
		r.trip.spot, r.trip.burst = nowhere, !alone
		r.unheard()
		free = append(free, r)
	}
	return free
}
