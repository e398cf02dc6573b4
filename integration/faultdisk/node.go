package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A node is a file or directory of the disk. What only looks is passed through; what
// changes something is done by the disk.
type node struct {
	*fs.LoopbackNode
	disk *disk

	mu   sync.Mutex
	open map[*handle]struct{}
}

// A handle is an open file.
type handle struct {
	file  *os.File
	flags uint32
}

func (n *node) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{LoopbackNode: ops.(*fs.LoopbackNode), disk: n.disk}
}

// under is the path below the root, for rules; path is that of the backing.
func (n *node) under() string { return n.Path(n.Root()) }
func (n *node) path() string  { return filepath.Join(n.disk.root, n.under()) }
func (n *node) at(name string) string {
	return filepath.Join(n.path(), name)
}

// grows tells how a change that needs room at a name ends.
func (n *node) grows(name string) syscall.Errno {
	return n.disk.faults.of(grow, filepath.Join(n.under(), name))
}

// opened is a handle that the node knows.
func (n *node) opened(f *os.File, flags uint32) *handle {
	h := &handle{f, flags}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open == nil {
		n.open = map[*handle]struct{}{}
	}
	n.open[h] = struct{}{}
	return h
}

// some is any open handle, nil if none is: a file without a name has no path.
func (n *node) some() *handle {
	n.mu.Lock()
	defer n.mu.Unlock()
	for h := range n.open {
		return h
	}
	return nil
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	// Writes read the page before, wherever they go.
	how := int(flags) &^ (syscall.O_APPEND | syscall.O_TRUNC | syscall.O_SYNC | syscall.O_DSYNC | syscall.O_DIRECT | syscall.O_ACCMODE)
	f, err := os.OpenFile(n.path(), how|os.O_RDWR, 0)
	if err != nil {
		return nil, 0, errnoOf(err)
	}
	if flags&syscall.O_TRUNC != 0 {
		if err := n.disk.truncate(f, 0); err != nil {
			return nil, 0, errnoOf(errors.Join(err, f.Close()))
		}
	}
	return n.opened(f, flags), fuse.FOPEN_DIRECT_IO, 0
}

func (n *node) Release(_ context.Context, fh fs.FileHandle) syscall.Errno {
	h := fh.(*handle)
	n.mu.Lock()
	delete(n.open, h)
	n.mu.Unlock()
	n.disk.released(h.file)
	return errnoOf(h.file.Close())
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if e := n.grows(name); e != 0 {
		return nil, nil, 0, e
	}
	how := int(flags)&(syscall.O_TRUNC|syscall.O_EXCL) | os.O_RDWR
	f, err := n.disk.create(n.at(name), how, os.FileMode(mode))
	if err != nil {
		return nil, nil, 0, errnoOf(err)
	}
	child, e := n.Lookup(ctx, name, out)
	if e != 0 {
		return nil, nil, 0, errnoOf(errors.Join(e, f.Close()))
	}
	// A hard link that is found again is a node that there is already.
	return child, child.Operations().(*node).opened(f, flags), fuse.FOPEN_DIRECT_IO, 0
}

// named makes a name by f, and finds what it names.
func (n *node) named(ctx context.Context, name string, out *fuse.EntryOut, f func(path string) error) (*fs.Inode, syscall.Errno) {
	if e := n.grows(name); e != 0 {
		return nil, e
	}
	path := n.at(name)
	if err := n.disk.make(path, func() error { return f(path) }); err != nil {
		return nil, errnoOf(err)
	}
	return n.Lookup(ctx, name, out)
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.named(ctx, name, out, func(path string) error { return os.Mkdir(path, os.FileMode(mode)) })
}

func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.named(ctx, name, out, func(path string) error { return os.Symlink(target, path) })
}

func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.named(ctx, name, out, func(path string) error { return os.Link(target.(*node).path(), path) })
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	return errnoOf(n.disk.remove(n.at(name), false))
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	return errnoOf(n.disk.remove(n.at(name), true))
}

func (n *node) Rename(_ context.Context, name string, to fs.InodeEmbedder, toName string, flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.EINVAL // as from a file system that cannot exchange names
	}
	return errnoOf(n.disk.rename(n.at(name), to.(*node).at(toName)))
}

// What could change something without the disk's knowing does not exist.

func (n *node) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.ENOSYS
}

func (n *node) Tmpfile(context.Context, uint32, uint32, *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EOPNOTSUPP
}

func (n *node) CopyFileRange(context.Context, fs.FileHandle, uint64, *fs.Inode, fs.FileHandle, uint64, uint64, uint64) (uint32, syscall.Errno) {
	return 0, syscall.ENOSYS
}

func (n *node) Statx(context.Context, fs.FileHandle, uint32, uint32, *fuse.StatxOut) syscall.Errno {
	return syscall.ENOSYS
}

// errnoOf finds the number of an error among several.
func errnoOf(err error) syscall.Errno {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e
	}
	return fs.ToErrno(err)
}
