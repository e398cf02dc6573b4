package plan

// What may go wrong at once, so that there is a right answer: any number of members may
// have lost a document or have it damaged, as long as one good copy is left; and at most one
// member may have a copy that passes its own check and is wrong, as long as the others are
// good. Repair is promised to heal that, so the simulation keeps to it.

// fault damages something, if that is allowed.
func (s *sim) fault() {
	m := s.anyMember()
	switch s.pick(s.faults[:], "fault") {
	case 0:
		s.tryFault(m, "loses", func(r *simRow) { *r = simRow{} })
	case 1:
		s.tryFault(m, "has damaged texts of", func(r *simRow) { r.damaged = true })
	case 2:
		s.tryFault(m, "cannot read the state of", func(r *simRow) { r.unreadable = true })
	case 3:
		s.skipNext(m)
	case 4:
		s.wipe(m)
	}
}

// tryFault changes a row behind the member's back: the kept digests do not notice.
func (s *sim) tryFault(m *simMember, what string, do func(*simRow)) {
	k := s.anyKey()
	row, durable := &m.disk.rows[k], &m.durable.rows[k]
	if !row.here() || m.heal != nil || s.wrongCopies(k) > 0 || s.now().docs[k].pos == 0 && s.unreadable(k) > 0 {
		return
	}
	before, beforeDurable := *row, *durable
	do(row)
	if durable.here() && *durable == before {
		do(durable)
	}
	if s.solvable() {
		s.note("%s %s k%d at %d", m.name, what, k, before.doc.pos)
		return
	}
	*row, *durable = before, beforeDurable
}

// skipNext has a member skip the next change, if every member is fine.
func (s *sim) skipNext(m *simMember) {
	p := m.disk.applied + 1
	if !m.up || m.sick || p > s.end() || s.anySick() {
		return
	}
	r := &s.log[p]
	if r.claim || r.release > 0 || s.badCopies(r.key) > 0 || m.disk.rows[r.key].doc.pos >= p {
		return
	}
	s.note("%s will skip %d on k%d", m.name, p, r.key)
	m.skip = true
	m.applyNext(s)
	m.skip = false
}

func (s *sim) wipe(m *simMember) {
	if m.sick || !s.othersHealthy(m) || s.anyWrong() {
		return
	}
	disk, durable := m.disk, m.durable
	m.disk, m.durable = simStore{}, simStore{}
	if !s.solvable() {
		m.disk, m.durable = disk, durable
		return
	}
	s.note("%s is wiped", m.name)
	m.remember()
	m.up = false
	if s.first > 1 {
		s.sicken(m, "wiped")
	}
}

// --- what the simulation knows, and no member does

// right: the member's copy is what it ought to be where it stands.
func (s *sim) right(m *simMember, k simKey) bool { return s.rightIn(&m.disk, k) }

func (s *sim) rightIn(d *simStore, k simKey) bool {
	row := &d.rows[k]
	if !row.sound() {
		return false
	}
	if row.doc.pos > d.applied { // repair has brought it further than the log
		return row.doc == s.truth[row.doc.pos].docs[k]
	}
	return row.doc == s.truth[d.applied].docs[k]
}

// rightBefore: the copy is what it ought to be before the record that is being applied.
func (s *sim) rightBefore(m *simMember, k simKey) bool {
	row := &m.disk.rows[k]
	return row.sound() && row.doc == s.truth[m.disk.applied-1].docs[k]
}

// good: the copy is right and will stay so: the log has what it lacks.
func (s *sim) good(m *simMember, k simKey) bool {
	for _, d := range []*simStore{&m.disk, &m.durable} {
		if d.applied+1 < s.first || !s.rightIn(d, k) {
			return false
		}
	}
	return !m.sick
}

// covered: every document has a good copy somewhere.
func (s *sim) covered() bool { return s.uncovered() < 0 }

