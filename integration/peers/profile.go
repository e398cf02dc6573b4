package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// profile takes a processor profile of every server for as long as the window. It
// asks where Go's profiles are: NATS servers, Trireme's hosts among them, open an
// address for it when their configuration has prof_port.
func (c *cluster) profile(ctx context.Context, dir, name string, clients int, w window) error {
	if err := until(ctx, w.from); err != nil {
		return err
	}
	errs := make([]error, len(c.pprof))
	var all sync.WaitGroup
	for i, address := range c.pprof {
		file := fmt.Sprintf("%s-%d-%s.pprof", strings.NewReplacer("/", "-", " ", "-").Replace(name), clients, c.processes[i].name)
		url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", address, max(1, int(w.to.Sub(w.from)/time.Second)))
		all.Go(func() { errs[i] = fetch(ctx, url, filepath.Join(dir, file)) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func fetch(ctx context.Context, url, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, reply.Status)
	}
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return fmt.Errorf("read %s: %w", url, err)
	}
	return os.WriteFile(file, text, 0o600)
}
