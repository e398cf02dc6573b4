package drill

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trireme/internal/layout"
	"trireme/internal/localcluster"
	"trireme/internal/track"
)

// A fault is one way to break a cluster, and to mend it again.
type fault struct {
	name string
	what string // for people, in a sentence
	// outage: it takes the quorum, or a host from its clients, so requests may end in
	// errors. Nothing else is forgiven.
	outage bool
	short  bool // part of the default suite
	config func(*localcluster.Config)
	before func(*strike) // while nothing runs yet
	loaded func(*strike) // under load, once, before the first time
	// strike breaks the cluster and mends what a machine cannot mend by itself: it
	// starts processes, heals networks. What is left is up to the hosts.
	strike func(*strike)
}

// A strike is a fault that happens to a cluster under load, for the n-th time.
type strike struct {
	*cluster
	w      *traffic
	n      int
	builds []string                     // of the program, for a fault that changes between them
	source *source                      // of the layouts, for a fault that changes them
	given  layout.Layout                // by that source, at last
	aside  map[string]map[string][]byte // what files of hosts have been before, by host and path

	disks   map[*localcluster.Host]*faultDisk // of those that fail when told
	power   sync.Mutex                        // held while hosts are down on purpose
	over    bool                              // from here on they are stopped on purpose; guarded by power
	rebuilt int                               // logs, by an operator
	revived atomic.Int64                      // hosts that had ended by themselves
}

func catalogue() []fault {
	var all []fault
	for _, some := range [][]fault{processFaults(), networkFaults(), diskFaults(), fuseFaults(), fileFaults(), operatorFaults()} {
		all = append(all, some...)
	}
	return all
}

// TestDrillCatalogue has every fault strike a cluster under load, several times. In the
// end nothing that was acknowledged is lost or there twice, histories are linearizable, no
// deposed owner's records are in the logs, all copies are identical, and every stripe
// takes changes. What it has found is added to the record that TRIREME_TRACK names.
func TestDrillCatalogue(t *testing.T) {
	names := map[string]bool{}
	for _, f := range catalogue() {
		if names[f.name] {
			t.Errorf("two faults are called %q", f.name)
		}
		names[f.name] = true
		if !long() && !f.short {
			continue
		}
		t.Run(testName(f.name), func(t *testing.T) {
			beside(t)
			f.run(t)
		})
	}
}

// testName is what the test of a fault is called: names of tests have no spaces.
func testName(fault string) string { return strings.ReplaceAll(fault, " ", "-") }

// times is how often a fault strikes in one run at full length.
const times = 5

func (f *fault) run(t *testing.T) {
	r := track.Run{Fault: f.name, What: f.what, At: time.Now().UTC(), Version: version(), Outage: f.outage}
	heard := &hearing{TB: t}
	defer func() {
		if t.Skipped() {
			return
		}
		if t.Failed() {
			r.Failed = heard.first()
		}
		keep(t, r)
	}()
	c := newCluster(heard, func(cfg *localcluster.Config) {
		cfg.Proxied = true
		cfg.Settings = smallMachine + "\nrepair { interval: 2s }"
		if f.config != nil {
			f.config(cfg)
		}
	})
	x := &strike{cluster: c}
	if f.before != nil {
		f.before(x)
	}
	c.start()
	p := quiet()
	p.space = "drill"
	x.w = startTraffic(c, p)
	x.w.awaitAcked(100)
	if f.loaded != nil {
		f.loaded(x)
	}
	began := time.Now()
	for x.n = range rounds(1, times) {
		f.strike(x)
		r.Times++
		x.serveAgain()
		x.w.awaitAcked(100)
	}
	x.w.stop()
	longest, what := x.w.longest(began, time.Now())
	if !f.outage {
		x.w.noErrors()
	}
	c.verified("--deep")
	x.power.Lock()
	x.over = true
	x.power.Unlock()
	v := x.w.judge(c)
	c.tellLogs(t) // what a damaged log has lost of its beginning is in the stores
	c.compareStores()
	r.Rebuilt = x.rebuilt
	r.Acked, r.Errors, r.PauseMS = x.w.acked.Load(), x.w.failed.Load(), longest.Milliseconds()
	r.Lost, r.Doubled, r.Ghosts, r.Stale = v.lost, v.doubled, v.ghosts, v.stale
	t.Logf("%s, %d times: %s; %s; the longest request took %v: %s", f.name, r.Times, x.w.summary(), v, longest.Round(time.Millisecond), what)
}

// keep adds a run to the record that TRIREME_TRACK names.
func keep(t *testing.T, r track.Run) {
	t.Helper()
	if path := os.Getenv("TRIREME_TRACK"); path != "" {
		if err := track.Append(path, r); err != nil {
			t.Error(err)
		}
	}
}

// version is the commit that the program was built from.
var version = sync.OnceValue(func() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
})

// A hearing is a test that remembers what was said first of its failure.
type hearing struct {
	testing.TB

	mu   sync.Mutex
	said string
}

func (h *hearing) hear(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.said == "" {
		first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
		h.said = first
	}
}

func (h *hearing) first() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.said == "" {
		return "see the test's output"
	}
	return h.said
}

func (h *hearing) Error(args ...any) {
	h.Helper()
	h.hear(fmt.Sprintln(args...))
	h.TB.Error(args...)
}

func (h *hearing) Errorf(format string, args ...any) {
	h.Helper()
	h.hear(fmt.Sprintf(format, args...))
	h.TB.Errorf(format, args...)
}

func (h *hearing) Fatal(args ...any) {
	h.Helper()
	h.hear(fmt.Sprintln(args...))
	h.TB.Fatal(args...)
}

func (h *hearing) Fatalf(format string, args ...any) {
	h.Helper()
	h.hear(fmt.Sprintf(format, args...))
	h.TB.Fatalf(format, args...)
}

// victim is a host, another one each time.
func (x *strike) victim() *localcluster.Host { return x.Hosts[x.n%len(x.Hosts)] }

// owner is the host that owns some partition, another one each time.
func (x *strike) owner() *localcluster.Host {
	x.t.Helper()
	all := layoutOf(x.cluster).Partitions
	ctx, cancel := x.bounded()
	defer cancel()
	owner, err := x.AwaitOwner(ctx, all[(x.n*17)%len(all)].ID.String())
	x.must(err)
	return owner
}

// others are all hosts but these.
func (x *strike) others(but ...*localcluster.Host) (others []*localcluster.Host) {
	for _, h := range x.Hosts {
		found := false
		for _, b := range but {
			found = found || h == b
		}
		if !found {
			others = append(others, h)
		}
	}
	return others
}

// killAll ends hosts at one moment, as when their rack loses power.
func (x *strike) killAll(hosts ...*localcluster.Host) {
	x.t.Helper()
	var errs []error
	for _, h := range hosts {
		errs = append(errs, h.Freeze())
	}
	for _, h := range hosts {
		errs = append(errs, h.Kill())
	}
	x.must(errors.Join(errs...))
}

func (x *strike) startAll(hosts ...*localcluster.Host) {
	x.t.Helper()
	for _, h := range hosts {
		x.must(h.Start())
	}
}

// wipe leaves a host that is down nothing.
func (x *strike) wipe(h *localcluster.Host) {
	x.t.Helper()
	x.must(os.RemoveAll(h.Data))
}

// keep copies the disk of a host that is down.
func (x *strike) keep(h *localcluster.Host) (copied string) {
	x.t.Helper()
	copied = filepath.Join(x.Dir, h.Name+".kept")
	x.must(os.RemoveAll(copied))
	x.copy(h.Data, copied)
	return copied
}
