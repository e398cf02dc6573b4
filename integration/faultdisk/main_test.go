package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asProgram makes the test binary the program.
const asProgram = "FAULTDISK_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// A driven is the program as a process. Its files may not be in the same process: a
// thread that waits for the disk would hold up the one that answers.
type driven struct {
	t       testing.TB
	at      string // where it is mounted
	backing string
	in      io.WriteCloser
	out     *bufio.Scanner
	process *exec.Cmd
	ended   bool
}

// drive mounts a disk. Where that cannot be the test is skipped, and says why.
func drive(t testing.TB) *driven {
	t.Helper()
	if fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skipf("needs FUSE: %v", err)
	} else if err := fuse.Close(); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount")
	}
	dir := t.TempDir()
	d := &driven{t: t, at: filepath.Join(dir, "at"), backing: filepath.Join(dir, "backing")}
	if err := os.Mkdir(d.at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", d.at, "tmpfs", 0, ""); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	if err := syscall.Unmount(d.at, 0); err != nil {
		t.Fatal(err)
	}
	d.process = exec.Command(os.Args[0], d.backing, d.at)
	d.process.Env = append(os.Environ(), asProgram+"=1")
	d.process.Stderr = os.Stderr
	var err error
	if d.in, err = d.process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := d.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.out = bufio.NewScanner(out)
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.end)
	if !d.out.Scan() || d.out.Text() != "ready" {
		t.Fatalf("it says %q", d.out.Text())
	}
	return d
}

// end lets the program's input end.
func (d *driven) end() {
	d.t.Helper()
	if d.ended {
		return
	}
	d.ended = true
	if err := d.in.Close(); err != nil {
		d.t.Error(err)
	}
	if err := d.process.Wait(); err != nil {
		d.t.Error(err)
	}
}

// ask gives one command and returns the answer.
func (d *driven) ask(format string, args ...any) string {
	d.t.Helper()
	if _, err := fmt.Fprintf(d.in, format+"\n", args...); err != nil {
		d.t.Fatal(err)
	}
	if !d.out.Scan() {
		d.t.Fatalf("no answer to %q", format)
	}
	return d.out.Text()
}

// do gives one command, which must succeed.
func (d *driven) do(format string, args ...any) {
	d.t.Helper()
	if answer := d.ask(format, args...); answer != "ok" {
		d.t.Fatalf("%s: %s", fmt.Sprintf(format, args...), answer)
	}
}

func (d *driven) counts() (c counts) {
	d.t.Helper()
	if err := json.Unmarshal([]byte(d.ask("stat")), &c); err != nil {
		d.t.Fatal(err)
	}
	return c
}

func (d *driven) path(name string) string { return filepath.Join(d.at, name) }

func (d *driven) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// open opens or makes a file.
func (d *driven) open(name string, flags int) *os.File {
	d.t.Helper()
	f, err := os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|flags, 0o600)
	d.must(err)
	return f
}

// durable makes a file with content that a power cut leaves.
func (d *driven) durable(name, content string) {
	d.t.Helper()
	f := d.open(name, os.O_TRUNC)
	_, err := f.WriteString(content)
	d.must(err)
	d.must(f.Sync())
	d.must(f.Close())
}

// wants wants a file's content, or that there is no file.
func (d *driven) wants(name, content string, there bool) {
	d.t.Helper()
	got, err := os.ReadFile(d.path(name))
	if there != (err == nil) || string(got) != content {
		d.t.Errorf("%s: %.60q, %v; want %.60q, there %v", name, got, err, content, there)
	}
}

func TestCommandsAreRefused(t *testing.T) {
	m := &mounted{disk: &disk{}}
	for _, line := range []string{"", "loose", "lose x", "lose 1 2", "slow", "slow -1s", "slow 3", "fail", "fail open", "fail read [", "fail read a b c", "full a b"} {
		if answer, err := m.do(strings.Fields(line)); err == nil {
			t.Errorf("%q: %s", line, answer)
		}
	}
}

func TestUsage(t *testing.T) {
	var said strings.Builder
	if code := run(t.Context(), []string{"one"}, nil, io.Discard, &said); code != 2 || !strings.Contains(said.String(), "usage") {
		t.Errorf("code %d, %q", code, &said)
	}
}
