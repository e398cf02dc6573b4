package drill

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"trireme/internal/localcluster"
)

// A daemon is `trireme serve` that stands alone, always on the same addresses.
type daemon struct {
	t       testing.TB
	process *localcluster.Process
	data    string
	nats    string // host:port
	http    string
}

func newDaemon(t testing.TB) *daemon {
	at, err := localcluster.FreeAddresses(2)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &daemon{t: t, data: filepath.Join(dir, "data"), nats: at[0], http: at[1]}
	d.process = &localcluster.Process{Name: "host", Program: program, Log: filepath.Join(dir, "log")}
	t.Cleanup(d.kill)
	return d
}

func (d *daemon) url() string { return "nats://" + d.nats }

// launch starts the process and does not wait for it.
func (d *daemon) launch() {
	d.t.Helper()
	d.process.Args = []string{"serve", "--data", d.data, "--nats", d.nats, "--http", d.http}
	if err := d.process.Start(); err != nil {
		d.t.Fatal(err)
	}
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
		case <-d.process.Exited():
			d.t.Fatalf("the host has ended\n%s", d.tail())
		case <-ctx.Done():
			d.t.Fatalf("the host is not ready after a minute\n%s", d.tail())
		case <-tick.C:
		}
	}
}

// tail is the end of what the host has said.
func (d *daemon) tail() string { return d.process.Tail(4000) }

// kill ends the process as a power cut would, without a word.
func (d *daemon) kill() {
	if err := d.process.Kill(); err != nil {
		d.t.Error(err)
	}
}

// terminate asks the process to end and returns its exit code.
func (d *daemon) terminate() int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	code, err := d.process.Terminate(ctx)
	if err != nil {
		d.t.Errorf("%v\n%s", err, d.tail())
	}
	return code
}
