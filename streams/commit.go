package streams

import (
	"context"
	"errors"
	"time"

	"trireme/internal/contract"
	"trireme/internal/record"
)

// serve commits batch after batch. It returns nil when the ownership has ended.
func (o *Owner) serve() error {
	look := time.NewTicker(o.cfg.PollEvery) // at MayClaim, when nobody pokes
	defer look.Stop()
	for {
		select {
		case <-o.soft.Done():
			return errClosing
		case done := <-o.ctl:
			o.yield(errHandedOver)
			close(done)
			return nil
		case r, ok := <-o.tail:
			if o.deposedBy(r, ok) {
				return nil
			}
		default:
		}
		if !o.cfg.MayClaim() {
			o.yield(errDeposed)
			return nil
		}
		if batch := o.gather(); len(batch) > 0 {
			owner, err := o.commit(batch)
			if err != nil || !owner {
				return err
			}
			continue
		}
		select {
		case <-o.wake:
		case <-o.poke:
		case <-look.C:
		case r, ok := <-o.tail:
			if o.deposedBy(r, ok) {
				return nil
			}
		case <-o.soft.Done():
			return errClosing
		case done := <-o.ctl:
			o.yield(errHandedOver)
			close(done)
			return nil
		}
	}
}

// What those are told who waited for an owner that is none any more.
var (
	errHandedOver = contract.Errorf(contract.Deposed, "this host has handed the stripe over")
	errDeposed    = contract.Errorf(contract.Deposed, "this host should not own the stripe any more")
)

// yield hands over: nothing is in flight, the queue is answered.
func (o *Owner) yield(reason error) {
	o.mu.Lock()
	was, epoch := o.phase, o.epoch
	queued := o.queue.items
	o.queue = queue{}
	o.enter(Waiting, reason)
	o.mu.Unlock()
	answer(queued, reason)
	if was == Serving {
		o.cfg.Listener(Lost{Epoch: epoch, Err: reason})
		o.cfg.Logger.Info("ownership given up", "epoch", epoch.String(), "why", reason)
	}
}

// gather takes what waits, up to a batch, and prepares it.
func (o *Owner) gather() []*item {
	if o.builder.Size() > 4*o.cfg.BatchBytes {
		o.builder = record.Builder{} // give back what a large one took
	}
	o.builder.Reset()
	clear(o.batch)
	o.batch = o.batch[:0]
	for {
		it := o.next()
		if it == nil {
			return o.batch
		}
		n := o.builder.Len()
		if it.p.Prepare(&o.builder) {
			it.change = o.builder.Len() > n
			o.batch = append(o.batch, it)
		}
	}
}

// next takes what waits longest, if it goes into the batch.
func (o *Owner) next() *item {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue.items) == 0 {
		return nil
	}
	first, taken := o.queue.items[0], len(o.batch)
	if !fits(taken, o.builder.Size(), first.size, &o.cfg) || taken > 0 && !first.sharesRecord(o.batch[0]) {
		return nil
	}
	return o.queue.pop()
}

// commit sees a batch through. owner is false when the ownership has ended.
func (o *Owner) commit(batch []*item) (owner bool, err error) {
	if err := o.admit(); err != nil {
		batch = o.turnAway(batch, err)
	}
	for len(batch) > 0 {
		if err := o.admitBarrier(); err != nil {
			o.land(batch, turnedAway(err))
			return true, nil
		}
		a, err := o.send(batch)
		switch stepAfter(err) {
		case stepApply:
			return true, o.settle(a)
		case stepRefuse:
			if a.changes == 0 { // not even a barrier goes in
				o.land(batch, turnedAway(err))
				return true, nil
			}
			batch = o.turnAway(batch, err)
		case stepAgain:
			o.putBack(batch)
			o.lose(err)
			return false, nil
		default:
			o.attempt = a
			o.lose(err)
			return false, nil
		}
	}
	return true, nil
}

// admit says whether the changes of the batch may be written.
func (o *Owner) admit() error {
	if o.builder.Len() == 0 {
		return nil
	}
	size := o.builder.Size()
	if err := o.cfg.Admit(size); err != nil {
		return err
	}
	if !o.crowded(size) {
		return nil
	}
	if now := time.Now(); now.Sub(o.relieved) >= time.Second {
		o.relieved = now
		if err := o.trim(o.soft, true); err != nil {
			o.cfg.Logger.Warn("trim of a crowded log failed", "err", err)
		}
	}
	if !o.crowded(size) {
		return nil
	}
	st := o.Status().Log
	return contract.Errorf(contract.BufferFull, "the log holds %d of at most %d bytes and nothing of it can be trimmed yet", st.Bytes, st.MaxBytes)
}

