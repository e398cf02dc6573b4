package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"trireme/internal/layout"
	"trireme/ops"
)

// errDegraded ends the program when the answer is bad news.
var errDegraded = errors.New("degraded")

func (a *app) statusCommand() *cobra.Command {
	var host string
	c := &cobra.Command{
		Use: "status", Short: "Show what state the hosts are in, and what to do about it",
		Long: `Show what state the hosts are in, who owns what, and what is wrong, each with its
remedy. It asks one host, learns the others from it, and asks them all; those
that do not answer on NATS, as a host that is held back, over HTTP.

With --host it shows one host in detail. --server may be an http:// URL too: the
HTTP address of a host.

The exit code is 3 when a host is not ready, in a critical condition or out of
reach.`,
		Example: "  trireme status\n  trireme status --host h2\n  trireme status -o json | jq .conditions\n  trireme status -s http://10.0.0.2:7422",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if host != "" {
				return a.showHost(cmd, host)
			}
			return a.showCluster(cmd)
		},
	}
	c.Flags().StringVar(&host, "host", "", "show this `host` in detail")
	return c
}

// showHost answers with the status of one host, as it came.
func (a *app) showHost(cmd *cobra.Command, name string) error {
	if err := layout.CheckName(name); err != nil {
		return usage("--host %q is not the name of a host: %w", name, err)
	}
	w, err := a.watcher(cmd)
	if err != nil {
		return err
	}
	defer w.close()
	s, err := w.host(cmd.Context(), name)
	if err != nil {
		return err
	}
	if err := a.answer(json.RawMessage(s.raw), s.print); err != nil {
		return err
	}
	return degraded(s.bad())
}

// showCluster answers with the status of all hosts.
func (a *app) showCluster(cmd *cobra.Command) error {
	w, err := a.watcher(cmd)
	if err != nil {
		return err
	}
	defer w.close()
	c, err := w.cluster(cmd.Context())
	if err != nil {
		return err
	}
	if err := a.answer(c.view(), c.print); err != nil {
		return err
	}
	return degraded(c.bad())
}

func degraded(bad bool) error {
	if bad {
		return &failure{exit: exitDegraded, err: errDegraded}
	}
	return nil
}

// statusLimit bounds the wait for a status, which a host answers at once; peerLimit
// that for one of several.
const (
	statusLimit = 5 * time.Second
	peerLimit   = 2 * time.Second
)

// A hostStatus is a status and the JSON that it came as: fields that this
// program does not know are passed on.
type hostStatus struct {
	ops.Status
	raw []byte
	now time.Time
}

func readStatus(raw []byte) (*hostStatus, error) {
	s := &hostStatus{raw: raw, now: time.Now()}
	if err := json.Unmarshal(raw, &s.Status); err != nil {
		return nil, fmt.Errorf("read the status: %w", err)
	}
	return s, nil
}

func (s *hostStatus) bad() bool {
	for _, c := range s.Conditions {
		if c.Severity == ops.Critical {
			return true
		}
	}
	return !s.Ready
}

// A watcher asks hosts for their status, on NATS and over HTTP.
type watcher struct {
	server string
	nc     *nats.Conn // nil when the server is an HTTP URL
	limit  time.Duration
}

// watcher reaches a host. The caller closes the watcher.
func (a *app) watcher(cmd *cobra.Command) (*watcher, error) {
	t, err := a.target()
	if err != nil {
		return nil, err
	}
	w := &watcher{server: t.urls, limit: min(statusLimit, a.timeout)}
	if overHTTP(t.urls) {
		return w, nil
	}
	w.nc, err = a.connect(cmd)
	return w, err
}

func overHTTP(server string) bool {
	return strings.HasPrefix(server, "http://") || strings.HasPrefix(server, "https://")
}

func (w *watcher) close() {
	if w.nc != nil {
		w.nc.Close()
	}
}

// any asks whichever host is at the server.
func (w *watcher) any(ctx context.Context) (*hostStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, w.limit)
	defer cancel()
	if w.nc == nil {
		s, err := httpStatus(ctx, w.server)
		if err != nil {
			return nil, &failure{exit: exitUnreachable, err: err}
		}
		return s, nil
	}
	raw, err := ops.Client{Conn: w.nc}.StatusJSON(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("ask %s for its status: %w", w.nc.ConnectedUrlRedacted(), err)
	}
	return readStatus(raw)
}

// host asks one host by its name, on NATS, and over HTTP where others say it is.
func (w *watcher) host(ctx context.Context, name string) (*hostStatus, error) {
	if w.nc != nil {
		if s, err := w.onNATS(ctx, name); err == nil {
			return s, nil
		}
	}
	first, err := w.any(ctx)
	if err != nil {
		return nil, err
	}
	if first.Host == name {
		return first, nil
	}
	for _, h := range first.Hosts {
		if h.Name == name {
			s, err := w.peer(ctx, h)
			if err != nil {
				return nil, &failure{exit: exitUnreachable, err: err}
			}
			return s, nil
		}
	}
	err = &failure{exit: exitUnreachable, err: fmt.Errorf("host %s does not answer at %s, and is not in the layout there", name, w.at())}
	return nil, hint(err, "`trireme status` lists the hosts")
}

// peer asks a host that another one has told of.
func (w *watcher) peer(ctx context.Context, h ops.HostView) (*hostStatus, error) {
	err := errors.New("not asked")
	if w.nc != nil {
		var s *hostStatus
		if s, err = w.onNATS(ctx, h.Name); err == nil {
			return s, nil
		}
	}
	if h.HTTP == "" {
		return nil, fmt.Errorf("host %s does not answer at %s: %w", h.Name, w.at(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, min(peerLimit, w.limit))
	defer cancel()
	s, err := httpStatus(ctx, h.HTTP)
	if err != nil {
		return nil, fmt.Errorf("host %s does not answer: %w", h.Name, err)
	}
	if s.Host != h.Name {
		return nil, fmt.Errorf("at %s answers host %s, not %s", h.HTTP, s.Host, h.Name)
	}
	return s, nil
}

func (w *watcher) onNATS(ctx context.Context, name string) (*hostStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, min(peerLimit, w.limit))
	defer cancel()
	raw, err := ops.Client{Conn: w.nc}.StatusJSON(ctx, name)
	if err != nil {
		return nil, err
	}
	return readStatus(raw)
}

func (w *watcher) at() string {
	if w.nc == nil {
		return w.server
	}
	return w.nc.ConnectedUrlRedacted()
}
