package members

// Clean is the last record up to which every member of a stripe is known to be
// equal to another: tombstones up to it may be released, since nobody has a live
// document left that one of them has deleted.
//
// All members of the layout count, however long they have been silent: the dead
// and the sick with what they told last, and at 0 who has told nothing since this
// host was started. What a crash of a member would undo is not clean yet. A
// stripe of one member has nobody to compare with, and is clean as far as it is
// durable.
func (t *Table) Clean(name string) uint64 {
	members := t.members(name)
	if len(members) == 0 {
		return 0
	}
	clean := t.cleanOf(members[0], name, len(members) == 1)
	for _, m := range members[1:] {
		clean = min(clean, t.cleanOf(m, name, false))
	}
	return clean
}

func (t *Table) cleanOf(member, stripe string, alone bool) uint64 {
	r := t.reported(member, stripe)
	if alone {
		return r.Durable
	}
	return min(r.Clean, r.Durable)
}
