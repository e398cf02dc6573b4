package plan

import (
	"fmt"
	"slices"

	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// serves: the peer answers this member's questions.
func (s *sim) serves(m, peer *simMember) bool {
	return s.reach(m, peer) && (!peer.sick || s.off[whoHealsDoesNotAnswer])
}

// startRound asks a peer for the buckets of a partition.
func (s *sim) startRound() {
	m := s.anyMember()
	s.ask(m, s.peersOf(m)[s.roll(simMembers-1, "peer")], layout.PartitionID(s.roll(2, "partition")))
}

func (s *sim) ask(m, peer *simMember, p layout.PartitionID) {
	if m.sick || !s.serves(m, peer) {
		return
	}
	side, buckets := peer.side(), peer.buckets(p)
	s.answer(m, fmt.Sprintf("buckets of %v of %s at %d", p, peer.name, peer.disk.applied), func() {
		s.compareBuckets(m, peer, p, side, buckets)
	})
}

// sides are the two as they are compared, with the rules that are broken.
func (s *sim) sides(m *simMember, theirs Side) (Side, Side) {
	mine := m.side()
	for _, side := range []*Side{&mine, &theirs} {
		if s.off[lagIsNotRepaired] {
			side.Applied = seq(1 << 40)
		}
		if s.off[tombstonesMayBeReleased] {
			side.Horizon = position.Position{}
		}
	}
	return mine, theirs
}

func (s *sim) compareBuckets(m, peer *simMember, p layout.PartitionID, side Side, buckets []BucketState) {
	if m.sick {
		return
	}
	since := m.clean.Pulls(p)
	mine, theirs := s.sides(m, side)
	look, _, clean, err := Buckets(mine, theirs, m.buckets(p), buckets)
	if err != nil {
		s.fail("%v", err)
	}
	if !clean.IsZero() {
		m.clean.Equal(p, peer.name, clean, since)
	}
	for _, b := range look {
		s.askIndex(m, peer, b)
	}
}

// A simMoment is what a peer has at one moment of a bucket.
type simMoment struct {
	from  string
	side  Side
	docs  []Doc
	rows  [simKeys]simRow
	right [simKeys]bool // the copy is what it ought to be there
}

func (s *sim) momentOf(peer *simMember, b layout.Bucket) *simMoment {
	at := &simMoment{from: peer.name, side: peer.side(), docs: peer.index(b), rows: peer.disk.rows}
	for k := range at.right {
		at.right[k] = s.right(peer, simKey(k))
	}
	return at
}

func (s *sim) askIndex(m, peer *simMember, b layout.Bucket) {
	if !s.serves(m, peer) {
		return
	}
	at := s.momentOf(peer, b)
	s.answer(m, fmt.Sprintf("documents of %v of %s at %v", b, peer.name, at.side.Applied), func() { s.compareDocuments(m, peer, b, at) })
}

func (s *sim) compareDocuments(m, peer *simMember, b layout.Bucket, at *simMoment) {
	if m.sick {
		return
	}
	docs := m.index(b)
	s.mendSum(m, b, docs)
	mine, theirs := s.sides(m, at.side)
	found := Documents(mine, theirs, s.seen(docs), s.seen(at.docs))
	s.checkFindings(m, peer, b, at, found)
	for _, f := range found {
		k := keyNamed(f.Mine.Key)
		switch f.Verdict {
		case Missing:
			s.askImage(m, peer, k, nil, nil)
		case Divergence, Corruption, Gone:
			s.open(m, k)
		case Theirs:
			if s.off[aLiveCopyWins] && f.Theirs.Absent() && !at.side.Horizon.Less(f.Mine.Position) {
				s.open(m, k)
			}
		}
	}
}

// mendSum re-reads a bucket whose digest is not what its documents say.
func (s *sim) mendSum(m *simMember, b layout.Bucket, docs []Doc) {
	if Sum(docs) != m.disk.kept[b] && m.scrub(b) {
		s.repairs++
		s.note("%s mends the digest of %v", m.name, b)
	}
}

// seen is documents as they are compared, with the rules that are broken.
func (s *sim) seen(docs []Doc) []Doc {
	docs = slices.Clone(docs)
	for i := range docs {
		d := &docs[i]
		if s.off[damagedCopiesDoNotCount] {
			d.Damaged = ""
		}
		if s.off[newerContinuesOlder] {
			d.Incarnation, d.Head, d.Chain = d.Position, 0, digest.Digest{}
		}
	}
	return docs
}

// --- images

func (s *sim) askImage(m, peer *simMember, k simKey, over *digest.Digest, exactly *Doc) {
	if !s.serves(m, peer) {
		return
	}
	row := peer.disk.rows[k]
	if row.damaged {
		peer.noticed[k] = true
	}
	if !row.here() || !row.sound() && !s.off[damagedCopiesDoNotCount] {
		return // absent, or damaged, which is never sent
	}
	im := &simImage{key: k, doc: row.doc, asOf: max(peer.disk.applied, row.doc.pos), from: peer.name}
	s.answer(m, fmt.Sprintf("the image of k%d of %s at %d, as of %d", k, peer.name, row.doc.pos, im.asOf), func() {
		if over != nil && exactly != nil && (seq(row.doc.pos) != exactly.Position || row.doc.digest(k) != exactly.Digest) {
			over = nil // not the copy that was voted for
		}
		s.put(m, im, over)
	})
}

// put takes an image over if the rules let it.
func (s *sim) put(m *simMember, im *simImage, over *digest.Digest) {
	if seq(im.asOf).Less(m.clean.Floor()) && !s.off[imagesKnowTheFloor] {
		return
	}
	right, sound := s.right(m, im.key), m.disk.rows[im.key].sound()
	if m.put(s, im, over) != simTaken {
		return
	}
	s.changed(m, im.key, right, fmt.Sprintf("puts the image of %s at %d as of %d", im.from, im.doc.pos, im.asOf))
	if !sound && !m.sick && !s.right(m, im.key) && im.doc == s.truth[im.asOf].docs[im.key] {
		s.fail("%s said of k%d that it is damaged, and now serves an old one", m.name, im.key)
	}
}

// changed notes that repair has replaced or dropped a copy, and checks that it was
// worth it.
func (s *sim) changed(m *simMember, k simKey, wasRight bool, how string) {
	s.repairs++
	s.note("%s %s: k%d", m.name, how, k)
	if wasRight && !m.sick && !s.right(m, k) {
		ought, is := s.truth[m.disk.applied].docs[k], m.disk.rows[k].doc
		switch {
		case is.live && !ought.live:
			s.fail("k%d was deleted, and repair brings it back on %s", k, m.name)
		case !is.live && ought.live:
			s.fail("repair loses k%d on %s", k, m.name)
		default:
			s.fail("%s had the right copy of k%d and repair has replaced it", m.name, k)
		}
	}
	if !s.off[pullsBreakEqualities] {
		m.clean.Pulled(partitionOf(k.bucket()))
	}
}

// --- decisions that need more than one peer

// A simCase is a document that a member asks everybody about.
type simCase struct {
	of    *simMember
	boot  int
	key   simKey
	views [simMembers]View
}

func (s *sim) open(m *simMember, k simKey) {
	for _, c := range s.cases {
		if c.of == m && c.key == k && c.boot == m.boot {
			return
		}
	}
	c := &simCase{of: m, boot: m.boot, key: k}
	for _, p := range s.members {
		c.views[p.id] = Unknown(p.name, "not heard")
		if p != m && s.serves(m, p) {
			v := View{Side: p.side(), Doc: p.whole(k)}
			s.answer(m, fmt.Sprintf("the view of %s of k%d at %v", p.name, k, v.Applied), func() { c.views[p.id] = v })
		}
	}
	s.cases = append(s.cases, c)
}

// decideCase decides on what has arrived.
func (s *sim) decideCase() {
	if len(s.cases) == 0 {
		return
	}
	i := s.roll(len(s.cases), "case")
	c := s.cases[i]
	s.cases = slices.Delete(s.cases, i, i+1)
	s.decide(c)
}

func (s *sim) decide(c *simCase) {
	m := c.of
	if !m.up || m.boot != c.boot {
		return
	}
	c.views[m.id] = View{Side: m.side(), Doc: m.whole(c.key)}
	d := s.decision(m.name, c.views[:])
	s.note("%s decides on k%d: %v %v from %v (%s)", m.name, c.key, d.Action, d.Verdict, d.From, d.Rule)
	switch d.Action {
	case Pull:
		from := d.From[s.roll(len(d.From), "from")]
		s.askImage(m, s.named(from), c.key, d.Over, &d.Right)
	case Drop:
		right := s.right(m, c.key)
		if m.drop(c.key, *d.Over) {
			s.changed(m, c.key, right, "drops")
		}
	}
}

func (s *sim) named(host string) *simMember { return s.members[host[1]-'1'] }

// decision is [Decide], with the rules that are broken.
func (s *sim) decision(host string, views []View) Decision {
	views = slices.Clone(views)
	for i := range views {
		v := &views[i]
		v.Doc = s.seen([]Doc{v.Doc})[0]
		if s.off[tombstonesMayBeReleased] {
			v.Horizon = position.Position{}
		}
	}
	if s.off[theMajorityDecides] {
		for i := range views { // the first other one that has a copy is right
			if v := &views[i]; v.Host != host && v.Doc.sound() {
				mine := &views[host[1]-'1'].Doc
				return Decision{Action: Pull, Verdict: Divergence, From: []string{v.Host}, Right: v.Doc, Over: &mine.Digest}
			}
		}
	}
	if s.off[aLiveCopyWins] {
		if d, ok := absentMajority(host, views); ok {
			return d
		}
	}
	return Decide(host, views)
}

// absentMajority is the rule that [Decide] does not have: below a horizon, more than
// half of the members say what is deleted.
func absentMajority(host string, views []View) (Decision, bool) {
	absent := 0
	mine := &views[host[1]-'1'].Doc
	for i := range views {
		if v := &views[i]; v.Unknown == "" && v.Doc.Absent() && !v.Horizon.Less(mine.Position) {
			absent++
		}
	}
	if mine.sound() && mine.Live && 2*absent > len(views) {
		return Decision{Action: Drop, Verdict: Gone, Over: &mine.Digest}, true
	}
	return Decision{}, false
}

// lookIntoDamage opens a case for damage that was noticed.
func (s *sim) lookIntoDamage() {
	m := s.anyMember()
	k := s.anyKey()
	if m.up && m.noticed[k] {
		s.open(m, k)
	}
}

func (s *sim) scrubBucket() {
	if m := s.anyMember(); m.up {
		m.scrub(layout.Bucket(s.roll(simBuckets, "bucket")))
	}
}
