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
	for range 256 {
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

// logs are what the owners of all stripes tell of their logs. Some have no owner for a
// while.
func (c *cluster) logs(ctx context.Context) (map[string]ops.Stripe, error) {
	logs := map[string]ops.Stripe{}
	for _, h := range c.Hosts {
		if !h.Running() {
			continue
		}
		st, err := c.operator().Status(ctx, h.Name)
		if err != nil {
			return nil, err
		}
		for _, s := range st.Stripes {
			if s.Owner == st.Host {
				logs[s.Name] = s
			}
		}
	}
	for _, s := range layoutOf(c).Stripes {
		if _, ok := logs[s.Name]; !ok {
			return nil, fmt.Errorf("stripe %s has no owner", s.Name)
		}
	}
	return logs, nil
}

// owned waits until every stripe has an owner, and is what they tell of their logs.
func (c *cluster) owned() (logs map[string]ops.Stripe) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	c.must(c.soon(ctx, "owners of all stripes", func(ctx context.Context) (err error) {
		logs, err = c.logs(ctx)
		return err
	}))
	return logs
}

// trimmed tells whether no log holds any more what it held, as its owner told. A trim has
// to be worth its while: more has to be written until it is.
func (c *cluster) trimmed(before map[string]ops.Stripe) bool {
	c.t.Helper()
	for name, s := range c.owned() {
		if s.LogFirst <= before[name].LogLast {
			c.t.Logf("the log of stripe %s begins at %d, and ended at %d", name, s.LogFirst, before[name].LogLast)
			return false
		}
	}
	return true
}

// healed waits until a host has no sick stripe, and returns what its repair has done
// since the host was started.
func (c *cluster) healed(h *localcluster.Host) repair.Status {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	const few = 50 // records: what is under way to a host that has them all
	var last repair.Status
	c.must(c.soon(ctx, "the healing of "+h.Name, func(ctx context.Context) error {
		st, err := c.operator().Status(ctx, h.Name)
		switch {
		case err != nil:
			return err
		case st.Repair == nil || st.Phase != ops.PhaseRunning:
			return errors.New("it does not run yet: " + st.Step)
		}
		last = *st.Repair
		for _, s := range st.Stripes {
			switch {
			case s.Sick != "" || s.Applied == 0:
				return fmt.Errorf("stripe %s is sick: %s; %+v", s.Name, s.Sick, st.Repair.Heals)
			case s.Owner == "" || s.Phase == ops.StripeOpening || s.LagRecords > few: // it may yet find out that it is
				return fmt.Errorf("stripe %s is %s and lacks %d records of its log, which %q owns", s.Name, s.Phase, s.LagRecords, s.Owner)
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
	documents, size, kills, enough, p := 1_500, 20_000, 3, int64(100), quiet()
	if long() {
		documents, size, kills, enough = 200_000, 1000, 10, 5000 // so that a p99 means something
		p.lanes, p.pace = 16, 50*time.Millisecond
	}
	c := runningCluster(t, shortLog)
	empty := c.owned()
	c.fill("fill", documents, size)
	w := startTraffic(c, p)
	for n := 1; !c.trimmed(empty); n++ {
		c.fill(fmt.Sprint("more ", n), 300, 20_000)
		documents += 300
	}
	began := time.Now()
	w.awaitAcked(enough)
	before, n := w.p99(began, time.Now())
	t.Logf("p99 of %d requests before: %v", n, before)
	h := c.Hosts[2]
	c.must(h.Kill())
	c.must(os.RemoveAll(h.Data))
	w.awaitAcked(100) // by the others
	began = time.Now()
	w.awaitAcked(enough)
	down, n := w.p99(began, time.Now())
	t.Logf("p99 of %d requests without it: %v", n, down)
	sent := c.given()
	began = time.Now()
	c.must(h.Start())
	var all pulled
	for range kills {
		all.add(c.killHealing(h, rand.IntN(documents/kills)))
	}
	all.add(c.healed(h).Counters)
	took := time.Since(began)
	sent = c.given() - sent
	during, n := w.p99(began, time.Now())
	t.Logf("p99 of %d requests while it heals: %v, %.2f times as before; %.1f MB/s", n, during,
		float64(during)/float64(before), float64(all.bytes)/took.Seconds()/1e6)
	w.awaitAcked(100)
	w.stop()
	c.verified()
	v := w.judge(c)
	c.compareStores()
	t.Logf("%d documents healed in %v with %d kills; %d documents, %d bytes pulled in all, %d documents sent by the others; %s; %s",
		documents, took, kills, all.documents, all.bytes, sent, w.summary(), v)
	if most := uint64(documents+documents/20) + uint64(len(w.documents())); all.documents > most {
		t.Errorf("%d documents were pulled to have %d, want at most %d", all.documents, documents, most)
	}
}

// A pulled is what a host has pulled to heal, in all of its lives.
type pulled struct{ documents, bytes uint64 }

func (p *pulled) add(c repair.Counters) {
	p.documents += c.Pulled[string(repair.ForHeal)]
	p.bytes += c.BytesPulled
}

// given is how many documents the hosts that run have sent to others.
func (c *cluster) given() (documents uint64) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	for _, h := range c.Hosts[:2] {
		st, err := c.operator().Status(ctx, h.Name)
		c.must(err)
		if st.RepairCost == nil {
			c.t.Fatalf("%s does not tell what it has sent", h.Name)
		}
		documents += st.RepairCost.Served.Documents
	}
	return documents
}

// killHealing kills a host when it has pulled so many documents of its healing, starts
// it, and tells what it had done.
func (c *cluster) killHealing(h *localcluster.Host, deep int) (done repair.Counters) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	c.must(c.soon(ctx, "a pull of "+h.Name, func(ctx context.Context) error {
		st, err := c.operator().Status(ctx, h.Name)
		switch {
		case err != nil:
			return err
		case st.Repair == nil:
			return errors.New("no repair yet")
		}
		done = st.Repair.Counters
		documents := done.Pulled[string(repair.ForHeal)]
		if documents < uint64(deep) && len(st.Repair.Heals) > 0 || st.Phase != ops.PhaseRunning && documents == 0 {
			return fmt.Errorf("%d documents pulled, %d wanted", documents, deep)
		}
		return nil
	}))
	c.must(h.Kill())
	c.must(h.Start())
	c.t.Logf("%s was killed after %v", h.Name, done.Pulled)
	return done
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
	had := c.owned() // more than that it cannot have
	c.fill("meanwhile", documents, 20_000)
	for n := 1; !c.trimmed(had); n++ {
		c.fill(fmt.Sprint("more ", n), 300, 20_000)
	}
	for name, s := range c.owned() {
		t.Logf("the log of stripe %s holds records %d to %d, %d of at most %d bytes", name, s.LogFirst, s.LogLast, s.LogBytes, s.LogMax)
		if s.LogBytes > s.LogMax {
			t.Errorf("the log of stripe %s is over its bound", name)
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
	c.verified()
	v := w.judge(c)
	c.compareStores()
	t.Logf("%s; %s", w.summary(), v)
}
