package buckets

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/internal/contract"
	"trireme/internal/position"
)

// TestScrub damages every row of a store in every way. A scrub then finds it: it
// mends what follows from the states, lists what it cannot mend, and leaves the
// digest of a bucket that lost a document different from the others'. After one
// round of repair nothing is left.
func TestScrub(t *testing.T) {
	t.Parallel()
	log := damageLog()
	healthy := openTemp(t, Options{MergedBytes: -1, HeadBytes: -1})
	log.feed(t, healthy)
	rows := dump(t, healthy)
	for key := range rows {
		if key[0] == tableFormat || key[0] == tableStripe {
			continue
		}
		for _, kind := range damageKinds() {
			t.Run(strconv.Quote(key)+" "+kind.name, func(t *testing.T) {
				s := open(t, vfs.NewMem(), Options{MergedBytes: -1})
				defer func() { closed(t, s) }()
				log.feed(t, s)
				kind.damage(t, s, []byte(key), rows)
				scrub(t, s)
				mended := s.Verify() == nil
				if follows := strings.IndexByte("bmnt", key[0]) >= 0; mended != follows {
					t.Errorf("after the scrub alone: %v", s.Verify())
				}
				mine, theirs := momentOf(t, s), momentOf(t, healthy)
				defer mine.Close()
				defer theirs.Close()
				found := differing(t, mine, theirs)
				if !mended && len(found) != 1 {
					t.Fatalf("%v differ", found)
				}
				for _, k := range found {
					if got := healDocument(t, k, mine, theirs, false); got != Taken {
						t.Errorf("heal %q: %v", k, got)
					}
				}
				verified(t, s)
				sameStores(t, healthy, s)
				if left := s.Damaged(); len(left) > 0 {
					t.Errorf("still damaged: %v", left)
				}
			})
		}
	}
}

// TestScrubOfTheHealthy finds and changes nothing, and reads everything.
func TestScrubOfTheHealthy(t *testing.T) {
	var events []Event
	s := openTemp(t, Options{Events: func(e Event) { events = append(events, e) }})
	r := damageLog().feed(t, s)
	before := dump(t, s)
	var all CheckResult
	for b := range bucketsOf(names) {
		result, err := r.CheckBucket(b)
		if err != nil || len(result.Damaged) > 0 || result.Mended > 0 {
			t.Errorf("bucket %d: %+v, %v", b, result, err)
		}
		all.Documents += result.Documents
		all.Rows += result.Rows
		all.Bytes += result.Bytes
	}
	rows, size := 0, 0
	for key, value := range before {
		if strings.IndexByte(walkedTables, key[0]) >= 0 {
			rows++
			size += len(key) + len(value)
		}
	}
	if all.Documents != len(names) || all.Rows != rows || all.Bytes != int64(size) {
		t.Errorf("%+v, the store has %d rows of %d bytes", all, rows, size)
	}
	lists := 0
	for page := (NamesResult{More: true}); page.More; {
		var err error
		if page, err = s.CheckNames(page.Next, 3); err != nil || page.Mended > 0 || len(page.Damaged) > 0 || page.Rows > 3 {
			t.Fatalf("%+v, %v", page, err)
		}
		lists += page.Rows
	}
	if lists != 7 { // 5 live ones, 1 marked, 1 tombstone
		t.Errorf("%d rows in lists", lists)
	}
	if sprint(dump(t, s)) != sprint(before) || len(events) > 0 {
		t.Errorf("something was changed; %v", events)
	}
}

