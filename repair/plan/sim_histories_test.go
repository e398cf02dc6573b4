package plan

import (
	"slices"

	"trireme/internal/layout"
)

// A simHistory is one course of events that needs a rule. It leaves a simulation that
// settles well with the rule, and does not without it.
type simHistory func(s *sim)

// steady makes every choice alike: nothing is slow, nothing is lost.
func steady(n int, _ string) int { return n - 1 }

// write has a host append a change and everybody up apply it.
func (s *sim) write(owner int, k simKey, verb simVerb) {
	r := simRecord{key: k, verb: verb}
	switch d := s.now().docs[k]; verb {
	case simInit:
		r.end = 1
	case simPatch:
		r.seq, r.end = d.head+1, d.head+1
	}
	s.everybodyApplies()
	s.push(s.members[owner], r)
	s.everybodyApplies()
}

func (s *sim) everybodyApplies() {
	for _, m := range s.members {
		for m.up && !m.sick && m.disk.applied < s.end() {
			m.applyNext(s)
		}
	}
}

// compare has two hosts compare with each other, and repair what they find.
func (s *sim) compare(a, b int) {
	for _, id := range simPartitions() {
		s.ask(s.members[a], s.members[b], id)
		s.ask(s.members[b], s.members[a], id)
	}
	s.deliverAll()
}

func (s *sim) compareAll() {
	s.compare(0, 1)
	s.compare(0, 2)
	s.compare(1, 2)
}

// reportAll has everybody make all durable and tell the others where it is clean.
func (s *sim) reportAll(checkpoint ...int) {
	for i, m := range s.members {
		if slices.Contains(checkpoint, i) {
			s.checkpointOf(m)
		}
		for _, p := range s.peersOf(m) {
			s.tell(m, p)
		}
	}
}

// releaseBy has a host release what it may, and everybody apply it.
func (s *sim) releaseBy(owner int) {
	m := s.members[owner]
	s.roll = func(n int, what string) int {
		if what == "owner" {
			return owner
		}
		return n - 1
	}
	s.release()
	s.roll = steady
	s.note("%s has released up to %d", m.name, m.disk.horizon)
	s.everybodyApplies()
}

// lose takes the row of k0 away.
func (s *sim) lose(host int) {
	s.members[host].disk.rows[0] = simRow{}
	s.note("h%d loses k0", host+1)
}

// hold takes the only answer that is on its way out of it, to let it arrive later.
func (s *sim) hold() (arrive func()) {
	m := s.onWay[0]
	s.onWay = nil
	return func() { s.note("late: h%d hears %s", m.to+1, m.what); m.arrive() }
}

// stop ends a host, with its disk as it is or as a crash of the machine leaves it.
func (s *sim) stop(host int, machine bool) {
	m := s.members[host]
	m.up = false
	if machine {
		m.disk = m.durable
	}
	m.remember()
}

func (s *sim) healBy(host, peer int) {
	m := s.members[host]
	m.heal = &simHealing{peer: s.members[peer], applied: s.members[peer].disk.applied, horizon: s.members[peer].disk.horizon}
	s.note("%s heals from h%d at %d", m.name, peer+1, m.heal.applied)
}

// deleted: a document was there and is deleted, and everybody knows.
func (s *sim) deleted(k simKey) {
	s.write(1, k, simInit)
	s.write(1, k, simDelete)
}

// An image was asked for before the document was deleted, and comes when the tombstone
// is lost, and before it is released.
func lateImageOfTheDeleted(s *sim) {
	s.write(1, 0, simInit)
	s.askImage(s.members[0], s.members[1], 0, nil, nil)
	arrive := s.hold()
	s.write(1, 0, simDelete)
	s.compareAll()
	s.reportAll(0, 1, 2)
	s.lose(0)
	arrive()
	s.releaseBy(1)
}

// A tombstone is pulled while it is released.
func lateImageOfATombstone(s *sim) {
	s.deleted(0)
	s.compareAll()
	s.reportAll(0, 1, 2)
	s.lose(0)
	s.askImage(s.members[0], s.members[1], 0, nil, nil)
	arrive := s.hold()
	s.releaseBy(1)
	arrive()
}

