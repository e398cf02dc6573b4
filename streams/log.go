package streams

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A Log is a stripe's stream. All its methods may be called concurrently;
// appends go one at a time.
type Log struct {
	nc      *nats.Conn
	stream  jetstream.Stream
	js      jetstream.JetStream
	subject string
	name    string
	tail    string         // subject of the owner's broadcast
	acks    chan *nats.Msg // answers to appends
	sub     *nats.Subscription
	prefix  string        // of their subjects
	turn    chan struct{} // filled by whoever appends
	token   uint64        // of the last append; guarded by turn
}

// LogState is what a log holds, as the stream's leader tells it. A leader that
// has been cut off may tell old news, for up to 20 s.
type LogState struct {
	First    uint64 // sequence of the oldest record; Last+1 when there is none
	Last     uint64 // sequence of the newest record ever written
	Bytes    int64  // on disk, one replica
	MaxBytes int64  // the bound of Bytes
	Leader   string // name of the server that told
}

// Records is how many records the log holds.
func (s LogState) Records() uint64 { return s.Last + 1 - s.First }

// Open finds the stripe's stream. It returns [ErrNoStream] when there is none
// and [ErrConfig], with every difference, when it is not as it must be.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Log, error) {
	return open(nc, cfg, func(js jetstream.JetStream) (jetstream.Stream, error) {
		return js.Stream(ctx, StreamName(cfg.Stripe))
	})
}

// Create makes the stripe's stream, or opens the one that is configured just so.
// Only a caller who knows that the stripe has no documents may call it, or who sets
// Config.First because all members' stores are known to stand before it.
func Create(ctx context.Context, nc *nats.Conn, cfg Config) (*Log, error) {
	return open(nc, cfg, func(js jetstream.JetStream) (jetstream.Stream, error) {
		s, err := js.CreateStream(ctx, cfg.stream())
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return js.Stream(ctx, StreamName(cfg.Stripe))
		}
		return s, err
	})
}

// Remove deletes the stripe's stream if it ends before a sequence up to which stores are
// known to have applied everything; else it returns [ErrRefused], and the stream stays.
// Only a caller who knows that the members' stores hold all that was ever acknowledged
// may call it.
func Remove(ctx context.Context, nc *nats.Conn, cfg Config, before uint64) error {
	log, err := Open(ctx, nc, cfg)
	if err != nil {
		return err
	}
	st, err := log.State(ctx)
	if err = errors.Join(err, log.Close()); err != nil {
		return err
	}
	if st.Last >= before {
		return fmt.Errorf("remove log %s: %w", log.name, &RefusedError{Expected: before, Last: st.Last})
	}
	if err := log.js.DeleteStream(ctx, log.name); err != nil {
		return fmt.Errorf("remove log %s: %w", log.name, streamError(err))
	}
	return nil
}

func open(nc *nats.Conn, cfg Config, find func(jetstream.JetStream) (jetstream.Stream, error)) (*Log, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if n := nc.MaxPayload(); n < MaxRecord {
		return nil, fmt.Errorf("open log of stripe %s: %w: the server's max_payload is %d, want %d or more", cfg.Stripe, ErrConfig, n, MaxRecord)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open log of stripe %s: %w", cfg.Stripe, err)
	}
	stream, err := find(js)
	if err != nil {
		return nil, fmt.Errorf("open log of stripe %s: %w", cfg.Stripe, streamError(err))
	}
	if err := cfg.check(stream.CachedInfo().Config); err != nil {
		return nil, fmt.Errorf("open log of stripe %s: %w", cfg.Stripe, err)
	}
	l := &Log{
		nc: nc, js: js, stream: stream,
		subject: Subject(cfg.Stripe), name: StreamName(cfg.Stripe), tail: TailSubject(cfg.Stripe),
		prefix: nc.NewRespInbox() + ".", turn: make(chan struct{}, 1),
		acks: make(chan *nats.Msg, 64), // one is awaited, others are late
	}
	// A channel and not NextMsg, which tells "no responders" without telling
	// which of the appends had none.
	if l.sub, err = nc.ChanSubscribe(l.prefix+"*", l.acks); err != nil {
		return nil, fmt.Errorf("open log of stripe %s: subscribe to acknowledgements: %w", cfg.Stripe, err)
	}
	return l, nil
}

// Close ends the log's subscription. An append under way hears nothing more.
func (l *Log) Close() error {
	if err := l.sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("close log %s: %w", l.name, err)
	}
	return nil
}

// State asks the stream's leader what the log holds. It returns [ErrNoLeader]
// when there is none.
func (l *Log) State(ctx context.Context) (LogState, error) {
	info, err := l.stream.Info(ctx)
	if err != nil {
		return LogState{}, fmt.Errorf("state of log %s: %w", l.name, streamError(err))
	}
	from, ok := leader(info.Cluster)
	if !ok {
		return LogState{}, fmt.Errorf("state of log %s: %w", l.name, ErrNoLeader)
	}
	s := info.State
	first := s.FirstSeq
	if s.Msgs == 0 {
		first = s.LastSeq + 1
	}
	return LogState{First: first, Last: s.LastSeq, Bytes: int64(s.Bytes), MaxBytes: info.Config.MaxBytes, Leader: from}, nil
}

// First is the sequence at which the log began when it was made: 1, or that of
// Config.First. It does not ask the server.
func (l *Log) First() uint64 { return max(1, l.stream.CachedInfo().Config.FirstSeq) }

// Trim removes the records below a sequence. The log's last sequence stays what
// it is, even when all records go.
func (l *Log) Trim(ctx context.Context, below uint64) error {
	if below == 0 {
		return nil // the server would take 0 for "all"
	}
	if err := l.stream.Purge(ctx, jetstream.WithPurgeSequence(below)); err != nil {
		return fmt.Errorf("trim log %s below %d: %w", l.name, below, streamError(err))
	}
	return nil
}

// SetMaxBytes changes the bound of the log, in bytes.
func (l *Log) SetMaxBytes(ctx context.Context, n int64) error {
	if n <= 0 {
		return fmt.Errorf("bound of log %s: %d bytes is no bound", l.name, n)
	}
	cfg := l.stream.CachedInfo().Config
	cfg.MaxBytes = n
	if _, err := l.js.UpdateStream(ctx, cfg); err != nil {
		return fmt.Errorf("bound of log %s: %w", l.name, streamError(err))
	}
	return nil
}

func streamError(err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: %w", ErrNoStream, err)
	}
	return err
}
