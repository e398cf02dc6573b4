package buckets

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// A patient is a store that applies the log of a machine, is damaged, and is
// repaired from the machine's store.
type patient struct {
	*machine
	disk *vfs.MemFS
	sick *Store
	// sound documents need nothing but the log to be as in the healthy store: they
	// were never damaged, or were put since.
	sound map[contract.Key]bool
	old   []Put               // images of moments past
	past  []map[string]string // rows of the sick store at moments past
}

// TestRepair damages a store in all ways while two stores follow one log, and puts
// images of any age into it. What was put needs no second repair; in the end both
// stores are the same.
func TestRepair(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{t: t, fs: vfs.NewMem(), log: newLog(), twin: newTwin()}
		m.store = open(t, m.fs, m.options())
		defer func() { _ = m.store.Close() }()
		p := &patient{machine: m, disk: vfs.NewMem(), sound: map[contract.Key]bool{}}
		p.sick = open(t, p.disk, m.options())
		defer func() { _ = p.sick.Close() }()
		for _, k := range names {
			p.sound[k] = true
		}
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			p.step()
		}
		p.cure()
	})
}

func (p *patient) step() {
	switch rapid.IntRange(0, 19).Draw(p.t, "repair step") {
	case 0:
		closed(p.t, p.sick)
		p.sick = open(p.t, p.disk, p.options())
	case 1:
		p.past = append(p.past, dump(p.t, p.sick))
	case 2, 3:
		p.keepImages()
	case 4, 5, 6:
		p.putOld()
	case 7, 8, 9:
		p.harm()
	case 10:
		p.round(true)
	case 11:
		p.scrub()
	case 12:
		p.ask()
	case 13:
		p.rare()
	case 14, 15:
		p.follow(int(rapid.Uint64Range(1, 5).Draw(p.t, "records")))
	default:
		p.batch()
	}
}

// rare has the log bring what it seldom brings.
func (p *patient) rare() {
	switch rapid.IntRange(0, 2).Draw(p.t, "rare") {
	case 0:
		p.foreign()
	case 1:
		p.storm()
	case 2:
		p.release()
	}
}

// follow applies up to n records that the sick store has not yet.
func (p *patient) follow(n int) {
	r := p.replica()
	for seq := r.Applied().Seq + 1; seq <= p.log.seq() && n > 0; seq++ {
		n--
		if err := r.Apply(seq, p.log.bodies[seq-1]); err != nil {
			p.t.Fatalf("apply record %d: %v", seq, err)
		}
	}
	if r.Applied().Seq == p.log.seq() {
		p.compareSound()
	}
}

// compareSound compares the documents that need no repair. Both stores stand at
// the end of the log. Of the table of tombstones a row may be left that the state
// that was lost had; CheckNames removes it.
func (p *patient) compareSound() {
	p.log.feed(p.t, p.store)
	for k, sound := range p.sound {
		want, got := documentRows(k, dump(p.t, p.store)), documentRows(k, dump(p.t, p.sick))
		for _, rows := range []map[string]string{want, got} {
			maps.DeleteFunc(rows, func(key, _ string) bool { return key[0] == tableTombstone })
		}
		if sound && !maps.Equal(want, got) {
			p.t.Fatalf("document %q should be whole. It has the rows\n%q\nwant\n%q", k, got, want)
		}
	}
}

// sameDocuments compares all rows, but of the buckets only the digests: a bucket
// keeps the position of a change that is not to be seen in its documents.
func sameDocuments(t fataler, want, got *Store) {
	t.Helper()
	w, g := dump(t, want), dump(t, got)
	for _, rows := range []map[string]string{w, g} {
		for key, value := range rows {
			if key[0] == tableBucket {
				rows[key] = value[:len(BucketState{}.Digest)]
			}
		}
	}
	if !maps.Equal(w, g) {
		t.Fatalf("the stores differ: the rows are\n%q\nwant\n%q", g, w)
	}
	for b := range layout.Bucket(layout.Buckets) {
		if want.Bucket(b).Digest != got.Bucket(b).Digest {
			t.Fatalf("bucket %d differs", b)
		}
	}
}

// documentRows picks the rows of one document.
func documentRows(k contract.Key, rows map[string]string) map[string]string {
	of := map[string]string{}
	at := placeOf(k)
	for key, value := range rows {
		switch key[0] {
		case tableName, tableMarked:
			if key == string(at.name(key[0])) {
				of[key] = value
			}
		case tableDocument, tableEntry, tableID, tableBase:
			if bytes.HasPrefix([]byte(key[1:]), at.common) {
				of[key] = value
			}
		case tableTombstone:
			if bytes.HasSuffix([]byte(key), at.common) {
				of[key] = value
			}
		}
	}
	return of
}