// A member skips a deletion, is repaired, and falls back to before the repair.
func repairThatIsNotDurable(s *sim) {
	s.write(1, 0, simInit)
	s.members[0].skip = true
	s.write(1, 0, simDelete)
	s.checkpointOf(s.members[0])
	s.compareAll()
	s.compareAll()
	s.reportAll(1, 2)
	s.releaseBy(1)
	s.stop(0, true)
	s.startNow(s.members[0])
}

// Two members lose the tombstone of a document; an old image of it comes to one, and from
// there to the other.
func deletedComesBackToTwo(s *sim) {
	s.write(1, 0, simInit)
	s.askImage(s.members[0], s.members[2], 0, nil, nil)
	arrive := s.hold()
	s.write(1, 0, simDelete)
	s.compare(0, 2)
	s.compare(1, 2)
	s.lose(0)
	arrive()
	s.lose(1)
	s.askImage(s.members[1], s.members[0], 0, nil, nil)
	s.deliverAll()
	for _, m := range s.members[:2] { // what they keep fits what they have
		for b := range m.disk.kept {
			m.scrub(layout.Bucket(b))
		}
	}
	s.compare(0, 1)
	s.reportAll(0, 1, 2)
	s.releaseBy(2)
}

// Two members lose a document that is older than the horizon.
func lostBelowTheHorizon(s *sim) {
	s.write(1, 0, simInit)
	s.deleted(1)
	s.compareAll()
	s.reportAll(0, 1, 2)
	s.releaseBy(1)
	s.lose(0)
	s.lose(1)
	for _, m := range s.members {
		m.scrub(0)
	}
	s.compareAll()
}

// A copy is outvoted, repaired from one member, goes on, and then the image of another
// comes.
func lateImageForAnOutvotedCopy(s *sim) {
	s.write(1, 0, simInit)
	m := s.members[0]
	other := m.disk.rows[0].doc
	other.base = 1
	m.disk.set(0, simRow{doc: other})
	over, right := docOf(0, other).Digest, s.members[1].state(0)
	s.askImage(m, s.members[1], 0, &over, &right)
	arrive := s.hold()
	s.askImage(m, s.members[2], 0, &over, &right)
	s.deliverAll()
	s.write(1, 0, simPatch)
	arrive()
}

// An owner skips a change and accepts another one in its place, which the others refuse.
func ownerOnAnotherCourse(s *sim) {
	s.write(1, 0, simInit)
	s.members[1].skip = true
	s.write(0, 0, simPatch)
	s.push(s.members[1], simRecord{key: 0, verb: simPatch, seq: 2, end: 2})
	s.everybodyApplies()
	s.compareAll()
}

// An image brings a document further than the log that its host has applied.
func imageAheadOfTheLog(s *sim) {
	s.push(s.members[1], simRecord{key: 0, verb: simInit, end: 1, id: true})
	s.push(s.members[1], simRecord{key: 0, verb: simMark, id: true})
	s.askImage(s.members[0], s.members[1], 0, nil, nil)
	s.deliverAll()
	s.everybodyApplies()
}

// wiped: a member has nothing, and the log has been trimmed.
func (s *sim) wiped(host int) {
	m := s.members[host]
	m.disk, m.durable = simStore{}, simStore{}
	m.remember()
	s.first = s.end() + 1
	s.sicken(m, "wiped")
}

// A member is away while tombstones that it has are released, and has to heal.
func awayDuringARelease(s *sim) {
	s.deleted(0)
	s.compareAll()
	s.reportAll(0, 1, 2)
	s.stop(0, false)
	s.releaseBy(1)
	s.write(1, 1, simInit)
	s.first = s.end() + 1
	s.startNow(s.members[0])
	s.healBy(0, 1)
}

// The peer that a member heals from has a damaged copy.
func healingFromADamagedPeer(s *sim) {
	s.write(1, 0, simInit)
	s.write(1, 1, simInit)
	s.members[1].disk.rows[0].unreadable = true
	s.members[1].durable = s.members[1].disk
	s.wiped(0)
	s.healBy(0, 1)
}

// The peer that a member heals from falls back to before the healing began.
func healingFromAPeerThatFallsBack(s *sim) {
	s.write(1, 0, simInit)
	for _, m := range s.members {
		s.checkpointOf(m)
	}
	s.wiped(0)
	s.write(1, 0, simPatch)
	s.healBy(0, 1)
	s.stop(1, true)
	s.startNow(s.members[1])
	for range 10 {
		s.healStepOf(s.members[0])
		s.deliverAll()
	}
}
