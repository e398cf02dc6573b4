package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLoseContent(t *testing.T) {
	d := drive(t)
	d.durable("kept", strings.Repeat("a", 10_000))
	f := d.open("kept", 0)
	for at, text := range map[int64]string{5000: "bbbb", 9998: "cccccc", 20_000: "d"} {
		_, err := f.WriteAt([]byte(text), at)
		d.must(err)
	}
	d.must(f.Close())
	cut := d.open("cut", 0)
	_, err := cut.WriteString("a cut file")
	d.must(err)
	d.must(cut.Sync())
	d.must(cut.Truncate(3))
	d.must(cut.Close())
	d.must(os.WriteFile(d.path("new"), []byte("new"), 0o600))
	d.do("lose")
	d.wants("kept", strings.Repeat("a", 10_000), true)
	d.wants("cut", "a cut file", true)
	d.wants("new", "", false)
	if c := d.counts(); c.LostBytes == 0 || c.LostNames == 0 {
		t.Errorf("%+v", c)
	}
}

// TestLoseNames has the program's way to replace a file: it is safe only in full.
func TestLoseNames(t *testing.T) {
	d := drive(t)
	d.durable("current", "old")
	replace := func(content string, syncFile, syncDir bool) {
		f := d.open("next", os.O_TRUNC)
		_, err := f.WriteString(content)
		d.must(err)
		if syncFile {
			d.must(f.Sync())
		}
		d.must(f.Close())
		d.must(os.Rename(d.path("next"), d.path("current")))
		if syncDir {
			dir, err := os.Open(d.at)
			d.must(err)
			d.must(dir.Sync())
			d.must(dir.Close())
		}
	}
	replace("new", true, true)
	d.do("lose")
	d.wants("current", "new", true)
	d.wants("next", "", false)

	replace("newer", true, false)
	d.do("lose")
	d.wants("current", "new", true)
	d.wants("next", "newer", true) // its own fsync has made its name durable
	d.must(os.Remove(d.path("next")))

	replace("newest", false, true)
	d.do("lose")
	d.wants("current", "", true) // the name came to the disk, the content did not

	d.must(os.Mkdir(d.path("dir"), 0o700))
	d.durable("dir/in", "in") // and with it the directory
	d.must(os.Remove(d.path("dir/in")))
	d.must(os.Remove(d.path("dir")))
	d.do("lose")
	d.wants("dir/in", "in", true)
}

func TestSyncedWrites(t *testing.T) {
	d := drive(t)
	for name, flag := range map[string]int{"sync": syscall.O_SYNC, "dsync": syscall.O_DSYNC} {
		f := d.open(name, flag)
		_, err := f.WriteString("content")
		d.must(err)
		d.must(f.Close())
	}
	f := d.open("fdatasync", 0)
	_, err := f.WriteString("content")
	d.must(err)
	d.must(unix.Fdatasync(int(f.Fd())))
	d.must(f.Close())
	f = d.open("range", 0)
	d.must(f.Sync())
	_, err = f.WriteString("content")
	d.must(err)
	d.must(unix.SyncFileRange(int(f.Fd()), 0, 7, unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER))
	d.must(f.Close())
	d.do("lose")
	for _, name := range []string{"sync", "dsync", "fdatasync"} {
		d.wants(name, "content", true)
	}
	d.wants("range", "", true) // no promise
}

// TestCalls has the other calls of databases: locks, room reserved, appends, files that
// have no name any more.
func TestCalls(t *testing.T) {
	d := drive(t)
	f := d.open("f", os.O_APPEND)
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	d.must(unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock))
	d.must(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	other := d.open("f", 0)
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		t.Error("two have one lock")
	}
	d.must(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20))
	for _, text := range []string{"one ", "two ", "three"} {
		_, err := f.WriteString(text)
		d.must(err)
	}
	d.wants("f", "one two three", true)
	d.must(unix.Fallocate(int(other.Fd()), unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, 4, 3))
	d.wants("f", "one \x00\x00\x00 three", true)
	d.must(other.Close())
	d.must(os.Remove(d.path("f")))
	_, err := f.WriteString(" four")
	d.must(err)
	info, err := f.Stat()
	d.must(err)
	if info.Size() != int64(len("one two three four")) {
		t.Errorf("a file without a name has %d bytes", info.Size())
	}
	d.must(f.Sync())
	d.must(f.Close())
	d.do("lose")
	if left, err := os.ReadDir(d.at); err != nil || len(left) > 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}
