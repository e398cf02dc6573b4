package identity

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/members"
)

// A world is a cluster whose disks are wiped and rolled back, with a twin that knows
// what is true: of each disk every state that it went through, and of each state
// that somebody has seen its number.
type world struct {
	t       *rapid.T
	stripes map[string][]string
	last    map[string]uint64 // records committed
	hosts   map[string]*simHost
	names   []string
	logs    []string     // names of the stripes
	states  int          // numbers given so far
	void    map[int]bool // states that were given up: an older disk has started, or one was ordered in
}

type simHost struct {
	name    string
	disk    *simDisk
	copies  []*simDisk
	running bool
	held    bool
	memory  knowledge // of a running host, not saved yet
}

// knowledge is what a host has seen, and what the twin says that it has seen.
type knowledge struct {
	seen   Seen
	states map[string]int // of each host, the number of its state
}

func (k knowledge) clone() knowledge {
	return knowledge{k.seen.clone(), maps.Clone(k.states)}
}

type simDisk struct {
	self    Self
	log     bool
	applied map[string]uint64
	known   knowledge
	past    map[int]bool // every state up to this one
	state   int
}

func (d *simDisk) clone() *simDisk {
	c := *d
	c.applied, c.known, c.past = maps.Clone(d.applied), d.known.clone(), maps.Clone(d.past)
	return &c
}

func (w *world) empty(name string) *simDisk {
	d := &simDisk{self: newSelf(name, "c", start), applied: map[string]uint64{}, past: map[int]bool{}, known: knowledge{states: map[string]int{}}}
	d.known.seen.whole()
	return d
}

// moved gives a disk's state a number of its own.
func (w *world) moved(d *simDisk) {
	w.states++
	d.state = w.states
	d.past[d.state] = true
}

func newWorld(t *rapid.T) *world {
	n := rapid.IntRange(3, 5).Draw(t, "hosts")
	w := &world{t: t, stripes: map[string][]string{}, last: map[string]uint64{}, hosts: map[string]*simHost{}, void: map[int]bool{}}
	for i := range n {
		name := fmt.Sprintf("h%d", i+1)
		w.names = append(w.names, name)
		w.hosts[name] = &simHost{name: name, disk: w.empty(name)}
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "stripes") {
		s := fmt.Sprintf("s%d", i+1)
		w.logs = append(w.logs, s)
		for j := range 3 {
			w.stripes[s] = append(w.stripes[s], w.names[(i+j)%n])
		}
	}
	return w
}

func (w *world) of(name string) map[string][]string {
	mine := map[string][]string{}
	for s, members := range w.stripes {
		if slices.Contains(members, name) {
			mine[s] = members
		}
	}
	return mine
}

func (w *world) quorum(stripe string) bool {
	up := 0
	for _, m := range w.stripes[stripe] {
		if w.hosts[m].running {
			up++
		}
	}
	return up > len(w.stripes[stripe])/2
}

func (w *world) healthy(h *simHost) bool {
	for s := range w.of(h.name) {
		if !h.running || !w.quorum(s) || h.disk.applied[s] < w.last[s] {
			return false
		}
	}
	return h.running
}

// answer is what a host says; nil when its process is down.
func (w *world) answer(h *simHost) *Answer {
	d := h.disk
	a := &Answer{Host: h.name, Disk: d.self.Disk, Boot: d.self.Boot, Begun: d.self.Begun, Cluster: "c", State: Starting, Seen: d.known.seen.clone()}
	switch {
	case h.running:
		a.State, a.Healthy, a.Seen = Serving, w.healthy(h), h.memory.seen.clone()
	case h.held:
		a.State = HeldBack
	}
	return a
}

// start lets a host ask those that are reachable, and do as it is told.
func (w *world) start(h *simHost, reachable []string, order bool) Verdict {
	d := h.disk
	f := Facts{Self: d.self, NoLog: !d.log, Own: d.known.seen.Hosts[h.name], Applied: d.applied, Stripes: w.of(h.name), Replies: map[string]Reply{}}
	for _, name := range w.names {
		if name != h.name {
			f.Replies[name] = Reply{Err: errors.New("unreachable")}
			if slices.Contains(reachable, name) {
				f.Replies[name] = Reply{Answer: *w.answer(w.hosts[name])}
			}
		}
	}
	v := Admit(f)
	w.judge(h, reachable, v)
	if order && (v.Kind == Wait || v.Kind == Held) {
		o := v.Order(start)
		f.Order = &o
		v = Admit(f)
		if v.Kind == Wait || v.Kind == Held {
			w.t.Fatalf("%s was ordered in, and is %s: %s", h.name, v.Kind, v.Reason)
		}
	}
	h.held = v.Kind == Held
	switch v.Kind {
	case Reset:
		next := w.empty(h.name)
		next.self = d.self.replaced(v.Boot, v.Former, start)
		next.known = d.known
		for state := range w.states + 1 {
			next.past[state] = true // it takes the place of all that was
		}
		h.disk = next
		w.begin(h)
	case Start:
		w.giveUp(h)
		w.begin(h)
	}
	return v
}

