package buckets

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
)

// names with everything that could confuse their order or their rows. The first
// two are the same when joined by a zero byte.
var names = []contract.Key{
	{Space: "a", Key: "b\x00c"},
	{Space: "a\x00b", Key: "c"},
	{Space: "a", Key: "b"},
	{Space: "a\x00", Key: "\x00\x01"},
	{Space: "a\x01", Key: "ÿ"},
	{Space: "space", Key: "key"},
}

var texts = []string{
	`{"a":1}`, `{"a":2,"b":{"x":1}}`, `{"b":{"x":null,"y":[1,2]}}`, `{"c":"text"}`, `{"b":null}`, `{}`,
	`7`, `null`, `{ "a" : 1.0 , }`, `{"broken`, ``,
}

// A machine drives a store and its twin through one log.
type machine struct {
	t     *rapid.T
	fs    *vfs.MemFS
	store *Store
	log   *stripeLog
	twin  *twin
	next  int // to name requests
}

func TestStoreIsItsTwin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{t: t, fs: vfs.NewCrashableMem(), log: newLog(), twin: newTwin()}
		m.store = open(t, m.fs, m.options())
		defer func() { _ = m.store.Close() }()
		for range rapid.IntRange(10, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 19).Draw(t, "step") {
			case 0:
				m.reopen()
			case 1:
				m.crash()
			case 2:
				if err := m.store.Checkpoint(); err != nil {
					t.Fatal(err)
				}
			case 3:
				m.foreign()
			case 4, 5:
				m.compareDocument(m.key())
			case 6:
				m.storm()
			case 7:
				m.release()
			default:
				m.batch()
			}
		}
		m.log.feed(t, m.store)
		m.compare()
		verified(t, m.store)
		m.compareWithReplay()
	})
}

func (m *machine) key() contract.Key { return rapid.SampledFrom(names).Draw(m.t, "key") }
func (m *machine) text() string      { return rapid.SampledFrom(texts).Draw(m.t, "text") }

func (m *machine) chance(percent int, what string) bool {
	return rapid.IntRange(1, 100).Draw(m.t, what) <= percent
}

// batch appends a record of up to four changes, some of them refused, sometimes
// two for one document.
func (m *machine) batch() {
	m.log.feed(m.t, m.store)
	m.log.time += rapid.SampledFrom([]int64{0, 1, 1000, 30_000, 119_000, 600_000}).Draw(m.t, "time")
	m.twin.now = m.log.time
	var changes []record.Change
	changed := map[contract.Key]bool{}
	for range rapid.IntRange(0, 4).Draw(m.t, "changes") {
		c := m.change()
		changes = append(changes, c)
		if !changed[c.Key] && m.decide(&c) {
			m.take(&c)
		}
		changed[c.Key] = true
	}
	m.log.batch(changes...)
	if m.chance(90, "apply at once") {
		m.log.feed(m.t, m.store)
	}
}

// take has the twin do a change that goes into the next record.
func (m *machine) take(c *record.Change) {
	at := pos(m.log.seq() + 1)
	m.twin.apply(c, at)
	m.twin.touched[c.Key] = at
}

// release compares what may be released, and releases that or up to anywhere.
func (m *machine) release() {
	r := m.log.feed(m.t, m.store)
	clean := rapid.Uint64Range(0, m.log.seq()+3).Draw(m.t, "clean")
	limit := rapid.Uint64Range(1, 4).Draw(m.t, "release at most")
	horizon, n := r.Releasable(pos(clean), int(limit))
	if want, of := m.twin.releasable(min(clean, m.log.seq()), limit); horizon != want || n != int(of) {
		m.t.Fatalf("%d up to %v are releasable, the twin says %d up to %v", n, horizon, of, want)
	}
	if n == 0 || m.chance(30, "anywhere") {
		horizon = pos(rapid.Uint64Range(1, m.log.seq()).Draw(m.t, "horizon"))
	}
	m.log.release(horizon)
	m.twin.release(horizon)
	m.log.feed(m.t, m.store)
	rows := dump(m.t, m.store)
	for _, k := range names {
		p := placeOf(k)
		_, kept := rows[string(p.state())]
		if at, want := m.twin.touched[k]; kept != want {
			m.t.Fatalf("released up to %v: %q, touched at %v, has a state: %v", horizon, k, at, kept)
		}
	}
}

