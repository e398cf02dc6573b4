package buckets

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/internal/contract"
	"trireme/internal/document"
	"trireme/internal/layout"
	"trireme/internal/record"
)

// damageLog makes a document of every kind.
func damageLog() *stripeLog {
	l := newLog()
	plain, short, gone, back, doomed, other := names[0], names[1], names[2], names[3], names[4], names[5]
	l.batch(
		withID(initial(plain, update(0, 1, `{"a":1}`)), "p0"), withID(initial(short, update(0, 1, `{"a":1}`)), "s0"),
		initial(gone, update(0, 1, `{}`)), initial(back, update(0, 1, `{}`)), initial(doomed, update(0, 1, `{}`)),
		initial(other, update(5, 3, `{}`)),
	)
	for seq := int32(2); seq < 8; seq++ {
		text := `{"a":` + strconv.Itoa(int(seq)) + `}`
		id := strconv.Itoa(int(seq))
		l.batch(withID(patch(plain, update(seq, seq, text)), "p"+id), withID(patch(short, update(seq, seq, text)), "s"+id))
	}
	l.batch(
		snapshotAt(short, 5, 2, `{"a":5,"snapshot":true}`), withID(remove(gone), "gone"),
		record.Change{Verb: record.Recover, Key: back, Seq: 3, Text: `{"back":true}`},
		record.Change{Verb: record.Delete, Key: doomed, Phase: contract.PhaseMark},
	)
	l.batch(patch(back, update(4, 9, `{"x":1}`)))
	return l
}

// An answer is what one question was answered.
type answer struct {
	text string
	code contract.Code
}

// interrogate asks everything there is to ask about every document.
func interrogate(s *Store) map[string]answer {
	answers := map[string]answer{}
	note := func(question string, k contract.Key, text string, err error) {
		if err != nil {
			text = ""
		}
		answers[question+" "+strconv.Quote(k.Space)+" "+strconv.Quote(k.Key)] = answer{text, code(err)}
	}
	for _, k := range names {
		doc, err := s.Get(k)
		note("get", k, sprint(doc), err)
		parts, err := s.Parts(k)
		note("parts", k, sprintParts(parts), err)
		head, incarnation, err := s.Head(k)
		note("head", k, sprint(head)+incarnation.String(), err)
		for seq := int32(-1); seq < 11; seq++ {
			at := " " + strconv.Itoa(int(seq))
			for _, method := range []string{contract.HeadPatch, contract.Rewind} {
				doc, err := s.Compute(k, method, seq)
				note(method+at, k, sprint(doc), err)
			}
			history, err := s.History(k, &seq, 2, 1<<20)
			note("history"+at, k, sprintHistory(history), err)
			written, err := s.WrittenBy(k, seq, "w")
			note("written"+at, k, sprint(written), err)
			c := patch(k, update(seq, seq, "{}"))
			verdict, err := s.Decide(&c)
			note("patch"+at, k, sprint(verdict), err)
		}
		c := initial(k, update(0, 1, "{}"))
		verdict, err := s.Decide(&c)
		note("initialize", k, sprint(verdict), err)
	}
	for name, list := range map[string]func(contract.Key, int, func(layout.Bucket) bool) ([]contract.Key, error){"keys": s.Keys, "marked": s.Marked} {
		keys, err := list(contract.Key{}, 100, nil)
		note(name, contract.Key{}, sprint(keys), err)
	}
	return answers
}

// A damage changes rows; key is the row it is about.
type damageKind struct {
	name   string
	damage func(t *testing.T, s *Store, key []byte, rows map[string]string)
}

