package buckets

import (
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// missed remembers which changes of the log this replica did not make, because
// the state of its copy refused them, or could not be read. Where the copy is wrong,
// the peers may have made them; so an image heals a document only if it is of a
// moment at or past the last of them.
//
// Changes that were missed before the store was opened are not known, so they
// count as missed by every document.
type missed struct {
	floor position.Position // every document may have missed changes up to here
	keys  map[contract.Key]position.Position

	suspects map[contract.Key]position.Position
}

func newMissed() missed {
	return missed{keys: map[contract.Key]position.Position{}, suspects: map[contract.Key]position.Position{}}
}

// maxMissed bounds the documents that are remembered one by one. Beyond it they
// give way to a floor for all.
const maxMissed = 1 << 14

func (m *missed) note(k contract.Key, p position.Position) {
	if len(m.keys) >= maxMissed {
		m.all(p)
		return
	}
	m.keys[k] = p
}

// all notes that any document may have missed changes up to p.
func (m *missed) all(p position.Position) {
	if m.floor.Less(p) {
		m.floor = p
		clear(m.keys)
	}
}

// until is the last change that a document may have missed.
func (m *missed) until(k contract.Key) position.Position {
	if p := m.keys[k]; m.floor.Less(p) {
		return p
	}
	return m.floor
}

// buckets tells of which buckets a document may have missed a change after p.
func (m *missed) buckets(p position.Position) func(layout.Bucket) bool {
	all := p.Less(m.floor)
	some := map[layout.Bucket]bool{}
	for k, at := range m.keys {
		if p.Less(at) {
			some[layout.BucketOf(k.Space, k.Key)] = true
		}
	}
	return func(b layout.Bucket) bool { return all || some[b] }
}

// suspect remembers when a copy was first noticed to have lost something, which
// the disk does not tell: what it has lost is at or before that position. What
// comes after it the copy makes or misses like every other.
func (m *missed) suspect(k contract.Key, now position.Position) position.Position {
	if p, known := m.suspects[k]; known {
		return p
	}
	for old := range m.suspects {
		if len(m.suspects) < maxMissed {
			break
		}
		delete(m.suspects, old) // it will be noticed again
	}
	m.suspects[k] = now
	return now
}

// healed forgets what a document had missed and lost.
func (m *missed) healed(k contract.Key) {
	delete(m.keys, k)
	delete(m.suspects, k)
}

// Suspect notes that the replica's copy of a document is damaged or lacks
// something, and tells of which position of the log an image must be to heal it:
// what was lost, and when, is not known, but it was before now. It answers the same
// until the document is healed.
func (r *Replica) Suspect(k contract.Key) position.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.missed.needs(k, r.position())
}

// needs is the position that an image of a suspect must be of.
func (m *missed) needs(k contract.Key, now position.Position) position.Position {
	lost, until := m.suspect(k, now), m.until(k)
	if lost.Less(until) {
		return until
	}
	return lost
}
