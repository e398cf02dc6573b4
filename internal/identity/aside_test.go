package identity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// tree is every file of a directory with its content, by path; of files of this
// package only that they are there.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		all[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// filled is the directory of a host that has run.
func filled(t *testing.T) (dir string, self Self) {
	t.Helper()
	dir = t.TempDir()
	id := opened(t, dir, "c")
	if _, err := id.Begin(); err != nil {
		t.Fatal(err)
	}
	id.See(running("h2", 3, map[string]uint64{"s1": 9}))
	self = id.Self()
	closed(t, id)
	for name, text := range data {
		put(t, dir, name, text)
	}
	return dir, self
}

var data = map[string]string{"jetstream/a/b": "log", "store/x": "documents", "jetstream-mode": "cluster c\n"}

var reset = Verdict{Kind: Reset, Boot: 7, Former: []string{"seen elsewhere"}}

// wantReset looks for the data in the one directory that took it.
func wantReset(t *testing.T, dir string, was, is Self) {
	t.Helper()
	if is.Disk == was.Disk || is.Boot != 7 || is.Begun || !slices.Equal(is.Former, []string{was.Disk, "seen elsewhere"}) || is.Host != "h1" || is.Cluster != "c" {
		t.Errorf("after the reset the host is %+v", is)
	}
	files := tree(t, dir)
	asides, err := filepath.Glob(filepath.Join(dir, "aside-*"))
	if err != nil || len(asides) != 1 {
		t.Fatalf("set aside in %q, %v", asides, err)
	}
	aside := filepath.Base(asides[0])
	for name, text := range data {
		if files[filepath.Join(aside, name)] != text {
			t.Errorf("%s is %q in %s, want %q", name, files[filepath.Join(aside, name)], aside, text)
		}
		if _, there := files[name]; there {
			t.Errorf("%s is still there", name)
		}
	}
	if old, err := unseal[Self]([]byte(files[filepath.Join(aside, idFile)])); err != nil || old.Disk != was.Disk {
		t.Errorf("the old id beside its data: %+v, %v", old, err)
	}
	if _, there := files[planFile]; there {
		t.Error("the plan is still there")
	}
	if seen, err := unseal[Seen]([]byte(files[seenFile])); err != nil || seen.Hosts["h2"].Boot != 3 {
		t.Errorf("what was seen is gone: %+v, %v", seen, err)
	}
}

func TestResetSetsTheDataAside(t *testing.T) {
	dir, was := filled(t)
	id := opened(t, dir, "c")
	if err := id.Reset(Verdict{Kind: Start}, start); err == nil {
		t.Error("reset without a verdict")
	}
	if err := id.Reset(reset, start); err != nil {
		t.Fatal(err)
	}
	wantReset(t, dir, was, id.Self())
	if _, err := os.Stat(filepath.Join(dir, "aside-2026-05-06T07:08:09Z-1", "store")); err != nil {
		t.Error(err)
	}
	if boot, err := id.Begin(); boot != 8 || err != nil {
		t.Errorf("boot %d, %v", boot, err)
	}
	is := id.Self()
	closed(t, id)
	again := opened(t, dir, "c")
	if got := again.Self(); got.Disk != is.Disk || got.Boot != 8 {
		t.Errorf("opened again: %+v", got)
	}
	put(t, dir, "store/y", "newer")
	if err := again.Reset(reset, start); err != nil { // within the same second
		t.Fatal(err)
	}
	if text := get(t, dir, "aside-2026-05-06T07:08:09Z-2/store/y"); string(text) != "newer" {
		t.Errorf("the second time: %q", text)
	}
	closed(t, again)
}

// TestACrashInAReset ends a reset before each of its steps, and what then finishes
// it before each of its own.
func TestACrashInAReset(t *testing.T) {
	crash := errors.New("crash")
	after := func(n int) func() error { // the steps that are done
		return func() error {
			if n--; n < 0 {
				return crash
			}
			return nil
		}
	}
	for first := range 40 {
		dir, was := filled(t)
		f := files{dir: dir}
		id, err := open(f, "h1", "c")
		if err != nil {
			t.Fatal(err)
		}
		id.files.step = after(first)
		err = id.Reset(reset, start)
		if first > 9 && err == nil {
			closed(t, id)
			return // every step was reached
		}
		if !errors.Is(err, crash) {
			t.Fatalf("step %d: %v", first, err)
		}
		if err := id.lock.Close(); err != nil {
			t.Fatal(err)
		}
		for second := range 40 {
			id, err = open(files{dir: dir, step: after(second)}, "h1", "c")
			if err == nil {
				break
			}
			if !errors.Is(err, crash) {
				t.Fatalf("steps %d, %d: %v", first, second, err)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		id.files.step = nil
		if self := id.Self(); self.Disk == was.Disk { // nothing was decided
			files := tree(t, dir)
			for name, text := range data {
				if files[name] != text {
					t.Errorf("step %d: %s is %q", first, name, files[name])
				}
			}
			if err := id.Reset(reset, start); err != nil {
				t.Fatal(err)
			}
		}
		wantReset(t, dir, was, id.Self())
		closed(t, id)
	}
	t.Error("a reset has no end")
}

// A reset that failed, as on a full disk, is finished by the next one.
func TestAResetThatFailedGoesOn(t *testing.T) {
	for n := range 11 {
		dir, was := filled(t)
		id := opened(t, dir, "c")
		left := n
		id.files.step = func() error {
			if left--; left < 0 {
				return errors.New("no space left")
			}
			return nil
		}
		if err := id.Reset(reset, start); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Fatalf("step %d: %v", n, err)
		}
		id.files.step = nil
		if err := id.Reset(reset, start.Add(time.Minute)); err != nil {
			t.Fatalf("step %d: %v", n, err)
		}
		wantReset(t, dir, was, id.Self())
		closed(t, id)
	}
}

// A file is never half there, whenever its writing ends.
func TestACrashInBegin(t *testing.T) {
	dir, was := filled(t)
	if err := WriteOrder(dir, Order{Situation: "x"}); err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		id := opened(t, dir, "c")
		left := n
		id.files.step = func() error {
			if left--; left < 0 {
				return fmt.Errorf("crash at %d", n)
			}
			return nil
		}
		_, err := id.Begin()
		if (err == nil) != (n == 3) {
			t.Fatalf("step %d: %v", n, err)
		}
		if err := id.lock.Close(); err != nil {
			t.Fatal(err)
		}
		next := opened(t, dir, "c")
		if got := next.Self(); got.Disk != was.Disk || got.Boot < was.Boot || got.Boot > was.Boot+2 {
			t.Errorf("step %d: %+v", n, got)
		}
		closed(t, next)
	}
	if o, err := ReadOrder(dir); o != nil || err != nil {
		t.Errorf("the order is not used up: %+v, %v", o, err)
	}
}
