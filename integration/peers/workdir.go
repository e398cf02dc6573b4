package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// workDir makes an empty directory on a disk. In memory an fsync costs nothing, and
// nothing would be compared.
func (s *settings) workDir() (string, error) {
	for _, dir := range []string{s.dir, s.profiles} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp(s.dir, "trireme-peers-")
	if err != nil {
		return "", err
	}
	if inMemory(dir) {
		_ = os.Remove(dir) // it is empty
		return "", fmt.Errorf("%s is in memory: name a directory on a disk with --dir", filepath.Dir(dir))
	}
	return filepath.Abs(dir)
}
