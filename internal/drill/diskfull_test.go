package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"trireme/adapter"
)

// smallDisk mounts a file system of its own in memory. Only root can.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Skipf("cannot mount a small file system here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestDiskFull fills the disk in two ways: by the host's own changes, and by
// somebody else to the last byte. Changes are refused with 1500010, nothing that
// was acknowledged is lost, and when there is room again everything works, without
// a restart and after one.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t, 320<<20)
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 120<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDaemon(t)
	d.data = filepath.Join(disk, "data")
	d.launch()
	d.ready()
	c := newFullClient(t, d)

	c.writeUntilFull()
	if got, err := c.get(); err != nil || got != c.head {
		t.Errorf("a read on a full disk: head %d, %v; want %d", got, err, c.head)
	}

	// Somebody else takes what is left.
	rest, err := os.Create(filepath.Join(disk, "rest"))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1 << 20, 4096, 1} {
		for err == nil {
			_, err = rest.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
	if err := c.patch(); adapter.CodeOf(err) != 1500010 {
		t.Errorf("a patch on a disk without a byte: %v", err)
	}
	if _, err := c.get(); adapter.CodeOf(err) != 1500010 {
		t.Errorf("a linearizable read on a disk without a byte: %v", err)
	}
	if err := errors.Join(rest.Close(), os.Remove(rest.Name()), os.Remove(ballast)); err != nil {
		t.Fatal(err)
	}

	if err := c.patch(); err != nil {
		t.Errorf("a patch with room again: %v", err)
	}
	if got, err := c.get(); err != nil || got != c.head {
		t.Errorf("after there was room again: head %d, %v; want %d", got, err, c.head)
	}
	if code := d.terminate(); code != 0 {
		t.Errorf("exit code %d\n%s", code, d.tail())
	}
	verifyStore(t, d.data)
	d.launch()
	d.ready()
	if got, err := c.get(); err != nil || got != c.head {
		t.Errorf("after a restart: head %d, %v; want %d", got, err, c.head)
	}
	if code := d.terminate(); code != 0 { // before the disk is unmounted
		t.Errorf("exit code %d\n%s", code, d.tail())
	}
}

// A fullClient patches one document, and asks once for each answer.
type fullClient struct {
	t    *testing.T
	nc   *nats.Conn
	head int32
	text string
}

func newFullClient(t *testing.T, d *daemon) *fullClient {
	nc, err := nats.Connect(d.url(), nats.MaxReconnects(-1), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	c := &fullClient{t: t, nc: nc, head: 1, text: strings.Repeat("x", 200<<10)}
	if err := c.client().Initialize(t.Context(), "disk", "k", adapter.Update{SeqEnd: 1, Redo: `{}`, Undo: `{}`, UpdateType: "Internal"}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *fullClient) client() *adapter.Client {
	client, err := adapter.NewClient(c.nc, adapter.WithTimeout(10*time.Second))
	if err != nil {
		c.t.Fatal(err)
	}
	return client
}

// once bounds a call so that a refusal that may be repeated comes back soon.
func once() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 5*time.Second)
}

func (c *fullClient) patch() error {
	ctx, cancel := once()
	defer cancel()
	u := adapter.Update{SeqBegin: c.head + 1, SeqEnd: c.head + 1, Redo: fmt.Sprintf(`{"t":%q}`, c.text), Undo: `{}`, UpdateType: "AddUserData"}
	err := c.client().Patch(ctx, "disk", "k", []adapter.Update{u})
	if err == nil {
		c.head++
	}
	return err
}

func (c *fullClient) get() (int32, error) {
	ctx, cancel := once()
	defer cancel()
	doc, err := c.client().Get(ctx, "disk", "k")
	return doc.Seq, err
}

// writeUntilFull patches until the host refuses, with the code that it should.
func (c *fullClient) writeUntilFull() {
	c.t.Helper()
	for range 2000 {
		err := c.patch()
		if adapter.CodeOf(err) == 1500010 {
			c.t.Logf("refused after %d changes of 200 KiB: %v", c.head, err)
			return
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	c.t.Fatal("400 MB went onto a disk of 320 MiB")
}