// admitBarrier says whether the batch may go in if it has no changes.
func (o *Owner) admitBarrier() error {
	if o.builder.Len() > 0 {
		return nil
	}
	return o.cfg.Admit(0)
}

func (o *Owner) crowded(more int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return over(refuseMark, o.logState.Bytes, int64(more), o.logState.MaxBytes)
}

// turnAway refuses the proposals that have changes and returns the others, whose
// decisions hold for an empty record as well.
func (o *Owner) turnAway(batch []*item, err error) []*item {
	o.setFlight(nil)
	refused, rest := make([]*item, 0, len(batch)), make([]*item, 0, len(batch))
	for _, it := range batch {
		if it.change {
			refused = append(refused, it)
		} else {
			rest = append(rest, it)
		}
	}
	o.builder.Reset()
	answer(refused, turnedAway(err))
	o.cfg.Listener(Refused{Changes: len(refused), Err: err})
	return rest
}

// turnedAway is err as one of the contract's.
func turnedAway(err error) error {
	switch {
	case contract.CodeOf(err) != 0:
		return err
	case errors.Is(err, ErrTooLarge):
		return contract.Errorf(contract.TooLarge, "%v", err)
	}
	return contract.Errorf(contract.BufferFull, "%v", err)
}

// record is the batch as it stands in the log.
func (o *Owner) record(batch []*item, now time.Time) []byte {
	at := max(now.UnixMilli(), o.at.Time)
	if h := batch[0].horizon; !h.IsZero() {
		return record.AppendRelease(nil, &record.Record{Epoch: o.epoch, Time: at, Prev: o.at.Chain, Horizon: h})
	}
	return o.builder.Record(o.epoch, at, o.at.Chain)
}

// send appends the batch as one record.
func (o *Owner) send(batch []*item) (*attempt, error) {
	now := time.Now()
	a := &attempt{expected: o.at.Seq, body: o.record(batch, now), items: batch, changes: o.builder.Len()}
	if len(a.body) > MaxRecord {
		return a, ErrTooLarge
	}
	o.setFlight(batch)
	ctx, cancel := context.WithTimeout(o.hard, o.cfg.AppendTimeout)
	defer cancel()
	_, err := o.log.Append(ctx, a.expected, a.body)
	a.took = time.Since(now)
	return a, err
}

// settle applies a committed record and answers. On an error the items stay in
// flight: their changes are in the log, and this host cannot vouch for more.
func (o *Owner) settle(a *attempt) error {
	start := time.Now()
	if err := o.apply(a.expected+1, a.body); err != nil {
		return err
	}
	o.land(a.items, nil)
	o.cfg.Broadcast(a.expected+1, a.body)
	o.cfg.Listener(Committed{
		Seq: a.expected + 1, Proposals: len(a.items), Changes: a.changes, Bytes: len(a.body),
		Append: a.took, Apply: time.Since(start),
	})
	return nil
}

// apply moves the machine on by one record.
func (o *Owner) apply(seq uint64, body []byte) error {
	if err := apply(o.machine, seq, body); err != nil {
		return err
	}
	at := o.machine.Applied()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at = at
	if st := &o.logState; seq > st.Last {
		st.Last = seq
		st.Bytes += footprint(body)
		if over(trimMark, st.Bytes, 0, st.MaxBytes) {
			signal(o.kick)
		}
	}
	return nil
}

// land takes items out of flight and answers them.
func (o *Owner) land(items []*item, err error) {
	o.setFlight(nil)
	answer(items, err)
}

func (o *Owner) setFlight(items []*item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flight = items
}

// putBack lets items try again whose record is definitely not in the log.
func (o *Owner) putBack(items []*item) {
	o.mu.Lock()
	o.flight = nil
	waits := o.phase != Waiting
	if waits {
		o.queue.putBack(items)
	}
	o.mu.Unlock()
	if !waits {
		answer(items, errDeposed)
	}
}

func (o *Owner) lose(err error) {
	o.mu.Lock()
	epoch := o.epoch
	o.enter(Claiming, err)
	o.mu.Unlock()
	o.cfg.Logger.Warn("ownership lost", "epoch", epoch.String(), "err", err)
	o.cfg.Listener(Lost{Epoch: epoch, Err: err})
}
