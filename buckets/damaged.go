package buckets

import (
	"errors"
	"slices"
	"sync"

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
// of their names. It holds the first [maxDamages] of them.
func (s *Store) Damaged() []Damage { return s.damages.list() }

// Damage tells what was noticed of a document.
func (s *Store) Damage(k contract.Key) (Damage, bool) { return s.damages.of(k) }

// maxDamages bounds what is remembered of damage. What is beyond is found again.
const maxDamages = 1 << 16

// damages are what was noticed. It is advice: a document may have been changed
// by a record since, into one that is whole. Who repairs looks at the rows.
type damages struct {
	mu   sync.Mutex
	keys map[contract.Key]Damage
}

// note remembers damage and reports whether it is news. What was first noticed
// stays the reason.
func (d *damages) note(k contract.Key, since position.Position, why error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	had, known := d.keys[k]
	switch {
	case !known && len(d.keys) >= maxDamages:
		return false
	case !known:
		had = Damage{Key: k, Why: why.Error()}
	}
	if had.Since.Less(since) {
		had.Since = since
	}
	d.keys[k] = had
	return !known
}

func (d *damages) clear(k contract.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.keys, k)
}

func (d *damages) of(k contract.Key) (Damage, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	had, known := d.keys[k]
	return had, known
}

func (d *damages) list() []Damage {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Damage, 0, len(d.keys))
	for _, had := range d.keys {
		list = append(list, had)
	}
	slices.SortFunc(list, func(a, b Damage) int { return a.Key.Compare(b.Key) })
	return list
}

// notice notes damage that something other than a record has met, and tells it once.
func (s *Store) notice(k contract.Key, err error) {
	if s.damages.note(k, position.Position{}, err) {
		s.opts.Events(Event{Kind: RowDamaged, Key: k, Err: err})
	}
}

// told turns damage, which it notes, into the refusal that a client is told.
func (s *Store) told(k contract.Key, err error) error {
	if errors.Is(err, ErrDamaged) {
		s.notice(k, err)
	}
	return refusal(err)
}

// refusal turns damage that no document can be blamed for into the same.
func refusal(err error) error {
	if errors.Is(err, ErrDamaged) {
		return contract.Errorf(contract.Damaged, "%v", err)
	}
	return err
}
