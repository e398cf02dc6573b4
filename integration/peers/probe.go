package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// probeSync tells how long the disk takes at present to sync a few hundred bytes:
// the middle of many tries. It tells a busy disk from a slow server.
func probeSync(dir string) (time.Duration, error) {
	const tries, size = 21, 400
	f, err := os.CreateTemp(dir, "probe-")
	if err != nil {
		return 0, fmt.Errorf("probe the disk: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	for range tries {
		began := time.Now()
		if _, err := f.Write(make([]byte, size)); err != nil {
			return 0, fmt.Errorf("probe the disk: %w", err)
		}
		if err := f.Sync(); err != nil {
			return 0, fmt.Errorf("probe the disk %s: %w", filepath.Dir(f.Name()), err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[tries/2], nil
}
