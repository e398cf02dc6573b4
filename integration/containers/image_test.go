package containers

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// root of the repository, seen from this package.
const root = "../.."

// The images of a run differ in the version of the program. Upgrades go from one to the
// other.
const (
	presentVersion = "v0.0.1-present"
	nextVersion    = "v0.0.2-next"
)

// images are built once each, when they are first asked for.
type images struct {
	mu    sync.Mutex
	built map[string]string // name by version
}

// image is the name of the image of a version, which it builds when there is none.
func (e *engine) image(t *testing.T, version string) string {
	t.Helper()
	e.images.mu.Lock()
	defer e.images.mu.Unlock()
	if name := e.images.built[version]; name != "" {
		return name
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	files, err := buildContext(ctx, t.TempDir(), version)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	name, err := e.provider.BuildImage(ctx, &testcontainers.ContainerRequest{FromDockerfile: testcontainers.FromDockerfile{
		ContextArchive: bytes.NewReader(files), Dockerfile: "ops/Dockerfile",
		Repo: "trireme-test", Tag: strings.ReplaceAll(e.run, "/", "-") + "-" + version,
		BuildArgs: map[string]*string{"VERSION": &version}, BuildLogWriter: &said,
		BuildOptionsModifier: func(o *client.ImageBuildOptions) { o.Labels, o.Remove, o.ForceRemove = e.labels(), true, true },
	}})
	if err != nil {
		t.Fatalf("build the image of %s: %v\n%s", version, err, &said)
	}
	if e.images.built == nil {
		e.images.built = map[string]string{}
	}
	e.images.built[version] = name
	return name
}

// buildContext is what `docker build` would send from the root of the repository, see
// .dockerignore, with the program built for it.
func buildContext(ctx context.Context, dir, version string) ([]byte, error) {
	program := filepath.Join(dir, "trireme")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-X main.version="+version, "-o", program, "./cmd/trireme")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the program: %w\n%s", err, out)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range []struct {
		name, from string
		mode       int64
	}{
		{"bin/trireme", program, 0o755},
		{"ops/Dockerfile", filepath.Join(root, "ops/Dockerfile"), 0o644},
		{"ops/image/trireme.conf", filepath.Join(root, "ops/image/trireme.conf"), 0o644},
	} {
		text, err := os.ReadFile(f.from)
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(text))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(text); err != nil {
			return nil, err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "ops/image/data/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		return nil, err
	}
	return archive.Bytes(), w.Close()
}

// The image is what docs/containers.md says it is.
func TestImage(t *testing.T) {
	e := needsEngine(t)
	takeTurn(t)
	image := e.image(t, presentVersion)
	found, err := e.docker.ImageInspect(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	c := found.Config
	if c.User != "65532:65532" {
		t.Errorf("the image runs as %q", c.User)
	}
	if want := []string{"/usr/bin/trireme"}; !slices.Equal(c.Entrypoint, want) {
		t.Errorf("the entry point is %q, want %q", c.Entrypoint, want)
	}
	if c.Healthcheck == nil || len(c.Healthcheck.Test) < 3 || c.Healthcheck.Test[0] != "CMD" || c.Healthcheck.Test[2] != "healthcheck" {
		t.Errorf("the health check is %+v, want our own command without a shell", c.Healthcheck)
	}
	if _, ok := c.Volumes["/var/lib/trireme"]; !ok || len(c.ExposedPorts) != 3 {
		t.Errorf("volumes %v, ports %v; want the data directory, and 3 ports", c.Volumes, c.ExposedPorts)
	}
	if got := c.Labels["org.opencontainers.image.version"]; got != presentVersion {
		t.Errorf("the image's label says version %q, want %q", got, presentVersion)
	}
	t.Logf("%s: %d bytes, %d layers", image, found.Size, len(found.RootFS.Layers))
	if layers := len(found.RootFS.Layers); layers != 3 {
		t.Errorf("the image has %d layers, want the program, its configuration and a folder for data", layers)
	}
}
