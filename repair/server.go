package repair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/buckets"
	"trireme/internal/layout"
	"trireme/internal/semver"
)

// A Source is what a [Server] tells of. Its methods are called from several goroutines
// and answer from memory.
type Source interface {
	// Layout is the layout in force here, and its digest.
	Layout() (l layout.Layout, digest string)
	// Stripe is this host's copy of a stripe; not ok where it has none that is open. sick
	// says why the copy must not be compared with or pulled from; "" when it may, but for
	// the buckets that have lost rows, which the replica knows.
	Stripe(name string) (r *buckets.Replica, sick string, ok bool)
}

// Limits bound what a [Server] does for others. Zero values stand for the defaults.
type Limits struct {
	// Rate bounds the documents that all pulls together are sent, in bytes a second.
	// No bound when zero.
	Rate int64
	// Pulls is how many streams of documents there are at once. 16 when zero.
	Pulls int
	// PullBytes and PullTime bound one stream: after them no other document is begun,
	// and the peer asks again for the rest. 256 MiB and 1 min when zero.
	PullBytes int64
	PullTime  time.Duration
	// Window bounds what is under way in one stream, in bytes. 4 MiB when zero.
	Window int
	// Stall is after what time without a sign of life a peer is given up. 10 s when zero.
	Stall time.Duration

	indexBytes int // of an index in one answer, about
}

func (l Limits) withDefaults() Limits {
	l.Pulls = or(l.Pulls, 16)
	l.PullBytes = or(l.PullBytes, 256<<20)
	l.PullTime = or(l.PullTime, time.Minute)
	l.Window = max(or(l.Window, defaultWindow), minWindow)
	l.Stall = or(l.Stall, defaultStall)
	l.indexBytes = or(l.indexBytes, maxIndexBytes)
	return l
}

// A Server answers what other hosts, and operators, ask about this host's copies, as
// the micro service "trireme-repair". It changes nothing. Set the fields, then Start; it
// starts once.
type Server struct {
	// Conn is in the account of the logs. It stays the caller's. One that is for this
	// alone keeps large answers away from what must not wait.
	Conn    *nats.Conn
	Host    string // the name of this host, one token of a subject
	Version string // semantic, with or without a leading v; anything else is told as 0.0.0
	Source  Source
	Limits  Limits
	Logger  *slog.Logger // nil for none

	service micro.Service
	budget  *throttle
	stop    context.CancelFunc
	ended   context.Context
	counts  serverCounts

	mu     sync.Mutex
	closed bool
	wait   sync.WaitGroup // of handlers and streams; Add under mu
	pulls  map[string]*outflow
}

// pendingRequests and pendingBytes bound what waits at one endpoint; beyond them
// requests are dropped, and whoever asked asks again.
const (
	pendingRequests = 256
	pendingBytes    = 16 << 20
)

// Start subscribes; when it returns, requests are answered.
func (s *Server) Start() error {
	if err := layout.CheckName(s.Host); err != nil {
		return fmt.Errorf("start repair service: host: %w", err)
	}
	s.Limits = s.Limits.withDefaults()
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	s.ended, s.stop = context.WithCancel(context.Background())
	s.budget, s.pulls = newThrottle(s.Limits.Rate, 0, time.Time{}), map[string]*outflow{}
	service, err := micro.AddService(s.Conn, micro.Config{
		Name: ServiceName, Version: semver.Of(s.Version), Description: "Trireme's hosts: what documents they have, for comparison and repair",
		Metadata:     map[string]string{"host": s.Host},
		StatsHandler: func(*micro.Endpoint) any { return s.Stats() },
	})
	if err != nil {
		return fmt.Errorf("start repair service: %w", err)
	}
	s.service = service
	var errs []error
	for endpoint, handle := range s.endpoints() {
		errs = append(errs, service.AddEndpoint(endpoint+"-"+s.Host, s.during(handle),
			micro.WithEndpointSubject(Subject(s.Host, endpoint)), micro.WithEndpointQueueGroupDisabled(),
			micro.WithEndpointPendingLimits(pendingRequests, pendingBytes)))
	}
	if err := errors.Join(append(errs, s.Conn.Flush())...); err != nil {
		return errors.Join(fmt.Errorf("start repair service: %w", err), s.Close())
	}
	return nil
}

// Close ceases to answer, ends every stream and waits until nothing reads the source
// any more. It does nothing before Start.
func (s *Server) Close() error {
	if s.service == nil {
		return nil
	}
	err := s.service.Stop()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.wait.Wait()
	if err != nil {
		return fmt.Errorf("close repair service: %w", err)
	}
	return nil
}

func (s *Server) endpoints() map[string]micro.HandlerFunc {
	return map[string]micro.HandlerFunc{
		EndpointRoots:     answering(s, (*scene).roots),
		EndpointStand:     answering(s, (*scene).stand),
		EndpointBuckets:   answering(s, (*scene).buckets),
		EndpointIndex:     answering(s, (*scene).index),
		EndpointDocument:  answering(s, (*scene).document),
		EndpointDocuments: s.documents,
		EndpointCredit:    s.credit,
	}
}

// during keeps Close waiting for a handler, and a handler from starting behind it.
func (s *Server) during(handle micro.HandlerFunc) micro.HandlerFunc {
	return func(r micro.Request) {
		if !s.enter() {
			return // the peer hears of it by its deadline, or by the next host
		}
		defer s.wait.Done()
		s.counts.requests.Add(1)
		if strings.HasPrefix(r.Reply(), "$") {
			return // an answer may reach no API that this connection has rights on
		}
		handle(r)
	}
}

// enter reports whether the server is open; if so, wait.Done must follow.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wait.Add(1)
	return true
}
