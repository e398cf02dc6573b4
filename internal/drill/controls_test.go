package drill

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trireme/internal/track"
)

// TestDrillControls builds the program without one of its protections and has drills
// strike it. They must fail: else they would not see it missing.
func TestDrillControls(t *testing.T) {
	if !long() {
		t.Skip("negative controls take minutes each: TRIREME_DRILL=1, or make drill")
	}
	if os.Getenv(tagsVariable) != "" {
		t.Skip("this is a negative control")
	}
	for _, c := range []struct{ name, tags, drill string }{
		{"fence", "trireme_unfenced", "owner standing still, asked"},
		{"fence and checks", "trireme_unfenced,trireme_unchecked", "owner standing still, asked"},
		{"sync", "trireme_unsynced", "power cut, all hosts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			record := filepath.Join(t.TempDir(), "record.jsonl")
			out := mustFail(t, "TRIREME_TRACK="+record+" "+tagsVariable+"="+c.tags, os.Args[0],
				"-test.run", "^TestDrillCatalogue$/^"+testName(c.drill)+"$", "-test.v", "-test.timeout", "1h")
			runs, err := track.Read(record)
			if err != nil || len(runs) != 1 || runs[0].Failed == "" {
				t.Fatalf("the drill %q has ended without a verdict: %+v, %v\n%s", c.drill, runs, err, out)
			}
			keepControl(t, c.drill+", without "+c.name, runs[0])
		})
	}
	// The fence lets nothing through that the checks would have to skip, so no drill can
	// miss them alone. The store's tests give it such records.
	t.Run("checks", func(t *testing.T) {
		out := mustFail(t, "", "go", "test", "-count", "1", "-tags", "trireme_unchecked", "-run", "^(TestSkips|TestStoreIsItsTwin)$", "trireme/buckets")
		for _, want := range []string{"--- FAIL: TestSkips/wrong_chain", "--- FAIL: TestSkips/old_epoch", "--- FAIL: TestStoreIsItsTwin"} {
			if !strings.Contains(out, want) {
				t.Errorf("without checks the store's tests do not say %q:\n%s", want, out)
			}
		}
		keepControl(t, "tests of the document store, without checks", track.Run{
			At: time.Now().UTC(), Version: version(), Times: 1, Failed: "TestSkips, TestStoreIsItsTwin",
		})
	})
}

// mustFail runs a command with more environment, a space between two settings, and
// returns what it has printed when it has ended with an error.
func mustFail(t *testing.T, env, command string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Env = append(os.Environ(), strings.Fields(env)...)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); err == nil || !ok || !exit.Exited() {
		t.Fatalf("%s does not fail with %q: %v\n%s", cmd, env, err, out)
	}
	return string(out)
}

// keepControl adds a drill that has failed, as it should, to the record.
func keepControl(t *testing.T, name string, failed track.Run) {
	t.Helper()
	t.Logf("%s, fails as it should: %s", name, failed.Failed)
	failed.Fault, failed.What, failed.Control, failed.Failed = "control: "+name, "the drill must fail: "+failed.Failed, true, ""
	keep(t, failed)
}
