package drill

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"trireme/internal/localcluster"
	"trireme/internal/soak"
	"trireme/repair"
)

// What the soak reads of its environment.
const (
	soakVariable = "TRIREME_SOAK"      // how long it takes, as "2h"
	outVariable  = "TRIREME_SOAK_OUT"  // the file that samples are added to
	seedVariable = "TRIREME_SOAK_SEED" // of the faults' order; any by default
)

const (
	strikeEvery = 30 * time.Second
	sampleEvery = 5 * time.Second
)

// A pick is a fault of the catalogue, and how often it is picked beside others.
type pick struct {
	fault  string
	weight int
}

// endingFaults end processes; they strike in the first half of a soak.
func endingFaults() []pick {
	return []pick{
		{"owner killed", 4},
		{"kill at 1 Hz", 2},
		{"all killed at once", 2},
		{"all killed, one stays away", 1},
		{"two of three killed", 2},
		{"pause, then kill", 2},
		{"repair storm", 2},
		{"wiped disk", 1},
	}
}

// lastingFaults leave the processes alive. In the second half of a soak there are no
// others, so that what leaks has time to be seen.
func lastingFaults() []pick {
	return []pick{
		{"stop and continue", 4},
		{"owner isolated", 3},
		{"nobody hears anybody", 1},
		{"one way, out", 2},
		{"one way, in", 2},
		{"ring, one way", 1},
		{"bridge", 1},
		{"slow network", 3},
		{"hand-over every 2 s", 3},
		{checkedAll, 3},
	}
}

// checkedAll is the fault of the soak's own.
const checkedAll = "scrub and repair"

// soakFaults are those of the catalogue that are picked, by name.
func soakFaults() map[string]fault {
	all := map[string]fault{checkedAll: {
		name: checkedAll, what: "every host re-reads its disk, and compares everything",
		strike: func(x *strike) {
			operator := x.operator()
			for _, h := range x.Hosts {
				_, err := operator.BeginScrub(x.t.Context(), h.Name, repair.Scope{})
				x.told(err)
				_, err = operator.BeginRun(x.t.Context(), h.Name, repair.Scope{})
				x.told(err)
			}
			wait(5 * time.Second)
		},
	}}
	for _, f := range catalogue() {
		if slices.ContainsFunc(slices.Concat(endingFaults(), lastingFaults()), func(p pick) bool { return p.fault == f.name }) {
			all[f.name] = f
		}
	}
	return all
}

// The soak's faults are all there, and need nothing before the cluster starts.
func TestSoakFaultsAreInTheCatalogue(t *testing.T) {
	all := soakFaults()
	for _, p := range slices.Concat(endingFaults(), lastingFaults()) {
		if f, found := all[p.fault]; !found || f.before != nil || f.config != nil {
			t.Errorf("the fault %q is not in the catalogue (%v), or wants a cluster of its own", p.fault, !found)
		}
	}
}

// TestSoak has three hosts under mixed load for hours, with a random fault every 30 s.
// In the end nothing is lost and all copies are identical, as in the catalogue, and no
// host uses more and more of memory, descriptors, goroutines or disk. See docs/soak.md.
func TestSoak(t *testing.T) {
	text := os.Getenv(soakVariable)
	if text == "" {
		t.Skipf("a soak takes as long as %s says, and it says nothing: see docs/soak.md", soakVariable)
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", soakVariable, err)
	}
	c := newCluster(t, shortLog, func(cfg *localcluster.Config) {
		cfg.Proxied = true
		// Caches that are full before anything is judged: else they look like a leak.
		cfg.Settings += "\nstore { cache_bytes: 8MB, merged_bytes: 8MB }"
	})
	c.start()
	c.fill("standing", standingDocuments, 20_000)
	s := &soaking{strike: strike{cluster: c}, load: startSoakLoad(c), faults: soakFaults(), random: soakRandom(t), began: time.Now()}
	s.w = s.load.traffic
	s.sampler = startSampler(c, soakOut(t), s.w.acked.Load)
	s.w.awaitAcked(100)
	s.broken(length)
	s.load.stop()
	s.sampler.stop()
	c.ready()
	c.verified("--deep")
	s.load.retire()
	s.load.inventory()
	c.compareStores()
	t.Logf("%v, %d strikes: %s; %s; %d documents retired, %d churned", time.Since(s.began).Round(time.Second), s.strikes, s.w.summary(),
		s.load.verdict, s.load.retired, s.load.churned.Load())
	judgeTrends(t, s.sampler.samples, c.Hosts)
}

func soakRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("%s=%d picks the same faults again", seedVariable, seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func soakOut(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(outVariable); path != "" {
		return path
	}
	return filepath.Join(t.ArtifactDir(), "soak.jsonl")
}

// A soaking is a cluster that is broken again and again.
type soaking struct {
	strike
	load    *soakLoad
	sampler *sampler
	faults  map[string]fault
	random  *rand.Rand
	began   time.Time
	strikes int
}

// broken breaks the cluster for so long.
func (s *soaking) broken(length time.Duration) {
	for time.Since(s.began) < length {
		next := time.Now().Add(strikeEvery)
		picks := lastingFaults()
		if time.Since(s.began) < length/2 {
			picks = append(picks, endingFaults()...)
		}
		s.hit(s.faults[s.pick(picks)])
		wait(time.Until(next))
	}
}

func (s *soaking) pick(of []pick) string {
	var all []string
	for _, p := range of {
		all = append(all, slices.Repeat([]string{p.fault}, p.weight)...)
	}
	return all[s.random.IntN(len(all))]
}

// hit has a fault strike once, waits until the cluster is whole, and judges what is
// over. What no fault excuses is an error.
func (s *soaking) hit(f fault) {
	s.t.Helper()
	s.strikes++
	s.n = s.random.IntN(1000)
	before, at := s.load.settled(), time.Now()
	s.sampler.fault.Store(&f.name)
	f.strike(&s.strike)
	struck := time.Since(at)
	s.ready()
	for _, h := range s.Hosts {
		s.healed(h)
	}
	s.w.awaitAcked(100)
	s.sampler.fault.Store(nil)
	failed := s.load.settled() - before
	if failed > 0 && !f.outage {
		s.t.Errorf("%s: %d errors at clients:\n%v", f.name, failed, s.w.faultsAfter(before))
	}
	whole := time.Since(at)
	s.load.retire()
	s.t.Logf("%v: %s for %v, whole after %v, %d errors at clients; until now %s; %s", at.Sub(s.began).Round(time.Second), f.name,
		struck.Round(time.Second), whole.Round(time.Second), failed, s.w.summary(), s.load.verdict)
}

// faultsAfter are errors that clients have met after so many others, a few of them.
func (w *traffic) faultsAfter(n int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	errs := w.errors[n:]
	return errors.Join(errs[:min(5, len(errs))]...)
}

// judgeTrends fails the test for a host that uses more and more of anything, or of which
// this cannot be told.
func judgeTrends(t *testing.T, samples []soak.Sample, hosts []*localcluster.Host) {
	t.Helper()
	trends := soak.Judge(samples)
	if want := len(hosts) * len(soak.All()); len(trends) != want {
		t.Errorf("%d trends of %d hosts, want %d", len(trends), len(hosts), want)
	}
	for i := range trends {
		if trends[i].Verdict == soak.Flat {
			t.Log(&trends[i])
		} else {
			t.Error(&trends[i])
		}
	}
	t.Log(fmt.Sprint(len(samples), " samples"))
}
