package drill

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestDrillHostsAreKilled kills hosts at random under load, and starts them again
// after some seconds. No acknowledged change may be lost and none applied twice, no
// client may be told of it, the histories are linearizable, and the replicas equal.
func TestDrillHostsAreKilled(t *testing.T) {
	beside(t)
	kills, cycle, down := rounds(2, 20), 15*time.Second, 4*time.Second
	if long() {
		cycle, down = 30*time.Second, 5*time.Second
	}
	c := runningCluster(t)
	w := startTraffic(c, standard())
	w.awaitAcked(500)
	var killed []time.Time
	var victims []string
	for range kills {
		h := c.Hosts[rand.IntN(len(c.Hosts))]
		killed, victims = append(killed, time.Now()), append(victims, h.Name)
		c.must(h.Kill())
		wait(down)
		c.must(h.Start())
		c.ready()
		wait(time.Until(killed[len(killed)-1].Add(cycle)))
		w.awaitAcked(100)
	}
	w.stop()
	pauses := w.pauses(append(killed, time.Now()))
	for i, p := range pauses {
		t.Logf("kill %2d, %s at %s: the longest request took %v: %s", i+1, victims[i], killed[i].UTC().Format("15:04:05.000"), p.took.Round(time.Millisecond), p.what)
	}
	judgePauses(t, pauses, 30*time.Second, 10*time.Second)
	w.noErrors()
	v := w.conclude(c)
	t.Logf("%d kills: %s; %s", kills, w.summary(), v)
}

// A pause is the longest request of a span of time.
type pause struct {
	took time.Duration
	what string
}

// pauses are the longest requests between one moment and the next.
func (w *traffic) pauses(at []time.Time) []pause {
	var all []pause
	for i := range len(at) - 1 {
		took, what := w.longest(at[i], at[i+1])
		all = append(all, pause{took, what})
	}
	return all
}

// judgePauses prints how long clients waited and fails the test when one waited for
// longer than all may, or, at full length, too many for longer than most may.
func judgePauses(t *testing.T, pauses []pause, all, most time.Duration) {
	t.Helper()
	var took []time.Duration
	long20 := 0
	for _, p := range pauses {
		took = append(took, p.took)
		if p.took >= all {
			t.Errorf("a pause of %v, want less than %v", p.took, all)
		}
		if p.took >= most {
			long20++
		}
	}
	slices.Sort(took)
	t.Logf("pauses: %s", distribution(took))
	if long() && long20*20 > len(pauses) {
		t.Errorf("%d of %d pauses took %v or more, want one of 20 at most", long20, len(pauses), most)
	}
}

// distribution describes sorted durations.
func distribution(d []time.Duration) string {
	if len(d) == 0 {
		return "none"
	}
	at := func(percent int) time.Duration { return d[(len(d)-1)*percent/100].Round(time.Millisecond) }
	return fmt.Sprintf("%d, shortest %v, median %v, p90 %v, longest %v", len(d), at(0), at(50), at(90), at(100))
}
