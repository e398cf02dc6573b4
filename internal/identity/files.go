package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What a data directory holds.
const (
	idFile    = "id"
	seenFile  = "seen"
	orderFile = "readmit"
	planFile  = "aside"
	logDir    = "jetstream"
	storeDir  = "store"
	modeFile  = "jetstream-mode"
)

// files changes a data directory, step by step. Every step is on disk before the
// next one begins.
type files struct {
	dir  string
	step func() error // asked before each step; tests end it there
}

func (f *files) path(name string) string { return filepath.Join(f.dir, name) }

func (f *files) next() error {
	if f.step == nil {
		return nil
	}
	return f.step()
}

// read returns nil for a file that is not there.
func (f *files) read(name string) ([]byte, error) {
	text, err := os.ReadFile(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// write replaces a file: afterwards, and after a crash at any time, it is the old
// one or the new one, in whole.
func (f *files) write(name string, text []byte) error {
	if err := f.next(); err != nil {
		return err
	}
	temp := f.path(name + ".new")
	if err := writeSynced(temp, text); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := f.next(); err != nil {
		return err
	}
	if err := os.Rename(temp, f.path(name)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.path(name)))
}

func writeSynced(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// mkdir makes a directory, which may be there.
func (f *files) mkdir(name string) error {
	if err := f.next(); err != nil {
		return err
	}
	if err := os.MkdirAll(f.path(name), 0o700); err != nil {
		return err
	}
	return syncDir(f.dir)
}

// rename moves a file or directory to another directory of this one.
func (f *files) rename(from, to string) error {
	if err := f.next(); err != nil {
		return err
	}
	if err := os.Rename(f.path(from), f.path(to)); err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(f.path(to))), syncDir(f.dir))
}

// remove removes a file, which may be gone.
func (f *files) remove(name string) error {
	if err := f.next(); err != nil {
		return err
	}
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(f.dir)
}

func (f *files) exists(name string) (bool, error) {
	_, err := os.Lstat(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// filled tells whether a directory is there and holds anything.
func (f *files) filled(name string) (bool, error) {
	entries, err := os.ReadDir(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}

// clustered tells whether a directory was ever that of a host of a cluster, as far as
// can be told without its id.
func (f *files) clustered() (bool, error) {
	mode, err := f.read(modeFile)
	if err != nil || len(mode) > 0 && !strings.HasPrefix(string(mode), "standalone") {
		return err == nil, err
	}
	return f.exists(seenFile)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
