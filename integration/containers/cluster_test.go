package containers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	dockernetwork "github.com/moby/moby/api/types/network"
	"github.com/nats-io/nats.go"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"

	"trireme/adapter"
	"trireme/internal/localcluster"
)

// patience bounds every wait for something that must come, on a slow machine too.
const patience = 4 * time.Minute

// password is that of the user trireme and of the routes.
const password = "rowing-170-oars"

// A cluster is three hosts in containers, on a network of their own, with what
// ops/compose has for them.
type cluster struct {
	*testing.T            // of the scenario that is played
	life       *testing.T // of the cluster: what is made is removed at its end

	engine *engine
	net    *testcontainers.DockerNetwork
	subnet netip.Prefix
	hosts  []*host
	began  time.Time

	layout string    // the layout of the hosts that start from now on
	config string    // their configuration
	past   []*ledger // documents of scenarios that have ended
}

// startCluster starts three hosts. They are removed when the test ends.
func startCluster(t *testing.T, e *engine, version string) *cluster {
	t.Helper()
	image := e.image(t, version)
	c := &cluster{T: t, life: t, engine: e, began: time.Now(), layout: readFile(t, "ops/compose/layout.conf")}
	// What a test would wait for too long, and logs that forget soon what is in the store.
	const shipped, tested = `listen: "0.0.0.0:6222" }`, `listen: "0.0.0.0:6222", prefer_after: 3s }` + "\nlog { max_bytes: 64MB, keep_bytes: 1KB }"
	if c.config = strings.Replace(readFile(t, "ops/compose/trireme.conf"), shipped, tested, 1); !strings.Contains(c.config, tested) {
		t.Fatalf("ops/compose/trireme.conf has no %s any more", shipped)
	}
	c.makeNetwork()
	for i, name := range []string{"h1", "h2", "h3"} {
		h := &host{cluster: c, name: name, ip: nth(c.subnet, 11+i), image: image}
		c.hosts = append(c.hosts, h)
		h.newVolume()
	}
	for _, h := range c.hosts {
		h.create()
	}
	return c
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// makeNetwork makes a network with a subnet of ours, so that a host has the same
// address all its life and the clients outside know it.
func (c *cluster) makeNetwork() {
	c.Helper()
	var err error
	for range 20 { // the machine may use some of the subnets
		c.subnet = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(200 + rand.IntN(50)), byte(rand.IntN(256)), 0}), 24)
		ipam := &dockernetwork.IPAM{Config: []dockernetwork.IPAMConfig{{Subnet: c.subnet, Gateway: nth(c.subnet, 1)}}}
		c.net, err = network.New(c.Context(), network.WithIPAM(ipam), network.WithLabels(c.engine.labels()))
		if err == nil {
			testcontainers.CleanupNetwork(c.life, c.net)
			return
		}
	}
	c.Fatalf("make a network: %v", err)
}

// nth is an address of a subnet.
func nth(subnet netip.Prefix, n int) netip.Addr {
	four := subnet.Addr().As4()
	four[3] = byte(n)
	return netip.AddrFrom4(four)
}

// showLogs shows what the hosts have said, when the test has failed.
func (c *cluster) showLogs() {
	if !c.Failed() {
		return
	}
	for _, h := range c.hosts {
		c.Logf("--- the end of the log of %s:\n%s", h.name, h.log())
	}
}

// host finds a host by its name.
func (c *cluster) host(name string) *host {
	c.Helper()
	for _, h := range c.hosts {
		if h.name == name {
			return h
		}
	}
	c.Fatalf("there is no host %q", name)
	return nil
}

// others are the hosts beside one.
func (c *cluster) others(than *host) []*host {
	var all []*host
	for _, h := range c.hosts {
		if h != than {
			all = append(all, h)
		}
	}
	return all
}

// connect connects a client, to the host that is named by its place first.
func (c *cluster) connect(first int) *nats.Conn {
	c.Helper()
	var urls []string
	for i := range c.hosts {
		urls = append(urls, "nats://"+c.hosts[(first+i)%len(c.hosts)].at("4222"))
	}
	nc, err := adapter.Dial(strings.Join(urls, ","), nats.UserInfo("trireme", password), nats.DontRandomize(), quiet())
	if err != nil {
		c.Fatal(err)
	}
	c.life.Cleanup(nc.Close)
	return nc
}

// quiet keeps a connection from printing: calls tell what goes wrong.
func quiet() nats.Option {
	return nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
}

// await waits for a state, and fails the test when it does not come.
func (c *cluster) await(what string, check func(context.Context) error) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	if err := localcluster.Await(ctx, what, check); err != nil {
		c.Fatal(err)
	}
}

// awaitWell waits until every host is ready and says that nothing is wrong.
func (c *cluster) awaitWell() {
	c.Helper()
	c.await("three hosts that are well", func(ctx context.Context) error {
		var errs []error
		for _, h := range c.hosts {
			errs = append(errs, h.well(ctx))
		}
		return errors.Join(errs...)
	})
}

// owner finds the one host that says that it owns a partition, as a load balancer does.
func (c *cluster) owner(ctx context.Context, partition string) (*host, error) {
	var owners []*host
	for _, h := range c.hosts {
		if code, _, err := h.get(ctx, "/owner/"+partition); err == nil && code == 200 {
			owners = append(owners, h)
		}
	}
	if len(owners) != 1 {
		return nil, fmt.Errorf("%d hosts say that they own partition %s", len(owners), partition)
	}
	return owners[0], nil
}

// awaitOwner waits until a partition has an owner, other than those named.
func (c *cluster) awaitOwner(partition string, but ...*host) (owner *host) {
	c.Helper()
	c.await("an owner of partition "+partition, func(ctx context.Context) (err error) {
		if owner, err = c.owner(ctx, partition); err != nil {
			return err
		}
		for _, h := range but {
			if owner == h {
				return fmt.Errorf("%s owns it", h.name)
			}
		}
		return nil
	})
	return owner
}

// verify runs `trireme verify` in a container: PASS, or the test fails.
func (c *cluster) verify() {
	c.Helper()
	if code, out := c.hosts[0].exec("trireme", "verify", "--wait", "2m"); code != 0 || !strings.Contains(out, "PASS") {
		c.Errorf("trireme verify ends with %d:\n%s", code, out)
	}
}

// absent lets what is not there be removed.
func absent(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

func (c *cluster) environment(h *host) map[string]string {
	return map[string]string{
		"TRIREME_HOST": h.name, "TRIREME_PASSWORD": password, "TRIREME_ROUTE_PASSWORD": password,
		"NATS_URL": "nats://trireme:" + password + "@localhost:4222",
	}
}
