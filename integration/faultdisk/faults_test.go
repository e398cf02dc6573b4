package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFailures(t *testing.T) {
	d := drive(t)
	d.durable("a", "a")
	d.durable("b", "b")
	f, other := d.open("a", 0), d.open("b", 0)
	fails := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", what, err)
		}
	}
	one := make([]byte, 1)

	d.do("fail read ^a$")
	_, err := f.ReadAt(one, 0)
	fails("a read", err)
	_, err = other.ReadAt(one, 0)
	d.must(err)
	d.do("heal")
	_, err = f.ReadAt(one, 0)
	d.must(err)

	d.do("fail write 2")
	for range 2 {
		_, err = f.WriteAt([]byte("x"), 0)
		fails("a write", err)
	}
	_, err = f.WriteAt([]byte("x"), 0)
	d.must(err)

	d.do("fail fsync")
	fails("an fsync", f.Sync())
	dir, err := os.Open(d.at)
	d.must(err)
	fails("an fsync of a directory", dir.Sync())
	d.must(dir.Close())
	synced := d.open("b", syscall.O_SYNC)
	_, err = synced.WriteAt([]byte("x"), 0)
	fails("a write that is an fsync too", err)
	d.must(errors.Join(synced.Close(), other.Close(), f.Close()))
	if c := d.counts(); c.Failed != 6 {
		t.Errorf("%+v", c)
	}
}

// TestFailedFsync has an fsync that works after one that has failed. It proves nothing:
// the kernel has dropped what the first one could not write.
func TestFailedFsync(t *testing.T) {
	d := drive(t)
	d.durable("f", strings.Repeat("a", 2*pageSize))
	f := d.open("f", 0)
	_, err := f.WriteAt([]byte("lost"), 0)
	d.must(err)
	_, err = f.WriteAt([]byte("lost"), pageSize)
	d.must(err)
	d.do("fail fsync 1")
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("an fsync: %v", err)
	}
	_, err = f.WriteAt([]byte("kept"), pageSize)
	d.must(err)
	d.must(f.Sync())
	d.must(f.Close())
	d.wants("f", "lost"+strings.Repeat("a", pageSize-4)+"kept"+strings.Repeat("a", pageSize-4), true)
	d.do("lose")
	d.wants("f", strings.Repeat("a", pageSize)+"kept"+strings.Repeat("a", pageSize-4), true)
}

func TestFull(t *testing.T) {
	d := drive(t)
	d.durable("a", "content")
	d.do("full ^[ab]")
	f := d.open("a", 0)
	_, err := f.WriteAt([]byte("other"), 0)
	d.must(err) // it has its blocks
	if _, err := f.WriteAt([]byte("longer"), 5); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a write that needs room: %v", err)
	}
	d.must(f.Close())
	if err := os.WriteFile(d.path("b"), nil, 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a new file: %v", err)
	}
	d.durable("c", "elsewhere")
	d.do("full")
	var st unix.Statfs_t
	d.must(unix.Statfs(d.at, &st))
	if st.Bavail != 0 {
		t.Errorf("a full disk has %d blocks", st.Bavail)
	}
	d.do("room")
	d.durable("b", strings.Repeat("b", 10_000))
	d.wants("a", "othernt", true)
}

func TestSlow(t *testing.T) {
	d := drive(t)
	f := d.open("f", 0)
	d.do("slow 50ms")
	began := time.Now()
	_, err := f.WriteString("slow")
	d.must(err)
	d.must(f.Sync())
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("a write and an fsync took %v", took)
	}
	d.do("slow 0")
	d.must(f.Close())
}

// Calls that wait for a slow disk go on when it is slow no more.
func TestSlowEndsForWhoWaits(t *testing.T) {
	var f faults
	f.slowBy(time.Hour)
	waiting := f.other
	f.slowBy(0)
	select {
	case <-waiting:
	default:
		t.Error("who has begun to wait waits on")
	}
	f.delay()
}
