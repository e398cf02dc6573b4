// Package host is the daemon: one host of a cluster, wired together.
//
// [Host] starts the embedded NATS server, opens the document store, catches each
// stripe's replica up with its log, claims the ownership, and answers Adama's
// operations. Close takes it down in the opposite order, answering what it holds.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"trireme/adapter/service"
	"trireme/buckets"
	"trireme/embedded"
	"trireme/internal/config"
	"trireme/internal/layout"
	"trireme/ops"
)

// A Host is one running daemon. Set the fields, then Start. A Host starts once.
type Host struct {
	Config  config.Config
	Version string       // of the program
	Logger  *slog.Logger // nothing is logged when nil

	layout  layout.Layout
	started time.Time
	reserve uint64

	server  *embedded.Server
	log     *nats.Conn // in the account of the logs
	clients *nats.Conn // in the account of the clients
	store   *buckets.Store
	stripes map[string]*stripe
	service *service.Service
	metrics *ops.Metrics
	http    *ops.Server
	status  *ops.StatusService

	damaged counter
	changed chan struct{} // an owner has begun or ceased to serve

	stop context.CancelFunc
	wait sync.WaitGroup

	mu    sync.Mutex // guards ready
	ready bool       // everything has started
}

// Start starts the host and returns when it serves: the log is applied, every
// stripe claimed, and requests are taken. HTTP and the status service answer from
// early on, so that a long start can be watched. When Start fails it has undone
// what it did.
func (h *Host) Start(ctx context.Context) error {
	if err := h.Config.Validate(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if h.Logger == nil {
		h.Logger = slog.New(slog.DiscardHandler)
	}
	h.started = time.Now().UTC()
	h.layout = layout.Single(h.Config.Host)
	h.stripes = map[string]*stripe{}
	h.changed = make(chan struct{}, 1)
	if err := h.start(ctx); err != nil {
		// The caller's ctx may be over; what was begun is still ended in order.
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return errors.Join(err, h.Close(undo))
	}
	h.mu.Lock()
	h.ready = true
	h.mu.Unlock()
	return nil
}

// start does the steps in order; Close undoes as many as were done.
func (h *Host) start(ctx context.Context) error {
	if err := os.MkdirAll(h.Config.Data, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	disk, err := diskOf(h.Config.Data)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	h.reserve = reserve(h.Config.DiskReserve, disk)
	if err := h.startServer(ctx); err != nil {
		return err
	}
	h.metrics = ops.NewMetrics(h.Status, h.Version)
	if h.Config.HTTP != config.NoHTTP {
		h.http = &ops.Server{Listen: h.Config.HTTP, Handler: ops.Handler(h.Status, h.metrics), Logger: h.Logger}
		if err := h.http.Start(); err != nil {
			h.http = nil
			return err
		}
	}
	if h.status, err = ops.StartStatusService(h.clients, h.Config.Host, h.Version, h.Status); err != nil {
		return err
	}
	h.store, err = buckets.Open(filepath.Join(h.Config.Data, "store"), buckets.Options{
		CacheBytes: h.Config.Store.CacheBytes, MergedBytes: h.Config.Store.MergedBytes,
		Logger: h.Logger, Events: h.storeEvent,
	})
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(context.Background())
	h.stop = stop
	h.wait.Go(func() { h.checkpoint(background) })
	if err := h.startStripes(ctx); err != nil {
		return err
	}
	return h.startService(background)
}

// Check tells every fault of a configuration, those of what is passed on to NATS
// included. It starts nothing and touches no file.
func Check(c config.Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	_, err := natsServer(c).Config()
	return err
}

// natsServer is the NATS server of a configuration, not started.
func natsServer(c config.Config) *embedded.Server {
	s := &embedded.Server{
		Name: c.Host, Dir: c.Data, Listen: c.Listen,
		// The disk is watched by admit, which refuses in time and in words; a bound
		// taken from the free space of one start would not fit at the next.
		MaxFile: 1 << 50,
		Extra:   c.NATS,
	}
	for _, client := range c.Clients {
		s.Clients = append(s.Clients, embedded.User{Name: client.User, Password: client.Password, Role: embedded.Role(client.Role)})
	}
	return s
}

func (h *Host) startServer(ctx context.Context) error {
	h.server = natsServer(h.Config)
	h.server.Logger = h.Logger
	if err := h.server.Start(ctx); err != nil {
		h.server = nil
		return err
	}
	var err error
	if h.log, err = h.server.Log(); err != nil {
		return err
	}
	h.clients, err = h.server.Service()
	return err
}

func (h *Host) startStripes(ctx context.Context) error {
	boot := nuid.Next()
	for _, s := range h.layout.Stripes {
		stripe, err := h.openStripe(ctx, s, boot)
		if err != nil {
			return fmt.Errorf("stripe %s: %w", s.Name, err)
		}
		h.mu.Lock()
		h.stripes[s.Name] = stripe
		h.mu.Unlock()
		if err := stripe.owner.Start(ctx); err != nil {
			return fmt.Errorf("stripe %s: %w", s.Name, err)
		}
	}
	return nil
}

func (h *Host) startService(ctx context.Context) error {
	s := &service.Service{
		Conn: h.clients, Store: h.store, Host: h.Config.Host, Version: h.Version,
		Layout: func() layout.Layout { return h.layout },
		Committer: func(name string) service.Committer {
			if stripe := h.stripe(name); stripe != nil {
				return stripe
			}
			return nil
		},
		Logger: h.Logger, Observe: h.metrics.Request,
		Hold: h.Config.Requests.Hold, MaxInFlight: h.Config.Requests.MaxInFlight, MaxBytes: h.Config.Requests.MaxBytes,
	}
	if err := s.Start(); err != nil {
		return err
	}
	h.mu.Lock()
	h.service = s
	h.mu.Unlock()
	h.follow()
	h.wait.Go(func() { h.followOwners(ctx) })
	return nil
}

// Close hands in what the host holds: no more requests are taken, those that it
// has are answered, the log is left at rest, the store made durable. It returns
// when everything has ended, or with what could not be finished before ctx did.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.ready = false
	stripes := make([]*stripe, 0, len(h.stripes))
	for _, s := range h.stripes {
		stripes = append(stripes, s)
	}
	h.mu.Unlock()
	var errs []error
	add := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", what, err))
		}
	}
	if h.status != nil {
		add("status service", h.status.Close())
	}
	if h.service != nil {
		add("service", h.service.Close(ctx))
	}
	for _, s := range stripes {
		add("stripe", s.close(ctx))
	}
	if h.stop != nil {
		h.stop()
	}
	h.wait.Wait()
	if h.http != nil {
		add("HTTP", h.http.Close(ctx))
	}
	if h.store != nil { // AFTER everything that asks it
		add("store", h.store.Close())
	}
	if h.server != nil {
		add("server", h.server.Close())
	}
	return errors.Join(errs...)
}

// NATS is where clients connect.
func (h *Host) NATS() string { return h.server.URL() }

// HTTP is where health, status and metrics are, "" when they are nowhere.
func (h *Host) HTTP() string {
	if h.http == nil {
		return ""
	}
	return h.http.URL()
}

// checkpoint makes what has been applied durable, again and again.
func (h *Host) checkpoint(ctx context.Context) {
	tick := time.NewTicker(h.Config.Store.Checkpoint)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := h.store.Checkpoint(); err != nil {
				h.Logger.Error("checkpoint", "error", err)
			}
		}
	}
}

// followOwners opens and closes the subjects of partitions as owners come and go.
func (h *Host) followOwners(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.changed:
			h.follow()
		}
	}
}

func (h *Host) follow() {
	for _, s := range h.layout.Stripes {
		stripe := h.stripe(s.Name)
		if stripe == nil {
			continue
		}
		if _, serving := stripe.Epoch(); !serving {
			h.service.Release(s.Name)
			continue
		}
		if err := h.service.Serve(s.Name); err != nil {
			h.Logger.Error("serve partitions", "stripe", s.Name, "error", err)
		}
	}
}

func (h *Host) stripe(name string) *stripe {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stripes[name]
}
