package service

import (
	"slices"

	"trireme/internal/contract"
)

// A section is what one host lists of some stripes: all keys of theirs after a
// cursor, in order, or the first of them.
type section struct {
	keys []contract.Key
	more bool // there are more after the last
}

// join makes one page of sections that together cover every stripe once, all
// after the same cursor: at most limit keys, in order. more says that the list goes
// on after the last of them.
//
// A page ends where the first section ends that has more: what lies after that is
// not known of all stripes. So pages divide the keys into ranges, and within a range
// each key was asked for at one host. That is why a key which is there during the
// whole listing is listed once, however stripes move between pages.
func join(sections []section, limit int) (page []contract.Key, more bool) {
	var end *contract.Key
	page = []contract.Key{}
	for i := range sections {
		s := &sections[i]
		page = append(page, s.keys...)
		if s.more {
			last := s.keys[len(s.keys)-1]
			if more = true; end == nil || last.Compare(*end) < 0 {
				end = &last
			}
		}
	}
	slices.SortFunc(page, contract.Key.Compare)
	if end != nil {
		n, _ := slices.BinarySearchFunc(page, *end, contract.Key.Compare)
		page = page[:n+1]
	}
	if len(page) > limit {
		page, more = page[:limit], true
	}
	return page, more
}
