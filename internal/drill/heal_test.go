package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trireme/adapter"
	"trireme/internal/localcluster"
	"trireme/ops"
	"trireme/repair"
)

// shortLog has hosts trim their logs soon, so that one that was away falls off them,
// and compare often.
func shortLog(cfg *localcluster.Config) {
	cfg.Settings = "disk { reserve_bytes: 1MB }\nlog { max_bytes: 64MB, keep_bytes: 1KB }\nrepair { interval: 2s }"
}

// fill creates documents of about so many bytes, and returns when all are there.
func (c *cluster) fill(space string, documents, bytes int) {
	c.t.Helper()
	client := newAdapter(c.t, c.connect())
	var next atomic.Int64
	var all sync.WaitGroup
	var failed atomic.Pointer[error]
	for range 64 {
		all.Go(func() {
			for {
				n := int(next.Add(1))
				if n > documents || failed.Load() != nil {
					return
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				err := client.Initialize(ctx, space, itoa(n), adapter.Update{SeqBegin: 0, SeqEnd: 1, UpdateType: adapter.AddUserData, Redo: filled(bytes, n), Undo: `{}`})
				if cancel(); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		c.t.Fatal(*err)
	}
}

// filled is the text of a document that fill has made. It cannot be compressed much.
func filled(bytes, n int) string {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	text := make([]byte, bytes)
	for i := range text {
		text[i] = 'a' + byte(random.IntN(26))
	}
	return fmt.Sprintf(`{"t":%q,"n":%d}`, text, n)
}

// trimmed waits until the log of every stripe has lost its beginning.
func (c *cluster) trimmed() {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	operator := c.operator()
	c.must(c.Await(ctx, "trimmed logs", func(ctx context.Context) error {
		for _, s := range layoutOf(c).Stripes {
			st, err := operator.Status(ctx, c.ownerOf(ctx, s.Hosts))
			if err != nil {
				return err
			}
			for _, of := range st.Stripes {
				if of.Name == s.Name && of.Owner == st.Host && of.LogFirst <= 1 {
					return fmt.Errorf("the log of stripe %s begins at %d", s.Name, of.LogFirst)
				}
			}
		}
		return nil
	}))
}

// ownerOf is a host of those named that runs, the first one.
func (c *cluster) ownerOf(_ context.Context, hosts []string) string {
	for _, name := range hosts {
		if h := c.Host(name); h.Running() {
			return name
		}
	}
	return hosts[0]
}

// healed waits until a host has no sick stripe, and returns what its repair has done
// since the host was started.
func (c *cluster) healed(h *localcluster.Host) repair.Status {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	var last repair.Status
	c.must(c.Await(ctx, "the healing of "+h.Name, func(ctx context.Context) error {
		st, err := c.operator().Status(ctx, h.Name)
		switch {
		case err != nil:
			return err
		case st.Repair == nil || st.Phase != ops.PhaseRunning:
			return errors.New("it does not run yet: " + st.Step)
		}
		last = *st.Repair
		for _, s := range st.Stripes {
			if s.Sick != "" || s.Applied == 0 {
				return fmt.Errorf("stripe %s is sick: %s; %+v", s.Name, s.Sick, st.Repair.Heals)
			}
		}
		return nil
	}))
	return last
}

// TestDrillWipedBeyondTheLog wipes a host whose peers have trimmed what it would need of
// their logs, under load, kills it in the middle of its healing again and again, and
// wants it whole in the end without having pulled much twice.
func TestDrillWipedBeyondTheLog(t *testing.T) {
	beside(t)
	documents, size, kills := 1_500, 20_000, 3
	if long() {
		documents, size, kills = 200_000, 1000, 10
	}
	c := runningCluster(t, shortLog)
	c.fill("fill", documents, size)
	w := startTraffic(c, quiet())
	c.trimmed()
	before, n := w.p99(w.began, time.Now())
	t.Logf("p99 of %d requests before: %v", n, before)
	h := c.Hosts[2]
	c.must(h.Kill())
	c.must(os.RemoveAll(h.Data))
	w.awaitAcked(300) // by the others
	began := time.Now()
	c.must(h.Start())
	var pulled uint64
	for range kills {
		pulled += c.killHealing(h)
	}
	last := c.healed(h)
	took := time.Since(began)
	pulled += last.Counters.BytesPulled
	during, n := w.p99(began, time.Now())
	t.Logf("p99 of %d requests while it heals: %v, %.2f times as before; %.1f MB/s", n, during,
		float64(during)/float64(before), float64(pulled)/took.Seconds()/1e6)
	w.awaitAcked(100)
	w.stop()
	v := w.judge(c)
	c.compareStores()
	t.Logf("%d documents healed in %v with %d kills, %d bytes pulled in all; %s; %s", documents, took, kills, pulled, w.summary(), v)
	if most := uint64(float64(documents) * float64(size+1500) * 1.05); pulled > most {
		t.Errorf("%d bytes were pulled for %d documents, want at most %d", pulled, documents, most)
	}
}

// killHealing kills a host at some point of its healing, starts it, and tells what it
// had pulled.
func (c *cluster) killHealing(h *localcluster.Host) (pulled uint64) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	deep := rand.IntN(2000)
	c.must(c.Await(ctx, "a pull of "+h.Name, func(ctx context.Context) error {
		st, err := c.operator().Status(ctx, h.Name)
		switch {
		case err != nil:
			return err
		case st.Repair == nil:
			return errors.New("no repair yet")
		}
		pulled = st.Repair.Counters.BytesPulled
		documents := st.Repair.Counters.Pulled[string(repair.ForHeal)]
		if documents < uint64(deep) && len(st.Repair.Heals) > 0 || st.Phase != ops.PhaseRunning && documents == 0 {
			return fmt.Errorf("%d documents pulled, %d wanted", documents, deep)
		}
		return nil
	}))
	c.must(h.Kill())
	c.must(h.Start())
	return pulled
}

// TestDrillDeadBeyondTheLog keeps a host down for so long that the others trim what it
// lacks. Their logs stay within their bound, writes go on, and it heals when it returns.
func TestDrillDeadBeyondTheLog(t *testing.T) {
	beside(t)
	documents := 1_500
	if long() {
		documents = 15_000 // 300 MB, where three logs may hold 192
	}
	c := runningCluster(t, shortLog)
	c.fill("before", 300, 1000)
	w := startTraffic(c, quiet())
	h := c.Hosts[2]
	c.must(h.Kill())
	c.fill("meanwhile", documents, 20_000)
	c.trimmed()
	ctx, cancel := c.bounded()
	defer cancel()
	for _, other := range c.Hosts[:2] {
		st, err := c.operator().Status(ctx, other.Name)
		c.must(err)
		for _, s := range st.Stripes {
			if s.Owner != st.Host {
				continue
			}
			t.Logf("the log of stripe %s holds records %d to %d, %d of at most %d bytes", s.Name, s.LogFirst, s.LogLast, s.LogBytes, s.LogMax)
			if s.LogBytes > s.LogMax {
				t.Errorf("the log of stripe %s is over its bound", s.Name)
			}
		}
	}
	w.awaitAcked(100)
	c.must(h.Start())
	done := c.healed(h)
	t.Logf("%s has pulled %v, %d bytes", h.Name, done.Counters.Pulled, done.Counters.BytesPulled)
	if done.Counters.Pulled[string(repair.ForHeal)] == 0 {
		t.Error("it was not healed from its peers: the drill proves nothing")
	}
	w.awaitAcked(100)
	w.stop()
	w.noErrors()
	v := w.judge(c)
	c.compareStores()
	t.Logf("%s; %s", w.summary(), v)
}