// TestRowsOfNobody are removed by a scrub: rows whose keys no document has.
func TestRowsOfNobody(t *testing.T) {
	s := openTemp(t, Options{})
	r := damageLog().feed(t, s)
	before := dump(t, s)
	p := placeOf(testKey)
	b := p.bucket
	stranger := placeOf(benchKey(0))
	misplaced := append([]byte{tableDocument, p.common[0], p.common[1]}, stranger.common[2:]...)
	for _, key := range [][]byte{
		misplaced,
		{tableEntry, p.common[0], p.common[1], 'x'},
		{tableID, p.common[0], p.common[1]},
		append(p.name(tableName), 'x'),
		{tableMarked, 'x'},
		{tableTombstone, 1, 2, 3},
		stranger.tombstone(pos(1)),
	} {
		rewrite(t, s, key, appendRow(nil, key, nil)[len(key):])
	}
	if err := s.Verify(); !errors.Is(err, ErrDamaged) {
		t.Fatalf("verify: %v", err)
	}
	result, err := r.CheckBucket(b)
	if err != nil || result.Mended != 3 || len(result.Damaged) > 0 {
		t.Errorf("%+v, %v", result, err)
	}
	lists, err := s.CheckNames("", 100)
	if err != nil || lists.Mended != 4 || len(lists.Damaged) > 0 || lists.More {
		t.Errorf("%+v, %v", lists, err)
	}
	if sprint(dump(t, s)) != sprint(before) {
		t.Error("something is left, or gone")
	}
	verified(t, s)
}

// TestWrongLists puts documents into lists that their states say they are not in,
// with rows that are whole.
func TestWrongLists(t *testing.T) {
	s := openTemp(t, Options{})
	damageLog().feed(t, s)
	before := dump(t, s)
	live, deleted, marked := placeOf(names[0]), placeOf(names[2]), placeOf(names[4])
	wrong := [][]byte{
		deleted.name(tableName), deleted.tombstone(pos(3)), live.name(tableMarked), live.tombstone(pos(9)), marked.tombstone(pos(1)),
	}
	for _, key := range wrong {
		rewrite(t, s, key, appendRow(nil, key, nil)[len(key):])
	}
	for n := range wrong {
		if err := s.Verify(); !errors.Is(err, ErrDamaged) {
			t.Fatalf("verify with %d wrong rows less: %v", n, err)
		}
		if n == 0 {
			continue
		}
		removeRow(t, s, string(wrong[n-1]))
	}
	for _, key := range wrong {
		rewrite(t, s, key, appendRow(nil, key, nil)[len(key):])
	}
	result, err := s.CheckNames("", 1000)
	if err != nil || result.Mended != len(wrong) || len(result.Damaged) > 0 {
		t.Errorf("%+v, %v", result, err)
	}
	if sprint(dump(t, s)) != sprint(before) {
		t.Error("something is left, or gone")
	}
	verified(t, s)
}

// TestNamesThatAreAllThatIsLeft stay, and tell that there was a document.
func TestNamesThatAreAllThatIsLeft(t *testing.T) {
	for _, unreadable := range []bool{false, true} {
		s := openTemp(t, Options{HeadBytes: -1})
		damageLog().feed(t, s)
		for _, k := range []contract.Key{names[0], names[4]} { // live, marked
			for key := range documentRows(k, dump(t, s)) {
				switch {
				case key[0] == tableName || key[0] == tableMarked:
				case key[0] == tableDocument && unreadable:
					rewrite(t, s, []byte(key), appendRow(nil, []byte(key), []byte("no state"))[len(key):])
				default:
					removeRow(t, s, key)
				}
			}
		}
		before := dump(t, s)
		result, err := s.CheckNames("", 1000)
		var found []contract.Key
		for _, d := range result.Damaged {
			found = append(found, d.Key)
		}
		if err != nil || result.Mended != 0 || !slices.Equal(found, []contract.Key{names[4], names[0], names[4]}) {
			t.Errorf("unreadable %v: %+v, %v", unreadable, result, err)
		}
		if sprint(dump(t, s)) != sprint(before) || len(s.Damaged()) != 2 {
			t.Errorf("unreadable %v: %v", unreadable, s.Damaged())
		}
		if r := replicaOf(t, s); unreadable {
			result, err := r.CheckBucket(placeOf(names[0]).bucket)
			if err != nil || len(result.Damaged) != 1 {
				t.Errorf("check: %+v, %v", result, err)
			}
		}
	}
}

