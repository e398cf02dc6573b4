package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trireme/internal/config"
)

// fill makes a few documents and returns how many.
func (r *rig) fill(n int) {
	for i := range n {
		key := string(rune('a' + i))
		r.must("initialize", doc("s", key, "patch", update(0, 1, `{"k":"`+key+`"}`, `{}`)))
	}
}

func (r *rig) dir(name string) string { return filepath.Join(r.cfg.Data, name) }

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestAnEmptyStoreCatchesUp(t *testing.T) {
	r := newRig(t)
	r.fill(20)
	before := r.host.store.Root(0, 16383)
	r.stop()
	rename(t, r.dir("store"), r.dir("store.lost"))
	r.start()
	if after := r.host.store.Root(0, 16383); after != before {
		t.Errorf("the store caught up to %v, it was %v", after, before)
	}
	if keys := r.must("inventory", object{}).body["keys"].([]any); len(keys) != 20 {
		t.Errorf("%d documents, want 20", len(keys))
	}
	if err := r.host.store.Verify(); err != nil {
		t.Error(err)
	}
}

func TestAStoreThatIsBehindCatchesUp(t *testing.T) {
	r := newRig(t)
	r.fill(5)
	r.stop()
	copyDir(t, r.dir("store"), r.dir("store.old"))
	r.start()
	r.must("patch", doc("s", "a", "patches", []object{update(2, 2, `{"late":1}`, `{}`)}))
	r.must("delete", doc("s", "b"))
	r.stop()
	rename(t, r.dir("store"), r.dir("store.new"))
	rename(t, r.dir("store.old"), r.dir("store"))
	r.start()
	if a := r.must("get", doc("s", "a")); a.body["seq"] != 2.0 {
		t.Errorf("the document is %v", a.body)
	}
	r.refused(625676, "get", doc("s", "b"))
	if err := r.host.store.Verify(); err != nil {
		t.Error(err)
	}
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// refusedStart checks that the host does not start, says why, and that neither
// store nor log has changed.
func (r *rig) refusedStart(words ...string) {
	r.t.Helper()
	if err := r.tryStart(); err == nil {
		r.t.Error("the host has started")
		r.stop()
	} else {
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				r.t.Errorf("%v does not say %q", err, w)
			}
		}
	}
}

func TestAStoreAheadOfItsLogIsRefused(t *testing.T) {
	r := newRig(t)
	r.fill(3)
	r.stop()
	copyDir(t, r.dir("jetstream"), r.dir("jetstream.old"))
	r.start()
	r.must("initialize", doc("s", "z", "patch", update(0, 1, `{}`, `{}`)))
	r.stop()
	rename(t, r.dir("jetstream"), r.dir("jetstream.new"))
	rename(t, r.dir("jetstream.old"), r.dir("jetstream"))
	r.refusedStart("the log ends before what the store has applied", "nothing was overwritten", "JetStream directory")

	t.Run("nothing was lost", func(t *testing.T) {
		rename(t, r.dir("jetstream"), r.dir("jetstream.old"))
		rename(t, r.dir("jetstream.new"), r.dir("jetstream"))
		r.start()
		r.must("get", doc("s", "z"))
	})
}

func TestAMissingLogIsNotAnEmptyOne(t *testing.T) {
	r := newRig(t)
	r.fill(3)
	r.stop()
	rename(t, r.dir("jetstream"), r.dir("jetstream.lost"))
	r.refusedStart("does not exist", "applied", "jetstream")
	if err := os.RemoveAll(r.dir("jetstream")); err != nil {
		t.Fatal(err)
	}
	rename(t, r.dir("jetstream.lost"), r.dir("jetstream"))
	r.start()
	r.must("get", doc("s", "a"))
}

func TestTwoHostsOnOneDirectory(t *testing.T) {
	r := newRig(t)
	second := &rig{t: t, cfg: r.cfg}
	second.refusedStart("in use")
	r.fill(1)
}

func TestAListeningAddressThatIsTaken(t *testing.T) {
	r := newRig(t)
	address := strings.TrimPrefix(r.host.NATS(), "nats://")
	second := &rig{t: t, cfg: testConfig(t)}
	second.cfg.Listen = address
	second.refusedStart(address)
	second.cfg = testConfig(t)
	second.cfg.HTTP = strings.TrimPrefix(r.host.HTTP(), "http://")
	second.refusedStart(second.cfg.HTTP)
}

func TestAFullLogIsTrimmedAndGoesOn(t *testing.T) {
	r := newRig(t, func(c *config.Config) {
		c.Log.MaxBytes, c.Log.KeepBytes = 64<<20, 1<<20
		c.Store.Checkpoint = 50e6
	})
	text := strings.Repeat("x", 1<<20)
	r.must("initialize", doc("s", "k", "patch", update(0, 1, `{}`, `{}`)))
	for i := 2; i < 150; i++ {
		r.must("patch", doc("s", "k", "patches", []object{update(i, i, `"`+text+`"`, ``)}))
	}
	st := r.host.Status().Stripes[0]
	if st.LogFirst < 2 || st.LogBytes > 64<<20 {
		t.Errorf("150 MB went through a log of 64 MiB, and it is %+v", st)
	}
	r.restart()
	if a := r.must("get", doc("s", "k")); a.body["seq"] != 149.0 {
		t.Errorf("head %v", a.body["seq"])
	}
}
