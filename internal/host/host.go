// Package host is the daemon: one host of a cluster, wired together.
//
// [Host] opens the document store, starts the embedded NATS server, catches each
// stripe's replica up with its log, owns those that it should, and answers Adama's
// operations. Close takes it down in the opposite order, answering what it holds.
//
// A host that stands alone has one stripe, which is opened during the start. A host
// of a cluster asks its peers first who it is (admit.go), agrees with them on the
// layout (layouts.go), tells them how it is and hears how they are (reports.go), and
// opens its stripes as the others come (owners.go).
package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"trireme/adapter/service"
	"trireme/buckets"
	"trireme/embedded"
	"trireme/internal/config"
	"trireme/internal/identity"
	"trireme/internal/layout"
	"trireme/internal/layoutfile"
	"trireme/ops"
	"trireme/repair"
)

// A Host is one running daemon. Set the fields, then Start. A Host starts once.
type Host struct {
	Config  config.Config
	Version string       // of the program
	Logger  *slog.Logger // nothing is logged when nil

	single  layout.Layout // of a host that stands alone
	cluster *cluster      // of one that does not; nil else
	id      *identity.Identity
	boot    string // names this run in claims
	started time.Time
	reserve uint64

	server  *embedded.Server
	log     *nats.Conn // in the account of the logs
	tails   *nats.Conn // there too, for what hosts tell one another
	clients *nats.Conn // in the account of the clients
	store   *buckets.Store
	service *service.Service
	metrics *ops.Metrics
	http    *ops.Server
	control *ops.Control

	repairs *nats.Conn // in the account of the logs, for documents alone
	answers *repair.Server

	damaged counter
	broken  chan error // holds the first reason why this host cannot go on

	stop    context.CancelFunc
	serving context.Context // of the stripes of a cluster; ends before stop is called
	release context.CancelFunc
	wait    sync.WaitGroup

	mu       sync.Mutex // guards what follows
	stripes  map[string]*stripe
	metering *meteredRepair
	phase    ops.Phase
	step     string
	verdict  *identity.Verdict    // of the last admission
	without  map[string]time.Time // stripes without an owner, since when
}

// Start starts the host and returns when it serves: alone, when its stripe is
// claimed; in a cluster, when every partition has an owner in reach. HTTP answers
// from early on, so that a long start can be watched. When Start fails, or ctx ends,
// it has undone what it did.
func (h *Host) Start(ctx context.Context) error {
	if err := h.Config.Validate(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	h.Logger = h.logger()
	h.started, h.boot = time.Now().UTC(), nuid.Next()
	h.stripes, h.without = map[string]*stripe{}, map[string]time.Time{}
	h.broken = make(chan error, 1)
	h.enter(ops.PhaseStarting, "opening the data directory")
	if err := h.start(ctx); err != nil {
		select {
		case err = <-h.broken: // the cause of the other
		default:
		}
		// The caller's ctx may be over; what was begun is still ended in order.
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return errors.Join(err, h.Close(undo))
	}
	h.enter(ops.PhaseRunning, "")
	return nil
}

func (h *Host) logger() *slog.Logger {
	if h.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return h.Logger
}

// start does the steps in order; Close undoes as many as were done.
func (h *Host) start(ctx context.Context) error {
	background, stop := context.WithCancel(context.Background())
	h.stop = stop
	h.serving, h.release = context.WithCancel(background)
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"opening the data directory", h.openData},
		{"reading who this host is", h.openIdentity},
		{"reading the layout", func() error { return h.readLayout(ctx) }},
		{"listening for HTTP", h.startHTTP},
		{"opening the document store", h.openStore},
		{"asking the other hosts who this one is", func() error { return h.admission(ctx) }},
		{"starting the NATS server", func() error { return h.startServer(ctx, giveUp) }},
		{"starting the control service", h.startControl},
		{"joining the other hosts", func() error { return h.join(ctx, background) }},
		{"opening the stripes", func() error { return h.startStripes(ctx, background) }},
		{"beginning repair", func() error { return h.startRepair(ctx, background) }},
		{"taking requests", h.startService},
		{"waiting for every stripe to be owned", func() error { return h.awaitOwners(ctx) }},
	} {
		h.enter(ops.PhaseStarting, step.name)
		if err := step.do(); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) enter(phase ops.Phase, step string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase, h.step = phase, step
}

// layout is the layout in force.
func (h *Host) layout() layout.Layout {
	if h.cluster == nil {
		return h.single
	}
	return h.cluster.layouts.inForce()
}

