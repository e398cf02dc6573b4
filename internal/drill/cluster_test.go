package drill

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/layout"
	"trireme/internal/localcluster"
	"trireme/ops"
)

// patience is how long a drill waits for a state that comes within seconds on a
// machine that has nothing else to do.
const patience = 4 * time.Minute

// smallMachine lets hosts run where disks are small.
const smallMachine = "disk { reserve_bytes: 1MB }\nlog { max_bytes: 512MB, keep_bytes: 256MB }"

// A cluster is three hosts as processes.
type cluster struct {
	*localcluster.Cluster
	t testing.TB

	fronts map[string]*localcluster.Proxy // between the clients of the load and the hosts, by host; nil for none

	mu     sync.Mutex
	asking *nats.Conn // of the operator
}

// newCluster writes the files of a cluster; change may change what is written.
func newCluster(t testing.TB, change ...func(*localcluster.Config)) *cluster {
	t.Helper()
	cfg := localcluster.Config{Program: program, Dir: filepath.Join(t.ArtifactDir(), "cluster"), Settings: smallMachine}
	for _, f := range change {
		f(&cfg)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := localcluster.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Tails(4000))
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return &cluster{Cluster: c, t: t}
}

// runningCluster is one that serves.
func runningCluster(t testing.TB, change ...func(*localcluster.Config)) *cluster {
	t.Helper()
	c := newCluster(t, change...)
	c.start()
	return c
}

// start starts what does not run and waits until all serve.
func (c *cluster) start() {
	c.t.Helper()
	c.must(c.Start())
	c.ready()
}

func (c *cluster) ready() {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	c.must(c.AwaitReady(ctx))
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// connect reaches the cluster, first by the hosts named.
func (c *cluster) connect(first ...string) *nats.Conn {
	c.t.Helper()
	return connect(c.t, c.URLs(first...)...)
}

// connectFront is connect by way of the proxies that stand in front of the hosts, if any
// do. What servers tell of one another leads around them, and is ignored.
func (c *cluster) connectFront(first string) *nats.Conn {
	c.t.Helper()
	if c.fronts == nil {
		return c.connect(first)
	}
	urls := []string{"nats://" + c.fronts[first].Address()}
	for _, h := range c.Hosts {
		if h.Name != first {
			urls = append(urls, "nats://"+c.fronts[h.Name].Address())
		}
	}
	return connect(c.t, urls...)
}

// connect reaches the first of the URLs that answers. A connection that gives no sign
// of life is given up within seconds, as that of an Adama node should be.
func connect(t testing.TB, urls ...string) *nats.Conn {
	t.Helper()
	servers := func(o *nats.Options) error {
		o.Servers, o.NoRandomize, o.IgnoreDiscoveredServers = urls, true, true
		return nil
	}
	nc, err := nats.Connect("", servers, nats.Timeout(5*time.Second),
		nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectBufSize(-1),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // calls tell
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// straight reaches one host and never another, and waits for it as long as it takes.
func (c *cluster) straight(host *localcluster.Host) *nats.Conn {
	c.t.Helper()
	return c.straightTo(host.URL())
}

func (c *cluster) straightTo(url string) *nats.Conn {
	c.t.Helper()
	nc, err := nats.Connect(url, nats.Timeout(10*time.Second), nats.IgnoreDiscoveredServers(),
		nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.PingInterval(time.Hour),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(nc.Close)
	return nc
}

// operator asks the hosts as an operator does, by way of a host that is awake. It keeps
// its connection: what waits for a state asks again and again.
func (c *cluster) operator() ops.Client {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var awake *localcluster.Host
	for _, h := range c.Hosts {
		if !h.Running() || h.Frozen() {
			continue
		}
		if c.asking != nil && c.asking.ConnectedUrl() == h.URL() {
			return ops.Client{Conn: c.asking}
		}
		if awake == nil {
			awake = h
		}
	}
	if awake == nil {
		c.t.Fatal("no host is awake")
	}
	if c.asking != nil {
		c.asking.Close()
	}
	c.asking = c.connect(awake.Name)
	return ops.Client{Conn: c.asking}
}

// keyOn is a key of a document in a partition.
func keyOn(space string, p layout.Partition, n int) string {
	for i := 0; ; i++ {
		key := "k" + itoa(n) + "-" + itoa(i)
		if p.Has(layout.BucketOf(space, key)) {
			return key
		}
	}
}
