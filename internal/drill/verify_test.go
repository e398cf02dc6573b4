package drill

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
)

// Exit codes of `trireme verify`, as docs/cli.md promises them.
const (
	verifyPass = 0
	verifyFail = 6
)

// trireme runs the program against the cluster, as a person does, and returns its exit
// code and what it has said.
func (c *cluster) trireme(args ...string) (code int, said string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(args, "--server", strings.Join(c.URLs(), ","))...)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), string(out)
	}
	c.must(err)
	return 0, string(out)
}

// verified wants `trireme verify` to find all copies of all documents identical.
func (c *cluster) verified(flags ...string) {
	c.t.Helper()
	evidence := filepath.Join(c.t.ArtifactDir(), "verify.json")
	args := append([]string{"verify", "--wait", patience.String(), "--evidence", evidence}, flags...)
	code, said := c.trireme(args...)
	if code != verifyPass || !strings.Contains(said, "PASS") {
		c.t.Errorf("%s ends with %d, want %d and PASS:\n%s", strings.Join(args, " "), code, verifyPass, said)
	}
}
