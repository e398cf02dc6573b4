package containers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	dockernetwork "github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/nats-io/nats.go"
	"github.com/testcontainers/testcontainers-go"

	"trireme/adapter"
	"trireme/internal/localcluster"
)

// A single is one host that stands alone: the image as it comes, with a password, and a
// port published to clients outside.
type single struct {
	*testing.T

	engine    *engine
	container *testcontainers.DockerContainer
}

func startSingle(t *testing.T, e *engine) *single {
	t.Helper()
	made, err := e.docker.VolumeCreate(t.Context(), client.VolumeCreateOptions{Labels: e.labels()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := e.docker.VolumeRemove(context.Background(), made.Volume.Name, client.VolumeRemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
	c, err := testcontainers.Run(t.Context(), e.image(t, presentVersion),
		testcontainers.WithEnv(map[string]string{"TRIREME_PASSWORD": password}),
		testcontainers.WithLabels(e.labels()),
		testcontainers.WithHostConfigModifier(func(c *container.HostConfig) {
			c.Mounts = []mount.Mount{{Type: mount.TypeVolume, Source: made.Volume.Name, Target: "/var/lib/trireme"}}
			c.PortBindings = dockernetwork.PortMap{
				natsPort: {{HostIP: loopback}}, // a free port
				httpPort: {{HostIP: loopback}},
			}
			c.ReadonlyRootfs = true // nothing but the data is written
			c.CapDrop = []string{"ALL"}
			c.SecurityOpt = []string{"no-new-privileges:true"}
		}),
	)
	testcontainers.CleanupContainer(t, c, testcontainers.StopTimeout(0))
	if err != nil {
		t.Fatal(err)
	}
	return &single{T: t, engine: e, container: c}
}

func (s *single) await(what string, check func(context.Context) error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	if err := localcluster.Await(ctx, what, check); err != nil {
		s.Fatalf("%v\n%s", err, wholeLog(s.container))
	}
}

// What the image's configuration listens on, and where that is published.
var (
	natsPort = dockernetwork.MustParsePort("4222/tcp")
	httpPort = dockernetwork.MustParsePort("7422/tcp")
	loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
)

// at is where a port is published now: the engine takes another one at each start.
func (s *single) at(ctx context.Context, port dockernetwork.Port) (string, error) {
	found, err := s.container.Inspect(ctx)
	if err != nil {
		return "", err
	}
	bound := found.NetworkSettings.Ports[port]
	if len(bound) == 0 {
		return "", fmt.Errorf("%s is not published", port)
	}
	return net.JoinHostPort(loopback.String(), bound[0].HostPort), nil
}

func (s *single) awaitReady() {
	s.Helper()
	s.await("a host that is ready", func(ctx context.Context) error {
		at, err := s.at(ctx, httpPort)
		if err != nil {
			return err
		}
		code, body, err := get(ctx, "http://"+at+"/readyz")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("/readyz answers %d: %s", code, body)
		}
		return err
	})
}

func (s *single) connect() *adapter.Client {
	s.Helper()
	at, err := s.at(s.Context(), natsPort)
	if err != nil {
		s.Fatal(err)
	}
	nc, err := adapter.Dial(at, nats.UserInfo("trireme", password), nats.IgnoreDiscoveredServers(), quiet())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(nc.Close)
	c, err := adapter.NewClient(nc)
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// write makes a document of so many changes, or adds them to it.
func (s *single) write(d *ledger, changes int) {
	s.Helper()
	c := s.connect()
	for range changes {
		seq := d.top() + 1
		id := d.id(seq)
		var err error
		if seq == 1 {
			err = c.Initialize(s.Context(), d.space, d.key, d.update(seq), adapter.WithRequestID(id))
		} else {
			err = c.Patch(s.Context(), d.space, d.key, []adapter.Update{d.update(seq)}, adapter.WithRequestID(id))
		}
		if err != nil {
			s.Fatal(err)
		}
		d.success(id, seq)
	}
}

// audit wants every change that was acknowledged, once.
func (s *single) audit(d *ledger) {
	s.Helper()
	present, doubled, err := history(s.Context(), s.connect(), d)
	if err != nil {
		s.Fatal(err)
	}
	f := d.compare(present)
	f.doubled = doubled
	if f.lost+f.doubled+f.ghosts > 0 {
		s.Error(f)
	}
	s.Log(f)
}

// TestSingleHost stops and kills a host that stands alone; its volume stays.
func TestSingleHost(t *testing.T) {
	e := needsEngine(t)
	t.Parallel()
	takeTurn(t)
	s := startSingle(t, e)
	s.awaitReady()
	d := newLedger("single", "document")
	s.write(d, 50)
	s.audit(d)
	ctx := context.Background()
	for _, end := range []struct {
		by   string
		code int
		fn   func() error
	}{
		{"stop", 0, func() error {
			seconds := int(patience.Seconds())
			_, err := e.docker.ContainerStop(ctx, s.container.GetContainerID(), client.ContainerStopOptions{Timeout: &seconds})
			return err
		}},
		{"trireme signal quit", 0, func() error {
			_, _, err := s.container.Exec(ctx, []string{"trireme", "signal", "quit", "--config", "/etc/trireme/trireme.conf"})
			return err
		}},
		{"kill", 137, func() error {
			_, err := e.docker.ContainerKill(ctx, s.container.GetContainerID(), client.ContainerKillOptions{Signal: "KILL"})
			return err
		}},
	} {
		if err := end.fn(); err != nil {
			t.Fatalf("%s: %v", end.by, err)
		}
		s.awaitEnd(end.by, end.code)
		if _, err := e.docker.ContainerStart(t.Context(), s.container.GetContainerID(), client.ContainerStartOptions{}); err != nil {
			t.Fatal(err)
		}
		s.awaitReady()
		s.audit(d)
		s.write(d, 20)
	}
	s.audit(d)
	s.closedToStrangers()
}

func (s *single) awaitEnd(by string, want int) {
	s.Helper()
	s.await("the end by "+by, func(ctx context.Context) error {
		state, err := s.container.State(ctx)
		switch {
		case err != nil:
			return err
		case state.Running:
			return errors.New("it runs")
		case state.ExitCode != want:
			s.Errorf("%s ends the host with %d, want %d", by, state.ExitCode, want)
		}
		return nil
	})
}

// closedToStrangers is a host that others can reach: it wants a password.
func (s *single) closedToStrangers() {
	s.Helper()
	at, err := s.at(s.Context(), natsPort)
	if err != nil {
		s.Fatal(err)
	}
	if nc, err := nats.Connect("nats://"+at, quiet()); err == nil {
		nc.Close()
		s.Error("a client without a password was let in")
	}
}

// TestImageWantsAPassword starts the image with nothing: it says what it lacks, and ends.
func TestImageWantsAPassword(t *testing.T) {
	e := needsEngine(t)
	t.Parallel()
	takeTurn(t)
	c, err := testcontainers.Run(t.Context(), e.image(t, presentVersion), testcontainers.WithLabels(e.labels()))
	testcontainers.CleanupContainer(t, c)
	if err != nil {
		t.Fatal(err)
	}
	s := &single{T: t, engine: e, container: c}
	s.awaitEnd("itself", 1)
	if said := wholeLog(c); !strings.Contains(said, "TRIREME_PASSWORD") {
		t.Errorf("the host does not say what it lacks:\n%s", said)
	}
}
