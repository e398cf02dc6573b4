package main

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// A world is files as they are at one moment: what each name names, and the contents.
type world struct {
	names    map[string]int // 0 is a directory
	contents map[int][]byte // by file
}

func (w *world) clone() *world {
	c := &world{names: maps.Clone(w.names), contents: map[int][]byte{}}
	for id, content := range w.contents {
		c.contents[id] = slices.Clone(content)
	}
	return c
}

// files are the files of a directory, or of all.
func (w *world) files() (names []string) {
	for name, id := range w.names {
		if id != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (w *world) dirs() (names []string) {
	for name, id := range w.names {
		if id == 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (w *world) isEmpty(dir string) bool {
	for name := range w.names {
		if path.Dir(name) == dir && name != dir {
			return false
		}
	}
	return true
}

// A twin says what a disk must look like, in the plainest way: it has the disk twice, as
// it is and as a power cut leaves it, and a list of what is to be done to the second.
type twin struct {
	live, durable *world
	pending       []redo
	touched       map[int]bool
	last          int
}

// A redo is a change that is not durable.
type redo struct {
	do    func(*world)
	files []int
	dirs  []string // the directories that it concerns, by their names then
}

func newTwin() *twin {
	empty := func() *world { return &world{names: map[string]int{".": 0}, contents: map[int][]byte{}} }
	return &twin{live: empty(), durable: empty(), touched: map[int]bool{}}
}

func (t *twin) change(r redo) {
	r.do(t.live)
	t.pending = append(t.pending, r)
}

func (t *twin) create(name string) {
	t.last++
	id := t.last
	t.live.contents[id], t.durable.contents[id] = nil, nil
	t.change(redo{do: func(w *world) { w.names[name] = id }, files: []int{id}, dirs: []string{path.Dir(name)}})
}

func (t *twin) mkdir(name string) {
	t.change(redo{do: func(w *world) { w.names[name] = 0 }, dirs: []string{name, path.Dir(name)}})
}

func (t *twin) link(from, to string) {
	id := t.live.names[from]
	t.change(redo{do: func(w *world) { w.names[to] = id }, files: []int{id}, dirs: []string{path.Dir(to)}})
}

func (t *twin) remove(name string) {
	t.change(redo{do: func(w *world) { delete(w.names, name) }, files: []int{t.live.names[name]}, dirs: []string{name, path.Dir(name)}})
}

// rename moves a file; directories stay where they are, so that names are enough here.
func (t *twin) rename(from, to string) {
	id, was := t.live.names[from], t.live.names[to]
	if id == was {
		return
	}
	t.change(redo{
		do: func(w *world) {
			delete(w.names, from)
			w.names[to] = id
		},
		files: []int{id, was}, dirs: []string{path.Dir(from), path.Dir(to)},
	})
}

func sized(content []byte, size int) []byte {
	if size <= len(content) {
		return content[:size:size]
	}
	return append(slices.Clip(content), make([]byte, size-len(content))...)
}

func (t *twin) truncate(name string, size int) {
	id := t.live.names[name]
	if size == len(t.live.contents[id]) {
		return
	}
	t.touched[id] = true
	t.change(redo{do: func(w *world) { w.contents[id] = slices.Clone(sized(w.contents[id], size)) }, files: []int{id}})
}

func (t *twin) write(name string, at int, data string) {
	id := t.live.names[name]
	content := slices.Clone(sized(t.live.contents[id], max(len(t.live.contents[id]), at+len(data))))
	copy(content[at:], data)
	t.live.contents[id] = content
	t.touched[id] = true
}

// commit makes changes durable up to the last that f is true for.
func (t *twin) commit(f func(redo) bool) {
	n := len(t.pending)
	for n > 0 && !f(t.pending[n-1]) {
		n--
	}
	for _, r := range t.pending[:n] {
		r.do(t.durable)
	}
	t.pending = t.pending[n:]
}

func (t *twin) sync(name string, dataOnly bool) {
	id := t.live.names[name]
	all := len(t.live.contents[id]) != len(t.durable.contents[id]) || !dataOnly && t.touched[id]
	t.commit(func(r redo) bool { return all || slices.Contains(r.files, id) })
	t.durable.contents[id] = slices.Clone(t.live.contents[id])
	if !dataOnly {
		t.touched[id] = false
	}
}

func (t *twin) syncDir(name string) {
	t.commit(func(r redo) bool { return slices.Contains(r.dirs, name) })
}

// lose leaves what is durable.
func (t *twin) lose() {
	t.live, t.pending, t.touched = t.durable.clone(), nil, map[int]bool{}
}

// shown is all that can be seen of a world.
func (w *world) shown() map[string]string {
	all := map[string]string{}
	for name, id := range w.names {
		if all[name] = string(w.contents[id]); id == 0 {
			all[name] = "a directory"
		}
	}
	return all
}

// torn tells whether a world may be what a power cut has left of the twin, when some of
// what was not durable was on the disk.
func (t *twin) torn(seen map[string]string) bool {
	w := t.durable.clone()
	for n := 0; ; n++ {
		if w.mayBe(t.live, seen) {
			return true
		}
		if n == len(t.pending) {
			return false
		}
		t.pending[n].do(w)
	}
}

// mayBe tells whether every page of what was seen is durable here or as it was alive.
func (w *world) mayBe(live *world, seen map[string]string) bool {
	if !slices.Equal(slices.Sorted(maps.Keys(w.names)), slices.Sorted(maps.Keys(seen))) {
		return false
	}
	for name, id := range w.names {
		if (id == 0) != (seen[name] == "a directory") {
			return false
		}
		if id == 0 {
			continue
		}
		durable, alive := string(w.contents[id]), string(live.contents[id])
		if len(seen[name]) < min(len(durable), len(alive)) || len(seen[name]) > max(len(durable), len(alive)) {
			return false
		}
		for at := 0; at < len(seen[name]); at += pageSize {
			if p := pageOf(seen[name], at); !samePage(p, pageOf(durable, at)) && !samePage(p, pageOf(alive, at)) {
				return false
			}
		}
	}
	return true
}

func pageOf(content string, at int) string {
	return content[min(at, len(content)):min(at+pageSize, len(content))]
}

// samePage compares pages; beyond the end of a file are zeros.
func samePage(a, b string) bool {
	return strings.TrimRight(a, "\x00") == strings.TrimRight(b, "\x00")
}
