package containers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	dockernetwork "github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcexec "github.com/testcontainers/testcontainers-go/exec"
	"github.com/testcontainers/testcontainers-go/network"

	"trireme/ops"
)

// A host is one of a cluster. Its container may be replaced; name, address and volume
// stay.
type host struct {
	*cluster

	name   string
	ip     netip.Addr
	image  string
	volume string

	container *testcontainers.DockerContainer
}

// at is an address of the host, as clients outside have it.
func (h *host) at(port string) string { return net.JoinHostPort(h.ip.String(), port) }

// newVolume gives the host an empty disk.
func (h *host) newVolume() {
	h.Helper()
	made, err := h.engine.docker.VolumeCreate(h.Context(), client.VolumeCreateOptions{Labels: h.engine.labels()})
	if err != nil {
		h.Fatal(err)
	}
	h.volume = made.Volume.Name
	h.life.Cleanup(func() {
		_, err := h.engine.docker.VolumeRemove(context.Background(), made.Volume.Name, client.VolumeRemoveOptions{Force: true})
		if absent(err) != nil {
			h.life.Errorf("remove the volume of %s: %v", h.name, err)
		}
	})
}

// create starts a container for the host, with what compose.yaml gives it.
func (h *host) create() {
	h.Helper()
	c, err := testcontainers.Run(h.Context(), h.image,
		network.WithNetwork([]string{h.name}, h.net),
		testcontainers.WithEndpointSettingsModifier(func(settings map[string]*dockernetwork.EndpointSettings) {
			settings[h.net.Name].IPAMConfig = &dockernetwork.EndpointIPAMConfig{IPv4Address: h.ip}
		}),
		testcontainers.WithEnv(h.environment(h)),
		testcontainers.WithLabels(h.engine.labels()),
		testcontainers.WithFiles(
			testcontainers.ContainerFile{Reader: strings.NewReader(h.config), ContainerFilePath: "/etc/trireme/trireme.conf", FileMode: 0o644},
			testcontainers.ContainerFile{Reader: strings.NewReader(h.layout), ContainerFilePath: layoutPath, FileMode: 0o644},
		),
		testcontainers.WithHostConfigModifier(func(c *container.HostConfig) {
			c.Mounts = []mount.Mount{{Type: mount.TypeVolume, Source: h.volume, Target: "/var/lib/trireme"}}
			c.CapDrop = []string{"ALL"}
			c.SecurityOpt = []string{"no-new-privileges:true"}
		}),
	)
	testcontainers.CleanupContainer(h.life, c, testcontainers.StopTimeout(0))
	if err != nil {
		h.Fatalf("start %s: %v", h.name, err)
	}
	h.container = c
}

// layoutPath is where a host looks for its layout.
const layoutPath = "/etc/trireme/layout.conf"

// replace takes the container away, as it is, and starts another one.
func (h *host) replace(image string) {
	h.Helper()
	if err := testcontainers.TerminateContainer(h.container, testcontainers.StopTimeout(0)); err != nil {
		h.Fatalf("remove %s: %v", h.name, err)
	}
	h.image = image
	h.create()
}

// must ends the test when something could not be done to the host.
func (h *host) must(what string, err error) {
	h.Helper()
	if err != nil {
		h.Fatalf("%s %s: %v", what, h.name, err)
	}
}

func (h *host) kill() {
	h.Helper()
	_, err := h.engine.docker.ContainerKill(h.Context(), h.container.GetContainerID(), client.ContainerKillOptions{Signal: "KILL"})
	h.must("kill", err)
	h.awaitEnd()
}

// stop ends the host in order and returns its exit code.
func (h *host) stop() int {
	h.Helper()
	seconds := int(patience.Seconds()) // the host ends by itself long before
	_, err := h.engine.docker.ContainerStop(h.Context(), h.container.GetContainerID(), client.ContainerStopOptions{Timeout: &seconds})
	h.must("stop", err)
	return h.awaitEnd()
}

// awaitEnd waits until the container has ended and returns its exit code.
func (h *host) awaitEnd() (code int) {
	h.Helper()
	h.await("the end of "+h.name, func(ctx context.Context) error {
		state, err := h.container.State(ctx)
		if err == nil && state.Running {
			err = fmt.Errorf("it is %s", state.Status)
		}
		if err == nil {
			code = state.ExitCode
		}
		return err
	})
	return code
}

