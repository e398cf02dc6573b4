package drill

import (
	"context"
	"fmt"
	"testing"
	"time"

	"trireme/internal/localcluster"
	"trireme/repair"
)

// TestDrillHealthyRounds compares healthy hosts again and again, under load and without.
// Nothing may be found, nothing pulled, and without load nothing read from a disk.
func TestDrillHealthyRounds(t *testing.T) {
	beside(t)
	rounds := uint64(20)
	p := quiet()
	if long() {
		rounds = 100
		p = standard()
		p.lanes, p.writers, p.readers, p.pace = 768, 1, 2, 0
	}
	c := runningCluster(t, func(cfg *localcluster.Config) { cfg.Settings = smallMachine + "\nrepair { interval: 250ms }" })
	w := startTraffic(c, p)
	began, acked := time.Now(), w.acked.Load()
	before := c.counters()
	after := c.awaitRounds(before, rounds)
	rate := float64(w.acked.Load()-acked) / time.Since(began).Seconds()
	w.stop()
	w.noErrors()
	for _, h := range c.Hosts {
		spent := cost(before[h.Name], after[h.Name])
		t.Logf("%s, %.0f changes/s: %s; verdicts %v", h.Name, rate, spent, after[h.Name].Verdicts)
		for verdict, n := range after[h.Name].Verdicts {
			if verdict != "lag" && n > 0 {
				t.Errorf("%s found %d documents %s", h.Name, n, verdict)
			}
		}
		for reason, n := range after[h.Name].Pulled {
			if n > 0 {
				t.Errorf("%s pulled %d documents for %s", h.Name, n, reason)
			}
		}
	}

	ctx, cancel := c.bounded()
	defer cancel()
	c.must(c.AwaitCaughtUp(ctx))
	before = c.awaitRounds(c.counters(), 2)
	after = c.awaitRounds(before, rounds)
	for _, h := range c.Hosts {
		t.Logf("%s, idle: %s", h.Name, cost(before[h.Name], after[h.Name]))
		if each := perPeer(before[h.Name], after[h.Name]); each > 2500 {
			t.Errorf("%s and a peer sent one another %d bytes in a round while all was equal, want at most 2500", h.Name, each)
		}
		if reads := after[h.Name].DiskReads - before[h.Name].DiskReads; reads > 0 {
			t.Errorf("%s read %d times from its disk while all was equal", h.Name, reads)
		}
	}
	v := w.conclude(c)
	t.Logf("%s; %s", w.summary(), v)
}

// cost tells what some rounds took.
func cost(before, after repair.Counters) string {
	rounds := after.Rounds - before.Rounds
	cpu := time.Duration((after.CPUSeconds - before.CPUSeconds) * float64(time.Second) / float64(rounds))
	return fmt.Sprintf("%d rounds, %d bytes for each peer and round, %v of CPU each (%.4f %% of a core at one in 30 s), %d reads from the disk",
		rounds, perPeer(before, after), cpu.Round(time.Microsecond), cpu.Seconds()/30*100, after.DiskReads-before.DiskReads)
}

// perPeer is the size of question and answer in one round with one of the two peers.
func perPeer(before, after repair.Counters) uint64 {
	return (after.BytesSent + after.BytesReceived - before.BytesSent - before.BytesReceived) / (after.Rounds - before.Rounds) / 2
}

// counters are what the hosts' repair has done since they were started.
func (c *cluster) counters() map[string]repair.Counters {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	all := map[string]repair.Counters{}
	for _, h := range c.Hosts {
		st, err := c.operator().Status(ctx, h.Name)
		c.must(err)
		if st.Repair == nil {
			c.t.Fatalf("%s does not repair", h.Name)
		}
		all[h.Name] = st.Repair.Counters
	}
	return all
}

// awaitRounds waits until every host has done so many rounds more.
func (c *cluster) awaitRounds(since map[string]repair.Counters, more uint64) (now map[string]repair.Counters) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	c.must(c.Await(ctx, "rounds of repair", func(context.Context) error {
		now = c.counters()
		for name, of := range now {
			if done := of.Rounds - since[name].Rounds; done < more {
				return fmt.Errorf("%s has done %d of %d", name, done, more)
			}
		}
		return nil
	}))
	return now
}
