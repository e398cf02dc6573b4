package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
)

// A disk is a directory of which it is known what a power cut would leave. All changes
// go through it, one at a time.
type disk struct {
	root    string // what is mounted
	removed string // what was unlinked and may come back, beside the root
	faults  faults

	mu      sync.Mutex
	next    uint64 // number of the next file in removed
	journal []change
	files   map[uint64]*volatile // by inode, those with content that is not durable
	counts  counts
}

// counts are what has happened since the start.
type counts struct {
	Writes    int   `json:"writes"`
	Fsyncs    int   `json:"fsyncs"`
	Failed    int   `json:"failed"`
	LostNames int   `json:"lost_names"` // changes of names and sizes, at the last lose
	LostBytes int64 `json:"lost_bytes"` // of content, at the last lose
}

func newDisk(root string) (*disk, error) {
	d := &disk{root: root, removed: root + ".removed", files: map[uint64]*volatile{}}
	if err := os.RemoveAll(d.removed); err != nil {
		return nil, err
	}
	return d, errors.Join(os.MkdirAll(root, 0o700), os.Mkdir(d.removed, 0o700))
}

// close leaves the backing as it is.
func (d *disk) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ino := range d.files {
		d.forget(ino)
	}
	return os.RemoveAll(d.removed)
}

func (d *disk) stat() counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.counts
	c.Failed = d.faults.failed()
	return c
}

// grave is a path of its own for what is removed.
func (d *disk) grave() string {
	d.next++
	return filepath.Join(d.removed, strconv.FormatUint(d.next, 10))
}

// lose undoes what is not durable, but what keep keeps.
func (d *disk) lose(keep keeper) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.LostBytes = 0
	err := d.commit(keep.changes(len(d.journal)))
	d.counts.LostNames = len(d.journal)
	whole := map[uint64]bool{} // files that keep nothing, as blocks of theirs were not free yet
	for _, c := range slices.Backward(d.journal) {
		if c.cuts {
			whole[c.on[0]] = true
		}
		if c.undo != nil {
			err = errors.Join(err, c.undo())
		}
	}
	d.journal = nil
	for ino, v := range d.files {
		if !whole[ino] {
			err = errors.Join(err, v.keep(keep))
		}
		lost, undone := v.undo()
		d.counts.LostBytes += lost
		err = errors.Join(err, undone)
		d.forget(ino)
	}
	if err != nil {
		return fmt.Errorf("undo what is not durable: %w", err)
	}
	return nil
}

// forget takes all content of a file for durable.
func (d *disk) forget(ino uint64) {
	if v := d.files[ino]; v != nil {
		_ = v.file.Close() // nothing is written to it any more
		delete(d.files, ino)
	}
}

// content is what is known of a file's content; it begins to be known now.
func (d *disk) content(f *os.File) (*volatile, error) {
	st, err := statOf(f)
	if err != nil {
		return nil, err
	}
	if v := d.files[st.Ino]; v != nil {
		return v, nil
	}
	var file *os.File
	err = onDescriptor(f, func(fd int) (err error) {
		file, err = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDWR, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	v := &volatile{ino: st.Ino, file: file, durable: st.Size, pages: map[int64]*page{}}
	d.files[st.Ino] = v
	return v, nil
}

func statOf(f *os.File) (st syscall.Stat_t, err error) {
	err = onDescriptor(f, func(fd int) error { return syscall.Fstat(fd, &st) })
	return st, err
}

// onDescriptor calls do with the descriptor of a file, which stays open meanwhile.
// Requests for one file come at the same time, and File.Fd is not made for that.
func onDescriptor(f *os.File, do func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	if err := c.Control(func(fd uintptr) { done = do(int(fd)) }); err != nil {
		return err
	}
	return done
}
