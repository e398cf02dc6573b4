package members

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/layout"
)

// A sim is a cluster as it is, beside the tables that its hosts make of it. A step
// is a second.
type sim struct {
	now    int64
	layout layout.Layout
	hosts  []*simHost
	logs   map[string]*simLog
	moves  []simMove
	rand   *rand.Rand
	fail   func(format string, args ...any)
}

type simHost struct {
	name     string
	up       bool
	boot     uint64
	seq      uint64
	table    *Table
	applied  map[string]uint64
	slow     bool   // applies nothing
	sick     string // must not own
	draining bool
	unable   bool // never manages to claim
	gone     int64
}

type simLog struct {
	last, epoch uint64
	owner       string
	leader      string // when nobody owns
	free        int64  // since when nobody leads
}

type simMove struct {
	at int64
	Move
	from string
}

const (
	simPrefer = 5_000
	simRate   = 2000 // records a second
)

func newSim(fail func(string, ...any), seed uint64, hosts, stripes int) *sim {
	s := &sim{layout: three(hosts, stripes), logs: map[string]*simLog{}, rand: rand.New(rand.NewPCG(seed, 0)), fail: fail}
	for _, h := range s.layout.Hosts {
		s.hosts = append(s.hosts, &simHost{name: h.Name, applied: map[string]uint64{}})
	}
	for _, st := range s.layout.Stripes {
		s.logs[st.Name] = &simLog{}
	}
	for _, h := range s.hosts {
		s.start(h)
	}
	return s
}

func (s *sim) host(name string) *simHost {
	return s.hosts[slices.IndexFunc(s.hosts, func(h *simHost) bool { return h.name == name })]
}

func (s *sim) start(h *simHost) {
	h.up, h.seq = true, 0
	h.boot++
	h.table = New(h.name, s.layout)
	h.table.PreferAfter = simPrefer
}

func (s *sim) stop(h *simHost) {
	h.up, h.gone = false, s.now
	for _, l := range s.logs {
		if l.owner == h.name || l.leader == h.name {
			l.owner, l.leader, l.free = "", "", s.now
		}
	}
}

// step lets a second pass: elections, records, reports, then what each host decides.
func (s *sim) step() {
	s.now += 1000
	for _, st := range s.layout.Stripes {
		s.elect(st)
		if l := s.logs[st.Name]; l.owner != "" {
			l.last += simRate
		}
		for _, m := range st.Hosts {
			if h := s.host(m); h.up && (!h.slow || s.logs[st.Name].owner == m) {
				h.applied[st.Name] = s.logs[st.Name].last
			}
		}
	}
	for _, h := range s.hosts {
		if !h.up {
			continue
		}
		r := s.report(h)
		for _, to := range s.hosts {
			if to.up && (to == h || s.rand.IntN(20) > 0) {
				to.table.Hear(s.now, r)
			}
		}
	}
	for _, h := range s.hosts {
		if h.up {
			s.decide(h)
		}
	}
}

func (s *sim) report(h *simHost) Report {
	h.seq++
	r := Report{Host: h.name, Disk: h.name, Boot: h.boot, Seq: h.seq, Draining: h.draining, Stripes: map[string]Stripe{}}
	for _, st := range s.layout.Stripes {
		if !slices.Contains(st.Hosts, h.name) {
			continue
		}
		l := s.logs[st.Name]
		v := Stripe{Applied: h.applied[st.Name], Durable: h.applied[st.Name], Sick: h.sick}
		if l.owner == h.name {
			v.Owner = &Owner{Epoch: fmt.Sprintf("%d-%d", st.Birth, l.epoch), First: 1, Last: l.last, Bytes: int64(l.last) * 300}
		}
		r.Stripes[st.Name] = v
	}
	return r
}

// elect gives a stripe that nobody leads to one of those that are up, and lets a
// leader that may claim.
func (s *sim) elect(st layout.Stripe) {
	l := s.logs[st.Name]
	if l.owner == "" && l.leader == "" && s.now-l.free > 5000 {
		up := slices.DeleteFunc(slices.Clone(st.Hosts), func(m string) bool { return !s.host(m).up })
		if len(up) >= majority(len(st.Hosts)) {
			l.leader = up[s.rand.IntN(len(up))]
		}
	}
	if l.leader != "" {
		s.claim(st.Name, l.leader)
	}
}

func (s *sim) claim(stripe, by string) bool {
	l, h := s.logs[stripe], s.host(by)
	l.leader = by
	if !h.up || h.sick != "" || h.unable {
		return false
	}
	l.last++
	l.owner, l.leader, l.epoch = by, "", l.last
	h.applied[stripe] = l.last
	return true
}

