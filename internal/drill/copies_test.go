package drill

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"trireme/adapter"
	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/localcluster"
	"trireme/repair"
)

// TestDrillFaultyCopies gives a host copies that are wrong in every way there is, while it
// is down: changes that were skipped, documents that were never made, updates in
// another order, rows that are gone. A round finds what its digests tell, a scrub what
// they hide, each by its verdict, and all are healed.
func TestDrillFaultyCopies(t *testing.T) {
	beside(t)
	each := 3 // documents of a fault
	if long() {
		each = 50
	}
	c := runningCluster(t, func(cfg *localcluster.Config) { cfg.Settings = smallMachine + "\nrepair { interval: 1s }" })
	kinds := map[string][]contract.Key{}
	var all []contract.Key
	for _, fault := range []string{"skipped", "never made", "swapped", "torn", "erased"} {
		for i := range each {
			kinds[fault] = append(kinds[fault], contract.Key{Space: "faults", Key: fmt.Sprintf("%s %d", fault, i)})
		}
		all = append(all, kinds[fault]...)
	}
	h := c.Hosts[2]
	ctx, cancel := c.bounded()
	defer cancel()
	client := newAdapter(t, c.connect())
	for _, k := range all {
		c.must(client.Initialize(ctx, k.Space, k.Key, first()))
	}
	c.must(c.AwaitCaughtUp(ctx))
	c.stopHost(h)
	old := map[contract.Key]*buckets.Image{}
	c.harming(h, func(x *harm) {
		for _, k := range append(kinds["skipped"], kinds["swapped"]...) {
			old[k] = x.image(k)
		}
	})
	c.start()
	one, two := change(docInput{seq: 2, id: "one"}), change(docInput{seq: 3, id: "two"})
	for _, k := range all {
		c.must(client.Patch(ctx, k.Space, k.Key, []adapter.Update{one, two}))
	}
	c.must(c.AwaitCaughtUp(ctx))
	c.stopHost(h)
	c.harming(h, func(x *harm) {
		for _, k := range kinds["skipped"] {
			x.replace(old[k])
		}
		for _, k := range kinds["swapped"] {
			x.replace(x.swapped(old[k], one, two))
		}
		for _, k := range kinds["never made"] {
			x.lose(k)
		}
	})
	c.rows(h, func(db *pebble.DB) error {
		for fault, harm := range map[string]func(*pebble.DB, contract.Key) error{"torn": tear, "erased": erase} {
			for _, k := range kinds[fault] {
				if err := harm(db, k); err != nil {
					return err
				}
			}
		}
		return nil
	})

	w := startTraffic(c, quiet())
	c.start()
	n := uint64(each)
	c.awaitPulled(h, map[repair.Reason]uint64{repair.ForMissing: 2 * n, repair.ForDivergence: n})
	result := c.scrub(h)
	t.Logf("the scrub found %d of %d documents damaged and mended %d digests", result.Damaged, result.Documents, result.Mended)
	// What was erased is found by the scrub as a digest that says too much, and then by a
	// round; a torn document is corrupt.
	c.awaitPulled(h, map[repair.Reason]uint64{repair.ForMissing: 3 * n, repair.ForDivergence: n, repair.ForCorruption: n})
	c.healed(h)
	c.verified("--deep")
	verdicts := c.verdictMetrics(h)
	t.Logf("verdicts as metrics: %v", verdicts)
	for verdict, least := range map[string]uint64{"missing": 3 * n, "divergence": n, "corruption": n} {
		if got := verdicts[verdict]; got < least {
			t.Errorf("the metrics tell of %d documents %s, want at least %d", got, verdict, least)
		}
	}
	here := newAdapter(t, c.straight(h))
	for _, k := range all {
		d, err := here.Get(ctx, k.Space, k.Key, adapter.Local())
		if err != nil || d.Seq != 3 || d.Patch != `{"last":"two"}` {
			t.Errorf("%v at %s: %d %s, %v", k, h.Name, d.Seq, d.Patch, err)
		}
	}
	w.stop()
	w.noErrors()
	v := w.judge(c)
	c.compareStores()
	t.Logf("%s; %s", w.summary(), v)
}

// awaitPulled waits until a host has replaced exactly so many documents for each reason.
func (c *cluster) awaitPulled(h *localcluster.Host, want map[repair.Reason]uint64) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	operator := c.operator()
	c.must(c.soon(ctx, "the repair of "+h.Name, func(ctx context.Context) error {
		st, err := operator.Status(ctx, h.Name)
		if err != nil || st.Repair == nil {
			return fmt.Errorf("no repair yet: %w", err)
		}
		for reason, n := range want {
			if got := st.Repair.Counters.Pulled[string(reason)]; got != n {
				return fmt.Errorf("%d documents pulled for %s, want %d; all: %v, verdicts %v", got, reason, n, st.Repair.Counters.Pulled, st.Repair.Counters.Verdicts)
			}
		}
		return nil
	}))
}

var verdictMetric = regexp.MustCompile(`(?m)^trireme_repair_verdicts_total\{verdict="([a-z]+)"\} (\d+)$`)

// verdictMetrics are the counts that a host tells over HTTP.
func (c *cluster) verdictMetrics(h *localcluster.Host) map[string]uint64 {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	code, body, err := h.Get(ctx, "/metrics")
	if err != nil || code != 200 {
		c.t.Fatalf("/metrics of %s: %d, %v", h.Name, code, err)
	}
	told := map[string]uint64{}
	for _, m := range verdictMetric.FindAllSubmatch(body, -1) {
		if told[string(m[1])], err = strconv.ParseUint(string(m[2]), 10, 64); err != nil {
			c.t.Fatal(err)
		}
	}
	return told
}
