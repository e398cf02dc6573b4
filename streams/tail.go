package streams

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// A Record is news of a log: what its owner has just committed. Without a body
// it says only that the log has come to a sequence that is committed, and with
// sequence 0 only that a look at the log is worth while.
type Record struct {
	Seq  uint64
	Body []byte
}

const headerSequence = "Trireme-Sequence"

// A larger record is announced without its body: reading it from the log is
// cheaper than sending it where it may not be wanted.
const maxTailBody = 4 << 20

// TailSubject is where a stripe's owner tells what it has committed.
func TailSubject(stripe string) string { return "trireme.tail." + stripe }

// Publish tells the stripe's other hosts of a committed record. It promises
// nothing: they find in the log what they have not heard.
func (l *Log) Publish(seq uint64, body []byte) error {
	if len(body) > maxTailBody {
		body = nil
	}
	err := l.nc.PublishMsg(&nats.Msg{
		Subject: l.tail,
		Header:  nats.Header{headerSequence: {strconv.FormatUint(seq, 10)}},
		Data:    body,
	})
	if err != nil {
		return fmt.Errorf("tell of record %d of log %s: %w", seq, l.name, err)
	}
	return nil
}

// A Tail hears what a stripe's owner publishes.
type Tail struct {
	// C has the news in the order in which they came, with gaps. It is closed
	// after Close, or when the connection is closed.
	C <-chan Record

	sub  *nats.Subscription
	lost atomic.Int64
	end  context.CancelFunc
	done chan struct{}
}

// Tail begins to listen. What waits for the reader of C is bounded by a number of
// records and of bytes; what comes on top is dropped. On a connection with
// [nats.NoEcho] it does not hear what this host publishes itself.
func (l *Log) Tail(records, bytes int) (*Tail, error) {
	if records <= 0 || bytes <= 0 {
		return nil, fmt.Errorf("tail of log %s: %d records and %d bytes are no bounds, want more than 0", l.name, records, bytes)
	}
	sub, err := l.nc.SubscribeSync(l.tail)
	if err != nil {
		return nil, fmt.Errorf("tail of log %s: subscribe: %w", l.name, err)
	}
	if err := sub.SetPendingLimits(records, bytes); err != nil {
		return nil, errors.Join(fmt.Errorf("tail of log %s: set limits: %w", l.name, err), sub.Unsubscribe())
	}
	c := make(chan Record)
	ctx, end := context.WithCancel(context.Background())
	t := &Tail{C: c, sub: sub, end: end, done: make(chan struct{})}
	go t.run(ctx, c)
	return t, nil
}

// Dropped counts the records that found no room.
func (t *Tail) Dropped() int64 {
	if n, err := t.sub.Dropped(); err == nil {
		t.lost.Store(int64(n))
	}
	return t.lost.Load()
}

// Close ends the listening. It is called once.
func (t *Tail) Close() error {
	t.Dropped()
	t.end()
	err := t.sub.Unsubscribe()
	<-t.done
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
		return fmt.Errorf("close tail: %w", err)
	}
	return nil
}

func (t *Tail) run(ctx context.Context, c chan<- Record) {
	defer close(t.done)
	defer close(c)
	for {
		m, err := t.sub.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrSlowConsumer):
			continue // a gap
		case err != nil:
			return
		}
		select {
		case c <- heard(m):
		case <-ctx.Done():
			return
		}
	}
}

// heard reads a message of a tail. What cannot be read is a reason to look.
func heard(m *nats.Msg) Record {
	seq, err := strconv.ParseUint(m.Header.Get(headerSequence), 10, 64)
	if err != nil || seq == 0 {
		return Record{}
	}
	r := Record{Seq: seq}
	if len(m.Data) > 0 {
		r.Body = m.Data
	}
	return r
}
