package localcluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience is how long the tests wait for what comes at once on a machine that has
// nothing else to do.
const patience = time.Minute

func shell(t *testing.T, script string) *Process {
	p := &Process{Name: "shell", Program: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(t.TempDir(), "log")}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func awaitText(t *testing.T, p *Process, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := Await(ctx, "text "+text, func(context.Context) error {
		if !strings.Contains(p.Tail(100), text) {
			return fmt.Errorf("it says %q", p.Tail(100))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAProcessIsTerminatedAndStartedAgain(t *testing.T) {
	p := shell(t, `trap 'echo bye; exit 7' TERM; echo hello $$; while :; do sleep 0.01; done`)
	if p.Running() || p.Pid() != 0 || p.Kill() != nil {
		t.Error("a process that was not started is there")
	}
	for range 2 {
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		awaitText(t, p, "hello "+strconv.Itoa(p.Pid()))
		if err := p.Start(); err == nil {
			t.Error("it could be started twice")
		}
		code, err := p.Terminate(t.Context())
		if err != nil || code != 7 {
			t.Errorf("exit code %d, %v; want 7", code, err)
		}
		awaitText(t, p, "bye")
	}
}

func TestAProcessThatDoesNotEndIsKilled(t *testing.T) {
	p := shell(t, `trap '' TERM; echo hello; while :; do sleep 0.01; done`)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	awaitText(t, p, "hello")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Terminate(ctx); !errors.Is(err, context.DeadlineExceeded) || p.Running() {
		t.Errorf("%v; running %v", err, p.Running())
	}
}

func TestAFrozenProcess(t *testing.T) {
	p := shell(t, `trap 'exit 0' TERM; while :; do echo x; sleep 0.01; done`)
	if err := p.Freeze(); err == nil {
		t.Error("a process that was not started could be frozen")
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	awaitText(t, p, "x")
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if !p.Frozen() || !p.Running() || !stopped(p.Pid()) {
		t.Errorf("frozen %v, running %v, stopped %v", p.Frozen(), p.Running(), stopped(p.Pid()))
	}
	if err := p.Thaw(); err != nil || p.Frozen() {
		t.Errorf("thaw: %v; frozen %v", err, p.Frozen())
	}
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if code, err := p.Terminate(t.Context()); code != 0 || err != nil { // it is thawed before
		t.Errorf("exit code %d, %v", code, err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Freeze(), p.Kill()); err != nil || p.Running() || p.Frozen() {
		t.Errorf("kill a frozen process: %v", err)
	}
}
