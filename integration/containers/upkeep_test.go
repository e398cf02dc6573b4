package containers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"trireme/adapter"
)

// TestUpkeep does to a cluster what its operators do, and asks it as load balancers do.
func TestUpkeep(t *testing.T) {
	playAll(t, []scenario{
		{name: "rolling restart to a new image", play: rollingUpgrade},
		{name: "wiped volume", play: wipeVolume},
		{name: "layout change from outside", play: changeLayout},
		{name: "a client by way of a load balancer", play: balancedClient},
	})
}

// rollingUpgrade puts a new image in the place of one host after another, as
// docs/containers.md tells it.
func rollingUpgrade(c *cluster, l *load) {
	next := c.engine.image(c.T, nextVersion)
	for _, h := range c.hosts {
		c.awaitWell()
		h.run("trireme", "drain", h.name, "--wait", "--timeout", "2m")
		if code := h.stop(); code != 0 {
			c.Errorf("%s ends with %d when it is stopped\n%s", h.name, code, h.log())
		}
		l.awaitProgress()
		h.replace(next)
		c.await(h.name+" in its new image", func(ctx context.Context) error {
			s, err := h.status(ctx)
			if err == nil && s.Version != nextVersion {
				err = fmt.Errorf("it runs version %q", s.Version)
			}
			return err
		})
	}
}

// wipeVolume takes a host's disk, when its logs do not reach back to their beginning any
// more. The host is held back, until it is known that all others are well; then it comes
// in empty and is filled from their stores.
func wipeVolume(c *cluster, l *load) {
	const fillers = 400
	c.fill(l.space, fillers, 64<<10)
	c.await("logs that have lost their beginning", func(ctx context.Context) error {
		s, err := c.hosts[0].status(ctx)
		for _, stripe := range s.Stripes {
			if err == nil && stripe.LogFirst <= 1 {
				err = fmt.Errorf("the log of %s begins at %d", stripe.Name, stripe.LogFirst)
			}
		}
		return err
	})
	lost := c.awaitOwner(probed)
	before, err := lost.status(c.Context())
	lost.must("ask", err)
	lost.kill()
	l.awaitProgress()
	lost.newVolume()
	began := time.Now()
	lost.replace(lost.image)
	c.awaitWell()
	after, err := lost.status(c.Context())
	lost.must("ask", err)
	if after.DiskID == "" || after.DiskID == before.DiskID {
		c.Errorf("%s has disk %q after its volume was replaced, and had %q before", lost.name, after.DiskID, before.DiskID)
	}
	if said := wholeLog(lost.container); !strings.Contains(said, "comes in empty") {
		c.Errorf("%s took part before it knew that the others were well:\n%s", lost.name, said)
	}
	pulled := lost.pulled()
	if pulled < fillers/2 { // the tail of the log has some
		c.Errorf("%s has pulled %d documents, and most of %d must have come that way", lost.name, pulled, fillers)
	}
	suite.tell(fmt.Sprintf("a wiped host, from its start until nothing was wrong: %.1f s, %d documents pulled", time.Since(began).Seconds(), pulled))
}

// fill makes documents of so many bytes each, which do not change any more.
func (c *cluster) fill(space string, documents, bytes int) {
	c.Helper()
	client, err := adapter.NewClient(c.connect(0))
	if err != nil {
		c.Fatal(err)
	}
	for n := range documents {
		d := newLedger(space, fmt.Sprintf("filler-%d", n))
		id, u := d.id(1), d.update(1)
		u.Redo = fmt.Sprintf(`{"text":%q}`, incompressible(n, bytes))
		if err := client.Initialize(c.Context(), d.space, d.key, u, adapter.WithRequestID(id)); err != nil {
			c.Fatal(err)
		}
		d.success(id, 1)
		c.past = append(c.past, d)
	}
}

// incompressible is a text that a log and a store keep as long as it is.
func incompressible(seed, bytes int) string {
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	text := make([]byte, bytes)
	for i := range text {
		text[i] = 'a' + byte(random.IntN(26))
	}
	return string(text)
}

var pulledToHeal = regexp.MustCompile(`(?m)^trireme_repair_documents_pulled_total\{[^}]*reason="heal"[^}]*\} (\d+)$`)

// pulled is how many documents the host has fetched from others to be whole again.
func (h *host) pulled() int {
	h.Helper()
	_, body, err := h.get(h.Context(), "/metrics")
	h.must("read the metrics of", err)
	found := pulledToHeal.FindSubmatch(body)
	if found == nil {
		h.Fatalf("%s has no metric like %s", h.name, pulledToHeal)
	}
	n, err := strconv.Atoi(string(found[1]))
	h.must("read the metrics of", err)
	return n
}

// changeLayout puts files into running containers: one that breaks off, then a whole one,
// which splits a partition and has another host own its stripe.
func changeLayout(c *cluster, l *load) {
	first := c.awaitOwner(probed)
	newer := regexp.MustCompile(`(?m)^(version|end): 1$`).ReplaceAllString(c.layout, "$1: 2")
	newer = replaceOnce(c, newer, "hosts: [h1, h2, h3]", "hosts: [h2, h1, h3]")
	newer = replaceOnce(c, newer, `{ id: 0, buckets: "0-255", stripe: s1 }`, "{ id: 0, buckets: \"0-127\", stripe: s1 }\n  { id: 64, buckets: \"128-255\", stripe: s1 }")

	half := newer[:len(newer)/2]
	first.copyLayout(half)
	first.run("trireme", "signal", "reload")
	c.await("word of a broken layout", func(ctx context.Context) error { return first.tellsOf(ctx, "layout-invalid") })
	l.awaitProgress()

	c.layout = newer // of containers to come, too
	for _, h := range c.hosts {
		h.copyLayout(newer)
	}
	first.run("trireme", "signal", "reload") // the others look by themselves
	c.await("the new layout at every host", func(ctx context.Context) error {
		var errs []error
		for _, h := range c.hosts {
			s, err := h.status(ctx)
			if err == nil && s.Layout != 2 {
				err = fmt.Errorf("%s runs layout %d", h.name, s.Layout)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
	for _, partition := range []string{probed, "64"} { // h2 is the preferred one now
		c.awaitOwner(partition, c.host("h1"), c.host("h3"))
	}
	l.awaitProgress()
}

func replaceOnce(c *cluster, text, old, with string) string {
	c.Helper()
	if strings.Count(text, old) != 1 {
		c.Fatalf("the layout has %q %d times, want once", old, strings.Count(text, old))
	}
	return strings.Replace(text, old, with, 1)
}

// copyLayout writes the layout's file in the container, as `docker cp` does.
func (h *host) copyLayout(text string) {
	h.Helper()
	h.must("copy a layout to", h.container.CopyToContainer(h.Context(), []byte(text), layoutPath, 0o644))
}
