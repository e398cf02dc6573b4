package drill

import (
	"errors"
	"path/filepath"

	"trireme/buckets"
	"trireme/internal/layout"
	"trireme/internal/layoutfile"
)

// compareStores waits until the idle hosts have applied the same, kills them all, and
// fails the test unless their stores are whole and have the same digests.
func (c *cluster) compareStores() {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	c.must(c.AwaitCaughtUp(ctx))
	for _, h := range c.Hosts {
		c.must(h.Freeze()) // so that nobody claims for one that is killed before it
	}
	for _, h := range c.Hosts {
		c.must(h.Kill())
	}
	l := layoutOf(c)
	var first storeView
	for i, h := range c.Hosts {
		v, err := viewStore(filepath.Join(h.Data, "store"), l)
		if err != nil {
			c.t.Errorf("the store of %s: %v", h.Name, err)
			continue
		}
		if i == 0 {
			first = v
			continue
		}
		for s, applied := range v.applied {
			if applied != first.applied[s] {
				c.t.Errorf("stripe %s: %s has applied %v, %s %v", s, c.Hosts[0].Name, first.applied[s], h.Name, applied)
			}
		}
		for p, root := range v.roots {
			if root != first.roots[p] {
				c.t.Errorf("partition %v: %s has %v, %s %v", p, c.Hosts[0].Name, first.roots[p], h.Name, root)
			}
		}
	}
}

// A storeView is what there is to compare of a store.
type storeView struct {
	applied map[string]buckets.Applied
	roots   map[layout.PartitionID]buckets.BucketState
}

// viewStore verifies a store that nobody has open.
func viewStore(dir string, l layout.Layout) (storeView, error) {
	v := storeView{map[string]buckets.Applied{}, map[layout.PartitionID]buckets.BucketState{}}
	store, err := buckets.Open(dir, buckets.Options{})
	if err != nil {
		return v, err
	}
	errs := []error{}
	for _, s := range l.Stripes {
		r, err := store.Replica(s.Name, s.Birth)
		errs = append(errs, err)
		if err == nil {
			v.applied[s.Name] = r.Applied()
		}
	}
	for _, p := range l.Partitions {
		v.roots[p.ID] = store.Root(p.First, p.Last)
	}
	return v, errors.Join(append(errs, store.Verify(), store.Close())...)
}

// layoutOf is the layout that the cluster's file holds.
func layoutOf(c *cluster) layout.Layout {
	c.t.Helper()
	l, err := layoutfile.Load(filepath.Join(c.Dir, "layout.conf"))
	c.must(err)
	return l
}
