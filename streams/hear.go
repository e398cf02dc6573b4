package streams

import "context"

// take goes along with what another owner has told, while this host does not
// serve. again asks for a look at the log, which is put off for a while when the
// log could not be reached just now (not calm). An error ends the owner.
func (o *Owner) take(r Record, calm bool) (again bool, err error) {
	at := o.at
	switch {
	case r.Seq == 0, !o.verified:
		return calm, nil
	case r.Seq <= at.Seq:
		return false, nil
	}
	o.noteLast(r.Seq)
	if r.Seq == at.Seq+1 && continues(at.Chain, r.Body) {
		return false, o.observe(r.Seq, r.Body)
	}
	err = o.look(func(ctx context.Context) error { return o.log.Read(ctx, at.Seq+1, r.Seq, o.observe) })
	switch {
	case o.soft.Err() != nil:
		return false, errClosing
	case err != nil && o.fatal(err):
		return false, err
	}
	return calm && err != nil, nil
}

// deposedBy says whether another owner has told of a record that this one, while
// it serves, does not know. Then the ownership is lost.
func (o *Owner) deposedBy(r Record, ok bool) bool {
	if !ok {
		o.tail = nil
		return false
	}
	if r.Seq <= o.at.Seq {
		return false
	}
	o.lose(&RefusedError{Expected: o.at.Seq, Last: r.Seq})
	return true
}

// noteLast keeps how far the log is known to go. How many bytes that makes is
// not known.
func (o *Owner) noteLast(seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.heard = max(o.heard, seq)
}