// storm deletes a document many times under many ids, so that it forgets some,
// and resends all that must be remembered.
func (m *machine) storm() {
	m.log.feed(m.t, m.store)
	k := m.key()
	step := rapid.SampledFrom([]int64{1, 4_000, 40_000}).Draw(m.t, "storm time")
	for range rapid.IntRange(1, 40).Draw(m.t, "storm") {
		m.log.time += step
		m.twin.now = m.log.time
		m.next++
		c := withID(remove(k), "id-"+strconv.Itoa(m.next))
		c.Phase = rapid.SampledFrom([]string{contract.PhaseAbort, contract.PhaseMark}).Draw(m.t, "phase")
		if m.decide(&c) {
			m.take(&c)
		}
		m.log.batch(c)
		m.log.feed(m.t, m.store)
	}
	for _, known := range m.twin.doc(k).ids {
		c := withID(remove(k), known.id)
		m.decide(&c)
	}
}

// decide compares what store and twin say of a change and reports whether it
// happens.
func (m *machine) decide(c *record.Change) bool {
	v, err := m.store.Decide(c)
	known, must, may := m.twin.knows(c)
	want := m.twin.refuse(c)
	switch {
	case may && (must || v.Done || code(err) == contract.Malformed && body(c) != known.body):
		if body(c) == known.body {
			if !v.Done || err != nil {
				m.t.Fatalf("resend of %+v: %+v, %v", c, v, err)
			}
		} else if code(err) != contract.Malformed {
			m.t.Fatalf("another request under the id of %+v: %+v, %v", c, v, err)
		}
		return false
	case code(err) != want || v.Done:
		m.t.Fatalf("%+v: %+v, %v, the twin says %d", c, v, err, want)
	}
	if want == 0 && v.NoEffect {
		before := sprint(*m.twin.doc(c.Key))
		m.twin.apply(c, pos(m.log.seq()+1))
		if sprint(*m.twin.doc(c.Key)) != before {
			m.t.Fatalf("%+v is said to have no effect", c)
		}
		return false
	}
	return want == 0
}

// change draws a change, more often than not one that is taken.
func (m *machine) change() record.Change {
	k := m.key()
	d := m.twin.doc(k)
	if len(d.ids) > 0 && m.chance(10, "resend") {
		return m.resend(k, d)
	}
	c := record.Change{Key: k, Writer: rapid.SampledFrom([]string{"", "w1", "w2"}).Draw(m.t, "writer")}
	if m.chance(60, "id") {
		m.next++
		c.ID = "id-" + strconv.Itoa(m.next)
	}
	seq := int32(rapid.IntRange(-3, 3).Draw(m.t, "near the head")) + d.head
	kind := rapid.IntRange(0, 19).Draw(m.t, "kind")
	if !d.live && kind < 14 {
		kind = 0
	}
	switch {
	case kind < 2:
		c.Verb = record.Init
		r := rapid.SampledFrom([][2]int32{{0, 1}, {1, 10}, {5, 3}, {-9, -7}, {7, 7}, {0, 1<<31 - 20}}).Draw(m.t, "range")
		c.Updates = []contract.Update{m.update(r[0], r[1])}
	case kind < 12:
		c.Verb = record.Patch
		begin := d.head + 1
		if m.chance(8, "wrong head") {
			begin = seq
		}
		for range rapid.IntRange(1, 3).Draw(m.t, "updates") {
			end := begin + int32(rapid.SampledFrom([]int{0, 0, 1, 5, -1}).Draw(m.t, "length"))
			c.Updates = append(c.Updates, m.update(begin, end))
			begin = end + 1
		}
		m.meanIncarnation(&c, d)
	case kind < 15:
		c.Verb, c.Seq = record.Snapshot, seq
		c.History = rapid.SampledFrom([]int32{1, 1, 2, 3, 10, 1<<31 - 1, 0, -1}).Draw(m.t, "history")
		c.Text, c.AssetBytes = m.text(), rapid.Int64Range(-5, 5).Draw(m.t, "assets")
		m.meanIncarnation(&c, d)
	case kind < 16:
		c.Verb, c.Seq, c.Text = record.Recover, seq, m.text()
	default:
		c.Verb = record.Delete
		c.Phase = rapid.SampledFrom([]string{contract.PhaseMark, contract.PhaseAbort, contract.PhaseCommit, record.PhaseRemove}).Draw(m.t, "phase")
	}
	return c
}

func (m *machine) meanIncarnation(c *record.Change, d *twinDoc) {
	switch rapid.IntRange(0, 9).Draw(m.t, "incarnation") {
	case 0:
		c.Incarnation = position.Position{Birth: 9, Seq: 9}
	case 1, 2, 3:
		c.Incarnation = d.incarnation
	}
}

// resend uses an id of the past, for the same request if the machine still has
// it in the log, or for another.
func (m *machine) resend(k contract.Key, d *twinDoc) record.Change {
	id := rapid.SampledFrom(d.ids).Draw(m.t, "id again").id
	for _, b := range m.log.bodies {
		rec, err := record.Parse(b)
		if err != nil {
			continue
		}
		for _, c := range rec.Changes {
			if c.ID == id && c.Key == k && m.chance(80, "same request") {
				c.Writer = "resender"
				return c
			}
		}
	}
	return withID(remove(k), id)
}

