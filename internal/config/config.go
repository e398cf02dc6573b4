// Package config is the configuration of a host: a file in NATS' own syntax,
// with defaults that need no file.
//
//	host: h1                      # this host's name
//	data: /var/lib/trireme        # log, store and identity
//	listen: 127.0.0.1:4222        # where clients connect
//	http: 127.0.0.1:7422          # health, status, metrics
//	layout: /etc/trireme/layout.conf   # file or URL; without one the host stands alone
//	cluster  { name: trireme, user: route, password: $ROUTE_PASSWORD, poll: 5s, prefer_after: 30s }
//	log      { max_bytes: 1GB, keep_bytes: 64MB }
//	store    { cache_bytes: 64MB, merged_bytes: 64MB, checkpoint: 2s }
//	requests { hold: 15s, max_in_flight: 65536, max_bytes: 512MB }
//	repair   { interval: 30s, rate_bytes: 64MB, serve_bytes: 64MB, tranquility: 1, scrub: 336h }
//	disk     { reserve_bytes: 1GB }
//	clients  [ { user: app, password: $APP_PASSWORD, role: client } ]
//	nats     { ping_interval: 30s }   # whatever else NATS offers
//
// docs/config.md explains every field.
package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"trireme/internal/layout"
)

// Config is everything that can be set. Sizes are bytes; 0 leaves the choice to
// the program where the comment says so.
type Config struct {
	Host   string // this host's name; one word of letters, digits, - and _
	Data   string // the data directory
	Listen string // host:port of the NATS clients; port -1 takes a free one
	HTTP   string // host:port of health, status and metrics; port 0 takes a free one; "none" for no HTTP

	// Layout is the file, or the http(s) URL, of the layout; "" for a host that
	// stands alone.
	Layout  string
	Cluster Cluster // how it meets the other hosts of the layout

	Log      Log
	Store    Store
	Requests Requests
	Repair   Repair

	// DiskReserve is what changes leave free on the data directory's file
	// system: 0 takes a tenth of it, at least 64 MiB and at most 1 GiB.
	DiskReserve int64

	Clients []Client // users from outside; none opens the loopback address to all
	NATS    string   // NATS configuration that is passed on
	Digest  string   // of the file, "" without one
}

// Cluster is how hosts find and trust one another. It is used with a layout only.
type Cluster struct {
	Name        string        // the same on all hosts
	Listen      string        // host:port for the routes of the others; "" takes the layout's
	User        string        // what hosts show one another: the same on all of them
	Password    string        //
	Poll        time.Duration // how often the layout is read again
	PreferAfter time.Duration // how long a host of a better place in a stripe's order must be well before it gets the stripe back
}

// Log is a stripe's log.
type Log struct {
	MaxBytes  int64 // its bound, when it is made; 0 takes 1 GiB, or a quarter of the free disk if that is less
	KeepBytes int64 // what is kept of it for people and late peers; 0 takes 64 MiB
}

// Store is the document store.
type Store struct {
	CacheBytes  int64         // blocks of the database in memory
	MergedBytes int64         // merged documents in memory; -1 for none
	Checkpoint  time.Duration // how often what is applied is made durable
}

// Requests are Adama's.
type Requests struct {
	Hold        time.Duration // how long a request waits for a commit at most
	MaxInFlight int           // how many wait at once
	MaxBytes    int           // and their size together
}

// Repair is how eagerly a host compares its documents with others, and fetches what
// differs.
type Repair struct {
	Interval    time.Duration // between two rounds of comparing
	RateBytes   int64         // documents fetched a second, until an operator sets another rate; 0 for no bound
	ServeBytes  int64         // documents given to others a second; 0 for no bound
	Tranquility int           // rest after each piece of background work, in multiples of what it took
	Scrub       time.Duration // in which everything on disk is read again once; 0 for never
}

// Client is a user that may connect from outside.
type Client struct {
	User     string
	Password string
	Role     string // client, operator or system
}

// NoHTTP as [Config.HTTP] opens no HTTP address.
const NoHTTP = "none"

// Default is what a host runs with when nothing is configured.
func Default() Config {
	return Config{
		Host:     "h1",
		Data:     "./trireme-data",
		Listen:   "127.0.0.1:4222",
		HTTP:     "127.0.0.1:7422",
		Cluster:  Cluster{Name: "trireme", Poll: 5 * time.Second, PreferAfter: 30 * time.Second},
		Log:      Log{KeepBytes: 64 << 20},
		Store:    Store{CacheBytes: 64 << 20, MergedBytes: 64 << 20, Checkpoint: 2 * time.Second},
		Requests: Requests{Hold: 15 * time.Second, MaxInFlight: 65536, MaxBytes: 512 << 20},
		Repair:   Repair{Interval: 30 * time.Second, Tranquility: 1, Scrub: 14 * 24 * time.Hour},
	}
}

