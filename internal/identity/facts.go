package identity

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"trireme/internal/digest"
)

// facts are Facts looked at from all sides.
type facts struct {
	*Facts
	answers  map[string]*Answer // that count
	others   []string           // members of its stripes but itself, each once
	empty    bool               // the disk holds nothing
	evidence []string           // what speaks against the disk, by host
	boot     uint64             // the highest boot of this host that is known
	disks    []string           // that were seen as this host's, but are not its own
}

func gather(f *Facts) *facts {
	c := &facts{Facts: f, answers: map[string]*Answer{}, empty: f.NoLog, boot: f.Self.Boot}
	for _, applied := range f.Applied {
		c.empty = c.empty && applied == 0
	}
	for _, members := range f.Stripes {
		c.others = append(c.others, without(members, f.Self.Host)...)
	}
	slices.Sort(c.others)
	c.others = slices.Compact(c.others)
	for _, name := range slices.Sorted(maps.Keys(f.Replies)) {
		r := f.Replies[name]
		if r.Err == nil && r.Answer.Host == name && r.Answer.Cluster == f.Self.Cluster && name != f.Self.Host {
			c.answers[name] = &r.Answer
			if s, ok := r.Answer.Seen.Hosts[f.Self.Host]; ok {
				c.weigh(name, s)
			}
		}
	}
	return c
}

// weigh compares what a host has seen of this one with what it is.
func (c *facts) weigh(by string, s Sighting) {
	c.boot = max(c.boot, s.Boot)
	if s.Disk != c.Self.Disk && !slices.Contains(c.disks, s.Disk) {
		c.disks = append(c.disks, s.Disk)
	}
	against := func(format string, args ...any) {
		c.evidence = append(c.evidence, by+" has seen "+fmt.Sprintf(format, args...))
	}
	switch former := slices.Contains(c.Self.Former, s.Disk); {
	case c.empty:
		against("this host with disk %s at boot %d", s.Disk, s.Boot)
	case former: // what it has seen is older than this disk
	case s.Disk != c.Self.Disk:
		against("this host with disk %s at boot %d, this is disk %s", s.Disk, s.Boot, c.Self.Disk)
	case s.Boot > c.Self.Boot:
		against("boot %d of this host, this disk knows only of %d", s.Boot, c.Self.Boot)
	case s.Boot < c.Self.Boot: // the disk was admitted since then, with less in its store perhaps
	case c.storeDamaged():
	default:
		for _, name := range slices.Sorted(maps.Keys(s.Durable)) {
			if _, mine := c.Stripes[name]; mine && s.Durable[name] > c.Applied[name] {
				against("this host with stripe %s up to record %d, this disk has it up to %d", name, s.Durable[name], c.Applied[name])
			}
		}
	}
}

// storeDamaged tells whether the store holds less than it is known to have held on this
// very disk. Were the disk older as a whole it would not know.
func (c *facts) storeDamaged() bool {
	if c.Own.Disk != c.Self.Disk {
		return false
	}
	for name, durable := range c.Own.Durable {
		if _, mine := c.Stripes[name]; mine && durable > c.Applied[name] {
			return true
		}
	}
	return false
}

// seen tells whether what others have seen speaks against the disk.
func (c *facts) seen() bool { return len(c.evidence) > 0 }

// absent are those of some hosts that have not answered, or not so.
func (c *facts) absent(hosts []string, so func(*Answer) bool) []string {
	return slices.DeleteFunc(slices.Clone(hosts), func(name string) bool {
		a := c.answers[name]
		return a != nil && so(a)
	})
}

// sole are the stripes of which nobody else has a copy.
func (c *facts) sole() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(c.Stripes)) {
		if len(without(c.Stripes[name], c.Self.Host)) == 0 {
			names = append(names, name)
		}
	}
	return names
}

// names lists hosts with what is the matter with them.
func (c *facts) names(hosts []string) string {
	parts := make([]string, 0, len(hosts))
	for _, name := range hosts {
		parts = append(parts, name+" ("+c.matter(name)+")")
	}
	return strings.Join(parts, ", ")
}

func (c *facts) matter(name string) string {
	r, asked := c.Replies[name]
	switch a := &r.Answer; {
	case !asked:
		return "was not asked"
	case r.Err != nil:
		return r.Err.Error()
	case c.answers[name] == nil:
		return fmt.Sprintf("answers as %q of cluster %q", a.Host, a.Cluster)
	case !a.Begun:
		return "is new itself"
	case a.State != Serving:
		return "is " + string(a.State)
	}
	return "is not healthy"
}

// stake tells, for each stripe, what could be lost if this host came in without the
// data that it may have had, and the hosts that are missing stayed away.
func (c *facts) stake(missing []string) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(c.Stripes)) {
		members := c.Stripes[name]
		gone := slices.DeleteFunc(without(members, c.Self.Host), func(m string) bool { return !slices.Contains(missing, m) })
		switch {
		case len(members) == 1:
			lines = append(lines, fmt.Sprintf("stripe %s: this host has the only copy; all its documents", name))
		case len(gone) >= len(members)/2:
			lines = append(lines, fmt.Sprintf("stripe %s: changes that only this host and %s have", name, strings.Join(gone, ", ")))
		}
	}
	return lines
}

// situation names what is the case: what speaks against the disk, and which disk it
// is. An empty disk is like any other empty disk.
func (c *facts) situation(k Kind) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\n", k, c.Self.Cluster, c.Self.Host)
	if !c.empty {
		fmt.Fprintf(&b, "%s %d\n", c.Self.Disk, c.Self.Boot)
		for _, name := range slices.Sorted(maps.Keys(c.Applied)) {
			fmt.Fprintf(&b, "%s %d\n", name, c.Applied[name])
		}
	}
	for _, e := range c.evidence {
		fmt.Fprintln(&b, e)
	}
	return digest.Of([]byte(b.String())).String()[:16]
}

func without(list []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == one })
}
