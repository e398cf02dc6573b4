package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	modeFile   = "jetstream-mode"
	storeDir   = "jetstream" // the NATS server's own name
	standalone = "standalone"
)

// mode is how the streams of a directory are kept. A server in a cluster deletes those
// that the cluster does not know, which are all of another mode.
func (c config) mode() string {
	if c.Cluster == nil {
		return standalone
	}
	return "cluster " + c.Cluster.Name
}

// settleMode returns nil if the directory's streams are of this mode. Without streams
// the directory becomes of this mode, on disk BEFORE the server makes the first one.
func settleMode(dir, mode string) error {
	switch _, err := os.Lstat(filepath.Join(dir, storeDir)); {
	case errors.Is(err, fs.ErrNotExist):
		return writeMode(dir, mode)
	case err != nil:
		return fmt.Errorf("look for streams: %w", err)
	}
	was := standalone // of directories from before there was the file
	text, err := os.ReadFile(filepath.Join(dir, modeFile))
	switch {
	case err == nil:
		was = strings.TrimSpace(string(text))
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read mode of the streams: %w", err)
	}
	if was != mode {
		return fmt.Errorf("%w: the streams in %s are those of %q, and the server is to run as %q, which would delete them; "+
			"run it as before, choose another directory, or set %s aside to begin without these streams",
			ErrMode, dir, was, mode, filepath.Join(dir, storeDir))
	}
	return nil
}

// writeMode replaces the file as a whole, synced.
func writeMode(dir, mode string) error {
	path := filepath.Join(dir, modeFile)
	err := func() error {
		if err := writeSynced(path+".new", mode+"\n"); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
		return syncDir(dir)
	}()
	if err != nil {
		return fmt.Errorf("write to data directory: %w", err)
	}
	return nil
}

func writeSynced(path, text string) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.WriteString(text); err != nil {
		return err
	}
	return file.Sync()
}

func syncDir(dir string) (err error) {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return d.Sync()
}
