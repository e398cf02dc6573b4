package drill

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"trireme/internal/localcluster"
	"trireme/ops"
)

// TestDrillDisks brings a host back with an empty disk, and then with yesterday's copy
// of its disk. It is held back, says why and what to do, and comes in by itself when
// all the others are well, putting away what it had.
func TestDrillDisks(t *testing.T) {
	beside(t)
	c := runningCluster(t)
	w := startTraffic(c, quiet())
	w.awaitAcked(100)
	h, other := c.Hosts[2], c.Hosts[1]

	// The others are well: it comes in at once.
	c.must(h.Kill())
	c.must(os.RemoveAll(h.Data))
	w.awaitAcked(100)
	c.must(h.Start())
	c.ready()
	w.awaitAcked(100)

	// One of the others is down: it waits.
	c.must(h.Kill())
	c.must(os.RemoveAll(h.Data))
	w.stop()
	c.must(other.Kill())
	c.must(h.Start())
	t.Logf("with an empty disk: %+v", c.heldBack(h))
	if wiped := strings.Join(ls(t, h.Data), " "); strings.Contains(wiped, "jetstream") {
		t.Errorf("while it is held back it has made %s", wiped)
	}
	c.must(other.Start())
	c.ready()
	v := w.judge(c)
	t.Logf("%s; %s", w.summary(), v)

	// Yesterday's copy.
	yesterday := h.Data + ".yesterday"
	c.stopHost(h)
	c.copy(h.Data, yesterday)
	c.start()
	w = startTraffic(c, again("copy"))
	w.awaitAcked(300)
	c.must(h.Kill())
	c.must(os.RemoveAll(h.Data))
	c.copy(yesterday, h.Data)
	w.awaitAcked(100)
	w.stop()
	c.must(other.Kill())
	c.must(h.Start())
	t.Logf("with yesterday's copy: %+v", c.heldBack(h))
	c.must(other.Start())
	c.ready()
	c.putAway(h)
	v = w.conclude(c)
	t.Logf("%s; %s", w.summary(), v)
}

func again(space string) plan {
	p := quiet()
	p.space = space
	return p
}

// heldBack waits until a host says that it is, and checks what it says.
func (c *cluster) heldBack(h *localcluster.Host) ops.Held {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	var held ops.Held
	c.must(c.Await(ctx, h.Name+" held back", func(ctx context.Context) error {
		s, err := status(ctx, h)
		if err != nil {
			return err
		}
		if s.Phase != ops.PhaseHeld || s.Held == nil || s.Held.Reason == "" || s.Held.NextStep == "" {
			return fmt.Errorf("phase %s, held %+v", s.Phase, s.Held)
		}
		held = *s.Held
		return nil
	}))
	if code, body, err := h.Get(ctx, "/healthz"); err != nil || code != http.StatusOK {
		c.t.Errorf("/healthz of a host that is held back: %d %s %v", code, body, err)
	}
	code, body, err := h.Get(ctx, "/readyz")
	if err != nil || code != http.StatusServiceUnavailable || !strings.Contains(string(body), held.Reason) {
		c.t.Errorf("/readyz of a host that is held back: %d %s %v", code, body, err)
	}
	return held
}

// putAway checks that what the host had is still there, out of the way.
func (c *cluster) putAway(h *localcluster.Host) {
	c.t.Helper()
	var found []string
	errs := filepath.WalkDir(filepath.Dir(h.Data), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "store" && strings.HasPrefix(path, h.Data) && path != filepath.Join(h.Data, "store") && !strings.Contains(path, "yesterday") {
			found = append(found, path)
		}
		return err
	})
	c.must(errs)
	if len(found) == 0 {
		c.t.Errorf("the old data of %s is nowhere: %v", h.Name, ls(c.t, h.Data))
	}
	c.t.Logf("put away: %v", found)
}

func ls(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (c *cluster) stopHost(h *localcluster.Host) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	if code, err := h.Terminate(ctx); err != nil || code != 0 {
		c.t.Fatalf("%s ends with exit code %d, %v", h.Name, code, err)
	}
}

func (c *cluster) copy(from, to string) {
	c.t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
}
