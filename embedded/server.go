package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// NoListener as [Server.Listen] means that only this process can connect.
const NoListener = "none"

// Errors that a caller can act on.
var (
	// ErrNotRunning is returned by methods that need a started server.
	ErrNotRunning = errors.New("the NATS server is not running")
	// ErrRunning is returned by Start on a server that runs already.
	ErrRunning = errors.New("the NATS server is running already")
	// ErrLocked is returned by Start when another process, or another Server of this
	// one, has the directory.
	ErrLocked = errors.New("the data directory is in use")
	// ErrMode is returned by Start when the directory's streams are those of a server
	// that stood alone and this one is in a cluster, the other way round, or when they are
	// those of a cluster of another name.
	ErrMode = errors.New("the data directory is of another mode")
)

// A Server is a NATS server in this process. Set the fields before Start and leave
// them alone until Close has returned. All methods may be called concurrently.
type Server struct {
	// Name is the server's name. It must stay with the directory, and must be one token
	// of a NATS subject. Default: h1.
	Name string

	// Dir is the data directory; the streams are kept in its jetstream folder. Start
	// makes it, and locks it for as long as the server runs. Default: trireme-data.
	Dir string

	// Listen is where clients connect, host:port. Port -1 takes a free one; see URL.
	// [NoListener] opens none. Default: 127.0.0.1:4222.
	Listen string

	// MaxPayload bounds one message, in bytes. Default: 64 MB.
	MaxPayload int32

	// MaxFile bounds what the streams may reserve on disk, in bytes. The default, 0,
	// lets the server take three quarters of the disk space that is free.
	MaxFile int64

	// Clients are the users that may connect from outside. Without any, clients on a
	// loopback address need no credentials and have the rights of an operator, and any
	// other address is refused.
	Clients []User

	// Cluster joins the server to others. Default: it stands alone.
	Cluster *Cluster

	// Extra is a piece of NATS server configuration for what has no field here: TLS,
	// limits, monitoring, websocket. Keys that this package answers for are refused.
	Extra string

	// Logger takes what the server logs. Default: nothing is logged.
	Logger *slog.Logger

	life sync.Mutex // held throughout Start and Close; taken before mu
	mu   sync.Mutex // guards run, and Cluster from SetCluster
	run  *running
}

// running is everything that lives from Start to Close.
type running struct {
	lock *lock
	nats *server.Server
	keys keys
	cfg  config
	log  *slog.Logger

	cluster *Cluster // as it is in force; guarded by Server.life

	mu     sync.Mutex
	conns  []*conn // what Close drains
	closed bool
}

// shutdownLimit bounds how long Close waits for what is in the connections.
const shutdownLimit = 10 * time.Second

// Start starts the server and returns when it answers: it takes connections from this
// process and, if it has a listener, from outside, and JetStream has recovered every
// stream. In a cluster it does not wait for the streams, which need other servers, who
// may not be up yet: [Server.Healthy] tells. When ctx ends first, Start undoes what it
// did and returns the cause. Errors say what to change; a directory that is taken gives
// [ErrLocked], one whose streams the server would delete [ErrMode].
func (s *Server) Start(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	if _, err := s.current(); err == nil {
		return ErrRunning
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("start NATS server: %w", err)
	}
	run, err := s.start(ctx)
	if err != nil {
		return fmt.Errorf("start NATS server: %w", err)
	}
	s.become(run)
	return nil
}

// start does the steps in order; a failing one is followed by those of stop.
func (s *Server) start(ctx context.Context) (*running, error) {
	cfg, err := s.settled()
	if err != nil {
		return nil, err
	}
	run := &running{cfg: cfg, cluster: cfg.Cluster, log: cfg.Logger}
	if run.keys, err = newKeys(); err != nil {
		return nil, err
	}
	options, err := cfg.options(run.keys)
	if err != nil {
		return nil, err
	}
	if run.lock, err = lockDir(cfg.Dir); err != nil {
		return nil, err
	}
	if err := settleMode(cfg.Dir, cfg.mode()); err != nil {
		return nil, errors.Join(err, run.stop())
	}
	log := newServerLog(cfg.Logger)
	if run.nats, err = server.NewServer(options); err != nil {
		return nil, errors.Join(fmt.Errorf("make server: %w", err), run.stop())
	}
	run.nats.SetLoggerV2(log, options.Debug, options.Trace, false)
	if err := run.serve(ctx, log); err != nil {
		return nil, errors.Join(err, run.stop())
	}
	if err := openGate(run); err != nil {
		return nil, errors.Join(err, run.stop())
	}
	log.started()
	return run, nil
}