func momentOf(t fataler, s *Store) *Moment {
	t.Helper()
	m, err := replicaOf(t, s).Moment()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// keepImages remembers the healthy documents as they are now, as a peer would
// send them.
func (p *patient) keepImages() {
	m := momentOf(p.t, p.store)
	defer m.Close()
	for _, k := range names {
		if im := sent(p.t, m, k); im != nil {
			p.old = append(p.old, Put{Image: im, AsOf: m.Position()})
		}
	}
}

// sent is a healthy document as it comes over the wire, nil for none.
func sent(t fataler, m *Moment, k contract.Key) *Image {
	t.Helper()
	im, err := m.Image(k)
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	b := im.AppendBinary(nil)
	if len(b) != im.Size() {
		t.Fatalf("an image of %d bytes says that it has %d", len(b), im.Size())
	}
	parsed, err := ParseImage(b)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// putOld puts images of any age, whatever is there.
func (p *patient) putOld() {
	if len(p.old) == 0 {
		return
	}
	put := rapid.SampledFrom(p.old).Draw(p.t, "image")
	m := momentOf(p.t, p.sick)
	before, err := m.Document(put.Image.Key)
	m.Close()
	if err != nil {
		p.t.Fatal(err)
	}
	if p.chance(30, "over") {
		put.Over = &before.Digest
	}
	outcome := p.put(put)
	image, _ := put.Image.Check()
	forward := before.Damaged != "" || before.Position.Less(image.Position)
	outvoted := !put.AsOf.Less(before.Position) && put.Over != nil && before.Digest != image.Digest
	if outcome == Taken && !forward && !outvoted {
		p.t.Fatalf("%q at %v is replaced by an image at %v", put.Image.Key, before.Position, image.Position)
	}
}

func (p *patient) put(put Put) Outcome {
	outcome := putOne(p.t, p.replica(), put)
	if outcome == Taken {
		p.sound[put.Image.Key] = true
	}
	if outcome == Taken || outcome == Older {
		p.whole(put.Image.Key)
	}
	return outcome
}

func (p *patient) replica() *Replica { return replicaOf(p.t, p.sick) }

func replicaOf(t fataler, s *Store) *Replica {
	t.Helper()
	r, err := s.Replica("s1", birth)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// whole makes sure that the sick store's copy of a document passes its check.
func (p *patient) whole(k contract.Key) {
	m := momentOf(p.t, p.sick)
	defer m.Close()
	d, err := m.Document(k)
	if err != nil || d.Damaged != "" {
		p.t.Fatalf("%q after it was put: %s, %v", k, d.Damaged, err)
	}
	if _, noticed := p.sick.Damage(k); noticed {
		p.t.Fatalf("%q counts as damaged after it was put", k)
	}
}

// harm damages the sick store behind its back.
func (p *patient) harm() {
	rows := dump(p.t, p.sick)
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(rows)), func(key string) bool {
		return key[0] == tableFormat || key[0] == tableStripe
	})
	if len(keys) == 0 {
		return
	}
	key := rapid.SampledFrom(keys).Draw(p.t, "row")
	switch rapid.IntRange(0, 5).Draw(p.t, "harm") {
	case 0:
		p.unsound(key)
		removeRow(p.t, p.sick, key)
	case 1:
		p.unsound(key)
		value := []byte(rows[key])
		rewrite(p.t, p.sick, []byte(key), flip(value, rapid.IntRange(0, 8*len(value)-1).Draw(p.t, "bit")))
	case 2:
		p.unsound(key)
		rewrite(p.t, p.sick, []byte(key), []byte(rows[rapid.SampledFrom(keys).Draw(p.t, "other row")]))
	case 3:
		k := p.key()
		for row := range documentRows(k, rows) {
			removeRow(p.t, p.sick, row)
		}
		p.sound[k] = false
	default:
		p.fallBack(rows)
	}
}

// fallBack makes one document what it once was.
func (p *patient) fallBack(rows map[string]string) {
	if len(p.past) == 0 {
		return
	}
	k := p.key()
	for row := range documentRows(k, rows) {
		removeRow(p.t, p.sick, row)
	}
	for row, value := range documentRows(k, rapid.SampledFrom(p.past).Draw(p.t, "past")) {
		rewrite(p.t, p.sick, []byte(row), []byte(value))
	}
	p.sound[k] = false
}

// unsound notes that a row of a document is not as it was.
func (p *patient) unsound(key string) {
	for _, k := range names {
		if len(documentRows(k, map[string]string{key: ""})) > 0 {
			p.sound[k] = false
		}
	}
}

func removeRow(t fataler, s *Store, key string) {
	t.Helper()
	if err := s.db.Delete([]byte(key), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
}

// ask reads all documents, so that the caches have them. A sound document is
// answered as the healthy store answers, if both have come as far.
func (p *patient) ask() {
	r, h := p.replica(), replicaOf(p.t, p.store)
	for _, k := range names {
		want, e1 := p.store.Get(k)
		got, e2 := p.sick.Get(k)
		if p.sound[k] && r.Applied() == h.Applied() && (want != got || code(e1) != code(e2)) {
			p.t.Fatalf("get %q: %+v, %v, want %+v, %v", k, got, e2, want, e1)
		}
	}
	if p.sick.merged.cache != nil {
		p.sick.merged.cache.Wait()
	}
}

func (p *patient) scrub() { scrub(p.t, p.sick) }

// scrub checks the whole store as far as the test's documents go.
func scrub(t fataler, s *Store) {
	t.Helper()
	r := replicaOf(t, s)
	for b := range bucketsOf(names) {
		if _, err := r.CheckBucket(b); err != nil {
			t.Fatal(err)
		}
	}
	for page := (NamesResult{More: true}); page.More; {
		var err error
		if page, err = s.CheckNames(page.Next, 2); err != nil {
			t.Fatal(err)
		}
	}
}

func bucketsOf(keys []contract.Key) map[layout.Bucket]bool {
	set := map[layout.Bucket]bool{}
	for _, k := range keys {
		set[layout.BucketOf(k.Space, k.Key)] = true
	}
	return set
}

// round compares the stores as two members would, and heals what differs from the
// healthy one, whose word counts. It may pull what the log has yet to bring.
func (p *patient) round(mayPullAhead bool) {
	mine, theirs := momentOf(p.t, p.sick), momentOf(p.t, p.store)
	defer mine.Close()
	defer theirs.Close()
	for _, k := range differing(p.t, mine, theirs) {
		p.heal(k, mine, theirs, mayPullAhead)
	}
}

// differing lists what is to be looked at: documents that are not the same in both
// indexes, and those that are known to be damaged.
func differing(t fataler, mine, theirs *Moment) []contract.Key {
	found := map[contract.Key]bool{}
	for _, d := range mine.replica.store.Damaged() {
		found[d.Key] = true
	}
	for b := range bucketsOf(names) {
		of := map[contract.Key]DocState{}
		for _, d := range indexOf(t, mine, b) {
			of[d.Key] = d
		}
		for _, d := range indexOf(t, theirs, b) {
			found[d.Key] = found[d.Key] || of[d.Key] != d
			delete(of, d.Key)
		}
		for k := range of {
			found[k] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(names), func(k contract.Key) bool { return !found[k] })
}

// indexOf lists a bucket in pages.
func indexOf(t fataler, m *Moment, b layout.Bucket) (all []DocState) {
	for after := (contract.Key{}); ; {
		page, more, err := m.Index(b, after, 1)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if !more {
			return all
		}
		after = page[len(page)-1].Key
	}
}

func (p *patient) heal(k contract.Key, mine, theirs *Moment, mayPullAhead bool) {
	switch healDocument(p.t, k, mine, theirs, mayPullAhead) {
	case Taken:
		p.sound[k] = true
		p.whole(k)
	case dropped:
		p.sound[k] = false
	}
}

// What may become of a document beside a Put's outcomes.
const (
	left Outcome = iota + 100
	dropped
)

// healDocument does what two members would that take theirs for the majority.
func healDocument(t fataler, k contract.Key, mine, theirs *Moment, mayPullAhead bool) Outcome {
	m, e1 := mine.Document(k)
	h, e2 := theirs.Document(k)
	if e1 != nil || e2 != nil || h.Damaged != "" {
		t.Fatal(e1, e2, h.Damaged)
	}
	lag := mine.Position().Less(h.Position) || theirs.Position().Less(m.Position)
	switch {
	case m.Damaged == "" && m.Digest == h.Digest:
		return left
	case m.Damaged == "" && lag && (!mayPullAhead || h.Position.Less(m.Position)):
		return left
	case h.Position.IsZero():
		if _, err := mine.replica.Drop(k, m.Digest); err != nil {
			t.Fatal(err)
		}
		return dropped
	}
	put := Put{Image: sent(t, theirs, k), AsOf: theirs.Position()}
	if !m.Position.Less(h.Position) {
		put.Over = &m.Digest
	}
	return putOne(t, mine.replica, put)
}

func putOne(t fataler, r *Replica, put Put) Outcome {
	t.Helper()
	result, err := r.Put([]Put{put})
	if err != nil {
		t.Fatal(err)
	}
	return result.Outcomes[0]
}

// cure follows the log to its end and repairs until both stores are the same.
func (p *patient) cure() {
	p.log.feed(p.t, p.store)
	p.follow(len(p.log.bodies))
	for range 4 {
		p.scrub()
		p.round(false)
	}
	p.scrub()
	verified(p.t, p.store)
	verified(p.t, p.sick)
	sameDocuments(p.t, p.store, p.sick)
	if left := p.sick.Damaged(); len(left) > 0 {
		p.t.Fatalf("still damaged: %v", left)
	}
	for _, k := range names {
		p.sound[k] = true
	}
	p.ask()
	p.batch()
	p.follow(len(p.log.bodies))
	p.ask()
	verified(p.t, p.sick)
}
