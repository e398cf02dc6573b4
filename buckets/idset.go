package buckets

import (
	"slices"

	"trireme/internal/digest"
)

// An idSet is the hashes of all request ids that one document remembers. What is
// not in it is not remembered; what is in it may be, since hashes collide.
type idSet struct {
	few  []uint64            // up to fewIDs
	many map[uint64]struct{} // all of them, beyond that
}

// fewIDs is where looking at each becomes slower than a map.
const fewIDs = 32

func newIDSet(ids ...string) *idSet {
	s := &idSet{}
	for _, id := range ids {
		s.add(hashID(id))
	}
	return s
}

func hashID(id string) uint64 { return digest.Checksum([]byte(id)) }

func (s *idSet) len() int {
	if s == nil {
		return 0
	}
	return len(s.few) + len(s.many)
}

func (s *idSet) has(h uint64) bool {
	if s.many != nil {
		_, ok := s.many[h]
		return ok
	}
	return slices.Contains(s.few, h)
}

func (s *idSet) add(h uint64) {
	if s.many == nil && len(s.few) < fewIDs {
		s.few = append(s.few, h)
		return
	}
	if s.many == nil {
		s.many = make(map[uint64]struct{}, 2*fewIDs)
		for _, have := range s.few {
			s.many[have] = struct{}{}
		}
		s.few = nil
	}
	s.many[h] = struct{}{}
}
