package main

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func (n *node) Read(_ context.Context, fh fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if e := n.disk.faults.of(read, n.under()); e != 0 {
		return nil, e
	}
	got, err := fh.(*handle).file.ReadAt(dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errnoOf(err)
	}
	return fuse.ReadResultData(dest[:got]), 0
}

func (n *node) Write(_ context.Context, fh fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	h := fh.(*handle)
	n.disk.faults.delay()
	if e := n.disk.faults.of(write, n.under()); e != 0 {
		return 0, e
	}
	st, err := statOf(h.file)
	if err != nil {
		return 0, errnoOf(err)
	}
	if off+int64(len(data)) > st.Size { // what has its blocks needs no more
		if e := n.grows(""); e != 0 {
			return 0, e
		}
	}
	wrote, err := n.disk.write(h.file, data, off)
	if err != nil {
		return 0, errnoOf(err)
	}
	if h.flags&syscall.O_DSYNC != 0 { // a part of O_SYNC
		dataOnly := h.flags&syscall.O_SYNC != syscall.O_SYNC
		if e := n.sync(h.file, dataOnly, off, off+int64(wrote)); e != 0 {
			return 0, e
		}
	}
	return uint32(wrote), 0
}

// sync is fsync of a file, or the part of a write that is as one.
func (n *node) sync(f *os.File, dataOnly bool, lo, hi int64) syscall.Errno {
	if e := n.disk.faults.of(fsync, n.under()); e != 0 {
		if err := n.disk.syncFailed(f); err != nil {
			return errnoOf(err)
		}
		return e
	}
	return errnoOf(n.disk.sync(f, dataOnly, lo, hi))
}

// fdatasync is the flag of an fsync that leaves the times.
const fdatasync = 1

func (n *node) Fsync(_ context.Context, fh fs.FileHandle, flags uint32) syscall.Errno {
	n.disk.faults.delay()
	if h, ok := fh.(*handle); ok {
		return n.sync(h.file, flags&fdatasync != 0, 0, whole)
	}
	if e := n.disk.faults.of(fsync, n.under()); e != 0 {
		return e
	}
	return errnoOf(n.disk.syncDir(n.path()))
}

func (n *node) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

func (n *node) Allocate(_ context.Context, fh fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	if e := n.grows(""); e != 0 {
		return e
	}
	return errnoOf(n.disk.allocate(fh.(*handle).file, int64(off), int64(size), mode))
}

func (n *node) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	h := n.some()
	if h == nil {
		return n.LoopbackNode.Getattr(ctx, nil, out)
	}
	st, err := statOf(h.file)
	if err != nil {
		return errnoOf(err)
	}
	out.FromStat(&st)
	return 0
}

func (n *node) Setattr(ctx context.Context, fh fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		if e := n.setSize(fh, int64(size)); e != 0 {
			return e
		}
	}
	rest := *in
	rest.Valid &= fuse.FATTR_MODE | fuse.FATTR_UID | fuse.FATTR_GID | fuse.FATTR_ATIME | fuse.FATTR_MTIME | fuse.FATTR_ATIME_NOW | fuse.FATTR_MTIME_NOW
	if rest.Valid != 0 && n.Path(n.Root()) != "" {
		if e := n.LoopbackNode.Setattr(ctx, nil, &rest, out); e != 0 && e != syscall.ENOENT { // a file without a name
			return e
		}
	}
	return n.Getattr(ctx, fh, out)
}

func (n *node) setSize(fh fs.FileHandle, size int64) syscall.Errno {
	h, ok := fh.(*handle)
	if !ok {
		f, err := os.OpenFile(n.path(), os.O_RDWR, 0)
		if err != nil {
			return errnoOf(err)
		}
		defer f.Close()
		h = &handle{file: f}
	}
	return errnoOf(n.disk.truncate(h.file, size))
}

func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	e := n.LoopbackNode.Statfs(ctx, out)
	if n.disk.faults.isFull(n.under()) {
		out.Bfree, out.Bavail = 0, 0
	}
	return e
}

// A directory is one that is being read. Its fsync is the node's.
type directory struct {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer
}

// OpendirHandle opens a directory for reading.
//
//nolint:unparam // the interface has flags
func (n *node) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	s, e := fs.NewLoopbackDirStream(n.path())
	if e != 0 {
		return nil, 0, e
	}
	return &directory{s.(fs.FileReaddirenter), s.(fs.FileSeekdirer), s.(fs.FileReleasedirer)}, 0, 0
}
