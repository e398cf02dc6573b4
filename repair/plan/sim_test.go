package plan

import (
	"fmt"
	"slices"
	"strings"
)

// A dice makes every choice of a simulation.
type dice func(n int, what string) int

// A sim is three members of a stripe, their log, what is on its way between them, and
// how the documents ought to be.
type sim struct {
	roll dice
	off  map[simRule]bool // rules that are broken on purpose

	log     []simRecord // from 1
	first   uint64      // the oldest record that the log still holds
	truth   []world     // after each record
	members [simMembers]*simMember
	cut     [simMembers][simMembers]bool
	onWay   []*simMessage
	cases   []*simCase
	repairs int // that changed something

	settling bool // nothing fails any more

	strict bool      // the store asks of images to be as new as what it has lost
	kinds  []simStep // what happens, and
	weight int       // of all of them
	keys   int       // how many documents there are
	faults [5]int    // weights
	verbs  [simVerbs]int

	story []string
	wrong error // the first invariant that was broken
}

// A simMessage is an answer that has not arrived yet.
type simMessage struct {
	to, boot int
	what     string
	slow     bool
	arrive   func()
}

func newSim(roll dice, off ...simRule) *sim {
	s := &sim{roll: roll, off: map[simRule]bool{}, log: make([]simRecord, 1), first: 1, truth: make([]world, 1)}
	for _, r := range off {
		s.off[r] = true
	}
	for i := range s.members {
		s.members[i] = &simMember{id: i, name: fmt.Sprintf("h%d", i+1), up: true}
		s.members[i].remember()
	}
	s.choose()
	return s
}

func (s *sim) note(format string, args ...any) {
	s.story = append(s.story, fmt.Sprintf(format, args...))
}

// fail notes that an invariant is broken.
func (s *sim) fail(format string, args ...any) {
	if s.wrong == nil {
		s.wrong = fmt.Errorf(format, args...)
		s.note("BROKEN: %v", s.wrong)
	}
}

// err is what was broken, with what led to it.
func (s *sim) err() error {
	if s.wrong == nil {
		return nil
	}
	return fmt.Errorf("%w\nafter %d steps, the last of them:\n%s", s.wrong, len(s.story), strings.Join(s.story[max(0, len(s.story)-150):], "\n"))
}

func (s *sim) chance(percent int, what string) bool { return s.roll(100, what) < percent }

func (s *sim) end() uint64 { return uint64(len(s.log) - 1) }

func (s *sim) now() *world { return &s.truth[s.end()] }

func (s *sim) anyMember() *simMember { return s.members[s.roll(simMembers, "member")] }

func (s *sim) anyKey() simKey { return simKey(s.roll(s.keys, "key")) }

func (s *sim) peersOf(m *simMember) (peers []*simMember) {
	for _, p := range s.members {
		if p != m {
			peers = append(peers, p)
		}
	}
	return peers
}

// reach: one can ask the other now.
func (s *sim) reach(a, b *simMember) bool {
	return a.up && b.up && !s.cut[a.id][b.id]
}

// quorum: the member reaches a majority of the hosts, so it sees the log.
func (s *sim) quorum(m *simMember) bool {
	n := 0
	for _, p := range s.members {
		if p == m && m.up || p != m && s.reach(m, p) {
			n++
		}
	}
	return n > simMembers/2
}

// run takes steps and then lets everything settle.
func (s *sim) run(steps int) error {
	for range steps {
		if s.step(); s.wrong != nil {
			return s.err()
		}
	}
	s.settle()
	return s.err()
}

func (s *sim) step() {
	n := s.roll(s.weight, "step")
	for _, k := range s.kinds {
		if n -= k.weight; n < 0 {
			k.do()
			break
		}
	}
	s.check()
}

// A simStep is something that happens again and again, more often with more weight.
type simStep struct {
	weight int
	do     func()
}

// choose gives this simulation its own weather: some things happen often, some rarely or
// never, to all documents or to a few.
func (s *sim) choose() {
	s.strict = s.roll(2, "strict") == 0
	s.keys = 1 + s.roll(simKeys, "keys")
	s.kinds = []simStep{
		{30, s.append},
		{30, s.apply},
		{30, s.deliver},
		{15, s.startRound},
		{10, s.decideCase},
		{10, s.lookIntoDamage},
		{4, s.scrubBucket},
		{12, s.healStep},
		{6, s.checkpoint},
		{6, s.report},
		{8, s.release},
		{6, s.trim},
		{4, s.crash},
		{10, s.start},
		{3, s.cutLink},
		{6, s.mendLink},
		{6, s.fault},
		{6, s.calm},
	}
	for i := range s.kinds {
		k := &s.kinds[i]
		if i < 4 {
			k.weight *= 1 + s.roll(3, "weight")
		} else {
			k.weight *= s.roll(4, "weight")
		}
		s.weight += k.weight
	}
	for i := range s.faults {
		s.faults[i] = s.roll(4, "faults")
	}
	for i := range s.verbs {
		s.verbs[i] = 1 + s.roll(4, "verbs")
	}
}

