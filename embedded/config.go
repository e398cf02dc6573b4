package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"trireme/internal/controls"
)

const (
	defaultName       = "h1"
	defaultDir        = "trireme-data"
	defaultListen     = "127.0.0.1:4222"
	defaultMaxPayload = 64 << 20

	// pendingFactor is how many messages of the largest size may wait for a slow client
	// before the server drops its connection.
	pendingFactor = 4
	// maxMemory bounds the consumers of `nats stream view`; streams are on disk.
	maxMemory = 64 << 20
)

// config is what a Server's fields mean, defaults filled in and checked.
type config struct {
	Name       string
	Dir        string
	Host       string // "" without a listener
	Port       int
	Listens    bool
	MaxPayload int32
	MaxFile    int64
	Clients    []User
	Cluster    *Cluster
	Extra      string
	Logger     *slog.Logger
}

// Config returns the NATS configuration that Start would use, passwords hidden, or
// every fault in the fields. It starts nothing and touches no file.
func (s *Server) Config() (string, error) {
	cfg, err := s.settled()
	if err != nil {
		return "", fmt.Errorf("NATS configuration: %w", err)
	}
	k, err := newKeys()
	if err != nil {
		return "", err
	}
	if _, err := cfg.options(k); err != nil {
		return "", fmt.Errorf("NATS configuration: %w", err)
	}
	for i := range cfg.Clients {
		cfg.Clients[i].Password = "hidden"
	}
	if cfg.Cluster != nil && cfg.Cluster.Password != "" {
		cfg.Cluster.Password = "hidden"
	}
	return cfg.render(k), nil
}

// settled fills defaults in and names every fault.
func (s *Server) settled() (config, error) {
	c := config{
		Name: or(s.Name, defaultName), Dir: or(s.Dir, defaultDir), MaxPayload: or(s.MaxPayload, defaultMaxPayload),
		MaxFile: s.MaxFile, Clients: append([]User(nil), s.Clients...), Cluster: s.cluster().settled(), Extra: s.Extra, Logger: s.Logger,
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if strings.ContainsFunc(c.Name, notInToken) {
		fault("name %q: cannot stand in a NATS subject; use only letters, digits, '-' and '_'", c.Name)
	}
	if c.MaxPayload < 0 {
		fault("max payload %d: give a number of bytes, or 0 for %d", c.MaxPayload, defaultMaxPayload)
	}
	if c.MaxFile < 0 {
		fault("max file %d: give a number of bytes, or 0 to take it from the free disk space", c.MaxFile)
	}
	if dir, err := filepath.Abs(c.Dir); err != nil {
		fault("data directory %q: %w", c.Dir, err)
	} else {
		c.Dir = dir
	}
	if err := c.listen(or(s.Listen, defaultListen)); err != nil {
		fault("listen %q: %w", s.Listen, err)
	}
	if c.Listens && len(c.Clients) == 0 && !loopback(c.Host) {
		fault("listen %q: other machines reach it, and no client is named; name the clients, or listen on 127.0.0.1", s.Listen)
	}
	if !c.Listens && c.Cluster != nil {
		fault("listen %q: a server in a cluster needs a client address; choose one, as in %s", s.Listen, defaultListen)
	}
	errs = append(errs, checkUsers(c.Clients)...)
	errs = append(errs, c.Cluster.check()...)
	errs = append(errs, checkExtra(c.Extra)...)
	return c, errors.Join(errs...)
}

func or[T comparable](v, standard T) T {
	var zero T
	if v == zero {
		return standard
	}
	return v
}

func notInToken(r rune) bool {
	return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

func (c *config) listen(addr string) error {
	if addr == NoListener {
		return nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%w; write host:port, as in %s", err, defaultListen)
	}
	n, err := strconv.Atoi(port)
	if err != nil || n == 0 || n < -1 || n > 65535 {
		return fmt.Errorf("port %q: choose 1 to 65535, or -1 for a free one", port)
	}
	c.Listens, c.Host, c.Port = true, or(host, "0.0.0.0"), n
	return nil
}

// loopback reports whether only this machine reaches the host.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// open reports whether clients need no credentials.
func (c config) open() bool { return c.Listens && len(c.Clients) == 0 }

// render writes the configuration in NATS' own syntax.
func (c config) render(k keys) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("server_name: %s", quote(c.Name))
	if c.Listens {
		line("listen: %s", quote(net.JoinHostPort(c.Host, strconv.Itoa(c.Port))))
	}
	line("max_payload: %d", c.MaxPayload)
	line("max_pending: %d", int64(c.MaxPayload)*pendingFactor)
	line("jetstream {")
	line("  store_dir: %s", quote(c.Dir))
	line("  sync_interval: %s", syncInterval())
	line("  strict: true")
	line("  max_memory_store: %d", maxMemory)
	if c.MaxFile > 0 {
		line("  max_file_store: %d", c.MaxFile)
	}
	line("}")
	c.Cluster.render(line)
	c.renderAccounts(line, k)
	if c.Extra != "" {
		line("%s", c.Extra)
	}
	return b.String()
}

// quote writes a string value so that it is read back as it is.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch ch := s[i]; {
		case ch == '"' || ch == '\\':
			b.WriteByte('\\')
			b.WriteByte(ch)
		case ch < ' ' || ch == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, ch)
		default:
			b.WriteByte(ch)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// options has the server read the configuration, and sets what it has no key for.
func (c config) options(k keys) (*server.Options, error) {
	o := &server.Options{}
	if err := o.ProcessConfigString(c.render(k)); err != nil {
		return nil, fmt.Errorf("the NATS server refuses it: %w", err)
	}
	if err := checkLeafnodes(o); err != nil {
		return nil, err
	}
	o.DontListen = !c.Listens
	o.NoSigs = true // signals belong to the program
	o.DisableJetStreamBanner = true
	return o, nil
}

// syncInterval has every write synced before it is answered.
func syncInterval() string {
	if !controls.Sync {
		return "24h"
	}
	return "always"
}
