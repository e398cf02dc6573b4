package integration

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadmeThreeHosts types what the README says of three hosts: the demo, for a
// while; then a cluster by hand, of which one host is killed and started again.
func TestReadmeThreeHosts(t *testing.T) {
	bin, dir := t.TempDir(), t.TempDir()
	goBuild(t, "..", filepath.Join(bin, "trireme"), "./cmd/trireme")
	base := freeBase(t)
	var demo, generate, serve, status string
	for _, c := range readmeCommands(t, "## Three hosts") {
		c, _, _ = strings.Cut(strings.Replace(c, "bin/trireme", filepath.Join(bin, "trireme"), 1), " #")
		c = strings.ReplaceAll(c, ":4223", fmt.Sprintf(":%d", base+1))
		switch {
		case strings.Contains(c, " demo"):
			demo = c
		case strings.Contains(c, " generate "):
			generate = c
		case strings.Contains(c, " serve "):
			serve = strings.TrimSpace(c)
		case strings.Contains(c, " status"):
			status = c
		}
	}
	typed := func(limit time.Duration, command string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		shell := exec.CommandContext(ctx, "sh", "-c", command)
		shell.Dir = dir
		out, err := shell.CombinedOutput()
		return string(out), err
	}
	if out, err := typed(5*time.Minute, demo+" --duration 10s"); err != nil || !strings.Contains(out, ": 0 lost, 0 applied twice;") {
		t.Errorf("%s: %v\n%s", demo, err, out)
	}
	if out, err := typed(time.Minute, fmt.Sprintf("%s --base-port %d", generate, base)); err != nil {
		t.Fatalf("%s: %v\n%s", generate, err, out)
	}
	var hosts []*exec.Cmd
	start := func(name string) *exec.Cmd {
		words := strings.Fields(strings.Replace(serve, "h1.conf", name+".conf", 1))
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir = dir
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	for _, name := range []string{"h1", "h2", "h3"} {
		hosts = append(hosts, start(name))
	}
	defer func() {
		for _, h := range hosts {
			_ = h.Process.Signal(syscall.SIGTERM) // Wait tells what came of it
		}
		for i, h := range hosts {
			if err := h.Wait(); err != nil {
				t.Errorf("h%d after SIGTERM: %v", i+1, err)
			}
		}
	}()
	// The status exits with 0 when all is well.
	settled := func(when string) {
		t.Helper()
		limit := time.Now().Add(4 * time.Minute)
		for {
			out, err := typed(30*time.Second, status)
			if err == nil {
				return
			}
			if time.Now().After(limit) {
				t.Fatalf("%s: %s: %v\n%s", when, status, err, out)
			}
		}
	}
	settled("after the start")
	if err := hosts[2].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = hosts[2].Wait() // killed
	if out, err := typed(30*time.Second, status); err == nil {
		t.Errorf("with a dead host the status is well:\n%s", out)
	}
	hosts[2] = start("h3")
	settled("after the return of h3")
}

// freeBase is a port whose neighbours that a local cluster takes are free.
func freeBase(t *testing.T) int {
	t.Helper()
	for base := 24300; base < 32000; base += 400 {
		free := true
		for _, port := range []int{1, 2, 3, 101, 102, 103, 201, 202, 203} {
			free = free && isFree(base+port)
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}