// pick chooses by weight; -1 when all weights are zero.
func (s *sim) pick(weights []int, what string) int {
	total := 0
	for _, w := range weights {
		total += w
	}
	if total == 0 {
		return -1
	}
	n := s.roll(total, what)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	return -1
}

// --- the log

// append has an owner append a change, decided on its own copy.
func (s *sim) append() {
	owner := s.owner()
	if owner == nil {
		return
	}
	r := s.change(owner)
	if r == nil || !s.mayAppend(owner, r) {
		return
	}
	s.push(owner, *r)
}

// owner is a member that owns the stripe now: it has applied the whole log.
func (s *sim) owner() *simMember {
	m := s.oneOf("owner", func(m *simMember) bool {
		return m.up && !m.sick && s.quorum(m) && s.first <= m.disk.applied+1
	})
	for m != nil && m.disk.applied < s.end() {
		m.applyNext(s)
	}
	return m
}

// oneOf chooses among the members that may; nil when there is none.
func (s *sim) oneOf(what string, may func(*simMember) bool) *simMember {
	var list []*simMember
	for _, m := range s.members {
		if may(m) {
			list = append(list, m)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[s.roll(len(list), what)]
}

func (s *sim) push(owner *simMember, r simRecord) {
	s.log = append(s.log, r)
	s.truth = append(s.truth, s.truth[s.end()-1].after(&r, s.end()))
	s.note("%d: %s appends %+v", s.end(), owner.name, r)
	owner.applyNext(s)
}

// change is a change that the owner accepts; nil when it accepts none.
func (s *sim) change(owner *simMember) *simRecord {
	k := s.anyKey()
	row := owner.disk.rows[k]
	if row.unreadable {
		return nil
	}
	r := &simRecord{key: k, verb: simVerb(s.pick(s.verbs[:], "verb")), id: s.chance(30, "id")}
	if !row.doc.live && s.chance(80, "create") {
		r.verb = simInit
	}
	switch r.verb {
	case simInit:
		r.end = int32(1 + s.roll(2, "first"))
	case simPatch:
		r.seq = row.doc.head + 1
		r.end = r.seq
	case simSnapshot, simRecover:
		r.seq = row.doc.head - int32(s.roll(2, "back"))
	}
	if row.doc.refuses(r) || row.doc.noEffect(r) && !r.id {
		return nil
	}
	return r
}

// apply has a member apply some records, if the log still has them.
func (s *sim) apply() {
	m := s.oneOf("apply", func(m *simMember) bool { return m.up && !m.sick && s.quorum(m) && m.disk.applied < s.end() })
	if m == nil {
		return
	}
	few := 1 + s.roll(3, "records")
	if s.chance(70, "all") {
		few = int(s.end())
	}
	for range few {
		if m.disk.applied == s.end() {
			return
		}
		if m.disk.applied+1 < s.first {
			s.sicken(m, "fell off the log")
			return
		}
		m.applyNext(s)
	}
}

func (s *sim) sicken(m *simMember, why string) {
	if !m.sick {
		m.sick, m.complete = true, m.disk.applied
		s.note("%s is sick: %s", m.name, why)
	}
}

// trim removes what every healthy member has made durable.
func (s *sim) trim() {
	floor := s.end()
	healthy := 0
	for _, m := range s.members {
		switch {
		case m.up && !m.sick && s.quorum(m):
			floor = min(floor, m.durable.applied)
			healthy++
		case s.anyWrong(): // nobody may fall off while a copy is silently wrong
			floor = min(floor, m.durable.applied)
		}
	}
	if healthy <= simMembers/2 || floor+1 <= s.first {
		return
	}
	before := s.first
	s.first = floor + 1
	if !s.solvable() {
		s.first = before
		return
	}
	s.note("the log is trimmed below %d", s.first)
}

// release has an owner release tombstones.
func (s *sim) release() {
	owner := s.owner()
	if owner == nil {
		return
	}
	clean := s.end()
	for i := range s.members {
		known := owner.told[i]
		if i == owner.id {
			known = owner.reportable
		}
		clean = min(clean, known)
	}
	if s.off[releaseWaitsForAll] {
		clean = s.end()
	}
	var horizons []uint64
	for k := range owner.disk.rows {
		d := &owner.disk.rows[k]
		if !d.unreadable && d.doc.tombstone() && d.doc.pos > owner.disk.horizon && d.doc.pos <= clean && s.forgettable(d.doc.pos) {
			horizons = append(horizons, d.doc.pos)
		}
	}
	if len(horizons) > 0 {
		s.push(owner, simRecord{release: horizons[s.roll(len(horizons), "horizon")]})
	}
}

// calm is a time in which whoever can be reached catches up, compares and reports, and
// nothing fails. Sometimes everybody can be reached.
func (s *sim) calm() {
	if s.chance(50, "all") {
		s.cut = [simMembers][simMembers]bool{}
		for _, m := range s.members {
			if !m.up && (!m.wiped() || s.othersHealthy(m)) {
				s.startNow(m)
			}
		}
	}
	for _, m := range s.members {
		for m.up && !m.sick && s.quorum(m) && m.disk.applied < s.end() && m.disk.applied+1 >= s.first {
			m.applyNext(s)
		}
	}
	for _, m := range s.members {
		for _, p := range s.peersOf(m) {
			for _, id := range simPartitions() {
				s.ask(m, p, id)
			}
		}
	}
	for range 30 {
		s.deliver()
	}
	for _, m := range s.members {
		s.checkpointOf(m)
		for _, p := range s.peersOf(m) {
			if s.reach(m, p) {
				s.tell(m, p)
			}
		}
	}
}

// --- hosts

func (s *sim) checkpoint() { s.checkpointOf(s.anyMember()) }

func (s *sim) checkpointOf(m *simMember) {
	if !m.up {
		return
	}
	clean := m.cleanPosition(s).Seq // BEFORE the sync
	m.durable = m.disk
	m.reportable = clean
}

// report tells another host up to where this one is clean.
func (s *sim) report() {
	m := s.anyMember()
	to := s.peersOf(m)[s.roll(simMembers-1, "to")]
	if s.reach(m, to) {
		s.tell(m, to)
	}
}

func (s *sim) tell(m, to *simMember) {
	to.told[m.id] = m.reportable
	if s.off[cleanIsDurable] {
		to.told[m.id] = m.cleanPosition(s).Seq
	}
}

func (s *sim) crash() {
	m := s.anyMember()
	if !m.up {
		return
	}
	m.up = false
	if s.chance(60, "of the machine") {
		m.disk = m.durable
		s.note("%s falls back to %d", m.name, m.disk.applied)
	} else {
		s.note("%s is killed", m.name)
	}
	// What was true of the disk before may not be of what it has fallen back to.
	m.remember()
}

func (s *sim) start() {
	m := s.oneOf("start", func(m *simMember) bool { return !m.up && (!m.wiped() || s.othersHealthy(m)) })
	if m != nil {
		s.startNow(m)
	}
}

// wiped: the store is empty, and the log does not begin at its beginning.
func (m *simMember) wiped() bool { return m.sick && m.disk.applied == 0 }

func (s *sim) othersHealthy(m *simMember) bool {
	return !slices.ContainsFunc(s.peersOf(m), func(p *simMember) bool { return !p.up || p.sick || !s.quorum(p) })
}

func (s *sim) startNow(m *simMember) {
	m.up = true
	m.remember()
	s.note("%s starts at %d", m.name, m.disk.applied)
	if m.disk.applied+1 < s.first {
		s.sicken(m, "the log begins later")
	}
}

func (s *sim) cutLink() {
	a := s.anyMember()
	b := s.peersOf(a)[s.roll(simMembers-1, "from")]
	s.cut[a.id][b.id], s.cut[b.id][a.id] = true, true
	s.note("%s and %s are cut off from each other", a.name, b.name)
}

func (s *sim) mendLink() {
	a := s.anyMember()
	b := s.peersOf(a)[s.roll(simMembers-1, "from")]
	s.cut[a.id][b.id], s.cut[b.id][a.id] = false, false
}

// deliver lets one answer arrive, in any order. Answers to a process that is gone are
// lost.
func (s *sim) deliver() {
	if len(s.onWay) == 0 {
		return
	}
	i := s.roll(len(s.onWay), "message")
	m := s.onWay[i]
	if m.slow && !s.settling && s.chance(95, "slow") {
		return
	}
	s.onWay = slices.Delete(s.onWay, i, i+1)
	if to := s.members[m.to]; to.up && to.boot == m.boot && (s.settling || !s.chance(3, "lost")) {
		s.note("%s hears %s", to.name, m.what)
		m.arrive()
	}
}

// answer puts what a member has said on its way.
func (s *sim) answer(to *simMember, what string, arrive func()) {
	s.onWay = append(s.onWay, &simMessage{to: to.id, boot: to.boot, what: what, arrive: arrive, slow: s.chance(10, "slow")})
	if len(s.onWay) > 40 { // the oldest have waited too long
		s.onWay = s.onWay[1:]
	}
}
