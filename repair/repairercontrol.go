package repair

import (
	"context"
	"sync"
	"time"
)

// Pause stops rounds, healing and scrubbing for a time, at the next document. A pause
// ends by itself, also when the host was restarted meanwhile; a second one replaces the
// first. It is refused unless 0 < d <= 7 days. Requests that wait for a document are served
// all the same.
func (r *Repairer) Pause(d time.Duration) error {
	if err := r.throttle.pause(d); err != nil {
		return err
	}
	_, _, until := r.throttle.settings()
	r.tell(PauseChanged{Until: until})
	return r.saveNow()
}

// Resume ends a pause, if there is one.
func (r *Repairer) Resume() error {
	if r.throttle.paused() == nil {
		return nil
	}
	r.throttle.resume()
	return r.saveNow()
}

// watchPause tells of the end of every pause, and has a round done then.
func (r *Repairer) watchPause(ctx context.Context) {
	for {
		changed := r.throttle.changes()
		if r.throttle.paused() != nil {
			if r.throttle.awaken(ctx) != nil {
				return
			}
			r.tell(PauseChanged{})
			r.save(true)
			kick(r.kicks)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// SetRate bounds what is pulled, in bytes of images a second; 0 for no bound. It holds
// over restarts.
func (r *Repairer) SetRate(rate int64) error {
	if err := r.throttle.setRate(rate); err != nil {
		return err
	}
	r.keeper.edit(func(k *kept) { k.Rate = &rate })
	return r.saveNow()
}

// SetTranquility sets how long background work rests after each piece of it, in
// multiples of what the piece took, 0 to 100. It holds over restarts.
func (r *Repairer) SetTranquility(times float64) error {
	if err := r.throttle.setTranquility(times); err != nil {
		return err
	}
	r.keeper.edit(func(k *kept) { k.Tranquility = &times })
	return r.saveNow()
}

// A keeper writes repair.json.
type keeper struct {
	writing sync.Mutex // held while the file is written
	mu      sync.Mutex
	is      kept
	written time.Time
}

func (k *keeper) edit(do func(*kept)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	do(&k.is)
}

// Progress is written this often at most, and when only its time has moved, this often.
const (
	keepSoon   = 5 * time.Second
	keepSeldom = 5 * time.Minute
)

// save writes what there is to keep, if it is time; at once when it is important. That
// it cannot be written is logged: only progress is lost.
func (r *Repairer) save(important bool) {
	r.keeper.mu.Lock()
	since := time.Since(r.keeper.written)
	r.keeper.mu.Unlock()
	if !important && since < keepSoon || !important && since < keepSeldom && !r.moved() {
		return
	}
	if err := r.saveNow(); err != nil {
		r.Logger.Warn("progress of repair is not kept", "error", err)
	}
}

// moved tells whether something is going on that is worth keeping.
func (r *Repairer) moved() bool {
	return r.clean.moved() || r.healing.moving() || r.scrubs.moved()
}

// saveNow writes what there is to keep.
func (r *Repairer) saveNow() error {
	r.keeper.writing.Lock()
	defer r.keeper.writing.Unlock()
	_, _, until := r.throttle.settings()
	r.keeper.mu.Lock()
	k := &r.keeper.is
	k.Version, k.PausedUntil = keptVersion, timeOrNil(until)
	k.Clean, k.Heals, k.Scrub = r.clean.keep(), r.healing.keep(), r.scrubs.keep()
	now := *k
	r.keeper.written = time.Now()
	r.keeper.mu.Unlock()
	return now.write(r.Dir)
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
