package layout

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// nameLimit bounds names, which become parts of subjects, of stream names and of
// directory names.
const nameLimit = 64

// maxVersion is the largest number that a layout file can hold.
const maxVersion = math.MaxInt64

// Validate returns every fault of the layout, joined, or nil. Each fault names the
// field, its value and what to do about it.
func (l Layout) Validate() error {
	var f faults
	if l.Version == 0 {
		f.add("version: 0; number layouts from 1 upwards, each newer one higher")
	}
	if l.Version > maxVersion {
		f.add("version: %d is beyond %d; take a smaller one", l.Version, uint64(maxVersion))
	}
	l.checkHosts(&f)
	l.checkStripes(&f)
	l.checkPartitions(&f)
	return errors.Join(f...)
}

// CheckName says what is wrong with a name of a host or a stripe, or returns nil. A
// name is 1 to 64 letters, digits, '-' and '_' of ASCII: one token of a NATS subject,
// and safe as a file name.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty; give it one, as in h1")
	case len(name) > nameLimit:
		return fmt.Errorf("the name has %d bytes; at most %d fit", len(name), nameLimit)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return !nameRune(r) }); i >= 0 {
		return fmt.Errorf("%q cannot stand in a NATS subject; use only letters, digits, '-' and '_'", name[i:])
	}
	return nil
}

func nameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}

// faults gathers what is wrong.
type faults []error

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Errorf(format, args...)) }

func (f *faults) name(field, name string) {
	if err := CheckName(name); err != nil {
		f.add("%s.name: %q: %w", field, name, err)
	}
}

// twice names the fields of equal values but the first: seen is kept by the caller.
func twice[T comparable](f *faults, seen map[T]string, value T, field, remedy string) {
	if first, dup := seen[value]; dup {
		f.add("%s: %v is that of %s too; %s", field, value, first, remedy)
		return
	}
	seen[value] = field
}

func (l Layout) checkHosts(f *faults) {
	if len(l.Hosts) == 0 {
		f.add("hosts: none; a layout needs at least one host")
	}
	names, places := make(map[string]string), make(map[string]string)
	for i, h := range l.Hosts {
		field := fmt.Sprintf("hosts[%d]", i)
		f.name(field, h.Name)
		twice(f, names, h.Name, field+".name", "give each host a name of its own")
		l.checkAddresses(f, field, h, places)
	}
}

// checkAddresses wants every address of a host that has others to meet, and none of
// them taken by another one. A host that stands alone may leave them out.
func (l Layout) checkAddresses(f *faults, field string, h Host, places map[string]string) {
	for _, a := range []struct{ kind, address string }{{"nats", h.NATS}, {"route", h.Route}, {"http", h.HTTP}} {
		if a.address == "" && len(l.Hosts) <= 1 {
			continue
		}
		at := field + "." + a.kind
		if err := checkAddress(a.address); err != nil {
			f.add("%s: %w", at, err)
			continue
		}
		twice(f, places, strings.ToLower(a.address), at, "give each an address of its own")
	}
	if err := checkAdama(h.Adama); err != nil {
		f.add("%s.adama: %w", field, err)
	}
}

func (l Layout) checkStripes(f *faults) {
	if len(l.Stripes) == 0 {
		f.add("stripes: none; a layout needs at least one stripe")
	}
	names, births := make(map[string]string), make(map[uint32]string)
	hosts := make(map[string]bool, len(l.Hosts))
	for _, h := range l.Hosts {
		hosts[h.Name] = true
	}
	for i, s := range l.Stripes {
		field := fmt.Sprintf("stripes[%d]", i)
		f.name(field, s.Name)
		twice(f, names, s.Name, field+".name", "give each stripe a name of its own")
		if s.Birth == 0 {
			f.add("%s.birth: 0; number births from 1, a newer stripe higher than all before", field)
		} else {
			twice(f, births, s.Birth, field+".birth", "take a number higher than all before")
		}
		checkMembers(f, field, s, hosts)
	}
}

func checkMembers(f *faults, field string, s Stripe, hosts map[string]bool) {
	if s.Replicas != 1 && s.Replicas != 3 && s.Replicas != 5 {
		f.add("%s.replicas: %d; choose 1, 3 or 5", field, s.Replicas)
	}
	if len(s.Hosts) != s.Replicas {
		f.add("%s.hosts: %d hosts for %d replicas; list exactly one host for each replica", field, len(s.Hosts), s.Replicas)
	}
	seen := make(map[string]string)
	for i, h := range s.Hosts {
		member := fmt.Sprintf("%s.hosts[%d]", field, i)
		if !hosts[h] {
			f.add("%s: %q is no host of this layout; add it under hosts or correct the name", member, h)
		}
		twice(f, seen, h, member, "list a host once")
	}
}

func (l Layout) checkPartitions(f *faults) {
	ids := make(map[PartitionID]string)
	stripes := make(map[string]bool, len(l.Stripes))
	for _, s := range l.Stripes {
		stripes[s.Name] = true
	}
	for i, p := range l.Partitions {
		field := fmt.Sprintf("partitions[%d]", i)
		twice(f, ids, p.ID, field+".id", "give each partition a number of its own")
		if !stripes[p.Stripe] {
			f.add("%s.stripe: %q is no stripe of this layout; add it under stripes or correct the name", field, p.Stripe)
		}
		if !p.First.Valid() || !p.Last.Valid() {
			f.add("%s: buckets %d-%d; buckets end at %d", field, p.First, p.Last, Buckets-1)
		}
		if p.First > p.Last {
			f.add("%s: buckets %d-%d; the first must not lie behind the last", field, p.First, p.Last)
		}
		if i > 0 && p.First < l.Partitions[i-1].First {
			f.add("%s: bucket %d comes before that of the partition above; list partitions in the order of their buckets", field, p.First)
		}
	}
	l.checkCover(f)
}

// checkCover finds the buckets that no partition holds, and those that several do. It
// sorts a copy, so that it finds them whatever the order of the list.
func (l Layout) checkCover(f *faults) {
	sorted := slices.DeleteFunc(slices.Clone(l.Partitions), func(p Partition) bool { return p.First > p.Last })
	slices.SortFunc(sorted, func(a, b Partition) int { return cmp.Compare(a.First, b.First) })
	next := 0 // the first bucket that nobody holds so far
	for _, p := range sorted {
		switch first := min(int(p.First), Buckets); {
		case first > next:
			f.add("partitions: buckets %d-%d belong to none; widen a partition or add one", next, first-1)
		case first < next:
			f.add("partitions: buckets %d-%d belong to %s and to another one before it; let each bucket belong to one",
				first, min(int(p.Last), next-1), p.ID)
		}
		next = max(next, min(int(p.Last), Buckets-1)+1)
	}
	if next < Buckets {
		f.add("partitions: buckets %d-%d belong to none; widen a partition or add one", next, Buckets-1)
	}
}