func (h *Host) openData() error {
	if err := os.MkdirAll(h.Config.Data, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	disk, err := diskOf(h.Config.Data)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	h.reserve = reserve(h.Config.DiskReserve, disk)
	return nil
}

func (h *Host) readLayout(ctx context.Context) error {
	if h.Config.Layout == "" {
		h.single = layout.Single(h.Config.Host)
		return nil
	}
	layouts, err := newLayouts(ctx, h.Config.Layout, h.Config.Data)
	if err != nil {
		return err
	}
	first := layouts.first()
	if err := hasHost(first, h.Config); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cluster = &cluster{layouts: layouts, peers: newPeers(h.Config.Host, first, h.Config.Cluster.PreferAfter), news: make(chan struct{}, 1), seen: make(chan struct{}, 1)}
	return nil
}

func (h *Host) startHTTP() error {
	h.metrics = ops.NewMetrics(h.Status, h.Version)
	if h.Config.HTTP == config.NoHTTP {
		return nil
	}
	server := &ops.Server{Listen: h.Config.HTTP, Handler: ops.Handler(h.Status, h.metrics, h.httpOptions()), Logger: h.Logger}
	if err := server.Start(); err != nil {
		return err
	}
	h.mu.Lock()
	h.http = server
	h.mu.Unlock()
	return nil
}

func (h *Host) openStore() error {
	dir := filepath.Join(h.Config.Data, "store")
	options := buckets.Options{
		CacheBytes: h.Config.Store.CacheBytes, MergedBytes: h.Config.Store.MergedBytes,
		Logger: h.Logger, Events: h.storeEvent,
	}
	store, err := buckets.Open(dir, options)
	if errors.Is(err, buckets.ErrUnopenable) && h.cluster != nil {
		if err = h.setAside(dir, err); err == nil {
			store, err = buckets.Open(dir, options)
		}
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.store = store
	return nil
}

// Check tells every fault of a configuration, those of what is passed on to NATS and
// those of the layout included. It starts nothing and changes no file.
func Check(ctx context.Context, c config.Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	server := natsServer(c)
	if c.Layout != "" {
		l, err := (&layoutfile.Source{Location: c.Layout}).Read(ctx)
		if err != nil {
			return err
		}
		if err := hasHost(l, c); err != nil {
			return err
		}
		joins := clusterOf(c, l)
		server.Cluster = &joins
	}
	_, err := server.Config()
	return err
}

// hasHost says why a layout is none for this host.
func hasHost(l layout.Layout, c config.Config) error {
	if _, ok := l.Host(c.Host); !ok {
		return fmt.Errorf("host %q is not in layout %d of %s: name this host as the layout does, or add it there", c.Host, l.Version, c.Layout)
	}
	if len(l.Hosts) < 2 {
		return fmt.Errorf("layout %d of %s has one host: leave layout out of the configuration for a host that stands alone", l.Version, c.Layout)
	}
	return nil
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

func (h *Host) startServer(ctx context.Context, giveUp context.CancelCauseFunc) error {
	server := natsServer(h.Config)
	server.Logger = h.Logger
	if h.cluster != nil {
		joins := clusterOf(h.Config, h.cluster.layouts.first())
		server.Cluster = &joins
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	h.server = server
	h.mu.Unlock()
	h.wait.Go(func() { h.watchServer(h.serving, giveUp) })
	for _, open := range []struct {
		conn **nats.Conn
		from func() (*nats.Conn, error)
	}{{&h.log, server.Log}, {&h.tails, server.Log}, {&h.clients, server.Service}} {
		conn, err := open.from()
		if err != nil {
			return err
		}
		*open.conn = conn
	}
	return nil
}

func (h *Host) startControl() error {
	h.control = &ops.Control{Conn: h.clients, Host: h.Config.Host, Version: h.Version, Status: h.Status, Controller: h, Repair: steering{h}, Logger: h.Logger}
	return h.control.Start()
}

// join begins to talk with the other hosts.
func (h *Host) join(ctx, background context.Context) error {
	h.wait.Go(func() { h.checkpoint(background) })
	if h.cluster == nil {
		return nil
	}
	if err := h.hearOthers(); err != nil {
		return err
	}
	h.wait.Go(func() { h.tellOthers(background) })
	h.wait.Go(func() { h.keepSeen(background) })
	h.wait.Go(func() { h.keepLayout(background) })
	for h.layout().Version == 0 {
		if !rest(ctx, leadershipEvery) {
			return context.Cause(ctx)
		}
	}
	return nil
}

func (h *Host) startStripes(ctx, background context.Context) error {
	if h.cluster != nil {
		h.wait.Go(func() { h.watchLeadership(background) })
		h.wait.Go(func() { h.balance(background) })
		return h.openStripes(h.layout())
	}
	for _, s := range h.layout().Stripes {
		stripe, err := h.newStripe(s)
		if err != nil {
			return fmt.Errorf("stripe %s: %w", s.Name, err)
		}
		owner, err := stripe.open(ctx)
		if err != nil {
			return fmt.Errorf("stripe %s: %w", s.Name, err)
		}
		h.mu.Lock()
		h.stripes[s.Name] = stripe
		h.mu.Unlock()
		if err := owner.Start(ctx); err != nil {
			return fmt.Errorf("stripe %s: %w", s.Name, err)
		}
	}
	return nil
}

// openStripes begins with the stripes of a layout that this host is a member of and
// has not begun with. Those that carry nothing have no log yet.
func (h *Host) openStripes(l layout.Layout) error {
	for _, s := range l.StripesOn(h.Config.Host) {
		if h.stripe(s.Name) != nil || len(l.PartitionsOf(s.Name)) == 0 {
			continue
		}
		stripe, err := h.newStripe(s)
		if err != nil {
			return fmt.Errorf("stripe %s: %w", s.Name, err)
		}
		h.launch(stripe)
	}
	return nil
}

// launch runs a stripe until the host closes.
func (h *Host) launch(s *stripe) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase == ops.PhaseClosing {
		return
	}
	h.stripes[s.Name] = s
	h.wait.Go(func() { s.run(h.serving) })
}

func (h *Host) startService() error {
	s := &service.Service{
		Conn: h.clients, Store: h.store, Host: h.Config.Host, Version: h.Version,
		Layout: h.layout,
		Committer: func(name string) service.Committer {
			stripe := h.stripe(name)
			if stripe == nil || h.cluster != nil && stripe.unwell() != "" {
				return nil // what is here is not for anybody's eyes
			}
			return stripe
		},
		Logger: h.Logger, Observe: h.metrics.Request,
		Hold: h.Config.Requests.Hold, MaxInFlight: h.Config.Requests.MaxInFlight, MaxBytes: h.Config.Requests.MaxBytes,
	}
	if h.cluster != nil {
		s.Directory, s.Mend = h.cluster.peers, h.mend
		s.Passed = func(owner string, again bool) {
			h.metrics.Forwarded(cmp.Or(owner, "unknown"))
			if again {
				h.metrics.ForwardRetried()
			}
		}
	}
	if err := s.Start(); err != nil {
		return err
	}
	h.mu.Lock()
	h.service = s
	h.mu.Unlock()
	for _, stripe := range h.members() {
		h.follow(stripe)
	}
	return nil
}

// awaitOwners waits until every stripe of the layout is owned by a host in reach.
func (h *Host) awaitOwners(ctx context.Context) error {
	for !h.owned() {
		if !rest(ctx, leadershipEvery) {
			return context.Cause(ctx)
		}
	}
	return nil
}

func (h *Host) owned() bool {
	l := h.layout()
	for _, s := range l.Stripes {
		if owner, _ := h.ownerOf(s.Name); owner == "" && len(l.PartitionsOf(s.Name)) > 0 {
			return false
		}
	}
	return true
}

// Close hands in what the host holds: no more requests are taken, those that it
// has are answered, stripes are handed over, the logs are left at rest, the store
// made durable. It returns when everything has ended, or with what could not be
// finished before ctx did.
func (h *Host) Close(ctx context.Context) error {
	h.enter(ops.PhaseClosing, "handing over")
	var errs []error
	add := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", what, err))
		}
	}
	if h.cluster != nil && h.service != nil {
		h.cluster.draining.Store(true)
		h.report()
		h.giveUp(ctx)
	}
	if h.control != nil {
		add("control service", h.control.Close())
	}
	if h.service != nil {
		add("service", h.service.Close(ctx))
	}
	add("repair", h.closeRepair())
	if h.release != nil {
		h.release()
	}
	for _, s := range h.members() {
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
	if h.id != nil { // LAST: the next process may have the directory now
		add("identity", h.id.Close())
	}
	return errors.Join(errs...)
}

// HangUp has the host read its layout again. It may be called at any time.
func (h *Host) HangUp() {
	h.mu.Lock()
	c := h.cluster
	h.mu.Unlock()
	if c == nil {
		h.logger().Warn("nothing to read again: this host has no layout, and its configuration is read at the start only")
		return
	}
	c.layouts.source.Check()
}

// NATS is where clients connect, "" before that.
func (h *Host) NATS() string {
	h.mu.Lock()
	server := h.server
	h.mu.Unlock()
	if server == nil {
		return ""
	}
	return server.URL()
}

// HTTP is where health, status and metrics are, "" when they are nowhere.
func (h *Host) HTTP() string {
	h.mu.Lock()
	defer h.mu.Unlock()
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

// follow opens or closes the subjects of a stripe's partitions, as this host serves
// it or not.
func (h *Host) follow(s *stripe) {
	h.mu.Lock()
	service := h.service
	h.mu.Unlock()
	if service == nil {
		return
	}
	s.following.Lock() // by owner's events, and by a new layout
	defer s.following.Unlock()
	if _, serving := s.Epoch(); !serving {
		service.Release(s.Name)
	} else if err := service.Serve(s.Name); err != nil {
		h.Logger.Error("serve partitions", "stripe", s.Name, "error", err)
	}
}

// refresh opens and closes the subjects of partitions that a layout has split or
// merged.
func (h *Host) refresh() {
	for _, s := range h.members() {
		h.follow(s)
	}
}

func (h *Host) stripe(name string) *stripe {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stripes[name]
}

// members are the stripes that this host is a member of and has begun with, by name.
func (h *Host) members() []*stripe {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*stripe, 0, len(h.stripes))
	for _, s := range h.stripes {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *stripe) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