// TestGhosts: the head of a document is in memory while all its rows are gone.
// Neither a put nor a check goes by it.
func TestGhosts(t *testing.T) {
	for _, what := range []string{"put", "put ahead", "check"} {
		log := newLog()
		log.batch(initial(testKey, update(0, 1, `{}`)), initial(names[0], update(0, 1, `{}`)))
		theirs, s := openTemp(t, Options{}), openTemp(t, Options{})
		log.feed(t, theirs)
		r := log.feed(t, s)
		for key := range documentRows(testKey, dump(t, s)) {
			removeRow(t, s, key)
		}
		if _, _, err := s.Head(testKey); err != nil {
			t.Fatalf("the head is not in memory: %v", err)
		}
		if what == "put ahead" {
			log.batch(patch(testKey, update(2, 2, `{"a":2}`)))
			log.feed(t, theirs)
		}
		if what == "check" {
			if result, err := r.CheckBucket(putBucket); err != nil || result.Mended != 1 || result.Documents != 0 {
				t.Errorf("check: %+v, %v", result, err)
			}
			verified(t, s)
			if _, err := s.Get(testKey); code(err) != contract.NotFound {
				t.Errorf("get: %v", err)
			}
			log.batch(patch(testKey, update(2, 2, `{"a":2}`)))
			log.feed(t, theirs)
			log.feed(t, s)
			verified(t, s)
		}
		if got := putOne(t, r, putOf(t, theirs, testKey)); got != Taken {
			t.Errorf("%s: %v", what, got)
		}
		verified(t, s)
		log.feed(t, s)
		sameStores(t, theirs, s)
	}
}

// TestDamageIsNoticed by whoever meets it, and told once.
func TestDamageIsNoticed(t *testing.T) {
	k := names[0]
	p := placeOf(k)
	meet := map[string]func(s *Store) error{
		"get":     func(s *Store) error { _, err := s.Get(k); return err },
		"parts":   func(s *Store) error { _, err := s.Parts(k); return err },
		"history": func(s *Store) error { _, err := s.History(k, nil, 9, 9999); return err },
		"compute": func(s *Store) error { _, err := s.Compute(k, contract.HeadPatch, 2); return err },
		"head":    func(s *Store) error { _, _, err := s.Head(k); return err },
		"written": func(s *Store) error { _, err := s.WrittenBy(k, 3, "w"); return err },
		"decide": func(s *Store) error {
			c := patch(k, update(8, 8, `{}`))
			_, err := s.Decide(&c)
			return err
		},
	}
	for name, ask := range meet {
		var events []Event
		s := openTemp(t, Options{HeadBytes: -1, MergedBytes: -1, Events: func(e Event) { events = append(events, e) }})
		damageLog().feed(t, s)
		if len(s.Damaged()) > 0 {
			t.Fatal("damaged from the start")
		}
		rewrite(t, s, p.state(), []byte("damaged"))
		for range 2 {
			if err := ask(s); code(err) != contract.Damaged {
				t.Errorf("%s: %v", name, err)
			}
		}
		d, ok := s.Damage(k)
		if list := s.Damaged(); !ok || d.Key != k || d.Why == "" || !d.Since.IsZero() || !slices.Equal(list, []Damage{d}) {
			t.Errorf("%s: noticed %+v, %v", name, d, list)
		}
		if len(events) != 1 || events[0].Kind != RowDamaged || events[0].Key != k {
			t.Errorf("%s: told %v", name, events)
		}
	}
}

// TestWhatIsRememberedOfDamageIsBounded notes more than is kept.
func TestWhatIsRememberedOfDamageIsBounded(t *testing.T) {
	d := damages{keys: map[contract.Key]Damage{}}
	for i := range maxDamages + 10 {
		if news := d.note(benchKey(i), pos(1), ErrDamaged); news != (i < maxDamages) {
			t.Fatalf("%d is news: %v", i, news)
		}
	}
	if d.note(benchKey(3), pos(7), fmt.Errorf("another")) {
		t.Error("it was known")
	}
	if d.note(benchKey(3), pos(5), ErrDamaged); d.keys[benchKey(3)] != (Damage{benchKey(3), ErrDamaged.Error(), pos(7)}) {
		t.Errorf("%+v", d.keys[benchKey(3)])
	}
	if n := len(d.list()); n != maxDamages {
		t.Errorf("%d are kept", n)
	}
}

