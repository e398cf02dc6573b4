package repair

import (
	"slices"
	"sync"
	"time"

	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// A cleanRange is up to where the buckets of a partition were found equal to those of
// another member.
type cleanRange struct {
	known     bool // as this partition; false of what was read from the file
	partition layout.PartitionID
	first     layout.Bucket
	last      layout.Bucket
	position  position.Position // zero for never
	at        time.Time
	against   string
	lagging   int // buckets that could not be compared, or differ, as of the last time
}

// cleanTable holds the clean positions of every stripe: the last comparison of each
// partition, for people, and what was equal to every other member, for the release of
// tombstones. The latter is not kept over a restart.
type cleanTable struct {
	mu    sync.Mutex
	of    map[string][]cleanRange
	equal map[string]*plan.Clean // by stripe
	dirty bool                   // a position has moved since the table was kept
}

func newCleanTable(of map[string][]keptClean) *cleanTable {
	t := &cleanTable{of: map[string][]cleanRange{}, equal: map[string]*plan.Clean{}}
	for stripe, list := range of {
		for _, k := range list {
			p, err := position.Parse(k.Position)
			if err != nil {
				continue // parseKept has looked
			}
			t.of[stripe] = append(t.of[stripe], cleanRange{first: k.First, last: k.Last, position: p, at: k.At, against: k.Against})
		}
	}
	return t
}

// follow makes the table one of these stripes and partitions. A partition that was cut
// out of others, or put together of them, keeps the lowest of their positions.
func (t *cleanTable) follow(stripes []Stripe) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := make(map[string][]cleanRange, len(stripes))
	equal := make(map[string]*plan.Clean, len(stripes))
	for i := range stripes {
		s := &stripes[i]
		if equal[s.Name] = t.equal[s.Name]; equal[s.Name] == nil {
			equal[s.Name] = &plan.Clean{}
		}
		ranges := make([]cleanRange, len(s.Partitions))
		for j, p := range s.Partitions {
			ranges[j] = inherit(t.of[s.Name], p)
			if !has(t.of[s.Name], p) {
				equal[s.Name].Pulled(p.ID) // a partition of that number was another one
			}
		}
		of[s.Name] = ranges
	}
	t.of, t.equal = of, equal
}

// has tells whether a partition is as it was.
func has(old []cleanRange, p layout.Partition) bool {
	return slices.ContainsFunc(old, func(o cleanRange) bool {
		return o.known && o.partition == p.ID && o.first == p.First && o.last == p.Last
	})
}

// inherit is what old ranges say of a partition.
func inherit(old []cleanRange, p layout.Partition) cleanRange {
	is := cleanRange{partition: p.ID, first: p.First, last: p.Last, known: true}
	covered := 0
	var low cleanRange
	for _, o := range old {
		if o.last < p.First || p.Last < o.first {
			continue
		}
		if covered == 0 || o.position.Less(low.position) {
			low = o
		}
		covered += int(min(o.last, p.Last)) - int(max(o.first, p.First)) + 1
	}
	if covered == int(p.Last)-int(p.First)+1 {
		is.position, is.at, is.against, is.lagging = low.position, low.at, low.against, low.lagging
	}
	return is
}

// seen is to be asked before a comparison begins, for found.
func (t *cleanTable) seen(stripe string, id layout.PartitionID) (pulls plan.Pulls) {
	t.edit(stripe, id, func(*cleanRange) { pulls = t.equal[stripe].Pulls(id) })
	return pulls
}

// found notes that a partition was found equal up to a position, unless a document of
// it was replaced since seen was asked. It does not move back: an equality once seen has
// been seen.
func (t *cleanTable) found(stripe string, id layout.PartitionID, up position.Position, seen plan.Pulls, at time.Time, against string) {
	t.edit(stripe, id, func(c *cleanRange) {
		equal := t.equal[stripe]
		if equal.Pulls(id) != seen {
			return
		}
		equal.Equal(id, against, up, seen)
		c.lagging = 0
		if c.position.Less(up) {
			t.dirty = true
		} else {
			up = c.position
		}
		c.position, c.at, c.against = up, at, against
	})
}

// forget forgets all of a stripe, as when it was healed: what was equal was so before.
func (t *cleanTable) forget(stripe string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.of[stripe]
	for i := range list {
		list[i].position, list[i].at, list[i].against = position.Position{}, time.Time{}, ""
		t.equal[stripe].Pulled(list[i].partition)
	}
	t.dirty = true
}

// floor is the lowest moment of which an image may be put into a stripe.
func (t *cleanTable) floor(stripe string) position.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.equal[stripe] == nil {
		return position.Position{}
	}
	return t.equal[stripe].Floor()
}

// pulled notes that a document of a bucket was replaced or dropped here: what was found
// equal was so without it.
func (t *cleanTable) pulled(stripe string, b layout.Bucket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.of[stripe]
	if i := slices.IndexFunc(list, func(c cleanRange) bool { return c.first <= b && b <= c.last }); i >= 0 {
		c := &list[i]
		c.position, c.at, c.against = position.Position{}, time.Time{}, ""
		t.equal[stripe].Pulled(c.partition)
		t.dirty = true
	}
}

// lagged notes how many buckets of a partition could not be compared.
func (t *cleanTable) lagged(stripe string, id layout.PartitionID, buckets int) {
	t.edit(stripe, id, func(c *cleanRange) { c.lagging = buckets })
}

func (t *cleanTable) edit(stripe string, id layout.PartitionID, do func(*cleanRange)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.of[stripe]
	if i := slices.IndexFunc(list, func(c cleanRange) bool { return c.partition == id }); i >= 0 {
		do(&list[i])
	}
}

// ranges are those of a stripe.
func (t *cleanTable) ranges(stripe string) []cleanRange {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.of[stripe])
}

// equalTo is the position up to which a stripe is equal to each of the other members.
func (t *cleanTable) equalTo(stripe string, others []string) position.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.equal[stripe] == nil {
		return position.Position{}
	}
	ids := make([]layout.PartitionID, len(t.of[stripe]))
	for i, c := range t.of[stripe] {
		ids[i] = c.partition
	}
	return t.equal[stripe].Position(ids, others)
}

func lowest(list []cleanRange) position.Position {
	if len(list) == 0 {
		return position.Position{}
	}
	return slices.MinFunc(list, func(a, b cleanRange) int { return a.position.Compare(b.position) }).position
}

// moved tells whether a position has moved since the table was kept.
func (t *cleanTable) moved() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dirty
}

// keep is the table as it is kept.
func (t *cleanTable) keep() map[string][]keptClean {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := map[string][]keptClean{}
	for stripe, list := range t.of {
		for _, c := range list {
			if !c.position.IsZero() {
				of[stripe] = append(of[stripe], keptClean{First: c.first, Last: c.last, Position: c.position.String(), At: c.at, Against: c.against})
			}
		}
	}
	t.dirty = false
	return of
}
