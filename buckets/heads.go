package buckets

import (
	"strings"
	"sync"

	"trireme/internal/digest"
	"trireme/internal/document"
	"trireme/internal/layout"
)

// A head is a document's state as it stands on disk. Its digest is the
// document's; the zero value is a document that never was.
type head struct {
	state  document.State
	digest digest.Digest
	stored bool
}

// headCache holds the heads of documents that were changed lately, so that
// neither the decision on the next change nor its application reads them again.
//
// Only an applier puts, and only AFTER its commit: a reader that filled the cache
// could put an old state over a newer one. Repair, under the same lock, takes out.
// Over its limit the cache drops any document.
type headCache struct {
	limit int // documents

	mu  sync.RWMutex
	of  map[string]keptHead // by place.common
	ids int                 // in all of them
}

type keptHead struct {
	head
	ids *idSet // complete; nil when it is not known
}

// headSize is about what a head takes in memory, its key and a few request ids
// included; idSize what one more id takes in a document that has many.
const (
	headSize = 896
	idSize   = 24
)

func newHeadCache(bytes int64) *headCache {
	return &headCache{limit: int(max(0, bytes) / headSize), of: map[string]keptHead{}}
}

func (c *headCache) get(p *place) (head, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	h, ok := c.of[string(p.common)]
	return h.head, ok
}

// lacks reports whether the document is known not to remember the id. When it
// is not known, the database has to be asked.
func (c *headCache) lacks(p *place, id string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	ids := c.of[string(p.common)].ids
	return ids != nil && !ids.has(hashID(id))
}

// A changedHead is one that a record has changed and that is not committed yet.
type changedHead struct {
	common []byte
	head   head
	id     string // that the change has brought, "" for none
	ids    *idSet // all that it has now, where the change has read them; else nil
}

func (c *headCache) put(changed []changedHead) {
	if c.limit == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range changed {
		c.putOne(&changed[i])
	}
	for old := range c.of {
		if len(c.of)+c.ids*idSize/headSize <= c.limit {
			return
		}
		c.drop(old)
	}
}

// putOne replaces a head. A document that remembers just the id of this change
// had none before, so its set is complete.
func (c *headCache) putOne(h *changedHead) {
	ids := c.drop(string(h.common))
	switch {
	case h.ids != nil:
		ids = h.ids
	case h.id != "" && h.head.state.IDs.Count == 1:
		ids = newIDSet(h.id)
	case h.id != "" && ids != nil:
		ids.add(hashID(h.id))
	}
	c.of[string(h.common)] = keptHead{h.head, ids}
	c.ids += ids.len()
}

// forgetBucket forgets the heads of all documents of a bucket.
func (c *headCache) forgetBucket(b layout.Bucket) {
	prefix := string(bucketKey(b)[1:])
	c.mu.Lock()
	defer c.mu.Unlock()
	for common := range c.of {
		if strings.HasPrefix(common, prefix) {
			c.drop(common)
		}
	}
}

// drop forgets a head and returns its ids.
func (c *headCache) drop(common string) *idSet {
	ids := c.of[common].ids
	c.ids -= ids.len()
	delete(c.of, common)
	return ids
}

// forget drops documents that are gone, or that repair has changed, AFTER the commit.
func (c *headCache) forget(gone [][]byte) {
	if c.limit == 0 || len(gone) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, common := range gone {
		c.drop(string(common))
	}
}

// head finds the state of a document, in memory or on disk.
func (s *Store) head(p *place) (head, error) {
	if h, ok := s.heads.get(p); ok {
		return h, nil
	}
	marks := s.marks() // BEFORE reading
	state, content, err := s.present(s.db, p, marks)
	if err != nil || content == nil {
		return head{}, err
	}
	return head{state: state, digest: documentDigest(p.state(), content), stored: true}, nil
}
