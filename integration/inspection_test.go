package integration

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the output of the transcripts that differ into the document; read the difference as prose, and put dots where it will differ again")

const inspection = "../docs/inspection.md"

// TestInspection types every command of docs/inspection.md, in its order, with the real
// nats command and our own program, at a cluster of three processes that its first
// commands make, and compares what a person sees.
func TestInspection(t *testing.T) {
	text, list := document(t, inspection)
	if len(list) < 30 {
		t.Fatalf("%s has only %d commands", inspection, len(list))
	}
	s := newSeat(t)
	if *update {
		s.patience = time.Minute
	}
	outputs := map[int][]string{}
	running := map[int]*onGoing{}
	for i, c := range list {
		ok := t.Run(c.command, func(t *testing.T) {
			if n := c.proves(); n < 2 && !*update {
				t.Errorf("the output has %d words that are compared; leave more of it", n)
			}
			if c.runsOn() || strings.HasPrefix(c.command, "trireme serve ") {
				running[i] = s.begin(t, c.command)
				return
			}
			if strings.Contains(c.command, "stream view") {
				if _, err := exec.LookPath("script"); err != nil {
					t.Skip("it needs a terminal, and there is no script command to give it one")
				}
			}
			if got, same := s.look(t, c); !same {
				outputs[i] = strings.Split(strings.TrimRight(got, "\n"), "\n")
				differs(t, c, got)
			}
		})
		if !ok && changes(c.command) {
			t.Fatalf("without %q the others have no sense", c.command)
		}
	}
	for _, i := range slices.Backward(slices.Sorted(maps.Keys(running))) {
		t.Run("end of "+list[i].command, func(t *testing.T) {
			if got, same := running[i].end(t, list[i]); !same {
				outputs[i] = strings.Split(strings.TrimRight(got, "\n")+"\n"+interrupt, "\n")
				differs(t, list[i], got)
			}
		})
	}
	if *update {
		if err := os.WriteFile(inspection, []byte(rewritten(text, list, outputs)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestContextIsUnderstood has the real nats command save contexts, and our program
// connect by them; and both as users of each role.
func TestContextIsUnderstood(t *testing.T) {
	s := newSeat(t)
	config := filepath.Join(s.dir, "h1.conf")
	nats, http := freeAddress(t), freeAddress(t)
	text := fmt.Sprintf("listen: %q\nhttp: %q\ndata: %q\nclients: [ { user: ops, password: p2, role: operator }, { user: monitor, password: p3, role: system }, { user: app, password: p1 } ]\n",
		nats, http, filepath.Join(s.dir, "data"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h := s.begin(t, "trireme serve --config "+config)
	await(t, "ready", func() error {
		if out := h.said(); !strings.Contains(out, "trireme: ready") {
			return errors.New(out)
		}
		return nil
	})
	for _, c := range []struct {
		command string
		exit    int
		says    string
	}{
		{"nats context save ops --server nats://" + nats + " --user ops --password p2 --description 'for operators'", 0, "Username: ops"},
		{"nats context save nobody --server nats://" + nats + " --user ops --password wrong", 0, "nobody"},
		{"trireme --no-context status", 4, "connect to nats://127.0.0.1:4222"},
		{"trireme --context ops status", 0, "h1: ready"},
		{"trireme --context nobody status", 4, "Authorization Violation"},
		{"trireme --context nobody --password p2 status", 0, "h1: ready"},
		{"NATS_CONTEXT=ops trireme owner", 0, "s1"},
		{"NATS_URL=nats://" + nats + " NATS_USER=ops NATS_PASSWORD=p2 trireme owner", 0, "s1"},
		{"nats context select ops", 0, "ops"},
		{"trireme owner", 0, "s1"},
		{"nats server check server --name h1", 0, "OK"},
		{"nats context unselect", 0, ""},
		{"trireme owner", 4, "connect to nats://127.0.0.1:4222"},
		{"nats --server " + nats + " --user monitor --password p3 server list", 0, "Server Overview"},
		{"nats --server " + nats + " --user monitor --password p3 server report jetstream", 0, "JetStream Summary"},
		{"nats --server " + nats + " --user monitor --password p3 --timeout 1s stream ls", 1, "error"},
		{"nats --server " + nats + " --user app --password p1 --timeout 1s server list", 1, "no results received"},
		{"nats --server " + nats + " --user app --password p1 stream ls", 0, "trireme-s1"},
		{"trireme --server nats://" + nats + " --user monitor --password p3 --timeout 1s owner", 4, ""},
		{"trireme --context other owner", 2, filepath.Join("nats", "context", "other.json")},
	} {
		if strings.Contains(c.says, "127.0.0.1:4222") && !isFree(4222) {
			t.Logf("%s: not tried, somebody is at the default address", c.command)
			continue
		}
		out, exit := s.run(t, c.command)
		if exit != c.exit || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit %d, want %d, and the words %q:\n%s", c.command, exit, c.exit, c.says, out)
		}
	}
	if err := h.interrupt(); err != nil {
		t.Errorf("the host ends with %v", err)
	}
}

func differs(t *testing.T, c transcript, got string) {
	t.Helper()
	tell := t.Errorf
	if *update {
		tell = t.Logf
	}
	tell("the document says\n%s\nand it is\n%s\nwhat comes first and is not there: %s", strings.Join(c.output, "\n"), got, unseen(c.output, got))
}

// changes reports whether a command does something, so that it cannot be repeated.
func changes(command string) bool {
	for _, does := range []string{"trireme layout", "trireme serve", "nats context", "trireme doc put", "trireme doc patch", "trireme owner move"} {
		if strings.HasPrefix(command, does) {
			return true
		}
	}
	return false
}

// A seat is where somebody sits and types: a directory, our program and the nats
// command, and a cluster on other ports than the document's.
type seat struct {
	dir, bin string
	base     int
	toHere   *strings.Replacer // from the document's ports
	toPage   *strings.Replacer
	begun    []*onGoing
	patience time.Duration // with what does not look as it should yet
}

// pageBase is the port below those of the document's hosts.
const pageBase = 4222

func newSeat(t *testing.T) *seat {
	t.Helper()
	s := &seat{dir: t.TempDir(), bin: t.TempDir(), base: freeBase(t), patience: 4 * time.Minute}
	goBuild(t, "..", filepath.Join(s.bin, "trireme"), "./cmd/trireme")
	goBuild(t, "tools", filepath.Join(s.bin, "nats"), "github.com/nats-io/natscli/nats")
	var toHere, toPage []string
	for _, above := range []int{1, 2, 3, 101, 102, 103, 201, 202, 203} {
		page, here := fmt.Sprintf("127.0.0.1:%d", pageBase+above), fmt.Sprintf("127.0.0.1:%d", s.base+above)
		toHere, toPage = append(toHere, page, here), append(toPage, here, page)
	}
	t.Cleanup(func() {
		for _, g := range s.begun {
			_ = g.cmd.Process.Kill() // most have ended
		}
	})
	s.toHere, s.toPage = strings.NewReplacer(toHere...), strings.NewReplacer(toPage...)
	return s
}

// command is a command as it is typed here. What wants a terminal gets one.
func (s *seat) command(ctx context.Context, typed string) *exec.Cmd {
	typed = s.toHere.Replace(typed)
	if strings.HasPrefix(typed, "trireme layout generate") {
		typed += fmt.Sprintf(" --base-port %d", s.base)
	}
	shell := exec.CommandContext(ctx, "sh", "-c", "exec "+typed)
	switch {
	case strings.Contains(typed, "stream view"):
		shell = exec.CommandContext(ctx, "script", "-qec", typed, "/dev/null")
	case strings.HasPrefix(typed, "NATS_"):
		shell = exec.CommandContext(ctx, "sh", "-c", typed)
	}
	shell.Dir = s.dir
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "NATS_") {
			shell.Env = append(shell.Env, pair)
		}
	}
	shell.Env = append(shell.Env, "PATH="+s.bin+string(os.PathListSeparator)+os.Getenv("PATH"), "XDG_CONFIG_HOME="+filepath.Join(s.dir, "config"), "NO_COLOR=1")
	return shell
}

// run types a command and returns what a person sees, as the document would show it.
func (s *seat) run(t *testing.T, typed string) (out string, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	raw, err := s.command(ctx, typed).CombinedOutput()
	if ended, is := errors.AsType[*exec.ExitError](err); is {
		exit = ended.ExitCode()
	} else if err != nil {
		t.Fatalf("%s: %v\n%s", typed, err, raw)
	}
	return s.page(raw), exit
}

// page is output as the document would show it.
func (s *seat) page(raw []byte) string {
	return strings.ReplaceAll(s.toPage.Replace(strings.ReplaceAll(string(raw), "\r", "")), s.dir, "...")
}

// look types a command until it shows what the document says: what it looks at may
// still be on its way. A command that changes something is typed once.
func (s *seat) look(t *testing.T, c transcript) (got string, same bool) {
	t.Helper()
	until := time.Now().Add(s.patience)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		got, exit := s.run(t, c.command)
		if exit != 0 {
			got += fmt.Sprintf("\n[exit %d]\n", exit)
		}
		same := matches(c.output, got)
		if same || changes(c.command) {
			return got, same
		}
		if time.Now().After(until) {
			s.patience = 2 * time.Second // one has shown that waiting does not help
			return got, same
		}
		<-tick.C
	}
}

// An onGoing is a command that somebody has to end.
type onGoing struct {
	*seat
	cmd   *exec.Cmd
	ended chan error

	mu  sync.Mutex
	out bytes.Buffer
}

// Write takes output.
func (g *onGoing) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.out.Write(p)
}

func (g *onGoing) said() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.page(g.out.Bytes())
}