// start starts the container again that has ended.
func (h *host) start() {
	h.Helper()
	_, err := h.engine.docker.ContainerStart(h.Context(), h.container.GetContainerID(), client.ContainerStartOptions{})
	h.must("start", err)
}

func (h *host) pause() {
	h.Helper()
	_, err := h.engine.docker.ContainerPause(h.Context(), h.container.GetContainerID(), client.ContainerPauseOptions{})
	h.must("pause", err)
}

func (h *host) unpause() {
	h.Helper()
	_, err := h.engine.docker.ContainerUnpause(h.Context(), h.container.GetContainerID(), client.ContainerUnpauseOptions{})
	h.must("unpause", err)
}

// cut takes the host off the network; it keeps its loopback.
func (h *host) cut() {
	h.Helper()
	_, err := h.engine.docker.NetworkDisconnect(h.Context(), h.net.ID, client.NetworkDisconnectOptions{Container: h.container.GetContainerID()})
	h.must("disconnect", err)
}

// join puts it back, under its name and address.
func (h *host) join() {
	h.Helper()
	_, err := h.engine.docker.NetworkConnect(h.Context(), h.net.ID, client.NetworkConnectOptions{
		Container: h.container.GetContainerID(),
		EndpointConfig: &dockernetwork.EndpointSettings{
			Aliases: []string{h.name}, IPAMConfig: &dockernetwork.EndpointIPAMConfig{IPv4Address: h.ip},
		},
	})
	h.must("connect", err)
}

// exec runs a command in the container: there is no shell to run another.
func (h *host) exec(command ...string) (code int, out string) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), patience)
	defer cancel()
	code, reader, err := h.container.Exec(ctx, command, tcexec.Multiplexed())
	h.must(strings.Join(command, " ")+" in", err)
	text, err := io.ReadAll(reader)
	h.must(strings.Join(command, " ")+" in", err)
	return code, string(text)
}

// run is exec for a command that must end with 0.
func (h *host) run(command ...string) string {
	h.Helper()
	code, out := h.exec(command...)
	if code != 0 {
		h.Fatalf("%q in %s ends with %d:\n%s", command, h.name, code, out)
	}
	return out
}

// askLimit bounds one question over HTTP: a host that is cut off never answers.
const askLimit = 2 * time.Second

var outside = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// get asks the host over HTTP, from outside.
func (h *host) get(ctx context.Context, path string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	return get(ctx, "http://"+h.at("7422")+path)
}

func get(ctx context.Context, url string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	reply, err := outside.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, 4<<20))
	return reply.StatusCode, body, err
}

// status asks the host how it is.
func (h *host) status(ctx context.Context) (s ops.Status, err error) {
	code, body, err := h.get(ctx, "/status")
	switch {
	case err != nil:
		return s, err
	case code != http.StatusOK:
		return s, fmt.Errorf("%s answers /status with %d: %.300s", h.name, code, body)
	}
	return s, json.Unmarshal(body, &s)
}

// well is nil when the host is ready and says that nothing is wrong.
func (h *host) well(ctx context.Context) error {
	s, err := h.status(ctx)
	if err != nil {
		return err
	}
	var wrong []string
	for _, c := range s.Conditions {
		wrong = append(wrong, c.ID+": "+c.Text)
	}
	if !s.Ready || len(wrong) > 0 {
		return fmt.Errorf("%s: ready %v, %s", h.name, s.Ready, strings.Join(wrong, "; "))
	}
	return nil
}

// tellsOf is nil when the host tells of a condition.
func (h *host) tellsOf(ctx context.Context, id string) error {
	s, err := h.status(ctx)
	if err != nil {
		return err
	}
	for _, c := range s.Conditions {
		if c.ID == id {
			return nil
		}
	}
	return fmt.Errorf("%s does not tell of %s, but of %+v", h.name, id, s.Conditions)
}

// log is the end of what the host has said.
func (h *host) log() string {
	const shown = 4000
	text := wholeLog(h.container)
	return text[max(0, len(text)-shown):]
}

// wholeLog is what a container has said since it was made.
func wholeLog(c *testcontainers.DockerContainer) string {
	if c == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reader, err := c.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer reader.Close()
	text, err := io.ReadAll(reader)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
