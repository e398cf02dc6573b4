package layout

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Why a layout may not follow another one. [Follow] returns errors that wrap them.
var (
	// ErrOlder is returned for a layout of a smaller version.
	ErrOlder = errors.New("the layout is older")
	// ErrSameVersion is returned for a layout that says something else under the same version.
	ErrSameVersion = errors.New("the layout says something else under the same version")
	// ErrBound is returned for a layout that changes what is bound for good.
	ErrBound = errors.New("the layout changes what is bound for good")
)

// A refusal is a fault with the sentinel it belongs to.
type refusal struct {
	kind error
	text string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.kind }

// refusals gathers why a layout cannot follow.
type refusals []error

func (r *refusals) add(kind error, format string, args ...any) {
	*r = append(*r, &refusal{kind, fmt.Sprintf(format, args...)})
}

// Follow says why a cluster that runs old does not take next, every fault with its
// remedy, or returns nil. Both are valid. It takes old itself again.
//
// A newer layout may change addresses, add hosts, add stripes that carry nothing and
// drop such, split and merge partitions within one stripe, and change the preferred
// order of a stripe. It may not move a bucket to another stripe, nor give a stripe
// another birth, other hosts or another number of replicas.
func Follow(old, next Layout) error {
	var r refusals
	switch {
	case next.Version < old.Version:
		r.add(ErrOlder, "version: %d is older than %d, which is in force; number a new layout %d or higher", next.Version, old.Version, old.Version+1)
	case next.Version == old.Version && next.Digest() != old.Digest():
		r.add(ErrSameVersion, "version: %d is in force with another content; number a changed layout %d or higher", next.Version, old.Version+1)
	}
	r.stripes(old, next)
	r.buckets(old, next)
	r.partitions(old, next)
	return errors.Join(r...)
}

func (r *refusals) stripes(old, next Layout) {
	var newest uint32
	carries := make(map[string]bool)
	for _, p := range old.Partitions {
		carries[p.Stripe] = true
	}
	for _, was := range old.Stripes {
		newest = max(newest, was.Birth)
		is, ok := next.Stripe(was.Name)
		if !ok {
			if carries[was.Name] {
				r.add(ErrBound, "stripe %s: is gone, and carries buckets; keep it", was.Name)
			}
			continue
		}
		r.stripe(was, is)
	}
	for _, is := range next.Stripes {
		if _, ok := old.Stripe(is.Name); !ok && is.Birth <= newest {
			r.add(ErrBound, "stripe %s: birth %d of a new stripe; number it %d or higher, above all before", is.Name, is.Birth, newest+1)
		}
	}
}

func (r *refusals) stripe(was, is Stripe) {
	const remedy = "a stripe keeps it for good; put it back, and add a new stripe for what is to be different"
	if is.Birth != was.Birth {
		r.add(ErrBound, "stripe %s: birth %d was %d; %s", is.Name, is.Birth, was.Birth, remedy)
	}
	if is.Replicas != was.Replicas {
		r.add(ErrBound, "stripe %s: replicas %d was %d; %s", is.Name, is.Replicas, was.Replicas, remedy)
	}
	if !slices.Equal(slices.Sorted(slices.Values(is.Hosts)), slices.Sorted(slices.Values(was.Hosts))) {
		r.add(ErrBound, "stripe %s: hosts %s was %s; only their order may change: put the same ones back, and add a new stripe for others",
			is.Name, strings.Join(is.Hosts, ", "), strings.Join(was.Hosts, ", "))
	}
}

// partitions keeps a number from meaning another stripe: a request that is on its way
// to the owner of partition 07 must not arrive where it does not belong. Where the
// buckets have moved with it, that is the fault, and told.
func (r *refusals) partitions(old, next Layout) {
	stripes := make(map[PartitionID]string, len(old.Partitions))
	for _, p := range old.Partitions {
		stripes[p.ID] = p.Stripe
	}
	for _, p := range next.Partitions {
		was, ok := stripes[p.ID]
		if before, found := old.PartitionOf(p.First); ok && was != p.Stripe && found && before.Stripe == p.Stripe {
			r.add(ErrBound, "partition %s: on %s was on %s; a number stays with its stripe: take one that was not in use", p.ID, p.Stripe, was)
		}
	}
}

func (r *refusals) buckets(old, next Layout) {
	for _, m := range moves(old, next) {
		r.add(ErrBound, "buckets %d-%d: on %s were on %s; bind them to %s again", m.first, m.last, m.to, m.from, m.from)
	}
}

// A move is a run of buckets that go from one stripe to another.
type move struct {
	first, last Bucket
	from, to    string
}

// moves compares the stripes of all buckets. Both layouts are valid.
func moves(old, next Layout) (all []move) {
	for i, j := 0, 0; i < len(old.Partitions) && j < len(next.Partitions); {
		was, is := old.Partitions[i], next.Partitions[j]
		m := move{max(was.First, is.First), min(was.Last, is.Last), was.Stripe, is.Stripe}
		if m.from != m.to {
			if n := len(all); n > 0 && all[n-1].last+1 == m.first && all[n-1].from == m.from && all[n-1].to == m.to {
				all[n-1].last = m.last
			} else {
				all = append(all, m)
			}
		}
		if was.Last == m.last {
			i++
		}
		if is.Last == m.last {
			j++
		}
	}
	return all
}
