package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// A change is one of names, or of a file's size, that is not durable yet. They become
// durable in their order, so they are undone in the reverse order.
type change struct {
	on     []uint64     // inodes that it concerns
	undo   func() error // nil: there is nothing to do
	commit func() error // nil: there is nothing to do
	cuts   bool         // it makes on[0] shorter
}

// commit makes the first n changes durable.
func (d *disk) commit(n int) error {
	var errs []error
	for _, c := range d.journal[:n] {
		if c.commit != nil {
			errs = append(errs, c.commit())
		}
	}
	d.journal = slices.Delete(d.journal, 0, n)
	return errors.Join(errs...)
}

// commitOf makes all changes up to the last one that concerns an inode durable.
func (d *disk) commitOf(ino uint64) error {
	for i, c := range slices.Backward(d.journal) {
		if slices.Contains(c.on, ino) {
			return d.commit(i + 1)
		}
	}
	return nil
}

// inodeAt is the inode of a path.
func inodeAt(path string) (uint64, error) {
	var st syscall.Stat_t
	err := syscall.Lstat(path, &st)
	return st.Ino, err
}

// inodesAt are those of paths that exist.
func inodesAt(paths ...string) ([]uint64, error) {
	var all []uint64
	for _, p := range paths {
		ino, err := inodeAt(p)
		if err != nil {
			return nil, err
		}
		all = append(all, ino)
	}
	return all, nil
}

// made notes that a name was made.
func (d *disk) made(path string) error {
	on, err := inodesAt(path, filepath.Dir(path))
	if err != nil {
		return err
	}
	d.journal = append(d.journal, change{on: on, undo: func() error { return os.Remove(path) }})
	return nil
}

// make has a name made by f.
func (d *disk) make(path string, f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := f(); err != nil {
		return err
	}
	return d.made(path)
}

// create opens a file and makes it if there is none.
func (d *disk) create(path string, flags int, mode os.FileMode) (*os.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, before := os.Lstat(path)
	f, err := os.OpenFile(path, flags&^os.O_TRUNC|os.O_CREATE, mode)
	if err != nil {
		return nil, err
	}
	if errors.Is(before, os.ErrNotExist) {
		err = d.made(path)
	} else if flags&os.O_TRUNC != 0 {
		err = d.resize(f, 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// remove takes a name away: of a file, or of a directory that is empty.
func (d *disk) remove(path string, dir bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	on, err := inodesAt(path, filepath.Dir(path))
	if err != nil {
		return err
	}
	if dir {
		if left, err := os.ReadDir(path); err != nil || len(left) > 0 {
			return errors.Join(err, syscall.ENOTEMPTY)
		}
	}
	grave := d.grave()
	if err := syscall.Rename(path, grave); err != nil {
		return err
	}
	d.journal = append(d.journal, change{
		on:     on,
		undo:   func() error { return syscall.Rename(grave, path) },
		commit: func() error { return d.bury(grave) },
	})
	return nil
}

// bury removes what was removed for good. The content of a file without a name needs no
// care.
func (d *disk) bury(grave string) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(grave, &st); err != nil {
		return err
	}
	if st.Nlink == 1 {
		d.forget(st.Ino)
	}
	return os.Remove(grave)
}

// rename gives a file or directory another name, and takes that name from what has it.
func (d *disk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	on, err := inodesAt(from, filepath.Dir(from), filepath.Dir(to))
	if err != nil {
		return err
	}
	back := func() error { return syscall.Rename(to, from) }
	there, err := os.Lstat(to)
	if errors.Is(err, os.ErrNotExist) {
		if err := syscall.Rename(from, to); err != nil {
			return err
		}
		d.journal = append(d.journal, change{on: on, undo: back})
		return nil
	}
	if err != nil {
		return err
	}
	if here, err := os.Lstat(from); err != nil || os.SameFile(here, there) {
		return err // two names of one file: rename leaves both
	}
	grave := d.grave()
	// The old name must never be gone.
	replace := func() error { return errors.Join(os.Link(to, grave), syscall.Rename(from, to)) }
	if there.IsDir() {
		replace = func() error {
			if err := syscall.Rename(from, to); err != nil {
				return err
			}
			return os.Mkdir(grave, there.Mode().Perm()) // it was empty
		}
	}
	if err := replace(); err != nil {
		return err
	}
	if was, err := inodeAt(grave); err == nil {
		on = append(on, was)
	}
	d.journal = append(d.journal, change{
		on:     on,
		undo:   func() error { return errors.Join(back(), syscall.Rename(grave, to)) },
		commit: func() error { return d.bury(grave) },
	})
	return nil
}
