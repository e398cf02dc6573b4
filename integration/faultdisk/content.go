package main

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// pageSize is the unit in which content becomes durable.
const pageSize = 4096

// A volatile is a file with content that is not durable.
type volatile struct {
	ino     uint64
	file    *os.File
	durable int64           // its durable size
	pages   map[int64]*page // those written since
	touched bool            // its times have changed since
}

// A page is one that was written and not made durable.
type page struct {
	was []byte // its durable content, up to pageSize bytes and then zeros
	// failed: an fsync of it has failed. The kernel takes it for clean then, so no later
	// fsync writes it; only another write to it can.
	failed bool
}

// dirty notes that bytes from lo up to hi will be written.
func (v *volatile) dirty(lo, hi int64) error {
	for n := lo / pageSize; n*pageSize < hi; n++ {
		if p := v.pages[n]; p != nil {
			p.failed = false
			continue
		}
		p := &page{}
		if size := min(pageSize, v.durable-n*pageSize); size > 0 {
			p.was = make([]byte, size)
			if _, err := v.file.ReadAt(p.was, n*pageSize); err != nil && err != io.EOF {
				return err
			}
		}
		v.pages[n] = p
	}
	return nil
}

// resized makes another size durable.
func (v *volatile) resized(size int64) {
	for n, p := range v.pages {
		if left := max(0, size-n*pageSize); left < int64(len(p.was)) {
			p.was = p.was[:left]
		}
	}
	v.durable = size
}

// synced makes pages from lo up to hi durable.
func (v *volatile) synced(lo, hi int64) error {
	st, err := statOf(v.file)
	if err != nil {
		return err
	}
	for n, p := range v.pages {
		if !p.failed && (n+1)*pageSize > lo && n*pageSize < hi {
			delete(v.pages, n)
		}
	}
	v.durable = max(v.durable, min(hi, st.Size))
	return nil
}

// keep lets some of what is not durable stay, as if the kernel had written it by itself.
func (v *volatile) keep(k keeper) error {
	st, err := statOf(v.file)
	if err != nil {
		return err
	}
	for _, n := range sorted(v.pages) {
		if p := v.pages[n]; !p.failed && n*pageSize < st.Size && k.page() {
			delete(v.pages, n)
			v.durable = max(v.durable, min((n+1)*pageSize, st.Size))
		}
	}
	return nil
}

// undo leaves the durable content, and tells how many bytes it has taken back.
func (v *volatile) undo() (lost int64, err error) {
	st, err := statOf(v.file)
	if err != nil {
		return 0, err
	}
	if err := v.file.Truncate(v.durable); err != nil {
		return 0, err
	}
	for n, p := range v.pages {
		lost += max(0, min(pageSize, st.Size-n*pageSize))
		room := v.durable - n*pageSize
		if room <= 0 {
			continue
		}
		whole := make([]byte, min(pageSize, room))
		copy(whole, p.was)
		if _, err := v.file.WriteAt(whole, n*pageSize); err != nil {
			return lost, err
		}
	}
	return lost, nil
}

// write writes, and makes it durable if the file was opened so.
func (d *disk) write(f *os.File, data []byte, at int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Writes++
	v, err := d.content(f)
	if err != nil {
		return 0, err
	}
	if err := v.dirty(at, at+int64(len(data))); err != nil {
		return 0, err
	}
	v.touched = true
	return f.WriteAt(data, at)
}

// truncate gives a file another size.
func (d *disk) truncate(f *os.File, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.resize(f, size)
}

func (d *disk) resize(f *os.File, size int64) error {
	st, err := statOf(f)
	if err != nil || st.Size == size {
		return err
	}
	v, err := d.content(f)
	if err != nil {
		return err
	}
	if size < st.Size {
		if err := v.cut(size); err != nil {
			return err
		}
	}
	if err := v.file.Truncate(size); err != nil {
		return err
	}
	v.touched = true
	d.journal = append(d.journal, change{
		on: []uint64{v.ino}, cuts: size < st.Size,
		commit: func() error {
			v.resized(size)
			return nil
		},
	})
	return nil
}

// cut keeps the durable content of what will be cut off.
func (v *volatile) cut(size int64) error {
	failed := map[int64]bool{}
	for n, p := range v.pages {
		failed[n] = p.failed
	}
	err := v.dirty(size, v.durable)
	for n, is := range failed {
		v.pages[n].failed = is
	}
	return err
}

// allocate reserves room, or makes holes.
func (d *disk) allocate(f *os.File, at, size int64, mode uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	st, err := statOf(f)
	if err != nil {
		return err
	}
	switch {
	case mode&^(unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) != 0:
		return syscall.EOPNOTSUPP
	case mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) != 0:
		v, err := d.content(f)
		if err != nil {
			return err
		}
		if err := v.dirty(at, min(at+size, st.Size)); err != nil {
			return err
		}
		v.touched = true
	}
	reserve := func(fd int) error { return unix.Fallocate(fd, mode|unix.FALLOC_FL_KEEP_SIZE, at, size) }
	if err := onDescriptor(f, reserve); err != nil {
		return err
	}
	if mode&unix.FALLOC_FL_KEEP_SIZE == 0 && at+size > st.Size {
		return d.resize(f, at+size)
	}
	return nil
}

// released is told when a file is closed. One without a name is gone then.
func (d *disk) released(f *os.File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if st, err := statOf(f); err == nil && st.Nlink == 0 {
		d.forget(st.Ino)
	}
}
