package drill

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// program is the built binary; TestMain makes it once.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "trireme-drill-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "trireme")
		if err := build(program, "-tags", os.Getenv(tagsVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if err := goleak.Find(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

// tagsVariable names the build tags of the program that drills run, for negative controls.
const tagsVariable = "TRIREME_DRILL_TAGS"

// build makes the program at path, with more flags of go build.
func build(path string, flags ...string) error {
	out, err := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "trireme/cmd/trireme")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return nil
}

// long tells whether the drills run at full length: TRIREME_DRILL=1.
func long() bool { return os.Getenv("TRIREME_DRILL") != "" }

// rounds is how often a drill breaks something: few by default, many at full length.
func rounds(few, many int) int {
	if long() {
		return many
	}
	return few
}

// beside lets a drill of a cluster run beside another one, as most of its time it
// waits. At full length, where pauses are judged, each has the machine for itself.
func beside(t *testing.T) {
	t.Helper()
	if !long() {
		t.Parallel()
	}
}
