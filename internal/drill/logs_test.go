package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
	"trireme/streams"
)

// A reign is a claim in a stripe's log.
type reign struct {
	epoch position.Position
	host  string
}

// A stripeLog is what was found in a stripe's log.
type stripeLog struct {
	stripe  string
	first   uint64 // the oldest record; 1 unless what was before is in the stores only
	records int
	reigns  []reign
	ids     map[string]int // how often each request of each document was written
}

// auditLogs reads the log of every stripe and fails the test if there is a record of
// a reign that was over, or one that does not continue the chain: then two hosts have
// served at once, or a zombie was heard.
func (c *cluster) auditLogs() []stripeLog {
	c.t.Helper()
	nc := c.connect()
	ctx, cancel := c.bounded()
	defer cancel()
	var logs []stripeLog
	for _, s := range layoutOf(c).Stripes {
		found, err := c.audit(ctx, nc, s)
		if errors.Is(err, streams.ErrNoStream) {
			continue // nobody has needed it
		}
		c.must(err)
		logs = append(logs, found)
	}
	if len(logs) == 0 {
		c.t.Error("no stripe has a log")
	}
	return logs
}

// soon asks until there is an answer. Just after a hand-over some hosts know of no
// leader, and what is asked of one that has just ceased to be, or been killed, is never
// answered.
func (c *cluster) soon(ctx context.Context, what string, ask func(context.Context) error) error {
	return c.Await(ctx, what, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return ask(ctx)
	})
}

func (c *cluster) audit(ctx context.Context, nc *nats.Conn, s layout.Stripe) (found stripeLog, err error) {
	var log *streams.Log
	missing := false
	err = c.soon(ctx, "the log of "+s.Name, func(ctx context.Context) (err error) {
		log, err = streams.Open(ctx, nc, streams.Config{Stripe: s.Name, Birth: s.Birth, Replicas: s.Replicas})
		if missing = errors.Is(err, streams.ErrNoStream); missing {
			return nil
		}
		return err
	})
	if missing {
		return found, streams.ErrNoStream
	}
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	var state streams.LogState
	err = c.soon(ctx, "the state of the log of "+s.Name, func(ctx context.Context) (err error) {
		state, err = log.State(ctx)
		return err
	})
	if err != nil {
		return found, err
	}
	found = stripeLog{stripe: s.Name, first: state.First, ids: map[string]int{}}
	var faults []error
	var chain digest.Chain
	err = log.Read(ctx, state.First, state.Last, func(seq uint64, body []byte) error {
		r, err := record.Parse(body)
		if err != nil {
			return fmt.Errorf("record %d of %s: %w", seq, s.Name, err)
		}
		if seq == state.First && seq > 1 {
			chain = r.Prev // of what is not there any more
			found.reigns = append(found.reigns, reign{epoch: r.Epoch, host: "somebody"})
		}
		if r.Prev != chain {
			faults = append(faults, fmt.Errorf("record %d of %s does not continue the chain", seq, s.Name))
		}
		chain = chain.Next(body)
		found.records++
		if err := found.take(position.Position{Birth: s.Birth, Seq: seq}, &r); err != nil {
			faults = append(faults, err)
		}
		return nil
	})
	for id, times := range found.ids {
		if times > 1 {
			faults = append(faults, fmt.Errorf("the log of %s has request %s %d times", s.Name, id, times))
		}
	}
	return found, errors.Join(append(faults, err)...)
}

func (l *stripeLog) take(at position.Position, r *record.Record) error {
	if r.Kind == record.Claim {
		l.reigns = append(l.reigns, reign{epoch: at, host: r.Host})
		return nil
	}
	if len(l.reigns) == 0 {
		return fmt.Errorf("record %v of %s is a batch before any claim", at, l.stripe)
	}
	if now := l.reigns[len(l.reigns)-1]; r.Epoch != now.epoch {
		return fmt.Errorf("record %v of %s is of epoch %v, the log is in %v of %s", at, l.stripe, r.Epoch, now.epoch, now.host)
	}
	for i := range r.Changes {
		if c := &r.Changes[i]; c.ID != "" {
			l.ids[c.ID+" of "+c.Key.Space+"/"+c.Key.Key]++
		}
	}
	return nil
}

// owners are the hosts that have claimed, in order, each named once in a row.
func (l *stripeLog) owners() []string {
	var hosts []string
	for _, r := range l.reigns {
		hosts = append(hosts, r.host)
	}
	return slices.Compact(hosts)
}