func (s *sim) uncovered() int {
	for k := range simKey(simKeys) {
		found := s.now().docs[k].pos == 0
		for _, m := range s.members {
			found = found || s.good(m, k)
		}
		if !found {
			return int(k)
		}
	}
	return -1
}

// wrongCopies counts the members with a copy that passes its own check and is wrong, or
// with one that a crash would bring back.
func (s *sim) wrongCopies(k simKey) (n int) {
	wrong := func(d *simStore) bool {
		row := &d.rows[k]
		return row.here() && row.sound() && !s.rightIn(d, k)
	}
	for _, m := range s.members {
		if !m.sick && (wrong(&m.disk) || wrong(&m.durable)) {
			n++
		}
	}
	return n
}

func (s *sim) badCopies(k simKey) (n int) {
	for _, m := range s.members {
		if !s.good(m, k) {
			n++
		}
	}
	return n
}

func (s *sim) anyWrong() bool {
	for k := range simKey(simKeys) {
		if s.wrongCopies(k) > 0 {
			return true
		}
	}
	return false
}

func (s *sim) anySick() bool {
	for _, m := range s.members {
		if m.sick {
			return true
		}
	}
	return false
}

// answerable: there is a right answer about the document, whatever has come of the log by
// then. A copy that lacks something and takes a change on top of that is wrong, and not
// merely behind.
func (s *sim) answerable(k simKey) bool {
	return s.badCopies(k) <= 1 || !s.anyTakes(k)
}

// forgettable: of every tombstone that a release lets go, at most one member cannot read
// its copy. Two of them could not tell it from a document that is lost.
func (s *sim) forgettable(horizon uint64) bool {
	for k := range simKey(simKeys) {
		if d := &s.now().docs[k]; d.tombstone() && d.pos <= horizon && s.unreadable(k) > 1 {
			return false
		}
	}
	return true
}

func (s *sim) unreadable(k simKey) (n int) {
	for _, m := range s.members {
		if m.disk.rows[k].unreadable || m.durable.rows[k].unreadable {
			n++
		}
	}
	return n
}

// anyTakes: the log makes a copy that is not good change, now or after a crash.
func (s *sim) anyTakes(k simKey) bool {
	for _, m := range s.members {
		if !s.good(m, k) && (s.takes(&m.disk, k) || s.takes(&m.durable, k)) {
			return true
		}
	}
	return false
}

func (s *sim) takes(d *simStore, k simKey) bool {
	row := &d.rows[k]
	for p := d.applied + 1; p <= s.end() && !row.unreadable; p++ {
		r := &s.log[p]
		change := !r.claim && r.release == 0 && r.key == k
		if change && row.doc.pos < p && !row.doc.refuses(r) && (!row.doc.noEffect(r) || r.id) {
			return true
		}
	}
	return false
}

// solvable: every document has a good copy somewhere, and a right answer.
func (s *sim) solvable() bool {
	for k := range simKey(simKeys) {
		if !s.answerable(k) {
			return false
		}
	}
	return s.covered()
}

// mayAppend: what an owner accepts on a wrong copy of its own is refused by the others. As
// long as those are good and the copies contradict each other, the right answer is theirs.
// Where the owner's copy looks as if it came out of theirs there is none: see DESIGN.md.
func (s *sim) mayAppend(owner *simMember, r *simRecord) bool {
	before := s.now().docs[r.key]
	good := s.right(owner, r.key)
	s.log = append(s.log, *r)
	p := s.end()
	s.truth = append(s.truth, s.truth[p-1].after(r, p))
	may := s.answerable(r.key)
	after := s.now().docs[r.key]
	s.log, s.truth = s.log[:p], s.truth[:p]
	if good {
		return may
	}
	row := owner.disk.rows[r.key]
	theirs := docOf(r.key, row.doc.after(r, p))
	ours := docOf(r.key, after)
	return may && s.badCopies(r.key) == 1 && row.here() && (after != before || !continues(&theirs, &ours))
}
