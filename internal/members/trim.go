package members

import "slices"

// TrimFloor is the lowest sequence that must stay in a stripe's log, in the meaning
// of the TrimFloor of a stripe's owner: what lies below may go, the record itself stays, since
// a member that starts compares its last durable record with the log.
//
// It is the lowest durable record of the members that are alive and not sick, and
// never above what a majority of all members has durable, the dead counted with
// what they reported last. The sick hold nobody back and make no majority: their
// copy is not one to rely on. It is 0, which keeps everything, while something
// that it takes is not known.
func (t *Table) TrimFloor(now int64, name string) uint64 {
	members := t.members(name)
	if len(members) == 0 {
		return 0
	}
	floor := t.reported(t.self, name).Durable // whoever trims needs what its own crash would undo
	sound := make([]uint64, 0, len(members))  // durable of each member
	for _, m := range members {
		r := t.reported(m, name)
		if r.Sick != "" {
			sound = append(sound, 0)
			continue
		}
		sound = append(sound, r.Durable)
		if t.maybeAlive(now, m) {
			floor = min(floor, r.Durable)
		}
	}
	slices.Sort(sound)
	return min(floor, sound[len(sound)-majority(len(sound))])
}
