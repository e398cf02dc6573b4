package buckets

import (
	"fmt"

	"github.com/dgraph-io/ristretto/v2"

	"trireme/internal/document"
	"trireme/internal/position"
)

// mergedCache keeps merged documents, bounded in bytes. Ristretto may drop what
// it is given and may be late, so a text carries what it was folded from and is
// used only where that still holds.
type mergedCache struct {
	cache *ristretto.Cache[string, mergedDocument] // nil for no cache
}

// A mergedDocument is the fold of a base and all redos up to head.
type mergedDocument struct {
	incarnation position.Position
	base        position.Position // of the change that put the base; zero for none
	head        int32
	repaired    uint32 // how often the bucket had been repaired before it was read
	text        []byte
}

func newMergedCache(bytes int64) (*mergedCache, error) {
	if bytes < 0 {
		return &mergedCache{}, nil
	}
	cache, err := ristretto.NewCache(&ristretto.Config[string, mergedDocument]{
		NumCounters: max(1000, bytes/400), // ten for each document of 4 KB
		MaxCost:     bytes,
		BufferItems: 64,
		Metrics:     true,
	})
	if err != nil {
		return nil, fmt.Errorf("cache of merged documents: %w", err)
	}
	return &mergedCache{cache}, nil
}

// get finds a text that the document in this state can be folded from: one of the
// same incarnation and base, of this head or an earlier one. Repair replaces a
// document by another of the same description, so texts that were read before the
// bucket's last repair do not count.
func (c *mergedCache) get(p *place, state *document.State, repaired uint32) (mergedDocument, bool) {
	if c.cache == nil {
		return mergedDocument{}, false
	}
	d, ok := c.cache.Get(string(p.common))
	fits := ok && d.incarnation == state.Incarnation && d.base == state.Base.Position && d.head <= state.Head && d.repaired == repaired
	return d, fits
}

func (c *mergedCache) put(v *view, text []byte) {
	if c.cache == nil {
		return
	}
	key := string(v.common) // keeps names apart, whatever bytes are in them
	c.cache.Set(key, mergedDocument{
		incarnation: v.state.Incarnation, base: v.state.Base.Position, head: v.state.Head, repaired: v.repaired, text: text,
	}, int64(len(key)+len(text)+128))
}

func (c *mergedCache) close() {
	if c.cache != nil {
		c.cache.Close()
	}
}

// CacheStats tells how often a merged document was found in the cache.
type CacheStats struct{ Hits, Misses uint64 }

// CacheStats of the merged documents since the start.
func (s *Store) CacheStats() CacheStats {
	if s.merged.cache == nil {
		return CacheStats{}
	}
	m := s.merged.cache.Metrics
	return CacheStats{Hits: m.Hits(), Misses: m.Misses()}
}
