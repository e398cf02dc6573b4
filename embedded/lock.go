package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockFile is held by flock, so the kernel frees it however a process ends.
const lockFile = "lock"

type lock struct{ file *os.File }

// lockDir makes the directory and takes it for this server. The file names the holder
// for people; only the kernel's lock counts.
func lockDir(dir string) (*lock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make data directory: %w; choose another one or correct its rights", err)
	}
	path := filepath.Join(dir, lockFile)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("write to data directory: %w; choose another one or correct its rights", err)
	}
	if err := flock(file, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
		}
		return nil, fmt.Errorf("%w: %s is held by %s; end that process or choose another directory", ErrLocked, dir, holder(file))
	}
	l := &lock{file}
	if err := l.sign(); err != nil {
		return nil, errors.Join(fmt.Errorf("write to data directory: %w", err), l.release())
	}
	return l, nil
}

// flock retries what a signal interrupts.
func flock(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (l *lock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(l.file, "process %d\n", os.Getpid())
	return err
}

func holder(file *os.File) string {
	text := make([]byte, 64)
	n, _ := file.ReadAt(text, 0) // an unreadable signature only costs the name
	if who := strings.TrimSpace(string(text[:n])); who != "" {
		return who
	}
	return "another process"
}

// release frees the directory. The file stays: removing it would let two processes
// each lock a file of that name.
func (l *lock) release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("unlock data directory: %w", err)
	}
	return nil
}
