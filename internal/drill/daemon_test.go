package drill

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// program is the built binary; TestMain makes it once.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "trireme-drill-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "trireme")
		if out, err := exec.Command("go", "build", "-o", program, "trireme/cmd/trireme").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
			return 1
		}
		code := m.Run()
		if err := goleak.Find(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

// rounds is how often a drill breaks something: few by default, as many as asked
// for by TRIREME_DRILL=1.
func rounds(few, many int) int {
	if os.Getenv("TRIREME_DRILL") != "" {
		return many
	}
	return few
}

// A daemon is `trireme serve` as a process, always on the same addresses.
type daemon struct {
	t    testing.TB
	data string
	nats string // host:port
	http string

	cmd    *exec.Cmd
	exited chan struct{}
	log    lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.b.Bytes()
	return string(b[max(0, len(b)-n):])
}

func newDaemon(t testing.TB) *daemon {
	d := &daemon{t: t, data: filepath.Join(t.TempDir(), "data"), nats: freeAddress(t), http: freeAddress(t)}
	t.Cleanup(d.kill)
	return d
}

func freeAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (d *daemon) url() string { return "nats://" + d.nats }

// launch starts the process and does not wait for it.
func (d *daemon) launch() {
	d.t.Helper()
	d.cmd = exec.Command(program, "serve", "--data", d.data, "--nats", d.nats, "--http", d.http)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(exited)
	}(d.cmd, d.exited)
}

// ready waits until the host takes requests.
func (d *daemon) ready() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	for {
		if reply, err := client.Get("http://" + d.http + "/readyz"); err == nil {
			_ = reply.Body.Close() // only the status counts
			if reply.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-d.exited:
			d.t.Fatalf("the host has ended: %v\n%s", d.cmd.ProcessState, d.log.tail(4000))
		case <-ctx.Done():
			d.t.Fatalf("the host is not ready after a minute\n%s", d.log.tail(4000))
		case <-tick.C:
		}
	}
}

// kill ends the process as a power cut would, without a word.
func (d *daemon) kill() { d.signal(syscall.SIGKILL) }

// terminate asks the process to end and returns its exit code.
func (d *daemon) terminate() int {
	d.signal(syscall.SIGTERM)
	return d.cmd.ProcessState.ExitCode()
}

func (d *daemon) signal(s syscall.Signal) {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(s) // it may have ended already
	select {
	case <-d.exited:
	case <-time.After(time.Minute):
		d.t.Errorf("the host has not ended a minute after %v\n%s", s, d.log.tail(4000))
		_ = d.cmd.Process.Kill()
		<-d.exited
	}
}
