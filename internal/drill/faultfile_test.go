package drill

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"trireme/internal/localcluster"
)

// A fileKind is a kind of file on a host's disk, by its path under the data directory.
type fileKind struct {
	name    string
	path    *regexp.Regexp
	atRest  bool // written when a host is stopped in order, and not there when it is killed
	flushed bool // written when a host has started with something to flush
}

// fileKinds are those of JetStream's logs, of its consensus groups, and of the document
// store.
func fileKinds() []fileKind {
	kind := func(name, path string) fileKind { return fileKind{name: name, path: regexp.MustCompile(path)} }
	atRest := func(k fileKind) fileKind { k.atRest = true; return k }
	flushed := func(k fileKind) fileKind { k.flushed = true; return k }
	return []fileKind{
		kind("log blocks", `^jetstream/TRIREME/streams/[^/]+/msgs/[0-9]+\.blk$`),
		atRest(kind("log indexes", `^jetstream/TRIREME/streams/[^/]+/msgs/index\.db$`)),
		kind("log descriptions", `^jetstream/TRIREME/streams/[^/]+/meta\.(inf|sum)$`),
		kind("consensus blocks", `^jetstream/.*/_js_/[^/]+/msgs/[0-9]+\.blk$`),
		kind("consensus votes", `^jetstream/.*/_js_/[^/]+/(tav|peers)\.idx$`),
		kind("consensus descriptions", `^jetstream/.*/_js_/[^/]+/meta\.(inf|sum)$`),
		flushed(kind("documents", `^store/.*\.sst$`)),
		kind("store logs", `^store/.*\.log$`),
		kind("store manifests", `^store/.*(MANIFEST-[0-9]+|marker\.[^/]+)$`),
	}
}

// fileFaults damage files of hosts that were killed, one kind at a time, in one way after
// the other: of one host, and of two at once. Then the third has the only good copy of
// what both have lost.
func fileFaults() []fault {
	var all []fault
	for _, k := range fileKinds() {
		for _, on := range []struct {
			suffix, hosts, their string
			count                int
		}{{"", "a host is", "its", 1}, {" on two hosts", "two hosts are", "their", 2}} {
			all = append(all, fault{
				name: "damaged " + k.name + on.suffix, short: k.name == "store logs" && on.count == 1, outage: on.count > 1,
				what: on.hosts + " killed, or stopped where only that writes them; in " + on.their + " " + k.name +
					" a bit is flipped, a file is cut short, its last quarter is zeros, or a quarter is as it was at the strike before; then started again",
				loaded: func(x *strike) { x.beDamaged(k) },
				strike: func(x *strike) {
					hosts := []*localcluster.Host{x.victim()}
					if on.count > 1 {
						hosts = x.others(x.victim())
					}
					x.flush(k, hosts...) // what has healed meanwhile need not be in such a file yet
					x.end(k.atRest, hosts...)
					for _, h := range hosts {
						x.damage(h, k)
					}
					x.startAll(hosts...)
					if on.count > 1 { // before the next one: a document has three copies
						x.serveAgain()
						x.allHealed()
					}
				},
			})
		}
	}
	return all
}

// allHealed waits until no host has a sick copy of anything.
func (x *strike) allHealed() {
	x.t.Helper()
	for _, h := range x.Hosts {
		x.healed(h)
	}
}

// beDamaged sees to it that there are files of a kind that can be damaged, and remembers
// what was in them.
func (x *strike) beDamaged(k fileKind) {
	x.t.Helper()
	x.fill("fill", 200, 4000)
	x.aside = map[string]map[string][]byte{}
	for _, h := range x.Hosts {
		x.flush(k, h)
		x.aside[h.Name] = map[string][]byte{}
		for _, path := range filesOf(x, h, k) {
			// It may be removed at this moment: then there is nothing to go back to.
			if content, err := os.ReadFile(path); err == nil {
				x.aside[h.Name][path] = content
			}
		}
	}
}

// flush has hosts write files of a kind that come into being when a host starts.
func (x *strike) flush(k fileKind, hosts ...*localcluster.Host) {
	x.t.Helper()
	for _, h := range hosts {
		if k.flushed {
			x.stopHost(h)
			x.must(h.Start())
			x.ready()
		}
	}
}

// end stops hosts in order, one after the other, or kills them at one moment.
func (x *strike) end(inOrder bool, hosts ...*localcluster.Host) {
	x.t.Helper()
	if !inOrder {
		x.killAll(hosts...)
		return
	}
	for _, h := range hosts {
		x.stopHost(h)
	}
}

// damage harms files of a kind of a host that is down, in one of four ways.
func (x *strike) damage(h *localcluster.Host, k fileKind) {
	x.t.Helper()
	files := filesOf(x, h, k)
	if len(files) == 0 {
		x.t.Fatalf("%s has no %s: what is damaged? %v", h.Name, k.name, ls(x.t, h.Data))
	}
	path := files[rand.IntN(len(files))]
	content, err := os.ReadFile(path)
	x.must(err)
	before := x.aside[h.Name][path]
	x.aside[h.Name][path] = slices.Clone(content)
	quarter := len(content) / 4
	way := "nothing is changed, it is empty"
	switch {
	case x.n%4 == 1:
		way = fmt.Sprintf("cut to half of %d bytes", len(content))
		content = content[:len(content)/2]
	case x.n%4 == 2: // as by a disk that has lost what was written last, and kept the length
		way = fmt.Sprintf("zeros in the last quarter of %d bytes", len(content))
		clear(content[len(content)-quarter:])
	case x.n%4 == 3 && len(before) > 0: // as by a disk that has lost a write
		at := rand.IntN(len(content) - quarter + 1)
		n := copy(content[at:at+quarter], before[min(at, len(before)):])
		clear(content[at+n : at+quarter])
		way = fmt.Sprintf("%d bytes at %d of %d as they were before", quarter, at, len(content))
	case len(content) > 0:
		at := rand.IntN(len(content))
		content[at] ^= 1 << rand.IntN(8)
		way = fmt.Sprintf("a bit flipped at %d of %d", at, len(content))
	}
	x.must(os.WriteFile(path, content, 0o600))
	x.t.Logf("%s: %s: %s", h.Name, path[len(h.Data)+1:], way)
}

// filesOf are the files of a kind that a host has, in the order of their paths.
func filesOf(x *strike, h *localcluster.Host, k fileKind) (files []string) {
	x.t.Helper()
	x.must(filepath.WalkDir(h.Data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		under, err := filepath.Rel(h.Data, path)
		if err == nil && d.Type().IsRegular() && k.path.MatchString(filepath.ToSlash(under)) {
			files = append(files, path)
		}
		return err
	}))
	slices.Sort(files)
	return files
}
