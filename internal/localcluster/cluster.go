package localcluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"trireme/internal/config"
)

// Config says what cluster to make.
type Config struct {
	Program  string   // path of the trireme executable
	Dir      string   // where everything of it lies
	Hosts    int      // 3 when it is 0
	BasePort int      // 0 takes free ones
	Generate []string // more flags of `trireme layout generate`
	Settings string   // configuration that is added to every host's
	Proxied  bool     // routes between hosts lead through [Cluster.Routes]
}

// A Cluster is hosts on this machine. Its hosts may be used from several goroutines.
type Cluster struct {
	Dir    string
	Hosts  []*Host // in the order of their names
	Routes *Routes // nil unless Config.Proxied

	http *http.Client
}

// A Host is one process of a cluster.
type Host struct {
	*Process
	NATS string // host:port
	HTTP string // host:port
	Data string // its data directory
	File string // its configuration

	http *http.Client
}

// URL is where NATS clients reach the host.
func (h *Host) URL() string { return "nats://" + h.NATS }

// askLimit bounds one question over HTTP: a frozen host never answers.
const askLimit = 2 * time.Second

// New writes the files of a cluster with `trireme layout generate --local` and starts
// nothing.
func New(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.Hosts == 0 {
		cfg.Hosts = 3
	}
	if cfg.BasePort == 0 {
		var err error
		if cfg.BasePort, err = FreeBasePort(cfg.Hosts); err != nil {
			return nil, err
		}
	}
	args := append([]string{"layout", "generate", "--local", strconv.Itoa(cfg.Hosts), "--dir", cfg.Dir, "--base-port", strconv.Itoa(cfg.BasePort)}, cfg.Generate...)
	if out, err := exec.CommandContext(ctx, cfg.Program, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	c, err := Open(cfg.Program, cfg.Dir)
	if err != nil {
		return nil, err
	}
	for _, h := range c.Hosts {
		if err := h.Configure(cfg.Settings); err != nil {
			return nil, err
		}
	}
	if cfg.Proxied {
		c.Routes, err = c.stand(cfg.BasePort)
	}
	return c, err
}

// Open finds the hosts of a directory that [New] or `trireme layout generate --local`
// has written, and starts nothing.
func Open(program, dir string) (*Cluster, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "h*.conf"))
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	for _, file := range files {
		cfg, err := config.Load(file)
		if err != nil {
			return nil, err
		}
		c.Hosts = append(c.Hosts, &Host{
			Process: &Process{
				Name: cfg.Host, Program: program, Args: []string{"serve", "--config", file},
				Log: filepath.Join(dir, cfg.Host+".log"),
			},
			NATS: cfg.Listen, HTTP: cfg.HTTP, Data: cfg.Data, File: file, http: c.http,
		})
	}
	if len(c.Hosts) == 0 {
		return nil, fmt.Errorf("no h*.conf in %s: `trireme layout generate --local 3 --dir %s` writes them", dir, dir)
	}
	slices.SortFunc(c.Hosts, func(a, b *Host) int { return strings.Compare(a.Name, b.Name) })
	return c, nil
}

// Start starts every host that does not run and does not wait until they serve.
func (c *Cluster) Start() error {
	var errs []error
	for _, h := range c.Hosts {
		if !h.Running() {
			errs = append(errs, h.Start())
		}
	}
	return errors.Join(errs...)
}

// Close kills every host, thawed or frozen, and takes away the proxies.
func (c *Cluster) Close() error {
	var errs []error
	for _, h := range c.Hosts {
		errs = append(errs, h.Close())
	}
	if c.Routes != nil {
		errs = append(errs, c.Routes.Close())
	}
	c.http.CloseIdleConnections()
	return errors.Join(errs...)
}

// Host finds a host by its name, nil when there is none.
func (c *Cluster) Host(name string) *Host {
	i := slices.IndexFunc(c.Hosts, func(h *Host) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	return c.Hosts[i]
}

// URLs are where NATS clients reach the hosts, those named first coming first.
func (c *Cluster) URLs(first ...string) []string {
	var urls []string
	for _, name := range first {
		urls = append(urls, c.Host(name).URL())
	}
	for _, h := range c.Hosts {
		if !slices.Contains(urls, h.URL()) {
			urls = append(urls, h.URL())
		}
	}
	return urls
}

// awake are the hosts that can answer.
func (c *Cluster) awake() []*Host {
	return slices.DeleteFunc(slices.Clone(c.Hosts), func(h *Host) bool { return !h.Running() || h.Frozen() })
}
