package buckets

import (
	"trireme/internal/contract"
	"trireme/internal/position"
)

// A Damage is a document of which this store's copy is damaged.
type Damage struct {
	Key contract.Key
	Why string
	// Since is the highest change that this copy could not follow, as far as was
	// noticed: an image of a moment before it does not heal the document.
	Since position.Position
}

// Damaged lists the documents that reads, records or checks have noticed to be
// damaged since the store was opened and that were not repaired since, in the order
// of their names.
func (s *Store) Damaged() []Damage { return nil }

// Damage tells what was noticed of a document.
func (s *Store) Damage(k contract.Key) (Damage, bool) { return Damage{}, false }
