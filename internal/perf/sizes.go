package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
)

// replay fills a log with entries, throws the store away, and measures how fast
// the host makes it anew from the log.
func replay(ctx context.Context, s settings) error {
	dir := filepath.Join(s.dir, "replay")
	p, err := startWith(ctx, s, dir, "log { max_bytes: 4GB, keep_bytes: 2GB }")
	if err != nil {
		return err
	}
	// Batches of 20 updates, so that filling takes less time than replaying.
	if err := fill(p, 10_000, s.entries/10_000, 20); err != nil {
		return errors.Join(err, p.stop())
	}
	if err := p.stop(); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, "store")); err != nil {
		return err
	}
	began := time.Now()
	if p, err = startWith(ctx, s, dir, "log { max_bytes: 4GB, keep_bytes: 2GB }"); err != nil {
		return err
	}
	took := time.Since(began)
	fmt.Printf("Replay into an empty store: %d entries of %d bytes in %v, start of the program included: %.0f entries/s\n\n",
		s.entries, payloadBytes, took.Round(time.Millisecond), float64(s.entries)/took.Seconds())
	return p.stop()
}

func startWith(ctx context.Context, s settings, dir, text string) (*process, error) {
	path := dir + ".conf"
	natsAddress, err := freeAddress()
	if err != nil {
		return nil, err
	}
	httpAddress, err := freeAddress()
	if err != nil {
		return nil, err
	}
	text += fmt.Sprintf("\ndata: %q\nlisten: %q\nhttp: %q\n", dir, natsAddress, httpAddress)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return startConfig(ctx, s.program, path, natsAddress, httpAddress)
}

// size measures a store of documents with 20 entries each.
func size(ctx context.Context, s settings) error {
	const entries = 20
	dir := filepath.Join(s.dir, "size")
	p, err := startHost(ctx, s.program, dir)
	if err != nil {
		return err
	}
	if err := fill(p, s.docs, entries, entries-1); err != nil {
		return errors.Join(err, p.stop())
	}
	busy, err := p.resident()
	if err != nil {
		return errors.Join(err, p.stop())
	}
	if err := p.stop(); err != nil {
		return err
	}
	store, log := diskUse(filepath.Join(dir, "store")), diskUse(filepath.Join(dir, "jetstream"))
	began := time.Now()
	if p, err = startHost(ctx, s.program, dir); err != nil {
		return err
	}
	took := time.Since(began)
	fresh, err := p.resident()
	if err != nil {
		return errors.Join(err, p.stop())
	}
	fmt.Printf("| documents | entries each | bytes of texts | store on disk | log on disk | resident after the load | resident after a restart | restart until ready |\n|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	fmt.Printf("| %d | %d | %s | %s | %s | %s | %s | %v |\n\n", s.docs, entries, mb(int64(s.docs)*entries*payloadBytes), mb(store), mb(log), mb(busy), mb(fresh), took.Round(time.Millisecond))
	return p.stop()
}

func mb(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

func diskUse(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil // a file that goes away meanwhile counts for nothing
	})
	return total
}

// fill makes documents of so many entries, the first by initialize, the others
// in batches of at most a size.
func fill(p *process, docs, entries, batch int) error {
	const clients = 128
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, clients)
	for c := range clients {
		nc, err := nats.Connect(p.nats)
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer nc.Close()
			for errs[c] == nil {
				n := int(next.Add(1)) - 1
				if n >= docs {
					return
				}
				errs[c] = fillOne(nc, fmt.Sprintf("doc-%07d", n), entries, batch)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func fillOne(nc *nats.Conn, key string, entries, batch int) error {
	text := strings.Repeat("x", payloadBytes-40)
	entry := func(seq int) contract.Update {
		return contract.Update{
			SeqBegin: int32(seq), SeqEnd: int32(seq), UpdateType: contract.AddUserData,
			Redo: fmt.Sprintf(`{"n":%d,"t":"%s"}`, seq, text), Undo: fmt.Sprintf(`{"n":%d}`, seq-1),
		}
	}
	if err := ask(nc, contract.OpInitialize, contract.InitializeRequest{Space: "perf", Key: key, Patch: entry(1)}, key+"-1"); err != nil {
		return err
	}
	for seq := 2; seq <= entries; {
		var list []contract.Update
		for ; seq <= entries && len(list) < batch; seq++ {
			list = append(list, entry(seq))
		}
		if err := ask(nc, contract.OpPatch, contract.PatchRequest{Space: "perf", Key: key, Patches: list}, fmt.Sprintf("%s-%d", key, seq)); err != nil {
			return err
		}
	}
	return nil
}
