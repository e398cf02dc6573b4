package plan

import (
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// A simRow is one member's copy of a document.
type simRow struct {
	doc        simDoc // zero: absent
	damaged    bool   // its texts are: the state can be read
	unreadable bool   // its state is
}

func (r *simRow) here() bool { return r.doc.pos > 0 }

func (r *simRow) sound() bool { return !r.damaged && !r.unreadable }

// A simStore is what a member has on its disk.
type simStore struct {
	applied, horizon uint64
	rows             [simKeys]simRow
	kept             [simBuckets]digest.Digest // kept up to date, not recomputed
	keptPos          [simBuckets]uint64
}

// set replaces a row, and moves the bucket's digest as the difference says. What cannot
// be read cannot be taken off.
func (s *simStore) set(k simKey, row simRow) {
	b := k.bucket()
	if old := &s.rows[k]; old.here() && !old.unreadable {
		s.kept[b] = s.kept[b].Sub(old.doc.digest(k))
	}
	s.kept[b] = s.kept[b].Add(row.doc.digest(k))
	s.keptPos[b] = max(s.keptPos[b], row.doc.pos)
	s.rows[k] = row
}

// A simMember is one host with its part of the stripe.
type simMember struct {
	id   int
	name string
	up   bool
	sick bool // the log cannot bring it up to date

	disk    simStore
	durable simStore // what a crash of the machine leaves

	simMemory
}

// simMemory is what a restart forgets.
type simMemory struct {
	boot       int
	missed     map[simKey]uint64 // changes that a copy could not follow
	missedAll  uint64            // any copy may have missed what is up to here
	noticed    map[simKey]bool   // damage that is known
	unread     map[simKey]bool   // and that the state cannot be read
	suspects   map[simKey]uint64 // when it was noticed that something is lost
	clean      Clean
	reportable uint64 // a clean position that is durable
	told       [simMembers]uint64
	skip       bool // the next record will be skipped
	heal       *simHealing
	complete   uint64 // position as of which its copies are complete, while sick
}

func (m *simMember) remember() {
	m.simMemory = simMemory{
		boot: m.boot + 1, missed: map[simKey]uint64{}, noticed: map[simKey]bool{}, unread: map[simKey]bool{}, suspects: map[simKey]uint64{},
		missedAll: m.disk.applied, complete: m.disk.applied,
	}
}

// applyNext applies the record after the last one applied.
func (m *simMember) applyNext(s *sim) {
	p := m.disk.applied + 1
	r := &s.log[p]
	m.disk.applied = p
	switch {
	case m.skip && !r.claim && r.release == 0:
		m.skip = false
	case r.claim:
	case r.release > 0:
		m.release(r.release)
	default:
		right := s.right(m, r.key) || s.rightBefore(m, r.key)
		if m.change(s, r, p); right && !s.right(m, r.key) {
			s.fail("%s had the right copy of k%d and record %d has spoilt it", m.name, r.key, p)
		}
	}
}

// release drops tombstones above the horizon so far, up to the new one.
func (m *simMember) release(horizon uint64) {
	for k := range simKey(simKeys) {
		d := &m.disk.rows[k]
		if d.here() && !d.unreadable && d.doc.tombstone() && m.disk.horizon < d.doc.pos && d.doc.pos <= horizon {
			m.disk.set(k, simRow{})
		}
	}
	m.disk.horizon = max(m.disk.horizon, horizon)
}

func (m *simMember) change(s *sim, r *simRecord, p uint64) {
	row := m.disk.rows[r.key]
	switch {
	case row.unreadable:
		m.noteUnreadable(r.key)
		m.missed[r.key] = p
	case row.doc.pos >= p && !s.off[passedChangesAreLeftAlone]:
	case row.doc.refuses(r):
		m.missed[r.key] = p
	default:
		after := row.doc.after(r, p)
		// An initialize, a recover and a delete replace all texts.
		row.damaged = row.damaged && after.inc == row.doc.inc && after.live
		row.doc = after
		m.disk.set(r.key, row)
	}
}

// side is where the member stands.
func (m *simMember) side() Side {
	side := Side{Host: m.name, Applied: seq(m.disk.applied), Horizon: seq(m.disk.horizon)}
	if m.sick {
		side.Heals, side.Applied = true, seq(m.complete)
	}
	return side
}

func (m *simMember) buckets(p layout.PartitionID) (list []BucketState) {
	for _, b := range bucketsOf(p) {
		list = append(list, BucketState{Bucket: b, Digest: m.disk.kept[b], Position: seq(m.disk.keptPos[b])})
	}
	return list
}

// state is what the state row of a document says, and what is known of damage.
func (m *simMember) state(k simKey) Doc {
	row := &m.disk.rows[k]
	if row.unreadable {
		m.noteUnreadable(k)
		return Doc{Key: k.name(), Damaged: "state: checksum"}
	}
	doc := docOf(k, row.doc)
	if m.noticed[k] && row.damaged {
		doc.Damaged = "update: checksum"
	}
	return doc
}

// noteUnreadable notices a state that cannot be read. Whatever was applied by then may have
// been in it.
func (m *simMember) noteUnreadable(k simKey) {
	m.noticed[k] = true
	if !m.unread[k] {
		m.unread[k] = true
		m.missed[k] = max(m.missed[k], m.disk.applied)
	}
}

// healthy forgets what was noticed of a document.
func (m *simMember) healthy(k simKey) {
	delete(m.noticed, k)
	delete(m.unread, k)
	delete(m.suspects, k)
}

func docOf(k simKey, d simDoc) Doc {
	return Doc{
		Key: k.name(), Position: seq(d.pos), Incarnation: seq(d.inc), Head: d.head,
		Digest: d.digest(k), Chain: d.chain, Live: d.live, Marked: d.marked,
	}
}

// whole reads all rows of a document.
func (m *simMember) whole(k simKey) Doc {
	if row := &m.disk.rows[k]; row.damaged {
		m.noticed[k] = true
	}
	return m.state(k)
}

// index is what the state rows of a bucket say.
func (m *simMember) index(b layout.Bucket) (docs []Doc) {
	for _, k := range keysOf(b) {
		if d := m.state(k); !d.Absent() {
			docs = append(docs, d)
		}
	}
	return docs
}

// scrub re-reads a bucket and sets its digest right. It reports whether that was wrong.
func (m *simMember) scrub(b layout.Bucket) bool {
	var sum digest.Digest
	for _, k := range keysOf(b) {
		if d := m.whole(k); !d.Absent() {
			sum = sum.Add(d.Digest)
		}
	}
	mended := m.disk.kept[b] != sum
	m.disk.kept[b] = sum
	return mended
}

// until is the last change that the copy may have missed.
func (m *simMember) until(k simKey) uint64 { return max(m.missed[k], m.missedAll) }

// A simImage is a document as a peer had it at one moment.
type simImage struct {
	key  simKey
	doc  simDoc
	asOf uint64
	from string
}

type simOutcome int

const (
	simTaken simOutcome = iota
	simOlder
	simTooOld
	simMoved
)

// put takes an image over, as the document store does.
func (m *simMember) put(s *sim, im *simImage, over *digest.Digest) simOutcome {
	k := im.key
	local := &m.disk.rows[k]
	if local.unreadable {
		m.noteUnreadable(k)
	}
	image, here := im.doc, local.doc
	if local.unreadable {
		here = simDoc{}
	}
	needs := m.until(k)
	if s.strict && here.pos < image.pos && image.pos <= m.disk.applied {
		// The copy lacks what was applied here, so it has lost it: up to now, nobody
		// knows what.
		if m.suspects[k] == 0 {
			m.suspects[k] = m.disk.applied
		}
		needs = max(needs, m.suspects[k])
	}
	complete := im.asOf >= needs || s.off[imagesLackNoChange]
	outvoted := over != nil && (*over == here.digest(k) || s.off[onlyTheOutvotedCopyGoes])
	if image.pos <= m.disk.horizon && !s.off[imagesKnowTheHorizon] {
		if !image.live {
			return simOlder
		}
		if im.asOf < m.disk.horizon {
			return simTooOld
		}
	}
	switch {
	case s.off[imagesMoveForward]:
	case local.sound() && (image.pos < here.pos && !outvoted || image.pos == here.pos && image == here):
		m.healthy(k)
		return simOlder
	case !complete || image.pos < here.pos && !outvoted:
		return simTooOld
	case local.sound() && image.pos <= here.pos && !outvoted:
		return simMoved
	}
	m.disk.set(k, simRow{doc: image})
	m.healthy(k)
	return simTaken
}

// drop removes a document if its digest is still the given one.
func (m *simMember) drop(k simKey, over digest.Digest) bool {
	row := &m.disk.rows[k]
	if d := m.state(k); d.Digest != over {
		return false
	}
	had := row.here()
	m.disk.set(k, simRow{})
	m.healthy(k)
	return had
}

func (m *simMember) cleanPosition(s *sim) position.Position {
	if s.off[cleanIsToEveryMember] {
		var best position.Position
		for _, peer := range s.peersOf(m) {
			best = later(best, m.clean.Position(simPartitions(), []string{peer.name}))
		}
		return best
	}
	var peers []string
	for _, peer := range s.peersOf(m) {
		peers = append(peers, peer.name)
	}
	return m.clean.Position(simPartitions(), peers)
}
