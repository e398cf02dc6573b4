package service

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
)

// dispatch takes messages in the order of arrival and lets them in in that order,
// though a large body takes longer to decode than what comes after it. It ends
// when nil has come in, or ctx ends.
func (s *Service) dispatch(ctx context.Context) {
	var pending []*request // taken, not let in
	for last := false; !last || len(pending) > 0; {
		var decoded <-chan struct{}
		if len(pending) > 0 {
			decoded = pending[0].decoded
		}
		select {
		case <-ctx.Done():
			return
		case <-decoded:
		case msg := <-s.inbox:
			if last = msg == nil; last {
				break
			}
			if r := s.take(msg); r != nil {
				pending = append(pending, r)
			}
		}
		for len(pending) > 0 && pending[0].isDecoded() {
			s.admit(pending[0])
			pending[0] = nil
			pending = pending[1:]
		}
	}
	close(s.admitted)
}

// take counts a request in and decodes it, or begins to.
func (s *Service) take(msg *nats.Msg) *request {
	r := &request{svc: s, msg: msg, arrived: time.Now()}
	op, came := readSubject(msg.Subject)
	r.op, r.came, r.due = s.ops[op], came, r.arrived.Add(s.hold(msg, came))
	if r.op == nil {
		s.respond(msg, nil, nil, contract.Errorf(contract.Malformed, "%s is no operation: want %s followed by one of %v", msg.Subject, contract.SubjectPrefix, contract.Ops()))
		return nil
	}
	r.reading.Add(1) // BEFORE it is in flight, where its hold may end at once
	err := s.fresh(r.arrived)
	if err == nil {
		err = s.flight.takeOff(r, s.MaxInFlight, s.MaxBytes)
	}
	if err != nil {
		r.answer(reply{}, err)
		return nil
	}
	if len(msg.Data) < largeBody {
		r.decode()
		return r
	}
	r.decoded = make(chan struct{})
	go func() {
		defer close(r.decoded)
		r.decode()
	}()
	return r
}

// hold is how long a request may wait: less than usual if it has waited elsewhere.
func (s *Service) hold(msg *nats.Msg, came way) time.Duration {
	if came != toOwner {
		return s.Hold
	}
	ms, err := strconv.ParseInt(msg.Header.Get(headerHold), 10, 64)
	if err != nil || ms < 0 || ms > s.Hold.Milliseconds() {
		return s.Hold
	}
	return time.Duration(ms) * time.Millisecond
}

// isDecoded reports whether headers and body have been read.
func (r *request) isDecoded() bool {
	select {
	case <-r.decoded:
		return true
	default:
		return r.decoded == nil
	}
}

// admit sends a decoded request on its way.
func (s *Service) admit(r *request) {
	switch {
	case r.phase.Load() == answered:
		s.flight.land(r)
	case s.turnsAway(r):
		s.flight.land(r)
	case r.op.keyed:
		s.lanes.enter(r)
	default:
		r.abroad.Store(s.Directory != nil) // other hosts may be asked
		s.wait.Go(r.serveList)
	}
}

// turnsAway answers what was sent here as to the owner, if this host is none. It does
// so BEFORE THE LANE: the request may be a copy of one that this host has passed on
// itself, which holds the lane and waits for that very answer.
func (s *Service) turnsAway(r *request) bool {
	if r.came != toOwner || !r.op.keyed || r.here || s.Directory == nil {
		return false
	}
	partition, ok := s.partition(r.key)
	if _, serving := s.serving(partition.Stripe); serving || !ok {
		return false
	}
	r.answer(reply{}, r.notOwner(partition))
	return true
}

// decode reads headers and body. What is wrong in itself is answered at once.
func (r *request) decode() {
	defer r.reading.Done()
	err := r.readHeaders()
	if err == nil {
		err = r.op.parse(r.svc, r)
	}
	if err == nil && r.op.keyed {
		err = contract.CheckKey(r.key)
	}
	if err != nil {
		r.answer(reply{}, err)
	}
}

func (r *request) readHeaders() error {
	for name, value := range map[string]*string{contract.HeaderRequestID: &r.id, contract.HeaderWriter: &r.writer} {
		values, there := r.msg.Header[name]
		if !there {
			continue
		}
		if len(values) != 1 || values[0] == "" {
			return contract.Errorf(contract.Malformed, "header %s: want one value of 1 to %d characters, or no header", name, contract.MaxHeader)
		}
		if err := contract.CheckHeader(name, values[0]); err != nil {
			return err
		}
		*value = values[0]
	}
	return nil
}
