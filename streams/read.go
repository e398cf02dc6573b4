package streams

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// How a range is read: in requests of so many records and bytes, the next one
// under way while the last one is worked on.
const (
	readRecords  = 4096
	readBytes    = 4 << 20
	readStall    = time.Second // without a word, before another replica is asked; doubled each time
	readStallMax = 10 * time.Second
	readPatience = 30 * time.Second // without progress, before ErrUnreadable
	readPause    = 20 * time.Millisecond
)

// Read calls fn with the records from one sequence to another, both included, in
// order and without gaps. fn may keep body. The caller knows that the records
// are committed; replicas that do not have them yet are asked again.
//
// It returns fn's error, [ErrTrimmed] when the log no longer holds the next
// record, [ErrUnreadable] when nobody has given it for 30 s, or the end of ctx.
func (l *Log) Read(ctx context.Context, from, to uint64, fn func(seq uint64, body []byte) error) error {
	if from == 0 {
		return errors.New("read log: sequences begin at 1")
	}
	if from > to {
		return nil
	}
	r, err := l.newReader()
	if err != nil {
		return err
	}
	defer r.close()
	return r.run(ctx, from, to, fn)
}

// A reader is one Read under way.
type reader struct {
	log    *Log
	sub    *nats.Subscription
	prefix string
	token  uint64
	reply  string // where the answers to the last request come
	stall  time.Duration
}

func (l *Log) newReader() (*reader, error) {
	r := &reader{log: l, prefix: l.nc.NewRespInbox() + ".", stall: readStall}
	var err error
	if r.sub, err = l.nc.SubscribeSync(r.prefix + "*"); err != nil {
		return nil, fmt.Errorf("read log %s: subscribe: %w", l.name, err)
	}
	if err = r.sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("read log %s: set limits: %w", l.name, err)
	}
	return r, nil
}

// close has nobody left to tell of an error: the connection is gone then, and
// the subscription with it.
func (r *reader) close() { _ = r.sub.Unsubscribe() }

func (r *reader) run(ctx context.Context, next, to uint64, fn func(seq uint64, body []byte) error) error {
	if err := r.request(next, to); err != nil {
		return err
	}
	progress := time.Now()
	for {
		bodies, fault := r.collect(ctx, next)
		if fault != nil {
			if err := r.missing(ctx, next, progress, fault); err != nil {
				return err
			}
			if err := r.request(next, to); err != nil {
				return err
			}
			continue
		}
		after := next + uint64(len(bodies))
		if after <= to {
			if err := r.request(after, to); err != nil {
				return err
			}
		}
		for _, body := range bodies {
			if err := fn(next, body); err != nil {
				return err
			}
			next++
		}
		if next > to {
			return nil
		}
		progress, r.stall = time.Now(), readStall
	}
}

// request asks for the records from next on. Without headers a reply costs a
// third; that no record is missing shows at the end of the batch.
func (r *reader) request(next, to uint64) error {
	r.token++
	r.reply = r.prefix + strconv.FormatUint(r.token, 36)
	n := min(readRecords, to-next+1)
	body := fmt.Appendf(nil, `{"seq":%d,"batch":%d,"max_bytes":%d,"no_hdr":true}`, next, n, readBytes)
	if err := r.log.nc.PublishRequest("$JS.API.DIRECT.GET."+r.log.name, r.reply, body); err != nil {
		return fmt.Errorf("read log %s at %d: %w", r.log.name, next, err)
	}
	return nil
}

// collect takes the answers to the last request: one or more records from next
// on, or an error.
func (r *reader) collect(ctx context.Context, next uint64) ([][]byte, error) {
	var bodies [][]byte
	p := patience{of: ctx}
	defer p.end()
	for {
		m, err := p.next(r, len(bodies))
		if err != nil {
			return nil, err
		}
		if m.Subject != r.reply {
			continue
		}
		status := m.Header.Get("Status")
		if status == "" {
			bodies = append(bodies, m.Data)
			continue
		}
		if status != "204" {
			return nil, fmt.Errorf("direct get: status %s %s", status, m.Header.Get("Description"))
		}
		last, err := strconv.ParseUint(m.Header.Get("Nats-Last-Sequence"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("direct get: last sequence: %w", err)
		}
		if len(bodies) == 0 || last != next+uint64(len(bodies))-1 {
			return nil, fmt.Errorf("direct get: %d records from %d end at %d", len(bodies), next, last)
		}
		return bodies, nil
	}
}

// patience ends the waiting for a replica that has not said a word for long: it
// may be frozen or cut off, and the next time most likely another is asked. It
// looks back now and then, since a timer for each message would cost a lot.
type patience struct {
	of   context.Context
	now  context.Context
	done context.CancelFunc
	had  int // records, when it last looked
}

func (p *patience) next(r *reader, have int) (*nats.Msg, error) {
	for {
		if p.now == nil {
			p.begin(r.stall, have)
		}
		m, err := r.sub.NextMsgWithContext(p.now)
		if err == nil || p.of.Err() != nil || p.now.Err() == nil {
			return m, err
		}
		stalled := have == p.had
		p.end()
		if stalled {
			r.stall = min(2*r.stall, readStallMax)
			return nil, err
		}
	}
}

func (p *patience) begin(stall time.Duration, have int) {
	p.now, p.done = context.WithTimeout(p.of, stall)
	p.had = have
}

func (p *patience) end() {
	if p.done != nil {
		p.done()
	}
	p.now, p.done = nil, nil
}

// missing decides what to do when next has not come: an error, or, after a
// pause, nil to ask again.
func (r *reader) missing(ctx context.Context, next uint64, progress time.Time, fault error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("read log %s at %d: %w", r.log.name, next, ctx.Err())
	}
	asking, cancel := context.WithTimeout(ctx, readStall)
	defer cancel()
	st, err := r.log.State(asking)
	switch {
	case errors.Is(err, ErrNoStream):
		return fmt.Errorf("read log %s at %d: %w", r.log.name, next, err)
	case err == nil && st.First > next:
		return fmt.Errorf("read log %s: %w", r.log.name, &TrimmedError{Want: next, First: st.First})
	case time.Since(progress) > readPatience || errors.Is(fault, nats.ErrConnectionClosed):
		return fmt.Errorf("read log %s at %d: %w: %w", r.log.name, next, ErrUnreadable, fault)
	}
	pause := time.NewTimer(readPause)
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("read log %s at %d: %w", r.log.name, next, ctx.Err())
	case <-pause.C:
		return nil
	}
}
