package layoutfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"trireme/internal/layout"
)

// Save writes a layout so that the file holds either what it held before or all of
// the new one, also after a loss of power.
func Save(path string, l layout.Layout) error {
	if err := WriteFile(path, Format(l), 0o600); err != nil {
		return fmt.Errorf("save layout %d: %w", l.Version, err)
	}
	return nil
}

// Load reads what [Save] has written. The error is [ErrUnreachable], and
// [os.ErrNotExist] when there is no file, or [ErrInvalid].
func Load(path string) (layout.Layout, error) {
	text, err := readFile(path)
	if err != nil {
		return layout.Layout{}, err
	}
	return Parse(path, text)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer f.Close()
	return readAll(f)
}

// readAll reads one byte more than may be, for [Parse] to refuse.
func readAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return text, nil
}

// WriteFile writes a file under another name, makes it durable and renames it, so
// that nobody ever reads a part of it.
func WriteFile(path string, text []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
