package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// programs are the paths of the servers' programs.
type programs struct{ trireme, etcd, nats string }

// buildPrograms builds the servers that take part: Trireme from this tree, its
// peers from the versions in go.mod.
func buildPrograms(ctx context.Context, s *settings, dir string, progress io.Writer) (p programs, err error) {
	p.trireme = s.program
	for _, b := range []struct {
		family, name, pkg string
		to                *string
	}{
		{familyTrireme, "trireme", "trireme/cmd/trireme", &p.trireme},
		{familyEtcd, "etcd", "go.etcd.io/etcd/server/v3", &p.etcd},
		{familyJetStream, "nats-server", "github.com/nats-io/nats-server/v2", &p.nats},
	} {
		if !s.has(b.family) || *b.to != "" {
			continue
		}
		fmt.Fprintln(progress, "build", b.name)
		*b.to = filepath.Join(dir, "bin", b.name)
		if err := build(ctx, b.pkg, *b.to); err != nil {
			return p, err
		}
	}
	return p, nil
}

// build makes a program as `make build` makes ours. Trireme is built in its own
// module, whose versions are the ones that users get.
func build(ctx context.Context, pkg, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if strings.HasPrefix(pkg, "trireme/") {
		root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "trireme").Output()
		if err != nil {
			return fmt.Errorf("find the module trireme (run this in integration/peers): %w", err)
		}
		cmd.Dir = strings.TrimSpace(string(root))
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s (run this in integration/peers): %w\n%s", pkg, err, out)
	}
	return nil
}
