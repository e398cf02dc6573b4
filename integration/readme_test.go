package integration

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadme runs the commands of the README, in their order, with the real nats
// command and our own program, and then once more the ones that read, after the
// host was stopped by Ctrl-C and started again.
func TestReadme(t *testing.T) {
	bin := t.TempDir()
	goBuild(t, "..", filepath.Join(bin, "trireme"), "./cmd/trireme")
	goBuild(t, "tools", filepath.Join(bin, "nats"), "github.com/nats-io/natscli/nats")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir()) // no contexts of the developer's
	h := &host{t: t, program: filepath.Join(bin, "trireme"), dir: t.TempDir(), nats: freeAddress(t), http: freeAddress(t)}
	h.start()
	defer h.interrupt()

	commands := readmeCommands(t, "## Run it")
	if len(commands) < 8 {
		t.Fatalf("the README has only %d commands: %q", len(commands), commands)
	}
	for _, c := range commands {
		h.check(c, h.run(bin, c))
	}
	h.interrupt()
	h.start()
	reads := 0
	for _, c := range commands {
		if strings.Contains(c, " get ") || strings.Contains(c, ".get ") || strings.Contains(c, "view") {
			h.check(c, h.run(bin, c))
			reads++
		}
	}
	if reads < 3 {
		t.Errorf("only %d of the README's commands read", reads)
	}
}

// wants is what a person should see of a command.
func wants(command string) []string {
	switch {
	case strings.Contains(command, "adama.v1.get"):
		return []string{`{"patch":"{\"topic\":\"rowing\",\"oars\":170}","reads":2,"seq":2,"incarnation":"1-2"}`}
	case strings.Contains(command, "service info"):
		return []string{"adama.v1.initialize", "adama.v1.history"}
	case strings.Contains(command, "doc get"):
		return []string{`{"topic":"roses","open":true}`}
	case strings.Contains(command, "stream view"):
		return []string{"CLAIM 1 ", "PATCH chat lobby - - - 1 ", "+ 2 2 AddUserData", `{"oars":170}`, `{"oars":null}`}
	case strings.Contains(command, "nats req"):
		return []string{"{}"}
	}
	return nil
}

func (h *host) check(command, got string) {
	h.t.Helper()
	for _, want := range wants(command) {
		if !strings.Contains(got, want) {
			h.t.Errorf("%s\nprints\n%s\nwithout %s", command, got, want)
		}
	}
	if strings.Contains(got, "Nats-Service-Error") {
		h.t.Errorf("%s\nwas refused:\n%s", command, got)
	}
}

// readmeCommands finds the lines that a reader types, in one section of the README.
func readmeCommands(t *testing.T, section string) []string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	_, after, _ := strings.Cut(string(text), section+"\n")
	part, _, _ := strings.Cut(after, "\n## ")
	for line := range strings.Lines(part) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "    nats ") || strings.HasPrefix(line, "    bin/trireme ") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// A host is `trireme serve` as a process.
type host struct {
	t       *testing.T
	program string
	dir     string
	nats    string
	http    string
	cmd     *exec.Cmd
	log     strings.Builder
}

func (h *host) start() {
	h.t.Helper()
	h.cmd = exec.Command(h.program, "serve", "--data", h.dir, "--nats", h.nats, "--http", h.http)
	h.cmd.Stdout, h.cmd.Stderr = &h.log, &h.log
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if reply, err := http.Get("http://" + h.http + "/readyz"); err == nil {
			_ = reply.Body.Close() // only the status counts
			if reply.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ctx.Done():
			h.t.Fatalf("the host is not ready after a minute\n%s", h.log.String())
		case <-tick.C:
		}
	}
}

// interrupt is Ctrl-C.
func (h *host) interrupt() {
	h.t.Helper()
	if h.cmd == nil {
		return
	}
	_ = h.cmd.Process.Signal(syscall.SIGINT) // the wait tells if it was not there
	if err := h.cmd.Wait(); err != nil {
		h.t.Errorf("after Ctrl-C: %v\n%s", err, h.log.String())
	}
	h.cmd = nil
}

// run types a command where the host is the default one. `nats stream view` wants
// a terminal, which script gives it, and a page that holds all there is.
func (h *host) run(bin, command string) string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
	defer cancel()
	command = strings.Replace(command, "bin/trireme", "trireme", 1)
	shell := exec.CommandContext(ctx, "sh", "-c", command)
	if strings.Contains(command, "stream view") {
		if _, err := exec.LookPath("script"); err != nil {
			h.t.Skipf("%q needs a terminal, and there is no script command to give it one", command)
		}
		shell = exec.CommandContext(ctx, "script", "-qec", command+" 25", "/dev/null")
	}
	shell.Env = append(os.Environ(), "NATS_URL=nats://"+h.nats, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := shell.CombinedOutput()
	if err != nil {
		h.t.Errorf("%s: %v\n%s", command, err, out)
	}
	return strings.ReplaceAll(string(out), "\r", "")
}

func goBuild(t *testing.T, dir, out, pkg string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, text)
	}
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	return err == nil && l.Close() == nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
