package buckets

import (
	"sync"

	"trireme/internal/digest"
	"trireme/internal/document"
	"trireme/internal/position"
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
// could put an old state over a newer one. Over its limit it drops any document.
type headCache struct {
	limit int // documents

	mu     sync.RWMutex
	of     map[string]head    // by place.common
	absent map[string]absence // by place.common
}

// An absence is a request id that a document is known not to remember, as long
// as it stands at that position. The decision on a change has looked it up; its
// application need not look again.
type absence struct {
	id string
	at position.Position
}

// absences bounds how many are kept: more than one batch decides on.
const absences = 8192

// headSize is about what a head takes in memory, its key included.
const headSize = 640

func newHeadCache(bytes int64) *headCache {
	return &headCache{limit: int(max(0, bytes) / headSize), of: map[string]head{}, absent: map[string]absence{}}
}

func (c *headCache) get(p *place) (head, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	h, ok := c.of[string(p.common)]
	return h, ok
}

// noteAbsent remembers that the document at that position does not know the id.
func (c *headCache) noteAbsent(p *place, a absence) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.absent) >= absences {
		clear(c.absent)
	}
	c.absent[string(p.common)] = a
}

// isAbsent reports whether the document at that position is known not to know
// the id.
func (c *headCache) isAbsent(p *place, a absence) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.absent[string(p.common)] == a
}

// A changedHead is one that a record has changed and that is not committed yet.
type changedHead struct {
	common []byte
	head   head
}

func (c *headCache) put(changed []changedHead) {
	if c.limit == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range changed {
		c.of[string(changed[i].common)] = changed[i].head
	}
	for old := range c.of {
		if len(c.of) <= c.limit {
			return
		}
		delete(c.of, old)
	}
}

// head finds the state of a document, in memory or on disk.
func (s *Store) head(p *place) (head, error) {
	if h, ok := s.heads.get(p); ok {
		return h, nil
	}
	state, content, err := loadState(s.db, p)
	if err != nil || content == nil {
		return head{}, err
	}
	return head{state: state, digest: documentDigest(p.state(), content), stored: true}, nil
}
