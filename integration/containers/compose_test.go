package containers

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"trireme/internal/layoutfile"
)

// A composeFile is what compose.yaml says, as far as it is of interest here. What it
// starts is what the scenarios start, so only what joins the two is looked at.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Environment map[string]string
		Volumes     []string
		StopGrace   string `yaml:"stop_grace_period"`
		Build       struct{ Context, Dockerfile string }
	}
	Volumes map[string]any
}

// variable is how trireme.conf takes a value from the environment.
var variable = regexp.MustCompile(`\$(\w+)`)

func TestComposeFileStartsTheHostsOfItsLayout(t *testing.T) {
	text := readFile(t, "ops/compose.yaml")
	var file composeFile
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	layout, err := layoutfile.Parse("layout.conf", []byte(readFile(t, "ops/compose/layout.conf")))
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Services) != len(layout.Hosts) {
		t.Errorf("compose.yaml has %d services, the layout %d hosts", len(file.Services), len(layout.Hosts))
	}
	for _, h := range layout.Hosts {
		s, ok := file.Services[h.Name]
		if !ok {
			t.Errorf("compose.yaml has no service for %s", h.Name)
			continue
		}
		if s.Environment["TRIREME_HOST"] != h.Name || !strings.HasPrefix(h.NATS, h.Name+":") {
			t.Errorf("the service %s is host %q, and the layout has it at %s", h.Name, s.Environment["TRIREME_HOST"], h.NATS)
		}
		for _, v := range variable.FindAllStringSubmatch(readFile(t, "ops/compose/trireme.conf"), -1) {
			if s.Environment[v[1]] == "" {
				t.Errorf("the service %s has no variable %s, which its configuration reads", h.Name, v[1])
			}
		}
		if !slices.Contains(s.Volumes, h.Name+":/var/lib/trireme") || !slices.Contains(s.Volumes, "./compose:/etc/trireme:ro") {
			t.Errorf("the service %s has the volumes %q", h.Name, s.Volumes)
		}
		if _, ok := file.Volumes[h.Name]; !ok || s.StopGrace != "35s" {
			t.Errorf("the service %s: volumes %v, time to stop %q", h.Name, file.Volumes, s.StopGrace)
		}
		if _, err := os.Stat(filepath.Join(root, "ops", s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("the service %s is built from what is not there: %v", h.Name, err)
		}
	}
}
