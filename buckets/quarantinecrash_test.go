package buckets

import (
	"context"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A trapFS calls back when something becomes durable.
type trapFS struct {
	vfs.FS
	mu   sync.Mutex
	trap func()
}

func (f *trapFS) set(trap func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trap = trap
}

func (f *trapFS) sprung() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trap != nil {
		f.trap()
	}
}

func (f *trapFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	return trapFile{file, f}, err
}

// ReuseForWrite locks the file system for reading twice, which must not happen
// while a clone waits to lock it.
func (f *trapFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := f.FS.ReuseForWrite(from, to, category)
	return trapFile{file, f}, err
}

func (f *trapFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return trapFile{file, f}, err
}

func (f *trapFS) Rename(from, to string) error {
	err := f.FS.Rename(from, to)
	f.sprung()
	return err
}

type trapFile struct {
	vfs.File
	fs *trapFS
}

func (f trapFile) Sync() error {
	err := f.File.Sync()
	f.fs.sprung()
	return err
}

func (f trapFile) SyncData() error {
	err := f.File.SyncData()
	f.fs.sprung()
	return err
}

// TestQuarantineSurvivesCrashes takes what a crash leaves at every point of a
// quarantine and of the healing after it.
func TestQuarantineSurvivesCrashes(t *testing.T) {
	t.Parallel()
	w := newRot(t)
	disk := vfs.NewCrashableMem()
	if ok, err := vfs.Clone(w.fs, disk, "store", "store", vfs.CloneSync); err != nil || !ok {
		t.Fatal(ok, err)
	}
	opts := rotOptions()
	trap := &trapFS{FS: disk}
	opts.FS = trap
	s, err := Open("store", opts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closed(t, s) }()
	if err := w.feed(s, w.seq); err != nil {
		t.Fatal(err)
	}
	bad := bottom(t, s)
	l := layoutOf(t, s, bad.file)
	flipFile(t, disk, tableFile(bad.file), middle(l.Data[2].Handle))
	flipFile(t, disk, tableFile(bad.file), middle(l.Data[len(l.Data)-1].Handle))
	if d, err := disk.OpenReadWrite("store/"+tableFile(bad.file), vfs.WriteCategoryUnspecified); err != nil || d.Sync() != nil || d.Close() != nil {
		t.Fatal(err)
	}
	if err := s.CheckFiles(context.Background(), unhurried); err != nil {
		t.Fatal(err)
	}
	var crashes []*vfs.MemFS
	trap.set(func() { crashes = append(crashes, disk.CrashClone(vfs.CrashCloneCfg{})) })
	if losses, err := s.Quarantine(context.Background()); err != nil || len(losses) == 0 {
		t.Fatalf("%v, %v", losses, err)
	}
	trap.mu.Lock()
	cut := len(crashes)
	trap.mu.Unlock()
	if err := w.feed(s, w.log.seq()); err != nil {
		t.Fatal(err)
	}
	w.heal(t, s)
	trap.set(nil)
	t.Logf("%d crashes of a quarantine, %d later", cut, len(crashes)-cut)
	if few := len(crashes) - 5; cut < 16 || few < cut {
		t.Fatal("too few")
	} else if !long() {
		some, step := crashes[few:], 8
		if raced {
			step = 32
		}
		for i := 0; i < cut; i += step {
			some = append(some, crashes[i])
		}
		crashes = some
	}
	marked := 0
	for i, fs := range crashes {
		s := open(t, fs, rotOptions())
		if !s.marks().empty() {
			marked++
		}
		if err := w.feed(s, w.log.seq()); err != nil {
			t.Fatal(err)
		}
		trusted(t, w.then, w.ask(s, w.log.seq()), false)
		if err := s.CheckFiles(context.Background(), unhurried); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Quarantine(context.Background()); err != nil {
			t.Fatalf("crash %d: %v", i, err)
		}
		trusted(t, w.then, w.ask(s, w.log.seq()), false)
		w.heal(t, s)
		verified(t, s)
		sameStores(t, s, w.later)
		closed(t, s)
		if t.Failed() {
			t.Fatalf("crash %d of %d", i+1, len(crashes))
		}
	}
	if marked == 0 || marked == len(crashes) {
		t.Errorf("%d of %d crashes left marks", marked, len(crashes))
	}
}
