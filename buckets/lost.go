package buckets

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// ErrLostReplica is the error of [Store.Replica] when the row that says where the
// replica stands cannot be read. The rest of the store is not concerned;
// [Store.Renew] begins the replica anew.
var ErrLostReplica = errors.New("the store has lost where the replica stands")

// Renew returns the replica of a stripe although [Store.Replica] fails with
// [ErrLostReplica]: it stands at the beginning of its log, durably, over the
// documents that are there. It must be healed as one that has fallen off its log.
func (s *Store) Renew(stripe string, birth uint32) (*Replica, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.replica(stripe, birth)
	if !errors.Is(err, ErrLostReplica) {
		return r, err
	}
	r = &Replica{stripe: stripe}
	key := r.key()
	row := appendRow(nil, key, Applied{}.encode(birth))
	if err := s.db.Set(key, row[len(key):], pebble.Sync); err != nil {
		return nil, fmt.Errorf("renew replica of stripe %s: %w", stripe, err)
	}
	return s.replica(stripe, birth)
}