func damageKinds() []damageKind {
	set := func(t *testing.T, s *Store, key, value []byte) { rewrite(t, s, key, value) }
	return []damageKind{
		{"first bit", func(t *testing.T, s *Store, key []byte, rows map[string]string) {
			set(t, s, key, flip([]byte(rows[string(key)]), 0))
		}},
		{"middle bit", func(t *testing.T, s *Store, key []byte, rows map[string]string) {
			v := []byte(rows[string(key)])
			set(t, s, key, flip(v, 4*len(v)))
		}},
		{"last bit", func(t *testing.T, s *Store, key []byte, rows map[string]string) {
			v := []byte(rows[string(key)])
			set(t, s, key, flip(v, 8*len(v)-1))
		}},
		{"cut to nothing", func(t *testing.T, s *Store, key []byte, _ map[string]string) { set(t, s, key, nil) }},
		{"another's value", func(t *testing.T, s *Store, key []byte, rows map[string]string) {
			set(t, s, key, []byte(rows[neighbour(key, rows)]))
		}},
		{"deleted", func(t *testing.T, s *Store, key []byte, _ map[string]string) {
			if err := s.db.Delete(key, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}},
	}
}

// neighbour is another row of the same table, or of another one.
func neighbour(key []byte, rows map[string]string) string {
	keys := make([]string, 0, len(rows))
	for k := range rows {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	i := slices.Index(keys, string(key))
	if i+1 < len(keys) && keys[i+1][0] == key[0] {
		return keys[i+1]
	}
	return keys[(i+len(keys)-1)%len(keys)]
}

// TestDamage damages every row of a store in every way. Whatever is asked then
// is answered rightly or as damaged; Verify finds the damage; and records still
// apply, after which answers are right or damaged again.
func TestDamage(t *testing.T) {
	t.Parallel()
	log := damageLog()
	more := damageLog()
	for seq := int32(8); seq < 12; seq++ {
		more.batch(patch(names[0], update(seq, seq, `{"m":1}`)), patch(names[1], update(seq, seq, `{"m":1}`)))
	}
	more.batch(snapshotAt(names[0], 7, 3, `{"a":7}`), snapshotAt(names[1], 9, 3, `{"a":9}`),
		initial(names[2], update(0, 1, `{"again":true}`)), snapshotAt(names[3], 9, 1, `{}`),
		record.Change{Verb: record.Delete, Key: names[4], Phase: contract.PhaseAbort}, patch(names[5], update(4, 4, "{}")))

	healthy := openTemp(t, Options{MergedBytes: -1, HeadBytes: -1})
	log.feed(t, healthy)
	verified(t, healthy)
	right, rows := interrogate(healthy), dump(t, healthy)
	later := openTemp(t, Options{MergedBytes: -1, HeadBytes: -1})
	more.feed(t, later)
	verified(t, later)
	rightLater := interrogate(later)

	for key := range rows {
		for _, kind := range damageKinds() {
			t.Run(strconv.Quote(key)+" "+kind.name, func(t *testing.T) {
				fs := vfs.NewMem()
				s := open(t, fs, Options{MergedBytes: -1, HeadBytes: -1})
				defer func() { closed(t, s) }()
				log.feed(t, s)
				kind.damage(t, s, []byte(key), rows)
				if err := s.Verify(); !errors.Is(err, ErrDamaged) {
					t.Errorf("verify: %v", err)
				}
				lost := kind.name == "deleted"
				trusted(t, right, interrogate(s), lost && blind(key))
				more.feed(t, s)
				answers := interrogate(s)
				if key[0] == tableDocument {
					// The copy cannot follow, so the lists do not either.
					for _, list := range []string{"keys", "marked"} {
						answers[list+` "" ""`] = rightLater[list+` "" ""`]
					}
				}
				trusted(t, rightLater, answers, lost && blind(key))
			})
		}
	}
}

// blind tells of which tables a reader cannot notice that a row has vanished:
// the lists of names, and a request id, which is then a new one. Verify does.
// Pebble's own checksums stand against it.
func blind(key string) bool {
	return key[0] == tableName || key[0] == tableMarked || key[0] == tableID
}

func trusted(t *testing.T, right, got map[string]answer, blind bool) {
	t.Helper()
	for question, want := range right {
		if answer := got[question]; answer != want && answer.code != contract.Damaged && !blind {
			t.Errorf("%s: answered %+v, right is %+v", question, answer, want)
		}
	}
}

func TestDamagedStoreOpens(t *testing.T) {
	log := damageLog()
	fs := vfs.NewMem()
	s := open(t, fs, Options{HeadBytes: -1})
	log.feed(t, s)
	buckets := 0
	for key, value := range dump(t, s) {
		if key[0] == tableBucket {
			buckets++
		}
		if key[0] != tableFormat && key[0] != tableStripe {
			rewrite(t, s, []byte(key), flip([]byte(value), 3))
		}
	}
	closed(t, s)

	var damaged int
	s = open(t, fs, Options{Events: func(e Event) {
		if e.Kind == RowDamaged {
			damaged++
		}
	}})
	defer closed(t, s)
	if damaged != buckets {
		t.Errorf("%d damaged rows told at the start, %d buckets are", damaged, buckets)
	}
	for _, k := range names {
		if _, err := s.Get(k); code(err) != contract.Damaged {
			t.Errorf("get %q: %v", k, err)
		}
	}
	if r, err := s.Replica("s1", birth); err != nil || r.Applied().Seq != log.seq() {
		t.Errorf("replica: %v", err)
	}
}

// TestDamagedBucketIsMended damages only a bucket's row: its documents tell what
// belongs there.
func TestDamagedBucketIsMended(t *testing.T) {
	log := damageLog()
	fs := vfs.NewMem()
	s := open(t, fs, Options{HeadBytes: -1})
	log.feed(t, s)
	for key, value := range dump(t, s) {
		if key[0] == tableBucket {
			rewrite(t, s, []byte(key), flip([]byte(value), 100))
		}
	}
	closed(t, s)
	s = open(t, fs, Options{})
	defer closed(t, s)
	verified(t, s)
	fresh := openTemp(t, Options{})
	log.feed(t, fresh)
	sameStores(t, s, fresh)
}

// TestDamagedStripeRowStops: without knowing where it stands a replica must not
// go on.
func TestDamagedStripeRowStops(t *testing.T) {
	for _, table := range []byte{tableStripe, tableFormat} {
		log := damageLog()
		fs := vfs.NewMem()
		s := open(t, fs, Options{HeadBytes: -1})
		log.feed(t, s)
		for key, value := range dump(t, s) {
			if key[0] == table {
				rewrite(t, s, []byte(key), flip([]byte(value), 0))
			}
		}
		closed(t, s)
		s, err := Open("store", Options{FS: fs})
		if table == tableFormat {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("open: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Replica("s1", birth); !errors.Is(err, ErrDamaged) {
			t.Errorf("replica: %v", err)
		}
		closed(t, s)
	}
}

// TestForgetPassesDamagedIDs: a damaged id must not keep the others forever, and
// a resend under it must not pass for a new request.
func TestForgetPassesDamagedIDs(t *testing.T) {
	k := names[5]
	log, s := newLog(), openTemp(t, Options{HeadBytes: -1})
	log.batch(initial(k, update(0, 1, "{}")))
	seq := int32(2)
	step := func(n int) {
		for range n {
			log.time += 10_000
			log.batch(withID(patch(k, update(seq, seq, "{}")), strconv.Itoa(int(seq))))
			seq++
		}
		log.feed(t, s)
	}
	step(20)
	p := placeOf(k)
	bad := []string{"3", "11"}
	for _, id := range bad {
		rewrite(t, s, p.id(id), flip([]byte(dump(t, s)[string(p.id(id))]), 1))
	}
	step(200)
	ids := 0
	for key := range dump(t, s) {
		if key[0] == tableID {
			ids++
		}
	}
	if ids > 2*document.KeepIDs+len(bad) {
		t.Errorf("%d ids are remembered", ids)
	}
	for _, id := range bad {
		c := withID(patch(k, update(seq, seq, "{}")), id)
		if v, err := s.Decide(&c); code(err) != contract.Damaged {
			t.Errorf("resend under a damaged id: %+v, %v", v, err)
		}
	}
	if err := s.Verify(); !errors.Is(err, ErrDamaged) {
		t.Errorf("verify: %v", err)
	}
}

// TestIDsAreForgotten counts the ids of a document that is changed slowly, then
// of one that is changed too fast to forget any.
func TestIDsAreForgotten(t *testing.T) {
	for _, c := range []struct {
		every int64 // milliseconds between changes
		most  int
	}{{10_000, 2 * document.KeepIDs}, {1, 1000}} {
		log, s := newLog(), openTemp(t, Options{})
		log.batch(initial(testKey, update(0, 1, "{}")))
		for seq := int32(2); seq < 502; seq++ {
			log.time += c.every
			log.batch(withID(patch(testKey, update(seq, seq, "{}")), strconv.Itoa(int(seq))))
		}
		log.feed(t, s)
		p := placeOf(testKey)
		state, _, err := loadState(s.db, &p)
		if n := state.IDs.Count; err != nil || n < document.KeepIDs || n > c.most || c.every == 1 && n != 500 {
			t.Errorf("a change every %d ms: %d ids, %v", c.every, n, err)
		}
		verified(t, s)
	}
}
