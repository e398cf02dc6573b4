package rules

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

var listed = regexp.MustCompile("(?m)^- `([^`]+)`: .{20,}$")

// Every direct dependency is argued for in a line of DEPENDENCIES.md.
func TestDependenciesAreArguedFor(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "DEPENDENCIES.md"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range listed.FindAllStringSubmatch(string(text), -1) {
		lines = append(lines, m[1])
	}
	direct := directModules(t)
	for _, module := range direct {
		if !slices.Contains(lines, module) {
			t.Errorf("DEPENDENCIES.md has no line for %s, which go.mod requires directly", module)
		}
	}
	for i, module := range lines {
		if !slices.Contains(direct, module) {
			t.Errorf("DEPENDENCIES.md lists %s, which go.mod does not require directly", module)
		}
		if slices.Contains(lines[:i], module) {
			t.Errorf("DEPENDENCIES.md lists %s twice", module)
		}
	}
}

func directModules(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	return direct
}