func (m *machine) update(begin, end int32) contract.Update {
	u := update(begin, end, m.text())
	u.Undo = m.text()
	u.AssetBytes = rapid.Int64Range(-100, 100).Draw(m.t, "assets")
	if m.chance(30, "who") {
		u.Who = &contract.Who{Agent: "agent", Authority: "auth ority"}
	}
	return u
}

// foreign puts something into the log that every replica skips, or a claim.
func (m *machine) foreign() {
	switch rapid.IntRange(0, 3).Draw(m.t, "foreign") {
	case 0:
		m.log.append([]byte("not a record"))
	case 1:
		other := *m.log
		other.chain[0]++
		m.log.append(strangeBatch(&other, initial(m.key(), update(0, 1, "wrong chain"))))
	case 2:
		other := *m.log
		other.epoch = pos(99999)
		m.log.append(strangeBatch(&other, initial(m.key(), update(0, 1, "wrong epoch"))))
	case 3:
		m.log.claim()
	}
}

// strangeBatch is the record that another log would have had next.
func strangeBatch(l *stripeLog, c record.Change) []byte {
	var b record.Builder
	b.Add(&c)
	return b.Record(l.epoch, l.time, l.chain)
}

func (m *machine) reopen() {
	closed(m.t, m.store)
	m.store = open(m.t, m.fs, m.options())
}

// options draws the caches: none, ones that hold little, ones that hold all.
func (m *machine) options() Options {
	return Options{
		HeadBytes:   rapid.SampledFrom([]int64{-1, 2 * headSize, 1 << 20}).Draw(m.t, "heads"),
		MergedBytes: rapid.SampledFrom([]int64{-1, 1 << 20}).Draw(m.t, "merged"),
	}
}

// crash goes on with what the disk may hold after a loss of power.
func (m *machine) crash() {
	r := m.log.feed(m.t, m.store)
	durable := r.Durable()
	fs := m.fs.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: rapid.SampledFrom([]int{0, 0, 30, 70, 100}).Draw(m.t, "survives"),
		RNG:                 rand.New(rand.NewPCG(1, rapid.Uint64().Draw(m.t, "seed"))),
	})
	_ = m.store.Close()
	m.fs = fs
	m.store = open(m.t, fs, m.options())
	r, err := m.store.Replica("s1", birth)
	if err != nil {
		m.t.Fatal(err)
	}
	if got := r.Applied().Seq; got < durable {
		m.t.Fatalf("after the crash the store stands at %d, %d was durable", got, durable)
	}
	if m.chance(50, "verify") {
		verified(m.t, m.store)
	}
	m.log.feed(m.t, m.store)
}

// compareWithReplay compares with a store that has applied the log in one go,
// and applies it again.
func (m *machine) compareWithReplay() {
	fresh := open(m.t, vfs.NewMem(), Options{MergedBytes: -1, HeadBytes: -1})
	defer closed(m.t, fresh)
	r := m.log.feed(m.t, fresh)
	for seq := range m.log.seq() {
		if err := r.Apply(seq+1, m.log.bodies[seq]); err != nil {
			m.t.Fatal(err)
		}
	}
	if got := r.Applied().Chain; got != m.log.chain {
		m.t.Fatalf("chain %v, the log has %v", got, m.log.chain)
	}
	sameStores(m.t, m.store, fresh)
	replay := *m
	replay.store = fresh
	replay.compare()
}

func (m *machine) compare() {
	for _, k := range names {
		m.compareDocument(k)
	}
	m.compareLists(m.store.Keys, func(d *twinDoc) bool { return d.live })
	m.compareLists(m.store.Marked, func(d *twinDoc) bool { return d.marked })
}

func (m *machine) compareLists(list func(contract.Key, int, func(layout.Bucket) bool) ([]contract.Key, error), holds func(*twinDoc) bool) {
	want := m.twin.list(holds)
	limit := rapid.IntRange(1, 7).Draw(m.t, "limit")
	got := []contract.Key{}
	for after := (contract.Key{}); ; after = got[len(got)-1] {
		page, err := list(after, limit, nil)
		if err != nil {
			m.t.Fatal(err)
		}
		got = append(got, page...)
		if len(page) < limit {
			break
		}
	}
	if !slices.Equal(got, want) {
		m.t.Fatalf("list %v, the twin has %v", got, want)
	}
	if len(want) == 0 {
		return
	}
	only := layout.BucketOf(want[0].Space, want[0].Key)
	elsewhere := func(k contract.Key) bool { return layout.BucketOf(k.Space, k.Key) != only }
	got, err := list(contract.Key{}, 100, func(b layout.Bucket) bool { return b == only })
	if err != nil || !slices.Equal(got, slices.DeleteFunc(want, elsewhere)) {
		m.t.Fatalf("list of bucket %d: %v, %v", only, got, err)
	}
}