// judge compares a verdict with what is true.
func (w *world) judge(h *simHost, reachable []string, v Verdict) {
	d := h.disk
	empty := !d.log && !slices.ContainsFunc(slices.Collect(maps.Values(d.applied)), func(n uint64) bool { return n > 0 })
	better, against, strange := "", "", false
	for _, name := range reachable {
		k := w.known(w.hosts[name])
		state, seen := k.states[h.name]
		if seen && (empty || !d.past[state]) {
			against = name
			if !w.void[state] {
				better = name
			}
		}
		if s, ok := k.seen.Hosts[h.name]; ok && s.Disk != d.self.Disk && !slices.Contains(d.self.Former, s.Disk) {
			strange = true
		}
	}
	others := map[string]bool{}
	for _, members := range w.of(h.name) {
		for _, m := range without(members, h.name) {
			others[m] = true
		}
	}
	switch v.Kind {
	case Start:
		if better != "" {
			w.t.Fatalf("%s started (%s), although %s knows better", h.name, v.Reason, better)
		}
		if !empty && !d.log {
			w.t.Fatalf("%s started with a store and without its logs", h.name)
		}
		for m := range others {
			if empty && !slices.Contains(reachable, m) {
				w.t.Fatalf("%s started empty without an answer from %s", h.name, m)
			}
		}
		for s, members := range w.of(h.name) {
			remember := 1
			for _, m := range without(members, h.name) {
				if slices.Contains(reachable, m) && w.hosts[m].disk.self.Begun {
					remember++
				}
			}
			if !empty && remember <= len(members)/2 {
				w.t.Fatalf("%s started, although too few members of %s remember anything", h.name, s)
			}
		}
	case Reset:
		for m := range others {
			if !slices.Contains(reachable, m) || !w.healthy(w.hosts[m]) {
				w.t.Fatalf("%s comes in empty while %s is not well", h.name, m)
			}
		}
		fallthrough
	case Held:
		if against == "" && !strange && (empty || d.log) {
			w.t.Fatalf("%s is not let in (%s), although nobody knows better", h.name, v.Reason)
		}
	case Wait:
	}
}

func (w *world) known(h *simHost) knowledge {
	if h.running {
		return h.memory
	}
	return h.disk.known
}

// giveUp notes that a disk becomes the truth although it may not be the newest.
func (w *world) giveUp(h *simHost) {
	for state := range w.states + 1 {
		if !h.disk.past[state] {
			for _, other := range w.hosts {
				for _, k := range []knowledge{other.memory, other.disk.known} {
					if k.states[h.name] == state {
						w.void[state] = true
					}
				}
				for _, c := range other.copies {
					if c.known.states[h.name] == state {
						w.void[state] = true
					}
				}
			}
		}
	}
}

func (w *world) begin(h *simHost) {
	h.disk.self.Boot++
	h.disk.self.Begun, h.disk.log = true, true
	h.running, h.held = true, false
	h.memory = h.disk.known.clone()
	w.moved(h.disk)
}

// commit lets the log of a stripe grow, and some members make it durable.
func (w *world) commit(stripe string, all bool) {
	if !w.quorum(stripe) {
		return
	}
	w.last[stripe]++
	for _, m := range w.stripes[stripe] {
		if h := w.hosts[m]; h.running && (all || rapid.Bool().Draw(w.t, "durable")) {
			h.disk.applied[stripe] = w.last[stripe]
			w.moved(h.disk)
		}
	}
}

// report lets a host's report reach another.
func (w *world) report(from, to *simHost) {
	if !from.running || !to.running {
		return
	}
	r := members.Report{Host: from.name, Disk: from.disk.self.Disk, Boot: from.disk.self.Boot, Stripes: map[string]members.Stripe{}}
	for s := range w.of(from.name) {
		r.Stripes[s] = members.Stripe{Durable: from.disk.applied[s]}
	}
	to.memory.seen.see(&r)
	to.memory.states[from.name] = from.disk.state
}

func (w *world) save(h *simHost) {
	if h.running {
		h.disk.known = h.memory.clone()
	}
}

// damage takes records from a host's store, while it is down. Its logs stay, and so does
// what it remembers of itself.
func (w *world) damage(h *simHost) {
	w.report(h, h)
	w.save(h)
	w.crash(h)
	for s, n := range h.disk.applied {
		h.disk.applied[s] = rapid.Uint64Range(0, n).Draw(w.t, "left of "+s)
	}
}

func (w *world) crash(h *simHost) {
	h.running, h.held = false, false
}

