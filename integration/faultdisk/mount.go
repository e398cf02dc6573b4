package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A mounted is a disk in its place.
type mounted struct {
	disk   *disk
	at     string
	server *fuse.Server
}

func mount(backing, at string) (*mounted, error) {
	backing, err := filepath.Abs(backing)
	if err != nil {
		return nil, err
	}
	d, err := newDisk(backing)
	if err != nil {
		return nil, err
	}
	m := &mounted{disk: d, at: at}
	return m, m.attach()
}

// attach mounts the disk. The kernel keeps nothing of it, so that every call arrives
// here and what is undone is seen at once; locks are the kernel's own.
func (m *mounted) attach() error {
	root, err := fs.NewLoopbackRoot(m.disk.root)
	if err != nil {
		return err
	}
	never := time.Duration(0)
	m.server, err = fs.Mount(m.at, &node{LoopbackNode: root.(*fs.LoopbackNode), disk: m.disk}, &fs.Options{
		EntryTimeout: &never, AttrTimeout: &never, NegativeTimeout: &never,
		MountOptions: fuse.MountOptions{
			AllowOther: true, DirectMountStrict: true, DisableXAttrs: true, MaxWrite: 1 << 20,
			FsName: "faultdisk", Name: "faultdisk",
		},
	})
	if err != nil {
		return fmt.Errorf("mount %s: %w; it needs /dev/fuse and root", m.at, err)
	}
	return nil
}

// busyLimit is how long files of a process that was killed may stay open.
const busyLimit = 10 * time.Second

// detach unmounts the disk, of which nothing may be open.
func (m *mounted) detach() error {
	limit := time.After(busyLimit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	err := syscall.Unmount(m.at, 0)
	for waits := true; waits && errors.Is(err, syscall.EBUSY); {
		select {
		case <-tick.C:
			err = syscall.Unmount(m.at, 0)
		case <-limit:
			waits = false
		}
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w; end the processes that use it first", m.at, err)
	}
	m.server.Wait()
	return nil
}

// lose cuts the power. The kernel forgets the disk in between, as a machine that was
// switched off has.
func (m *mounted) lose(keep keeper) error {
	if err := m.detach(); err != nil {
		return err
	}
	return errors.Join(m.disk.lose(keep), m.attach())
}

// close unmounts the disk, even under the feet of those who use it. What they have
// written stays.
func (m *mounted) close() error {
	if m.detach() == nil {
		return m.disk.close()
	}
	return errors.Join(syscall.Unmount(m.at, syscall.MNT_DETACH), m.disk.close())
}
