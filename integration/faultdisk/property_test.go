package main

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTwin does the same at random to a disk and to its twin, cuts the power of both now
// and then, and wants them alike: as they are, and as the power cut leaves them.
func TestTwin(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			x := &pair{driven: drive(t), twin: newTwin(), r: rand.New(rand.NewPCG(seed, 1))}
			for n := range 600 {
				x.step()
				if n%40 == 39 {
					x.alike("alive", x.twin.live.shown())
					x.do("lose")
					x.twin.lose()
					x.alike(fmt.Sprintf("after %d", n), x.twin.live.shown())
				}
			}
		})
	}
}

// TestTwinTorn cuts the power when some of what was not durable is on the disk, in any
// order: what is left is a mixture that the twin knows.
func TestTwinTorn(t *testing.T) {
	x := &pair{driven: drive(t), r: rand.New(rand.NewPCG(7, 7))}
	for seed := range 60 {
		x.twin = newTwin()
		for range 40 {
			x.step()
		}
		x.do("lose %d", seed)
		if seen := x.seen(); !x.twin.torn(seen) {
			t.Fatalf("seed %d leaves what cannot be:\n%s\ndurable:\n%s\nalive:\n%s", seed,
				outline(seen), outline(x.twin.durable.shown()), outline(x.twin.live.shown()))
		}
		entries, err := os.ReadDir(x.at)
		x.must(err)
		for _, e := range entries {
			x.must(os.RemoveAll(x.path(e.Name())))
		}
		dir, err := os.Open(x.at)
		x.must(err)
		x.must(dir.Sync())
		x.must(dir.Close())
	}
}

// A pair is a disk and its twin.
type pair struct {
	*driven
	twin *twin
	r    *rand.Rand
	was  []string // what was done, since the last time they were alike
}

func (x *pair) did(format string, args ...any) { x.was = append(x.was, fmt.Sprintf(format, args...)) }

func one(r *rand.Rand, of []string) string { return of[r.IntN(len(of))] }

// step does one thing.
func (x *pair) step() {
	live := x.twin.live
	files := live.files()
	if len(files) == 0 {
		x.create()
		return
	}
	name := one(x.r, files)
	switch n := x.r.IntN(100); {
	case n < 12:
		x.create()
	case n < 18:
		x.did("rename %s", name)
		to := x.fresh()
		if x.r.IntN(2) == 0 {
			to = one(x.r, files)
		}
		x.must(os.Rename(x.path(name), x.path(to)))
		x.twin.rename(name, to)
	case n < 22:
		to := x.fresh()
		x.did("link %s %s", name, to)
		x.must(os.Link(x.path(name), x.path(to)))
		x.twin.link(name, to)
	case n < 28:
		x.did("remove %s", name)
		x.must(os.Remove(x.path(name)))
		x.twin.remove(name)
	case n < 34:
		x.directory()
	case n < 42:
		dir := one(x.r, live.dirs())
		x.did("sync directory %s", dir)
		f, err := os.Open(x.path(dir))
		x.must(err)
		x.must(f.Sync())
		x.must(f.Close())
		x.twin.syncDir(dir)
	default:
		x.change(name)
	}
}

// fresh is a name that nothing has.
func (x *pair) fresh() string {
	for {
		name := filepath.Join(one(x.r, x.twin.live.dirs()), fmt.Sprint("f", x.r.IntN(1000)))
		if _, there := x.twin.live.names[name]; !there {
			return name
		}
	}
}

func (x *pair) create() {
	name := x.fresh()
	x.did("create %s", name)
	x.must(x.open(name, os.O_EXCL).Close())
	x.twin.create(name)
}

// directory makes one, or removes one that is empty.
func (x *pair) directory() {
	dir := one(x.r, x.twin.live.dirs())
	if dir == "." || !x.twin.live.isEmpty(dir) {
		name := x.fresh()
		x.did("mkdir %s", name)
		x.must(os.Mkdir(x.path(name), 0o700))
		x.twin.mkdir(name)
		return
	}
	x.did("rmdir %s", dir)
	x.must(os.Remove(x.path(dir)))
	x.twin.remove(dir)
}

// change changes a file's content, or makes it durable.
func (x *pair) change(name string) {
	f := x.open(name, 0)
	defer func() { x.must(f.Close()) }()
	size := len(x.twin.live.contents[x.twin.live.names[name]])
	switch n := x.r.IntN(10); {
	case n < 5:
		at, data := x.r.IntN(size+100), strings.Repeat(string(rune('a'+x.r.IntN(26))), 1+x.r.IntN(9000))
		x.did("write %s %d+%d", name, at, len(data))
		_, err := f.WriteAt([]byte(data), int64(at))
		x.must(err)
		x.twin.write(name, at, data)
	case n < 7:
		to := x.r.IntN(size*5/4 + 10)
		x.did("truncate %s %d to %d", name, size, to)
		x.must(f.Truncate(int64(to)))
		x.twin.truncate(name, to)
	case n < 9:
		x.did("fsync %s", name)
		x.must(f.Sync())
		x.twin.sync(name, false)
	default:
		x.did("fdatasync %s", name)
		x.must(unix.Fdatasync(int(f.Fd())))
		x.twin.sync(name, true)
	}
}

// seen is all that can be seen of the disk.
func (x *pair) seen() map[string]string {
	x.t.Helper()
	all := map[string]string{}
	x.must(filepath.WalkDir(x.at, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(x.at, p)
		if err != nil {
			return err
		}
		if all[name] = "a directory"; e.IsDir() {
			return nil
		}
		content, err := os.ReadFile(p)
		all[name] = string(content)
		return err
	}))
	return all
}

func (x *pair) alike(when string, want map[string]string) {
	x.t.Helper()
	if seen := x.seen(); !maps.Equal(seen, want) {
		x.t.Fatalf("%s the disk has\n%s\nits twin has\n%s\nafter\n%s", when, outline(seen), outline(want), strings.Join(x.was, "\n"))
	}
	x.was = nil
}

// outline is a world in lines that can be read: runs of a byte are told by their length.
func outline(all map[string]string) string {
	var lines []string
	for name, content := range all {
		line := name + ":"
		for i := 0; i < len(content); {
			n := i
			for n < len(content) && content[n] == content[i] {
				n++
			}
			line += fmt.Sprintf(" %q*%d", content[i], n-i)
			i = n
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
