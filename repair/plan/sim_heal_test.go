package plan

import (
	"fmt"

	"trireme/internal/layout"
)

// A simHealing makes a sick member equal to a peer.
type simHealing struct {
	peer    *simMember
	applied uint64 // where the peer stood when it began: what is adopted
	horizon uint64
	done    [simBuckets]bool
	excused [simKeys]bool // the peer itself did not know better
}

// healStep does the next step of a healing.
func (s *sim) healStep() {
	if m := s.oneOf("heal", func(m *simMember) bool { return m.up && m.sick }); m != nil {
		s.healStepOf(m)
	}
}

func (s *sim) healStepOf(m *simMember) {
	if !m.up || !m.sick {
		return
	}
	if m.heal == nil {
		s.beginHealing(m)
		return
	}
	for b, done := range m.heal.done {
		if !done {
			s.askBucket(m, layout.Bucket(b))
			return
		}
	}
	s.adopt(m)
}

func (s *sim) beginHealing(m *simMember) {
	peer := s.peersOf(m)[s.roll(simMembers-1, "peer")]
	if peer.sick || !s.reach(m, peer) || peer.disk.applied < m.disk.applied {
		return
	}
	m.heal = &simHealing{peer: peer, applied: peer.disk.applied, horizon: peer.disk.horizon}
	s.note("%s heals from %s at %d", m.name, peer.name, peer.disk.applied)
}

func (s *sim) askBucket(m *simMember, b layout.Bucket) {
	h := m.heal
	if !s.reach(m, h.peer) || h.peer.sick {
		m.heal = nil // another one
		return
	}
	at := s.momentOf(h.peer, b)
	for _, k := range keysOf(b) { // a damaged document is noticed when its image is read
		h.peer.whole(k)
	}
	s.answer(m, fmt.Sprintf("bucket %v of %s at %v, to heal", b, h.peer.name, at.side.Applied), func() {
		if m.heal != h {
			return
		}
		if at.side.Applied.Seq < h.applied && !s.off[healingTakesNoStepBack] {
			m.heal = nil // the peer has fallen back
			return
		}
		h.done[b] = s.equalise(m, b, at)
		for _, k := range keysOf(b) {
			h.excused[k] = at.rows[k].sound() && !at.right[k]
		}
	})
}

// equalise takes over what the peer has of a bucket, and reports whether nothing is left
// to do.
func (s *sim) equalise(m *simMember, b layout.Bucket, at *simMoment) bool {
	mine, theirs := s.sides(m, at.side)
	for _, f := range Documents(mine, theirs, m.index(b), at.docs) {
		k := keyNamed(f.Mine.Key)
		row := &at.rows[k]
		switch {
		case f.Verdict == Gone && s.off[healingDropsWhatIsGone]:
		case f.Verdict == Gone:
			right := s.right(m, k)
			if m.drop(k, f.Mine.Digest) {
				s.changed(m, k, right, "drops, healing,")
			}
		case (f.Verdict == Missing || f.Verdict == Corruption) && row.here() && row.sound():
			asOf := max(at.side.Applied.Seq, row.doc.pos)
			s.put(m, &simImage{key: k, doc: row.doc, asOf: asOf, from: at.from}, nil)
		}
	}
	equal := true
	for _, f := range Documents(mine, theirs, m.index(b), at.docs) {
		k := keyNamed(f.Mine.Key)
		switch row := &at.rows[k]; {
		case f.Verdict == Lag, f.Verdict == Gone && s.off[healingDropsWhatIsGone]:
		case f.Verdict == Theirs && row.sound(), !row.sound() && s.off[healingWaitsForWholeCopies]:
		default:
			if !s.healCase(m, k) {
				equal = false
			}
		}
	}
	for _, k := range keysOf(b) { // what was equal, or older, but is damaged there
		if row := &at.rows[k]; row.here() && !row.sound() {
			if s.off[healingWaitsForWholeCopies] {
				continue
			}
			if !s.healCase(m, k) {
				equal = false
			}
		}
	}
	return equal
}

// healCase asks everybody about a document that the peer cannot give, and reports
// whether nothing needs to be done about it.
func (s *sim) healCase(m *simMember, k simKey) bool {
	var views []View
	for _, p := range s.members {
		v := Unknown(p.name, "out of reach")
		if p == m || s.serves(m, p) {
			v = View{Side: p.side(), Doc: p.whole(k)}
		}
		views = append(views, v)
	}
	d := s.decision(m.name, views)
	s.note("%s decides, healing, on k%d: %v %v from %v (%s)", m.name, k, d.Action, d.Verdict, d.From, d.Rule)
	switch d.Action {
	case Nothing:
		return true
	case Pull:
		s.askImage(m, s.named(d.From[0]), k, d.Over, &d.Right)
	case Drop:
		right := s.right(m, k)
		if m.drop(k, *d.Over) {
			s.changed(m, k, right, "drops, healing,")
		}
	}
	return false
}

// adopt ends a pass: the member stands where the peer stood, if the log goes on there.
func (s *sim) adopt(m *simMember) {
	h := m.heal
	m.heal = nil
	m.complete = max(m.complete, h.applied)
	if s.off[whatIsAdoptedIsOlder] {
		h.applied, h.horizon = h.peer.disk.applied, h.peer.disk.horizon
	}
	if h.applied+1 < s.first {
		s.note("%s has what there was at %d, but the log begins at %d", m.name, h.applied, s.first)
		return
	}
	m.disk.applied, m.disk.horizon = h.applied, max(m.disk.horizon, h.horizon)
	m.missedAll = max(m.missedAll, h.applied)
	m.sick = false
	m.durable = m.disk
	for _, p := range simPartitions() {
		m.clean.Pulled(p)
	}
	m.reportable = 0
	s.repairs++
	s.note("%s is healed at %d", m.name, h.applied)
	for k := range simKey(simKeys) {
		row := &m.disk.rows[k]
		released := !row.here() && s.truth[h.applied].docs[k].tombstone() // by the peer, meanwhile
		if !s.right(m, k) && !h.excused[k] && row.sound() && !released {
			s.fail("%s is healed, and k%d is %+v, not %+v", m.name, k, row.doc, s.truth[h.applied].docs[k])
		}
	}
}
