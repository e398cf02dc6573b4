package embedded

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/conf"
)

// A Cluster joins servers. Each of them has the same Name, Routes, User and Password.
type Cluster struct {
	// Name is the cluster's, and must stay with the directory. It must be one token of
	// a NATS subject.
	Name string

	// Listen is where the routes of the other servers arrive, host:port.
	Listen string

	// Advertise is how clients of the other servers reach this one, host:port: they
	// learn it when they connect, and turn to it when their own server goes. Default:
	// the address that the server listens on.
	Advertise string

	// Routes are where the routes of all servers arrive, host:port, this one's
	// included: their number says how many have to agree who leads them at first.
	Routes []string

	// User and Password are what servers show one another. They may be left out if
	// Listen and every route are on a loopback address.
	User     string
	Password string // plain: it is shown, not only compared

	// Tags say what this server is for: a stream whose placement lists tags is kept by
	// servers that have all of them. Letters, digits, '-', '_' and '.'; case does not count.
	Tags []string

	// TLS is the inside of the tls block for routes, in NATS configuration syntax.
	// Default: routes are not encrypted.
	TLS string
}

const (
	// A server that hangs or that a broken network hides is given up after about
	// (routePings + 1) * routePing. Elections do not wait for that, but requests to a
	// queue group do, and what waits in memory for that server.
	routePing  = time.Second
	routePings = 3
	// routeWrite is how long a route may take nothing at all before it is closed.
	routeWrite = 5 * time.Second
)

// settled is a copy in which no slice is shared.
func (c *Cluster) settled() *Cluster {
	if c == nil {
		return nil
	}
	settled := *c
	settled.Routes, settled.Tags = slices.Clone(c.Routes), slices.Clone(c.Tags)
	return &settled
}

// check names every fault.
func (c *Cluster) check() []error {
	if c == nil {
		return nil
	}
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("cluster "+format, args...)) }
	if c.Name == "" || strings.ContainsFunc(c.Name, notInToken) {
		fault("name %q: cannot stand in a NATS subject; use letters, digits, '-' and '_'", c.Name)
	}
	if err := checkAddress(c.Listen, true); err != nil {
		fault("listen %q: %w", c.Listen, err)
	}
	if err := checkAddress(c.Advertise, false); c.Advertise != "" && err != nil {
		fault("advertise %q: %w", c.Advertise, err)
	}
	if len(c.Routes) < 2 {
		fault("routes %q: one server cannot agree with others; name the routes of all, this one's included, or leave the cluster out", c.Routes)
	}
	for i, r := range c.Routes {
		if err := checkAddress(r, false); err != nil {
			fault("routes[%d] %q: %w", i, r, err)
		} else if slices.Contains(c.Routes[:i], r) {
			fault("routes[%d] %q: it is there twice; name each server once", i, r)
		}
	}
	errs = append(errs, c.checkSecrets()...)
	for i, tag := range c.Tags {
		if tag == "" || strings.ContainsFunc(tag, func(r rune) bool { return r != '.' && notInToken(r) }) {
			fault("tags[%d] %q: use letters, digits, '-', '_' and '.'", i, tag)
		} else if slices.ContainsFunc(c.Tags[:i], func(other string) bool { return strings.EqualFold(tag, other) }) {
			fault("tags[%d] %q: it is there twice, case does not count; choose another one", i, tag)
		}
	}
	return errs
}

// checkSecrets keeps strangers from the routes: whoever has one has every account.
func (c *Cluster) checkSecrets() []error {
	var errs []error
	if err := checkInside(c.TLS); err != nil {
		errs = append(errs, fmt.Errorf("cluster tls: %w", err))
	}
	if (c.User == "") != (c.Password == "") {
		errs = append(errs, fmt.Errorf("cluster user %q: a user goes with a password, and a password with a user; set both or none", c.User))
	}
	if strings.HasPrefix(c.Password, "$2") {
		errs = append(errs, errors.New("cluster password: it begins as a bcrypt hash does, and servers have to show it; give it plain"))
	}
	if c.User == "" {
		for _, addr := range append([]string{c.Listen}, c.Routes...) {
			if host, _, err := net.SplitHostPort(addr); err == nil && !loopback(host) {
				errs = append(errs, fmt.Errorf("cluster user: it is empty, and %s is not on a loopback address; name a user and a password", addr))
				break
			}
		}
	}
	return errs
}

// checkInside wants the inside of a block, which does not close it.
func checkInside(text string) error {
	if _, err := conf.Parse(text); err != nil {
		return err
	}
	parsed, err := conf.Parse("block {\n" + text + "\n}\nafter: it")
	if err != nil {
		return err
	}
	if _, is := parsed["block"].(map[string]any); !is || len(parsed) != 2 {
		return errors.New("it closes its block; write only what stands between the braces")
	}
	return nil
}

// checkAddress wants host:port. Only where one listens the host may be left out.
func checkAddress(addr string, listen bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%w; write host:port, as in 10.0.0.1:6222", err)
	}
	if host == "" && !listen {
		return errors.New("the host is missing; write host:port, as in 10.0.0.1:6222")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("port %q: choose 1 to 65535", port)
	}
	return nil
}

func (c *Cluster) render(line func(string, ...any)) {
	if c == nil {
		return
	}
	if len(c.Tags) > 0 {
		line("server_tags: %s", list(c.Tags))
	}
	if c.Advertise != "" {
		line("client_advertise: %s", quote(c.Advertise))
	}
	host, port, _ := net.SplitHostPort(c.Listen)
	line("cluster {")
	line("  name: %s", quote(c.Name))
	line("  listen: %s", quote(net.JoinHostPort(or(host, "0.0.0.0"), port)))
	if c.User != "" {
		line("  authorization { user: %s, password: %s, timeout: 5 }", quote(c.User), quote(c.Password))
	}
	if c.TLS != "" {
		line("  tls {")
		line("%s", c.TLS)
		line("  }")
	}
	line("  routes: %s", list(c.urls()))
	line("  ping_interval: %q", routePing)
	line("  ping_max: %d", routePings)
	line("  write_deadline: %q", routeWrite)
	// A connection of its own for what hosts tell one another. By their hashes, both
	// accounts would share one, and large answers to clients would stand before it.
	// Raft has one of its own already, that of the system account.
	line("  pool_size: 1")
	line("  accounts: [%s]", logAccount)
	line("}")
}

func (c *Cluster) urls() []string {
	urls := make([]string, len(c.Routes))
	for i, r := range c.Routes {
		u := url.URL{Scheme: "nats", Host: r}
		if c.User != "" {
			u.User = url.UserPassword(c.User, c.Password)
		}
		urls[i] = u.String()
	}
	return urls
}
