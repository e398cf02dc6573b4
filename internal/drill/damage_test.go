package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"trireme/adapter"
	"trireme/internal/localcluster"
	"trireme/ops"
	"trireme/repair"
)

// TestDrillDamage flips bits in the documents of running hosts, one host at a time, while
// clients read there and write. No client may be told anything but the truth, and in the
// end all copies must be whole and equal.
func TestDrillDamage(t *testing.T) {
	beside(t)
	documents, rounds, flips := 300, 3, 4
	if long() {
		documents, rounds, flips = 4000, 6, 170
	}
	c := runningCluster(t, func(cfg *localcluster.Config) {
		cfg.Settings = smallMachine + "\nrepair { interval: 1s }\nstore { cache_bytes: 1MB, merged_bytes: -1 }"
	})
	c.fill("fill", documents, 4000)
	for _, h := range c.Hosts { // so that the documents are in files
		c.stopHost(h)
		c.start()
	}
	w := startTraffic(c, quiet())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan error, 1)
	go func() { told <- c.readHere(ctx, "fill", documents) }()
	var found repair.Counters
	for round := range rounds {
		h := c.Hosts[round%len(c.Hosts)]
		for range flips {
			c.must(flipBit(filepath.Join(h.Data, "store")))
		}
		result := c.scrub(h)
		t.Logf("round %d: %d bits of %s flipped; the scrub found %d of %d documents damaged and mended %d digests",
			round+1, flips, h.Name, result.Damaged, result.Documents, result.Mended)
		found = c.healed(h).Counters
		t.Logf("%s so far: verdicts %v, pulled %v, undecided %d", h.Name, found.Verdicts, found.Pulled, found.Undecided)
		w.awaitAcked(20)
	}
	for _, h := range c.Hosts { // what one scrub has met while it healed, another one sees whole
		if result := c.scrub(h); result.Damaged > 0 {
			t.Logf("%s still had %d damaged documents", h.Name, result.Damaged)
		}
		c.healed(h)
	}
	cancel()
	if err := <-told; err != nil {
		t.Error(err)
	}
	w.stop()
	w.noErrors()
	c.verified("--deep")
	v := w.judge(c)
	c.compareStores()
	t.Logf("%s; %s", w.summary(), v)
}

// readHere reads documents of the replicas of all hosts until ctx ends, and fails when
// one is not what fill has written. A replica may say that it cannot answer.
func (c *cluster) readHere(ctx context.Context, space string, documents int) error {
	clients := make([]*adapter.Client, 0, len(c.Hosts))
	for _, h := range c.Hosts {
		clients = append(clients, newAdapter(c.t, c.straight(h)))
	}
	for ctx.Err() == nil {
		n := rand.IntN(documents) + 1
		i := rand.IntN(len(clients))
		d, err := clients[i].Get(ctx, space, itoa(n), adapter.Local())
		switch {
		case err == nil && d.Patch != filled(4000, n):
			return fmt.Errorf("%s says that document %d is %.100q", c.Hosts[i].Name, n, d.Patch)
		case errors.Is(err, adapter.ErrNotFound):
			return fmt.Errorf("%s says that there is no document %d: %w", c.Hosts[i].Name, n, err)
		}
	}
	return nil
}

// flipBit flips one bit of one of the files in which a store keeps its rows.
func flipBit(dir string) error {
	var files []string
	var sizes []int64
	var all int64
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".sst" {
			return ignoreGone(err)
		}
		info, err := e.Info()
		if err != nil {
			return ignoreGone(err)
		}
		files, sizes, all = append(files, path), append(sizes, info.Size()), all+info.Size()
		return nil
	})
	if err != nil {
		return err
	}
	if all == 0 {
		return fmt.Errorf("there are no files of rows in %s", dir)
	}
	at := rand.Int64N(all)
	for i, path := range files {
		if at < sizes[i] {
			return ignoreGone(flipAt(path, at))
		}
		at -= sizes[i]
	}
	return nil
}

// ignoreGone is for files that the host removes meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func flipAt(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	if _, err = f.ReadAt(b, at); err == nil {
		b[0] ^= 1 << rand.IntN(8)
		_, err = f.WriteAt(b, at)
	}
	return errors.Join(err, f.Close())
}

// scrub has a host re-read its whole store, and waits for the end of that.
func (c *cluster) scrub(h *localcluster.Host) (result repair.ScrubResult) {
	c.t.Helper()
	limit := patience
	if long() {
		limit = 30 * time.Minute // hundreds of documents are fetched meanwhile, one by one
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	operator := ops.Client{Conn: c.connect(h.Name)}
	job, err := operator.BeginScrub(ctx, h.Name, repair.Scope{})
	c.must(err)
	c.must(c.soon(ctx, "the scrub of "+h.Name, func(ctx context.Context) error {
		now, err := operator.Job(ctx, h.Name, job.ID)
		if err != nil {
			return err
		}
		if job = now; job.Ended == nil {
			return fmt.Errorf("it is at %s", job.Progress)
		}
		return nil
	}))
	if job.Error != nil {
		c.t.Fatalf("scrub of %s: %v", h.Name, job.Error)
	}
	c.must(json.Unmarshal(job.Result, &result))
	return result
}