func (s *sim) decide(h *simHost) {
	for _, st := range s.layout.Stripes {
		if l := s.logs[st.Name]; l.leader == h.name && !s.claim(st.Name, h.name) {
			if to, ok := h.table.Rescue(s.now, st.Name); ok {
				s.target(h, st.Name, to)
				l.leader = to
			}
		}
	}
	m, ok := h.table.Balance(s.now)
	if !ok {
		return
	}
	if s.logs[m.Stripe].owner != h.name {
		s.fail("at %d %s moves %s, which %q owns", s.now, h.name, m.Stripe, s.logs[m.Stripe].owner)
	}
	s.target(h, m.Stripe, m.To)
	s.moves = append(s.moves, simMove{s.now, m, h.name})
	l := s.logs[m.Stripe]
	l.owner = ""
	served := s.claim(m.Stripe, m.To)
	if !served {
		s.claim(m.Stripe, h.name) // it goes on
	}
	h.table.Hear(s.now, s.report(h))
	h.table.Moved(s.now, m, served)
}

// target judges a choice by what is the case: the chosen one may have failed only so
// lately that nobody could know.
func (s *sim) target(from *simHost, stripe, to string) {
	h := s.host(to)
	switch {
	case to == from.name:
		s.fail("at %d %s gives %s to itself", s.now, to, stripe)
	case !h.up && s.now-h.gone > DeadAfter+1000:
		s.fail("at %d %s gives %s to %s, dead for %d", s.now, from.name, stripe, to, s.now-h.gone)
	case h.up && h.applied[stripe]+nearRecords+5*simRate < s.logs[stripe].last:
		s.fail("at %d %s gives %s to %s, which has %d of %d", s.now, from.name, stripe, to, h.applied[stripe], s.logs[stripe].last)
	}
	if known := from.table.hosts[to].report; known.Draining || known.Stripes[stripe].Sick != "" {
		s.fail("at %d %s gives %s to %s, which drains or is sick", s.now, from.name, stripe, to)
	}
}

func (s *sim) preferences() int {
	n := 0
	for _, m := range s.moves {
		if !m.Urgent {
			n++
		}
	}
	return n
}

// Whatever happens, stripes go to sound hosts only, and when all are well each comes
// to its preferred host and stays there.
func TestClustersSettle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t.Fatalf, rapid.Uint64().Draw(t, "seed"), rapid.SampledFrom([]int{3, 5}).Draw(t, "hosts"), rapid.IntRange(1, 6).Draw(t, "stripes"))
		faults := 0
		for range rapid.IntRange(0, 120).Draw(t, "trouble") {
			h := rapid.SampledFrom(s.hosts).Draw(t, "host")
			switch rapid.IntRange(0, 11).Draw(t, "event") {
			case 0:
				if h.up {
					s.stop(h)
					faults++
				}
			case 1, 2:
				if !h.up {
					s.start(h)
				}
			case 3:
				h.slow = !h.slow
				faults++
			case 4:
				h.sick = map[string]string{"": "damaged"}[h.sick]
				faults++
			case 5:
				h.draining = !h.draining
				faults++
			case 6:
				h.unable = !h.unable
				faults++
			}
			s.step()
		}
		if n := s.preferences(); n > (faults+2)*len(s.layout.Stripes) {
			t.Errorf("%d moves after %d faults", n, faults)
		}
		for _, h := range s.hosts {
			h.slow, h.sick, h.draining, h.unable = false, "", false, false
			if !h.up {
				s.start(h)
			}
		}
		settled := func() bool {
			return !slices.ContainsFunc(s.layout.Stripes, func(st layout.Stripe) bool { return s.logs[st.Name].owner != st.Hosts[0] })
		}
		const longest = 2 * simPrefer << maxStrikes / 1000
		for i := 0; !settled(); i++ {
			if i > longest {
				t.Fatalf("not settled after %d s: %+v", i, s.moves)
			}
			s.step()
		}
		before := len(s.moves)
		for range 60 {
			s.step()
		}
		if len(s.moves) != before || !settled() {
			t.Fatalf("moves of a settled cluster: %+v", s.moves[before:])
		}
	})
}

// A host that never manages to claim is tried again and again, but ever more rarely.
func TestAHostThatCannotClaimIsTriedRarely(t *testing.T) {
	const seconds = 3000
	for seed := range uint64(4) {
		s := newSim(t.Fatalf, seed, 3, 1)
		s.hosts[0].unable = true
		for range seconds {
			s.step()
		}
		if n, most := s.preferences(), maxStrikes+1+seconds*1000/(simPrefer<<maxStrikes); n > most {
			t.Errorf("seed %d: %d moves in %d s, want at most %d", seed, n, seconds, most)
		}
	}
}

// A host that dies a while after it got its stripe back gets it ever more rarely.
func TestAFlappingHostGetsItsStripeRarely(t *testing.T) {
	const seconds = 3000
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		up, down := 8+r.IntN(32), 1+r.IntN(20)
		s := newSim(t.Fatalf, seed, 3, 1)
		h, deaths := s.hosts[0], 0
		for i := range seconds {
			switch i % (up + down) {
			case up:
				s.stop(h)
				deaths++
			case 0:
				if !h.up {
					s.start(h)
				}
			}
			s.step()
		}
		if n, most := s.preferences(), maxStrikes+1+2*seconds*1000/(simPrefer<<maxStrikes); n > min(deaths+1, most) {
			t.Errorf("seed %d, up %d s, down %d s: %d moves in %d s with %d deaths, want at most %d", seed, up, down, n, seconds, deaths, most)
		}
	}
}
