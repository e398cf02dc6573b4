package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// The scripts run the real program, as a process. They know two more commands:
//
//	host start [FLAG...]   runs `trireme serve` on the data of the script and waits
//	                       until it is ready; sets NATS_URL and HTTP_URL
//	host stop              SIGTERM; it must end with 0
//	host kill              SIGKILL
//	host ended             waits until it has ended by itself, with 0
//	host said REGEXP       waits until its log has a line that matches
//	exits CODE COMMAND...  runs a command that must end with the code
//
// test.conf is a configuration for small disks; with full.conf the disk has less
// free than the reserve.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"host":  scriptHost,
			"exits": scriptExits,
		},
		Setup: func(env *testscript.Env) error {
			env.Values[hostKey{}] = new(scriptDaemon)
			env.Setenv("NO_COLOR", "1")
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			var disk unix.Statfs_t
			if err := unix.Statfs(env.WorkDir, &disk); err != nil {
				return err
			}
			free := disk.Bavail * uint64(disk.Bsize)
			return errors.Join(
				writeConfig(env, "test.conf", 1<<20), // the machine's disk may be small
				writeConfig(env, "full.conf", 2*free),
			)
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func writeConfig(env *testscript.Env, name string, reserve uint64) error {
	text := fmt.Sprintf("disk { reserve_bytes: %d }\nlog { max_bytes: 256MB }\n", reserve)
	return os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o600)
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v exits with %d, want %d\nstdout: %s\nstderr: %s", args[1:], got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

type hostKey struct{}

// A scriptDaemon is the host of a script.
type scriptDaemon struct {
	cmd   *exec.Cmd
	ended chan error

	mu  sync.Mutex
	log bytes.Buffer
}

func scriptHost(ts *testscript.TestScript, neg bool, args []string) {
	d := ts.Value(hostKey{}).(*scriptDaemon)
	switch {
	case neg || len(args) == 0:
		ts.Fatalf("usage: host start|stop|kill")
	case args[0] == "start":
		d.start(ts, args[1:])
	case d.cmd == nil:
		ts.Fatalf("no host runs")
	case args[0] == "stop":
		d.end(ts, syscall.SIGTERM)
	case args[0] == "kill":
		d.end(ts, syscall.SIGKILL)
	case args[0] == "ended":
		d.awaitEnd(ts, true)
	case args[0] == "said" && len(args) == 2:
		d.awaitSaid(ts, regexp.MustCompile(args[1]))
	default:
		ts.Fatalf("host %s is unknown", args[0])
	}
}

var readyLine = regexp.MustCompile(`^trireme: ready, NATS on (\S+), HTTP on (.+)$`)

func (d *scriptDaemon) start(ts *testscript.TestScript, flags []string) {
	if d.cmd != nil {
		ts.Fatalf("a host runs already")
	}
	args := append([]string{"serve", "--config", "test.conf", "--data", "d", "--nats", "127.0.0.1:-1", "--http", "127.0.0.1:0"}, flags...)
	path, err := exec.LookPath("trireme")
	ts.Check(err)
	d.cmd = exec.Command(path, args...)
	d.cmd.Dir = ts.MkAbs(".")
	stderr, err := d.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(d.cmd.Start())
	ts.Defer(func() {
		if d.cmd != nil {
			_ = d.cmd.Process.Kill()
			ts.Logf("the host was killed: %v", <-d.ended)
			d.cmd = nil // the script may have started several
		}
	})
	ready := make(chan []string, 1)
	d.ended = make(chan error, 1)
	go func() {
		d.read(stderr, ready)
		d.ended <- d.cmd.Wait()
	}()
	select {
	case at := <-ready:
		ts.Setenv("NATS_URL", at[1])
		ts.Setenv("HTTP_URL", at[2])
	case err := <-d.ended:
		d.ended <- err
		ts.Fatalf("the host ended: %v\n%s", err, d.said())
	case <-time.After(time.Minute):
		ts.Fatalf("the host is not ready after a minute\n%s", d.said())
	}
}

// read gathers what the host says, until it ends.
func (d *scriptDaemon) read(stderr io.Reader, ready chan<- []string) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		d.mu.Lock()
		d.log.WriteString(lines.Text() + "\n")
		d.mu.Unlock()
		if at := readyLine.FindStringSubmatch(lines.Text()); at != nil {
			ready <- at
		}
	}
}

func (d *scriptDaemon) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

func (d *scriptDaemon) end(ts *testscript.TestScript, with syscall.Signal) {
	ts.Check(d.cmd.Process.Signal(with))
	d.awaitEnd(ts, with == syscall.SIGTERM)
}

// awaitSaid waits for a line in the host's log.
func (d *scriptDaemon) awaitSaid(ts *testscript.TestScript, line *regexp.Regexp) {
	limit := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !line.MatchString(d.said()) {
		select {
		case <-tick.C:
		case <-limit:
			ts.Fatalf("the host has not said %q after a minute\n%s", line, d.said())
		}
	}
}

func (d *scriptDaemon) awaitEnd(ts *testscript.TestScript, inOrder bool) {
	select {
	case err := <-d.ended:
		d.cmd = nil
		if inOrder && err != nil {
			ts.Fatalf("the host ended badly: %v\n%s", err, d.said())
		}
	case <-time.After(time.Minute):
		ts.Fatalf("the host has not ended after a minute\n%s", d.said())
	}
}
