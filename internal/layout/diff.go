package layout

import (
	"fmt"
	"strconv"
	"strings"
)

// A Change is one difference between two layouts, for people and for programs.
type Change struct {
	Of   string `json:"of"`            // version, host, stripe, partition or buckets
	Name string `json:"name"`          // which one, as in h1, s1, 07 or 256-511; empty for the version
	What string `json:"what"`          // added, removed, or the field that differs
	Old  string `json:"old,omitempty"` // what it was
	New  string `json:"new,omitempty"` // what it is
}

// String prints the change as people read it: "host h1: nats 10.0.0.1:4222 -> 10.0.0.9:4222".
func (c Change) String() string {
	head := c.Of
	if c.Name != "" {
		head += " " + c.Name
	}
	switch c.What {
	case added:
		return fmt.Sprintf("%s: added: %s", head, c.New)
	case removed:
		return fmt.Sprintf("%s: removed: %s", head, c.Old)
	}
	if c.What != c.Of {
		head += ": " + c.What
	} else {
		head += ":"
	}
	return fmt.Sprintf("%s %s -> %s", head, orNone(c.Old), orNone(c.New))
}

// The two kinds of changes that are no field.
const (
	added   = "added"
	removed = "removed"
)

// changes gathers differences.
type changes []Change

// Diff lists what next says differently, in the order of version, hosts, stripes,
// partitions and buckets that go to another stripe. Both are valid. It is empty
// exactly when their digests agree.
func Diff(old, next Layout) []Change {
	c := changes{}
	c.field("version", "", "version", strconv.FormatUint(old.Version, 10), strconv.FormatUint(next.Version, 10))
	compare(&c, "host", old.Hosts, next.Hosts, func(h Host) string { return h.Name }, printHost, c.host)
	compare(&c, "stripe", old.Stripes, next.Stripes, func(s Stripe) string { return s.Name }, printStripe, c.stripe)
	compare(&c, "partition", old.Partitions, next.Partitions, func(p Partition) string { return p.ID.String() }, printPartition, c.partition)
	for _, m := range moves(old, next) {
		c.field("buckets", fmt.Sprintf("%d-%d", m.first, m.last), "stripe", m.from, m.to)
	}
	return c
}

// compare finds what was added, removed, and is in both. Names are unique.
func compare[T any](c *changes, of string, old, next []T, name, text func(T) string, both func(was, is T)) {
	before, after := index(old, name), index(next, name)
	for _, was := range old {
		is, ok := after[name(was)]
		if ok {
			both(was, is)
		} else {
			*c = append(*c, Change{Of: of, Name: name(was), What: removed, Old: text(was)})
		}
	}
	for _, is := range next {
		if _, ok := before[name(is)]; !ok {
			*c = append(*c, Change{Of: of, Name: name(is), What: added, New: text(is)})
		}
	}
}

func index[T any](list []T, name func(T) string) map[string]T {
	m := make(map[string]T, len(list))
	for _, v := range list {
		m[name(v)] = v
	}
	return m
}

func (c *changes) field(of, name, what, old, next string) {
	if old != next {
		*c = append(*c, Change{Of: of, Name: name, What: what, Old: old, New: next})
	}
}

func (c *changes) host(was, is Host) {
	c.field("host", is.Name, "nats", was.NATS, is.NATS)
	c.field("host", is.Name, "route", was.Route, is.Route)
	c.field("host", is.Name, "http", was.HTTP, is.HTTP)
	c.field("host", is.Name, "adama", was.Adama, is.Adama)
}

func (c *changes) stripe(was, is Stripe) {
	c.field("stripe", is.Name, "birth", strconv.FormatUint(uint64(was.Birth), 10), strconv.FormatUint(uint64(is.Birth), 10))
	c.field("stripe", is.Name, "replicas", strconv.Itoa(was.Replicas), strconv.Itoa(is.Replicas))
	c.field("stripe", is.Name, "hosts", strings.Join(was.Hosts, ", "), strings.Join(is.Hosts, ", "))
}

func (c *changes) partition(was, is Partition) {
	c.field("partition", is.ID.String(), "buckets", printRange(was), printRange(is))
	c.field("partition", is.ID.String(), "stripe", was.Stripe, is.Stripe)
}

func printHost(h Host) string {
	return fmt.Sprintf("nats %s, route %s, http %s, adama %s", orNone(h.NATS), orNone(h.Route), orNone(h.HTTP), orNone(h.Adama))
}

func printStripe(s Stripe) string {
	return fmt.Sprintf("birth %d, %d replicas on %s", s.Birth, s.Replicas, strings.Join(s.Hosts, ", "))
}

func printPartition(p Partition) string {
	return fmt.Sprintf("buckets %s on %s", printRange(p), p.Stripe)
}

func printRange(p Partition) string { return fmt.Sprintf("%d-%d", p.First, p.Last) }

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
