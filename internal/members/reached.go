package members

// Reached is how far the other members of a stripe that are alive have applied its log,
// and which of them is furthest; 0 and "" for none. A log only grows, so one that ends
// before that has lost records. The log is the one that was made to begin at first: what a
// member has applied of another one does not count. One that has not followed any since it
// was started is taken at its word when there was never another log, that is when first is 1.
func (t *Table) Reached(now int64, stripe string, first uint64) (seq uint64, host string) {
	for _, m := range t.members(stripe) {
		known := t.hosts[m]
		if m == t.self || known == nil || !t.Alive(now, m) {
			continue
		}
		s := known.report.Stripes[stripe]
		this := !s.Foreign && (s.Log == first || s.Log == 0 && first == 1)
		if this && s.Applied > seq {
			seq, host = s.Applied, m
		}
	}
	return seq, host
}

// Answered tells whether all other members of a stripe that may be alive have reported
// after a time, or have had the time to: so what [Table.Reached] says is news.
func (t *Table) Answered(now, after int64, stripe string) bool {
	if now-after > DeadAfter && now-t.listening > DeadAfter {
		return true
	}
	for _, m := range t.members(stripe) {
		known := t.hosts[m]
		fresh := known != nil && known.heard >= after
		if m != t.self && !fresh && t.maybeAlive(now, m) {
			return false
		}
	}
	return true
}
