package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"trireme/adapter"
	"trireme/internal/contract"
	"trireme/internal/localcluster"
	"trireme/repair"
)

// TestDrillDamagedTogether damages documents on several hosts at once. While one good
// copy of a document is left it is healed from that one, whatever becomes of others.
// When none is left it is refused, loudly, and all other documents serve on.
func TestDrillDamagedTogether(t *testing.T) {
	beside(t)
	each := 4 // documents of a kind
	if long() {
		each = 200
	}
	c := runningCluster(t, func(cfg *localcluster.Config) { cfg.Settings = smallMachine + "\nrepair { interval: 1s }" })
	const space, size = "fill", 4000
	documents := 6 * each
	c.fill(space, documents, size)
	h1, h2, h3 := c.Hosts[0], c.Hosts[1], c.Hosts[2]
	kind := func(n int) (list []contract.Key) {
		for i := range each {
			list = append(list, contract.Key{Space: space, Key: itoa(n*each + i + 1)})
		}
		return list
	}
	apart1, apart2, both, all := kind(0), kind(1), kind(2), kind(3)

	c.rotten(map[*localcluster.Host][][]contract.Key{h1: {apart1, both}, h2: {apart2, both}})
	w := startTraffic(c, quiet())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan error, 1)
	go func() { told <- c.readHere(ctx, space, documents) }()
	code, said := c.trireme("scrub")
	t.Logf("trireme scrub ends with %d:\n%s", code, said)
	for h, want := range map[*localcluster.Host]uint64{h1: uint64(2 * each), h2: uint64(2 * each), h3: 0} {
		is := c.healed(h)
		got := is.Counters.Pulled[string(repair.ForCorruption)] + is.Counters.Pulled[string(repair.ForRead)]
		if got != want || is.Damaged != 0 || is.Counters.Undecided != 0 {
			t.Errorf("%s has replaced %d damaged documents, want %d; %+v", h.Name, got, want, is.Counters)
		}
	}
	c.verified("--deep")
	cancel()
	if err := <-told; err != nil {
		t.Error(err)
	}
	w.stop()
	w.noErrors()
	t.Logf("damaged on two of three hosts: %s; %s", w.summary(), w.judge(c))

	lost := all[:1]
	c.rotten(map[*localcluster.Host][][]contract.Key{h1: {lost}, h2: {lost}, h3: {lost}})
	w = startTraffic(c, again("meanwhile"))
	c.refusedAsDamaged(lost[0], c.Hosts...)
	for _, h := range c.Hosts {
		ctx, cancel := c.bounded()
		c.must(c.AwaitStatus(ctx, h, "the condition of documents that cannot be decided", func(s localcluster.Status) error {
			is, ok := s.Condition("documents-undecided")
			if !ok || is.Severity != "critical" || !strings.HasPrefix(is.Text, "1 document ") {
				return fmt.Errorf("it has %+v", s.Conditions)
			}
			return nil
		}))
		cancel()
	}
	c.othersServe(space, documents, lost)
	evidence := filepath.Join(t.ArtifactDir(), "fail.json")
	code, said = c.trireme("verify", "--wait", "1s", "--evidence", evidence)
	text, err := os.ReadFile(evidence)
	c.must(err)
	var is struct {
		Verdict string
		Damaged []struct {
			Host      string
			Documents int
		}
	}
	c.must(json.Unmarshal(text, &is))
	if code != verifyFail || is.Verdict != "FAIL" || len(is.Damaged) != len(c.Hosts) || is.Damaged[0].Documents != len(lost) {
		t.Errorf("verify ends with %d, want %d and %d damaged documents of %d hosts: %+v\n%s", code, verifyFail, len(lost), len(c.Hosts), is, said)
	}
	w.awaitAcked(20)
	w.stop()
	w.noErrors()
	t.Logf("no good copy left of %d documents: %s; %s", len(lost), w.summary(), w.judge(c))
}

// rotten ends all hosts, which have come as far as one another, damages documents of some,
// and starts all again.
func (c *cluster) rotten(of map[*localcluster.Host][][]contract.Key) {
	c.t.Helper()
	c.verified()
	for _, h := range c.Hosts {
		c.stopHost(h)
	}
	for h, kinds := range of {
		c.rows(h, func(db *pebble.DB) error {
			for _, list := range kinds {
				for _, k := range list {
					if err := rot(db, k); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	c.start()
}

// refusedAsDamaged wants hosts to say of a document that it is damaged.
func (c *cluster) refusedAsDamaged(k contract.Key, hosts ...*localcluster.Host) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	for _, h := range hosts {
		client := newAdapter(c.t, c.straight(h))
		began := time.Now()
		_, err := client.Get(ctx, k.Space, k.Key)
		_, local := client.Get(ctx, k.Space, k.Key, adapter.Local())
		for what, err := range map[string]error{"get": err, "local get": local} {
			if !errors.Is(err, adapter.ErrDamaged) {
				c.t.Errorf("%s of %v at %s: %v, want code %d", what, k, h.Name, err, contract.Damaged)
			}
		}
		c.t.Logf("%v at %s after %v: %v", k, h.Name, time.Since(began).Round(time.Millisecond), err)
	}
}

// othersServe reads all documents that fill has made, but those that are lost, and
// changes one of them.
func (c *cluster) othersServe(space string, documents int, lost []contract.Key) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	gone := map[string]bool{}
	for _, k := range lost {
		gone[k.Key] = true
	}
	client := newAdapter(c.t, c.connect())
	for n := 1; n <= documents; n++ {
		if gone[itoa(n)] {
			continue
		}
		if d, err := client.Get(ctx, space, itoa(n)); err != nil || d.Patch != filled(4000, n) {
			c.t.Errorf("document %d: %.100q, %v", n, d.Patch, err)
		}
	}
	c.must(client.Patch(ctx, space, itoa(documents), []adapter.Update{change(docInput{seq: 2, id: "p"})}))
}
