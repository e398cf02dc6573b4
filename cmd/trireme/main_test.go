package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"trireme": main})
}

// leakless runs the tests and then looks for goroutines that they left.
type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	dir, err := forgetContexts()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	code := l.m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// forgetContexts keeps the tests from the NATS contexts and settings of who runs them.
// The caller removes the directory where the contexts would be.
func forgetContexts() (dir string, err error) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "NATS_") {
			if err := os.Unsetenv(name); err != nil {
				return "", err
			}
		}
	}
	if dir, err = os.MkdirTemp("", "trireme-no-contexts-"); err != nil {
		return "", err
	}
	return dir, os.Setenv("XDG_CONFIG_HOME", dir)
}