// begin starts a command. One that listens to events does so when begin returns.
func (s *seat) begin(t *testing.T, typed string) *onGoing {
	t.Helper()
	g := &onGoing{seat: s, cmd: s.command(context.WithoutCancel(t.Context()), typed), ended: make(chan error, 1)}
	g.cmd.Stdout, g.cmd.Stderr = g, g
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.begun = append(s.begun, g)
	go func() { g.ended <- g.cmd.Wait() }()
	if strings.HasPrefix(typed, "nats events") {
		await(t, "listening", func() error {
			if out, _ := s.run(t, "nats server request connections --subscriptions"); !strings.Contains(out, "$JS.EVENT.ADVISORY.") {
				return errors.New(out)
			}
			return nil
		})
	}
	return g
}

// end waits until the command has said what the document says, and ends it.
func (g *onGoing) end(t *testing.T, c transcript) (got string, same bool) {
	t.Helper()
	want := slices.DeleteFunc(slices.Clone(c.output), func(line string) bool { return line == interrupt })
	until := time.Now().Add(g.patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !same && time.Now().Before(until) {
		<-tick.C
		got = g.said()
		same = matches(want, got)
	}
	if err := g.interrupt(); err != nil && strings.HasPrefix(c.command, "trireme serve") {
		t.Errorf("after Ctrl-C: %v\n%s", err, g.said())
	}
	return got, same
}

// interrupt is Ctrl-C.
func (g *onGoing) interrupt() error {
	_ = g.cmd.Process.Signal(syscall.SIGINT) // the wait tells if it was not there
	select {
	case err := <-g.ended:
		return err
	case <-time.After(2 * time.Minute):
		_ = g.cmd.Process.Kill()
		return errors.Join(errors.New("it does not end"), <-g.ended)
	}
}

// await waits for a state.
func await(t *testing.T, state string, what func() error) {
	t.Helper()
	until := time.Now().Add(3 * time.Minute)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := what()
		if err == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("not %s: %v", state, err)
		}
		<-tick.C
	}
}