// TestAnOlderDiskNeverStartsWhileSomebodyKnowsBetter is about safety only.
func TestAnOlderDiskNeverStartsWhileSomebodyKnowsBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for _, name := range w.names {
			if v := w.start(w.hosts[name], w.names, false); v.Kind != Start {
				t.Fatalf("a new cluster: %s is %s: %s", name, v.Kind, v.Reason)
			}
		}
		for range rapid.IntRange(0, 150).Draw(t, "steps") {
			h := w.hosts[rapid.SampledFrom(w.names).Draw(t, "host")]
			switch rapid.IntRange(0, 16).Draw(t, "what") {
			case 16: // a damaged store, and no other fault of that disk before it starts
				if !h.running {
					continue
				}
				whole := maps.Clone(h.disk.applied)
				w.damage(h)
				w.start(h, without(w.names, h.name), false)
				if !h.running { // others may know of another disk, or of a later boot
					h.disk.applied = whole
				}
			case 15: // a copy, a restart that some have seen, and the copy again
				c := h.disk.clone()
				w.crash(h)
				w.start(h, without(w.names, h.name), false)
				for _, to := range w.names {
					if rapid.Bool().Draw(t, "sees it") {
						w.report(h, w.hosts[to])
					}
				}
				w.crash(h)
				h.disk = c
			case 0:
				w.crash(h)
			case 1: // with an empty disk
				w.crash(h)
				h.disk = w.empty(h.name)
			case 2:
				h.copies = append(h.copies, h.disk.clone())
			case 3:
				if len(h.copies) > 0 {
					w.crash(h)
					h.disk = rapid.SampledFrom(h.copies).Draw(t, "copy").clone()
				}
			case 4: // loses half of its disk
				w.crash(h)
				h.disk.log = false
			case 5:
				w.save(h)
			case 6, 7, 8:
				w.report(h, w.hosts[rapid.SampledFrom(w.names).Draw(t, "to")])
			case 9, 10:
				for _, s := range w.logs {
					w.commit(s, false)
				}
			default:
				if h.running {
					continue
				}
				reachable := slices.DeleteFunc(slices.Clone(w.names), func(name string) bool {
					return name == h.name || rapid.IntRange(0, 3).Draw(t, "unreachable") == 0
				})
				w.start(h, reachable, rapid.IntRange(0, 9).Draw(t, "ordered") == 0)
			}
		}
	})
}

// settle lets every host ask again and again, with all that a running cluster does.
func (w *world) settle() (stuck []string) {
	for range 6 {
		stuck = nil
		for _, name := range w.names {
			if h := w.hosts[name]; !h.running {
				if v := w.start(h, without(w.names, name), false); !h.running {
					stuck = append(stuck, fmt.Sprintf("%s: %s: %s", name, v.Kind, v.Reason))
				}
			}
		}
		for _, s := range w.logs {
			w.commit(s, true)
		}
		for _, from := range w.names {
			for _, to := range w.names {
				w.report(w.hosts[from], w.hosts[to])
			}
			w.save(w.hosts[from])
		}
	}
	return stuck
}

// TestAClusterComesUpByItself with hosts that crash at any time, all at once too, and
// at most one that has lost its disk or got an older one.
func TestAClusterComesUpByItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 3 {
			victim := w.hosts[rapid.SampledFrom(w.names).Draw(t, "victim")]
			victim.copies = nil
			for range rapid.IntRange(0, 40).Draw(t, "steps") {
				h := w.hosts[rapid.SampledFrom(w.names).Draw(t, "host")]
				switch rapid.IntRange(0, 8).Draw(t, "what") {
				case 8:
					if h != victim && h.running {
						w.damage(h)
					}
				case 0:
					w.save(h) // else those who saw it may all have forgotten what they saw
					w.crash(h)
				case 1:
					if victim.running {
						victim.copies = append(victim.copies, victim.disk.clone())
					}
				case 2, 3:
					w.report(h, w.hosts[rapid.SampledFrom(w.names).Draw(t, "to")])
				case 4:
					for _, s := range w.logs {
						w.commit(s, false)
					}
				default:
					if !h.running {
						w.start(h, without(w.names, h.name), false)
					}
				}
			}
			switch rapid.IntRange(0, 2).Draw(t, "fate") {
			case 0:
				w.crash(victim)
				victim.disk = w.empty(victim.name)
			case 1:
				if len(victim.copies) > 0 {
					w.crash(victim)
					victim.disk = rapid.SampledFrom(victim.copies).Draw(t, "copy").clone()
				}
			}
			if rapid.Bool().Draw(t, "power is lost") {
				for _, h := range w.hosts {
					w.crash(h)
				}
			}
			if stuck := w.settle(); len(stuck) > 0 {
				t.Fatalf("they do not come up: %q", stuck)
			}
		}
	})
}