// serve starts the server and waits until it is ready.
func (r *running) serve(ctx context.Context, log *serverLog) error {
	started := make(chan struct{})
	go func() {
		defer close(started)
		r.nats.Start()
	}()
	select {
	case <-started:
	case err := <-log.fatal:
		<-started
		return explain(err)
	case <-ctx.Done():
		r.nats.Shutdown() // as on a signal while it recovers; Start then comes to its end
		<-started
		return context.Cause(ctx)
	}
	return r.awaitReady(ctx, log)
}

func (r *running) awaitReady(ctx context.Context, log *serverLog) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		health := r.ready()
		if ctx.Err() == nil && health == nil && len(log.fatal) == 0 {
			return nil
		}
		select {
		case err := <-log.fatal:
			return explain(err)
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), health)
		case <-tick.C:
		}
	}
}

// ready is what Start waits for.
func (r *running) ready() error {
	if r.cfg.Cluster == nil {
		return r.healthy()
	}
	return r.health(&server.HealthzOptions{JSEnabledOnly: true})
}

// Healthy returns nil while the server takes connections and every stream is well, and
// what is wrong otherwise. In a cluster, streams are well whose leader this server
// knows and follows closely, and the servers need one who leads them.
func (s *Server) Healthy() error {
	run, err := s.current()
	if err != nil {
		return err
	}
	return run.healthy()
}

func (r *running) healthy() error { return r.health(nil) }

func (r *running) health(options *server.HealthzOptions) error {
	health := r.nats.Healthz(options)
	if health.Status == "ok" {
		return nil
	}
	return fmt.Errorf("NATS server is %s: %s", health.Status, health.Error)
}

// Close drains the connections that [Server.Log] and [Server.Service] gave, shuts the
// server down and waits until it has. Its owner stops using the connections first.
// Close on a server that does not run does nothing; afterwards Start may be called again.
func (s *Server) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	run, err := s.current()
	if err != nil {
		return nil
	}
	s.become(nil) // FIRST: nobody gets a new connection from here on
	if err := run.stop(); err != nil {
		return fmt.Errorf("close NATS server: %w", err)
	}
	return nil
}

// stop undoes start, in the opposite order, however far it came.
func (r *running) stop() error {
	var errs []error
	errs = append(errs, r.drain())
	if r.nats != nil {
		r.nats.Shutdown()
		r.nats.WaitForShutdown()
	}
	if r.lock != nil {
		errs = append(errs, r.lock.release()) // LAST: the next process may open the streams now
	}
	return errors.Join(errs...)
}

// URL returns where clients connect, as in nats://127.0.0.1:4222, or "" if the server
// does not run or has no listener.
func (s *Server) URL() string {
	run, err := s.current()
	if err != nil || run.nats.Addr() == nil {
		return ""
	}
	return run.nats.ClientURL()
}

// NATS returns the server itself, for its monitoring calls and its questions about
// stream leaders, or nil when it does not run. Do not start, stop or reload it.
func (s *Server) NATS() *server.Server {
	run, err := s.current()
	if err != nil {
		return nil
	}
	return run.nats
}

// Log returns a new connection of this process into the account of the stripes'
// streams, with every right there. It reconnects by itself and buffers nothing while it
// is away: a publish then fails at once. It does not hear what it publishes itself. Close
// drains it.
func (s *Server) Log() (*nats.Conn, error) {
	return s.connect("log", logInbox, func(k keys) userKey { return k.log })
}

// Service returns a new connection of this process into the account where the clients
// are. It may answer them, and ask other hosts, but reaches no stream. As for Log,
// nothing is buffered while it is away, and Close drains it.
func (s *Server) Service() (*nats.Conn, error) {
	return s.connect("service", serviceInbox, func(k keys) userKey { return k.service })
}

func (s *Server) connect(name, inbox string, key func(keys) userKey) (*nats.Conn, error) {
	run, err := s.current()
	if err != nil {
		return nil, err
	}
	c, err := run.open(name, inbox, key(run.keys))
	if err != nil {
		return nil, err
	}
	return c.Conn, nil
}

func (s *Server) cluster() *Cluster {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Cluster
}

func (s *Server) become(run *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = run
}

func (s *Server) current() (*running, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		return nil, ErrNotRunning
	}
	return s.run, nil
}
