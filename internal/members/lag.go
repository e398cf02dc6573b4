package members

// Lag is by how much a member's copy is behind the log.
type Lag struct {
	Known   bool   // the member has reported, and the end of the log is known
	Records uint64 // that the member had not applied
	Bytes   int64  // of them, estimated from the mean size of the records in the log
	Millis  int64  // for how long at most the oldest of them has been in the log
}

// Lag tells how far a member is behind the log, as its owner reports it; while no
// owner has been heard, behind the member that has applied most.
//
// The member's report is compared with the owner's last one before it, since
// records that came in between say nothing of the member: one that keeps up has a
// lag of 0, and one that is behind by less than a second may have. Millis is the
// time since the last moment at which the log was known to end where the member
// stands; it counts the second between two reports. Of a member that was behind in
// all the time that is remembered it is that time, and so at least.
func (t *Table) Lag(now int64, name, member string) Lag {
	if !t.knows(member, name) {
		return Lag{}
	}
	s, applied := t.stripes[name], t.reported(member, name).Applied
	end := t.end(now, name, member)
	if applied >= end {
		return Lag{Known: true}
	}
	l := Lag{Known: true, Records: end - applied}
	if s.first <= s.last {
		l.Bytes = int64(float64(l.Records) * float64(s.bytes) / float64(s.last+1-s.first))
	}
	if at, ok := s.history.whole(applied); ok {
		l.Millis = max(0, now-at)
	}
	return l
}

// end is the record that a member could have applied when it reported.
func (t *Table) end(now int64, name, member string) uint64 {
	s := t.stripes[name]
	if len(s.history) == 0 {
		var most uint64
		for _, m := range t.members(name) {
			most = max(most, t.reported(m, name).Applied)
		}
		return most
	}
	if s.owner == member || member != t.self && !t.Alive(now, member) {
		return s.last
	}
	if end, ok := s.history.end(t.hosts[member].heard); ok {
		return end
	}
	return s.history[0].last
}
