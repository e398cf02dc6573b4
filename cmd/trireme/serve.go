package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"trireme/embedded"
	"trireme/internal/config"
	"trireme/internal/controls"
	"trireme/internal/host"
	"trireme/internal/identity"
)

const serveLong = `Run a host until a signal ends it. Nothing has to be configured.

Flags win over the configuration file, which wins over the defaults. SIGINT and
SIGTERM end it in order: stripes are handed over, requests that it holds are
answered, the log is left at rest, the store made durable. A second signal ends it
at once. SIGHUP has it read the layout again, SIGUSR1 drains it; "trireme signal"
sends them.

A host of a cluster has a layout in its configuration; see "trireme layout". It
serves when every partition has an owner in reach; until then, and while it is held
back, /readyz and "trireme status" say what it waits for.

When it serves it says so on stderr, with the addresses it has:

  trireme: ready, NATS on nats://127.0.0.1:4222, HTTP on http://127.0.0.1:7422`

// closeLimit bounds an orderly end: a request is held for 15 s at most.
const closeLimit = 30 * time.Second

// brokenLimit bounds the end of a host that cannot write: what waits here waits for
// logs that it has no more. Clients ask another host when their connection is gone.
const brokenLimit = 5 * time.Second

// A serveFlags is what the command line says of a host.
type serveFlags struct {
	file   string
	data   string
	nats   string
	http   string
	test   bool
	level  string
	format string
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use: "serve", Short: "Run a host", Long: serveLong,
		Example: `  trireme serve
  trireme serve --data /var/lib/trireme --nats 10.0.0.1:4222
  trireme serve --config trireme.conf
  trireme serve --config trireme.conf -t    test the file and end
  trireme serve --nats 127.0.0.1:-1 --http 127.0.0.1:0    on free ports`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.config(cmd)
			if err != nil {
				return err
			}
			if f.test {
				return a.tested(cmd.Context(), f.file, cfg)
			}
			logger, err := f.logger(a.err)
			if err != nil {
				return err
			}
			if off := controls.Off(); len(off) > 0 {
				logger.Error("this build is for drills that must fail: it lacks protections and loses documents", "off", off)
			}
			return a.serve(cmd.Context(), cfg, logger, f.format == asJSON)
		},
	}
	def := config.Default()
	c.Flags().StringVarP(&f.file, "config", "c", "", "configuration `file`, in NATS' syntax")
	c.Flags().StringVar(&f.data, "data", def.Data, "data `directory`")
	c.Flags().StringVar(&f.nats, "nats", def.Listen, "`address` for NATS clients; port -1 takes a free one")
	c.Flags().StringVar(&f.http, "http", def.HTTP, "`address` of health, status and metrics; port 0 takes a free one, none is none")
	c.Flags().BoolVarP(&f.test, "test", "t", false, "test the configuration and end")
	c.Flags().StringVar(&f.level, "log-level", "info", "what to log: debug, info, warn or error")
	c.Flags().StringVar(&f.format, "log-format", "text", "how to log: text or json")
	return c
}

// config is the file with what the command line says on top.
func (f *serveFlags) config(cmd *cobra.Command) (config.Config, error) {
	cfg := config.Default()
	if f.file != "" {
		var err error
		if cfg, err = config.Load(f.file); err != nil {
			return cfg, err
		}
	}
	for name, set := range map[string]struct{ to, from *string }{
		"data": {&cfg.Data, &f.data},
		"nats": {&cfg.Listen, &f.nats},
		"http": {&cfg.HTTP, &f.http},
	} {
		if cmd.Flags().Changed(name) {
			*set.to = *set.from
		}
	}
	if err := cfg.Validate(); err != nil {
		return cfg, usage("configuration: %w", err)
	}
	return cfg, nil
}

// serve runs a host until ctx ends.
func (a *app) serve(ctx context.Context, cfg config.Config, logger *slog.Logger, quiet bool) error {
	h := &host.Host{Config: cfg, Version: thisBuild().Version, Logger: logger}
	defer onHangUp(h.HangUp)()
	drain := make(chan os.Signal, 1) // one that comes before the host serves waits
	signal.Notify(drain, drainSignal)
	defer signal.Stop(drain)
	if err := h.Start(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
			logger.Info("closed before it served", "error", err)
			return nil
		}
		return startFault(err)
	}
	if quiet {
		logger.Info("ready", "nats", h.NATS(), "http", h.HTTP())
	} else {
		a.ready(h.NATS(), h.HTTP())
	}
	broken := drainOn(ctx, drain, h, logger)
	logger.Info("closing")
	limit := closeLimit
	if broken != nil {
		limit = brokenLimit
	}
	end, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := h.Close(end); err != nil {
		return errors.Join(broken, fmt.Errorf("close the host: %w", err))
	}
	logger.Info("closed")
	return broken
}

// drainSignal has a host give its stripes away.
const drainSignal = syscall.SIGUSR1

// drainOn drains the host whenever it is told to, until ctx ends or the host cannot go
// on. It says why it cannot.
func drainOn(ctx context.Context, told <-chan os.Signal, h *host.Host, logger *slog.Logger) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-h.Broken():
			return hint(err, "see to the disk; started again, the host catches up with the others")
		case <-told:
			if err := h.Drain(ctx, true); err != nil {
				logger.Warn("not drained", "error", err)
				continue
			}
			logger.Info("draining, for a signal")
		}
	}
}

func (a *app) ready(nats, http string) {
	if http == "" {
		http = "no address"
	}
	fmt.Fprintf(a.err, "trireme: ready, NATS on %s, HTTP on %s\n", nats, http)
}

// startFault adds a remedy to what commonly keeps a host from starting.
func startFault(err error) error {
	switch {
	case errors.Is(err, embedded.ErrLocked), errors.Is(err, identity.ErrInUse):
		return hint(err, "a host runs on this directory already; --data names another")
	case errors.Is(err, syscall.EADDRINUSE):
		return hint(err, "--nats and --http name other addresses; ports -1 and 0 take free ones")
	case errors.Is(err, os.ErrPermission):
		return hint(err, "--data names a directory that this user may write to")
	}
	return err
}

// onHangUp calls fn for each SIGHUP. The function it returns ends that.
func onHangUp(fn func()) (stop func()) {
	hangUp, end, ended := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(hangUp, syscall.SIGHUP)
	go func() {
		defer close(ended)
		for {
			select {
			case <-hangUp:
				fn()
			case <-end:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangUp)
		close(end)
		<-ended
	}
}