func (m *machine) compareDocument(k contract.Key) {
	m.log.feed(m.t, m.store)
	t, s, d := m.t, m.store, m.twin.doc(k)
	head, incarnation, err := s.Head(k)
	if want := m.twin.absent(k); want != 0 || err != nil {
		_, e1 := s.Get(k)
		_, e2 := s.Parts(k)
		_, e3 := s.Compute(k, "no method", 1)
		_, e4 := s.History(k, nil, 1, 1)
		_, e5 := s.WrittenBy(k, 1, "w1")
		for _, err := range []error{err, e1, e2, e3, e4, e5} {
			if code(err) != want {
				t.Fatalf("%q: %v, want %d", k, err, want)
			}
		}
		return
	}
	if head != d.head || incarnation != d.incarnation {
		t.Fatalf("%q: head %d of %v, want %d of %v", k, head, incarnation, d.head, d.incarnation)
	}
	doc, want := d.get()
	for range 2 { // the second time from the cache
		got, err := s.Get(k)
		if code(err) != want || got != doc {
			t.Fatalf("get %q: %+v, %v, want %+v, %d", k, got, err, doc, want)
		}
	}
	if got, err := s.Parts(k); err != nil || sprintParts(got) != sprintParts(d.parts()) {
		t.Fatalf("parts of %q: %s, %v, want %s", k, sprintParts(got), err, sprintParts(d.parts()))
	}
	if _, err := s.Compute(k, "no method", 1); code(err) != contract.UnknownMethod {
		t.Fatalf("unknown method: %v", err)
	}
	for _, seq := range m.seqs(d) {
		m.compareSeq(k, d, seq)
	}
	m.compareHistory(k, d, nil)
}

// seqs are all the places where something could change.
func (m *machine) seqs(d *twinDoc) []int32 {
	list := []int32{d.head, d.head + 1, -1 << 31, 1<<31 - 1}
	for _, u := range d.updates {
		list = append(list, u.SeqBegin-1, u.SeqBegin, u.SeqEnd, u.SeqEnd-1)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (m *machine) compareSeq(k contract.Key, d *twinDoc, seq int32) {
	for _, method := range []string{contract.HeadPatch, contract.Rewind} {
		got, err := m.store.Compute(k, method, seq)
		text, want := d.compute(method, seq)
		if code(err) != want || got.Patch != text || want == 0 && (got.Reads != 1 || got.Seq != d.head) {
			m.t.Fatalf("%s %d of %q: %+v, %v, want %q, %d", method, seq, k, got, err, text, want)
		}
	}
	for _, writer := range []string{"w1", "w2"} {
		got, err := m.store.WrittenBy(k, seq, writer)
		if want := seq <= d.head && d.writtenBy(seq, writer); err != nil || got != want {
			m.t.Fatalf("%q at %d written by %s: %v, %v", k, seq, writer, got, err)
		}
	}
	m.compareHistory(k, d, &seq)
}

// compareHistory reads a history page by page.
func (m *machine) compareHistory(k contract.Key, d *twinDoc, from *int32) {
	want := d.history(from)
	var all []contract.Entry
	limit := rapid.SampledFrom([]int{1, 2, 100}).Draw(m.t, "page")
	for page := from; ; {
		got, err := m.store.History(k, page, limit, 1<<20)
		if err != nil {
			m.t.Fatalf("history of %q: %v", k, err)
		}
		all = append(all, got.Entries...)
		if !got.More {
			got.Entries = all
			if sprintHistory(got) != sprintHistory(want) {
				m.t.Fatalf("history of %q: %s\nwant %s", k, sprintHistory(got), sprintHistory(want))
			}
			return
		}
		next := all[len(all)-1].SeqEnd + 1
		page = &next
	}
}

func sprintParts(p contract.PartsReply) string {
	base := "none"
	if p.Base != nil {
		base = strconv.Quote(*p.Base)
	}
	p.Base = nil
	return base + sprint(p)
}

func sprintHistory(h contract.HistoryReply) string {
	text := sprint(h.Base != nil)
	if h.Base != nil {
		text += sprint(*h.Base)
	}
	for _, e := range h.Entries {
		who := "nobody"
		if e.Who != nil {
			who = sprint(*e.Who)
		}
		e.Who = nil
		text += who + sprint(e)
	}
	h.Base, h.Entries = nil, nil
	return text + sprint(h)
}
