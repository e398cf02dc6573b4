package merge

// A text of a few KB makes a hundred small objects, and a fold reads a
// thousand texts. So objects come in blocks, their first members too, and what
// a patch no longer needs goes to the next one.
const (
	objectBlock  = 16
	firstMembers = 4
	memberBlock  = objectBlock * firstMembers
)

type store struct {
	free    []*object
	objects []object
	members []member
}

// object returns an empty object.
func (s *store) object() *object {
	if n := len(s.free); n > 0 {
		o := s.free[n-1]
		s.free = s.free[:n-1]
		return o
	}
	if len(s.objects) == 0 {
		s.objects = make([]object, objectBlock)
	}
	o := &s.objects[0]
	s.objects = s.objects[1:]
	return o
}

// makeRoom gives an object without any memory room for its first members.
func (s *store) makeRoom(o *object) {
	if cap(o.members) > 0 {
		return
	}
	if len(s.members) == 0 {
		s.members = make([]member, memberBlock)
	}
	o.members = s.members[:0:firstMembers]
	s.members = s.members[firstMembers:]
}

// recycle takes back an object to which nothing refers any more. Its old
// members are out of sight, not cleared: they live as long as the store.
func (s *store) recycle(o *object) {
	*o = object{members: o.members[:0]}
	s.free = append(s.free, o)
}