// Validate names every fault: field, value and remedy.
func (c Config) Validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := layout.CheckName(c.Host); err != nil {
		fault("host: %q: %w", c.Host, err)
	}
	if c.Data == "" {
		fault("data: is empty: name a directory")
	}
	if err := address(c.Listen, -1); err != nil {
		fault("listen: %w", err)
	}
	if c.HTTP != NoHTTP {
		if err := address(c.HTTP, 0); err != nil {
			fault("http: %w", err)
		}
	}
	for _, n := range []struct {
		field string
		value int64
		least int64
	}{
		{"log.max_bytes", c.Log.MaxBytes, 0},
		{"log.keep_bytes", c.Log.KeepBytes, 0},
		{"store.cache_bytes", c.Store.CacheBytes, 1 << 20},
		{"store.merged_bytes", c.Store.MergedBytes, -1},
		{"requests.max_in_flight", int64(c.Requests.MaxInFlight), 1},
		{"requests.max_bytes", int64(c.Requests.MaxBytes), 1 << 20},
		{"disk.reserve_bytes", c.DiskReserve, 0},
	} {
		if n.value < n.least {
			fault("%s: %d is less than %d", n.field, n.value, n.least)
		}
	}
	if n := c.Log.MaxBytes; n != 0 && n < minLog {
		fault("log.max_bytes: %d is less than %d, the least that holds one record of the largest size", n, minLog)
	}
	if d := c.Store.Checkpoint; d < 10*time.Millisecond || d > 10*time.Minute {
		fault("store.checkpoint: %v is not between 10ms and 10m", d)
	}
	if d := c.Requests.Hold; d < 100*time.Millisecond || d > 10*time.Minute {
		fault("requests.hold: %v is not between 100ms and 10m", d)
	}
	errs = append(errs, c.checkCluster()...)
	errs = append(errs, c.Repair.check()...)
	for i, client := range c.Clients {
		if !slices.Contains([]string{"client", "operator", "system"}, client.Role) {
			fault("clients[%d].role: %q is unknown: want client, operator or system", i, client.Role)
		}
	}
	return errors.Join(errs...)
}

// checkCluster names the faults of what joins hosts to a cluster.
func (c Config) checkCluster() (errs []error) {
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := layout.CheckName(c.Cluster.Name); err != nil {
		fault("cluster.name: %q: %w", c.Cluster.Name, err)
	}
	if c.Cluster.Listen != "" {
		if err := address(c.Cluster.Listen, -1); err != nil {
			fault("cluster.listen: %w", err)
		}
	}
	if (c.Cluster.User == "") != (c.Cluster.Password == "") {
		fault("cluster: user %q goes with a password, and a password with a user: set both or none", c.Cluster.User)
	}
	if d := c.Cluster.Poll; d < 100*time.Millisecond || d > time.Hour {
		fault("cluster.poll: %v is not between 100ms and 1h", d)
	}
	if d := c.Cluster.PreferAfter; d < time.Second || d > 24*time.Hour {
		fault("cluster.prefer_after: %v is not between 1s and 24h", d)
	}
	if c.Layout != "" && c.HTTP == NoHTTP {
		fault("http: none does not go with a layout: the other hosts ask there who this host is")
	}
	return errs
}

// check names the faults.
func (r Repair) check() (errs []error) {
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if r.Interval < 100*time.Millisecond || r.Interval > 24*time.Hour {
		fault("repair.interval: %v is not between 100ms and 24h", r.Interval)
	}
	if r.RateBytes < 0 {
		fault("repair.rate_bytes: %d is negative: write bytes a second, or 0 for no bound", r.RateBytes)
	}
	if r.ServeBytes < 0 {
		fault("repair.serve_bytes: %d is negative: write bytes a second, or 0 for no bound", r.ServeBytes)
	}
	if r.Tranquility < 0 || r.Tranquility > 100 {
		fault("repair.tranquility: %d is not between 0 and 100", r.Tranquility)
	}
	if r.Scrub != 0 && (r.Scrub < time.Minute || r.Scrub > 365*24*time.Hour) {
		fault("repair.scrub: %v is not between 1m and 8760h, nor 0 for never", r.Scrub)
	}
	return errs
}

// minLog leaves room for one record of the largest size and the next.
const minLog = 64 << 20

// address checks host:port; free is the port that stands for "a free one".
func address(s string, free int) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q: %w: write host:port, as in 127.0.0.1:4222", s, err)
	}
	n, err := strconv.Atoi(port)
	if err != nil || n > 65535 || n < 1 && n != free {
		return fmt.Errorf("%q: port %s is not between 1 and 65535 (%d takes a free one)", s, port, free)
	}
	return nil
}