// TestWhatIsRememberedOfMissesIsBounded: beyond the bound every document counts as
// having missed something.
func TestWhatIsRememberedOfMissesIsBounded(t *testing.T) {
	m := newMissed()
	m.all(pos(5))
	for i := range maxMissed {
		m.note(benchKey(i), pos(uint64(i)+10))
	}
	for k, want := range map[contract.Key]position.Position{benchKey(0): pos(10), benchKey(100): pos(110), testKey: pos(5)} {
		if got := m.until(k); got != want {
			t.Errorf("%v has missed %v, want %v", k, got, want)
		}
	}
	m.note(testKey, pos(1<<20))
	if m.until(benchKey(0)) != pos(1<<20) || len(m.keys) > 0 {
		t.Errorf("%v, %d documents", m.until(benchKey(0)), len(m.keys))
	}
	m.all(pos(3))
	if m.floor != pos(1<<20) {
		t.Error("the floor has sunk")
	}
	for i := range maxMissed + 10 {
		if m.suspect(benchKey(i), pos(uint64(i))) != pos(uint64(i)) || m.suspect(benchKey(i), pos(99)) != pos(uint64(i)) {
			t.Fatal("a suspect is not remembered")
		}
	}
	if len(m.suspects) > maxMissed {
		t.Errorf("%d suspects", len(m.suspects))
	}
}

// TestRepairAmongRecords puts, drops, surveys, checks and reads one store while
// both stores apply, for the race detector; in the end the stores are the same.
func TestRepairAmongRecords(t *testing.T) {
	theirs, mine := openTemp(t, Options{}), openTemp(t, Options{})
	log := newLog()
	log.batch(initial(names[0], update(0, 1, `{}`)), initial(names[1], update(0, 1, `{}`)), initial(names[2], update(0, 1, `{}`)))
	log.feed(t, theirs)
	log.feed(t, mine)
	r := replicaOf(t, mine)
	done := make(chan struct{})
	var wg sync.WaitGroup
	again := func(f func()) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					f()
				}
			}
		})
	}
	broken := names[:3]
	heal := func() {
		for _, k := range broken {
			m := momentOf(t, theirs)
			if _, err := r.Put([]Put{{Image: sent(t, m, k), AsOf: m.Position()}}); err != nil {
				t.Error(err)
			}
			m.Close()
		}
	}
	turn := 0
	again(heal)
	again(func() { // damage of a document that its owner keeps changing
		p := placeOf(broken[turn%len(broken)])
		turn++
		if err := mine.db.Delete(p.state(), nil); err != nil {
			t.Error(err)
		}
	})
	again(func() {
		r.Survey([]Range{{0, 16383}})
		mine.Damaged()
		r.Suspect(names[1])
	})
	again(func() {
		for b := range bucketsOf(names) {
			if _, err := r.CheckBucket(b); err != nil {
				t.Error(err)
			}
		}
		if _, err := mine.CheckNames("", 100); err != nil {
			t.Error(err)
		}
	})
	again(func() {
		m := momentOf(t, mine)
		for b := range bucketsOf(names) {
			_, _, e1 := m.Index(b, contract.Key{}, 9)
			e2 := m.Images(b, contract.Key{}, func(contract.Key, *Image, error) error { return nil })
			if err := errors.Join(e1, e2); err != nil {
				t.Error(err)
			}
		}
		m.Close()
	})
	again(func() {
		for _, k := range broken { // right, or damaged
			if _, err := mine.Get(k); err != nil && code(err) != contract.Damaged {
				t.Error(err)
			}
		}
	})
	for seq := int32(2); seq < 60; seq++ {
		for _, k := range broken {
			log.batch(patch(k, update(seq, seq, `{}`)))
		}
		log.feed(t, theirs)
		log.feed(t, mine)
	}
	close(done)
	wg.Wait()
	for range 2 {
		scrub(t, mine)
		heal()
	}
	scrub(t, mine)
	verified(t, mine)
	sameDocuments(t, theirs, mine)
}
