package buckets

import (
	"trireme/internal/contract"
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
