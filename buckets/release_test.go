package buckets

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/internal/contract"
	"trireme/internal/document"
	"trireme/internal/position"
	"trireme/internal/record"
)

// release appends the release of tombstones at or below a horizon.
func (l *stripeLog) release(horizon position.Position) {
	l.append(record.AppendRelease(nil, &record.Record{Epoch: l.epoch, Time: l.time, Prev: l.chain, Horizon: horizon}))
}

// numbered is one of many documents.
func numbered(n int) contract.Key { return contract.Key{Space: "space", Key: fmt.Sprint("key ", n)} }

// rowsOf are the rows of a document, by table.
func rowsOf(t fataler, s *Store, k contract.Key) string {
	p := placeOf(k)
	var tables []byte
	for key := range dump(t, s) {
		if key[0] == tableFormat || key[0] == tableStripe || key[0] == tableBucket {
			continue
		}
		if strings.Contains(key, string(p.common)) || key == string(p.name(key[0])) {
			tables = append(tables, key[0])
		}
	}
	slices.Sort(tables)
	return string(tables)
}

// deletions is a log in which documents end at known records.
func deletions() *stripeLog {
	l := newLog()                                                                               // record 1
	l.batch(initial(numbered(0), update(0, 1, "{}")), initial(numbered(1), update(0, 1, "{}"))) // 2
	l.batch(withID(remove(numbered(0)), "a"))                                                   // 3: goes
	l.batch(withID(remove(numbered(9)), "b"))                                                   // 4: was never there, goes
	l.batch(withID(initial(numbered(2), update(0, 1, "{}")), "c"))                              // 5
	l.batch(remove(numbered(2)), initial(numbered(3), update(0, 1, "{}")))                      // 6: goes
	l.batch(remove(numbered(3)), remove(numbered(1)))                                           // 7
	l.batch(initial(numbered(3), update(0, 7, "{}")))                                           // 8: there again
	l.batch(withID(remove(numbered(1)), "d"))                                                   // 9: deleted again
	l.batch(withID(initial(numbered(4), update(0, 1, "{}")), "e"))                              // 10
	return l
}

func TestRelease(t *testing.T) {
	for _, heads := range []int64{-1, 1 << 20} {
		fs := vfs.NewMem()
		s, log := open(t, fs, Options{HeadBytes: heads}), deletions()
		log.feed(t, s)
		for n, want := range []string{"dit", "dt", "dit", "den", "dein"} {
			if n == 1 {
				want = "dit"
			}
			if got := rowsOf(t, s, numbered(n)); got != want {
				t.Errorf("document %d has rows %q before, want %q", n, got, want)
			}
		}
		log.release(pos(8)) // record 11
		r := log.feed(t, s)
		for n, want := range map[int]string{0: "", 1: "dit", 2: "", 3: "den", 4: "dein", 9: ""} {
			if got := rowsOf(t, s, numbered(n)); got != want {
				t.Errorf("document %d has rows %q, want %q", n, got, want)
			}
			b := placeOf(numbered(n)).bucket
			touched := want == ""
			if got := s.Bucket(b); (got.Position == pos(11)) != touched || touched && !got.Digest.IsZero() {
				t.Errorf("the bucket of document %d is %+v", n, got)
			}
		}
		if a := r.Applied(); a.Horizon != pos(8) || r.Skipped() != 0 {
			t.Errorf("applied %+v, %d skipped", a, r.Skipped())
		}
		verified(t, s)
		closed(t, s)
		s = open(t, fs, Options{HeadBytes: heads})
		r = log.feed(t, s)
		if a := r.Applied(); a.Horizon != pos(8) || a.Seq != 11 {
			t.Errorf("after a restart: applied %+v", a)
		}

		// What is gone can be there again, without a past.
		if _, _, err := s.Head(numbered(0)); code(err) != contract.NotFound {
			t.Errorf("head of what is released: %v", err)
		}
		if v, err := s.Decide(&record.Change{Verb: record.Delete, Key: numbered(0), ID: "a", Phase: record.PhaseRemove}); err != nil || v.Done {
			t.Errorf("the request id is remembered: %+v, %v", v, err)
		}
		log.batch(withID(initial(numbered(0), update(0, 1, `{"n":2}`)), "a"))
		log.feed(t, s)
		if doc, err := s.Get(numbered(0)); err != nil || doc.Patch != `{"n":2}` {
			t.Errorf("created again: %+v, %v", doc, err)
		}
		verified(t, s)
		closed(t, s)
	}
}

// A release that does not fit is skipped alike everywhere, or does nothing.
func TestReleaseThatDoesNotFit(t *testing.T) {
	stranger := func(spoil func(r *record.Record)) func(l *stripeLog) {
		return func(l *stripeLog) {
			r := record.Record{Epoch: l.epoch, Time: l.time, Prev: l.chain, Horizon: pos(8)}
			spoil(&r)
			l.append(record.AppendRelease(nil, &r))
		}
	}
	for name, c := range map[string]struct {
		append func(l *stripeLog)
		event  string // "" for none
	}{
		"wrong chain":          {stranger(func(r *record.Record) { r.Prev[0]++ }), "chain"},
		"wrong epoch":          {stranger(func(r *record.Record) { r.Epoch.Seq++ }), "epoch"},
		"old epoch":            {func(l *stripeLog) { l.claim(); stranger(func(r *record.Record) { r.Epoch = pos(1) })(l) }, "epoch"},
		"another log":          {stranger(func(r *record.Record) { r.Horizon.Birth++ }), "no place in the log"},
		"an older log":         {stranger(func(r *record.Record) { r.Horizon.Birth-- }), "no place in the log"},
		"up to itself":         {stranger(func(r *record.Record) { r.Horizon = pos(11) }), "no place in the log"},
		"up to what may come":  {stranger(func(r *record.Record) { r.Horizon = pos(99) }), "no place in the log"},
		"nothing there":        {stranger(func(r *record.Record) { r.Horizon = pos(2) }), ""},
		"lower than the first": {func(l *stripeLog) { l.release(pos(4)); l.release(pos(3)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var events []Event
			s, log := openTemp(t, Options{Events: func(e Event) { events = append(events, e) }}), deletions()
			log.feed(t, s)
			before := dump(t, s)
			c.append(log)
			r := log.feed(t, s)
			if c.event == "" {
				if len(events) != 0 || r.Skipped() != 0 {
					t.Errorf("events %v, %d skipped", events, r.Skipped())
				}
			} else {
				if len(events) != 1 || events[0].Kind != RecordSkipped || !strings.Contains(events[0].String(), c.event) || r.Skipped() != 1 {
					t.Errorf("events %v, %d skipped", events, r.Skipped())
				}
				for key, value := range dump(t, s) {
					if key[0] != tableStripe && before[key] != value {
						t.Errorf("row %q has changed", key)
					}
				}
			}
			if a := r.Applied(); a.Seq != log.seq() || a.Chain != log.chain || a.Epoch != log.epoch {
				t.Errorf("applied %+v, the log is at %d %v %v", a, log.seq(), log.chain, log.epoch)
			}
			log.batch(patch(numbered(3), update(8, 8, "{}"))) // the log goes on behind it
			log.feed(t, s)
			if head, _, err := s.Head(numbered(3)); head != 8 || err != nil {
				t.Errorf("head %d, %v", head, err)
			}
			verified(t, s)
		})
	}
}

// TestReplayOverReleased applies a log again over a store that has applied it, as when
// documents are further than the replica.
func TestReplayOverReleased(t *testing.T) {
	log := deletions()
	log.release(pos(6))
	log.batch(withID(initial(numbered(0), update(0, 1, "{}")), "f"))
	log.batch(remove(numbered(3)))
	log.release(pos(9))
	s, fresh := openTemp(t, Options{HeadBytes: -1}), openTemp(t, Options{HeadBytes: -1})
	log.feed(t, s)
	log.feed(t, fresh)
	s.mu.Lock()
	clear(s.replicas)
	s.mu.Unlock()
	if err := s.db.Delete(append([]byte{tableStripe}, "s1"...), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	log.feed(t, s)
	sameStores(t, fresh, s)
	verified(t, s)
}

// TestReleaseMeetsDamage releases over rows that are wrong.
func TestReleaseMeetsDamage(t *testing.T) {
	gone, kept := placeOf(numbered(0)), placeOf(numbered(4))
	for name, c := range map[string]struct {
		damage func(t *testing.T, s *Store)
		told   int    // events
		state  string // of document 0: "", or "d" when it stays
		healed bool   // the store is whole afterwards
	}{
		"the state cannot be read": {func(t *testing.T, s *Store) {
			rewrite(t, s, gone.state(), []byte("rubbish!"))
		}, 1, "di", false},
		"a row's checksum is wrong": {func(t *testing.T, s *Store) {
			rewrite(t, s, gone.tombstone(pos(3)), []byte("rubbish!"))
		}, 0, "", true},
		"a row of a live document": {func(t *testing.T, s *Store) {
			key := kept.tombstone(pos(5))
			rewrite(t, s, key, appendRow(nil, key, nil)[len(key):])
		}, 0, "", true},
		"a row of another position": {func(t *testing.T, s *Store) {
			p := placeOf(numbered(1)) // its tombstone is at 9
			key := p.tombstone(pos(7))
			rewrite(t, s, key, appendRow(nil, key, nil)[len(key):])
		}, 0, "", true},
		"a row of nobody": {func(t *testing.T, s *Store) {
			p := placeOf(numbered(77))
			key := p.tombstone(pos(7))
			rewrite(t, s, key, appendRow(nil, key, nil)[len(key):])
		}, 0, "", true},
		"a row that names nobody": {func(t *testing.T, s *Store) {
			key := pos(7).AppendBinary([]byte{tableTombstone})
			rewrite(t, s, key, appendRow(nil, key, nil)[len(key):])
		}, 1, "", true},
		"a row that is missing": {func(t *testing.T, s *Store) {
			if err := s.db.Delete(gone.tombstone(pos(3)), nil); err != nil {
				t.Fatal(err)
			}
		}, 0, "di", false},
	} {
		t.Run(name, func(t *testing.T) {
			var events []Event
			s, log := openTemp(t, Options{HeadBytes: -1, Events: func(e Event) { events = append(events, e) }}), deletions()
			log.feed(t, s)
			c.damage(t, s)
			if err := s.Verify(); !errors.Is(err, ErrDamaged) {
				t.Fatalf("verify: %v", err)
			}
			log.release(pos(8))
			r := log.feed(t, s)
			if len(events) != c.told {
				t.Errorf("events %v", events)
			}
			if r.Applied().Horizon != pos(8) || rowsOf(t, s, numbered(2)) != "" || rowsOf(t, s, numbered(1)) != "dit" || rowsOf(t, s, numbered(4)) != "dein" {
				t.Error("others are not released")
			}
			if got := rowsOf(t, s, numbered(0)); got != c.state {
				t.Errorf("document 0 has rows %q", got)
			}
			if err := s.Verify(); (err == nil) != c.healed {
				t.Errorf("verify afterwards: %v", err)
			}
		})
	}
}

func TestReleasable(t *testing.T) {
	const young = document.KeepIDsFor
	type step struct {
		pause   int64 // before it
		changes []record.Change
	}
	del := func(n int, id string) record.Change { return withID(remove(numbered(n)), id) }
	at := func(changes ...record.Change) step { return step{0, changes} }
	many := func(from, to int) (list []record.Change) {
		for n := from; n < to; n++ {
			list = append(list, del(n, ""), initial(numbered(1000+n), update(0, 1, "{}")))
			list[len(list)-2].ID = "id"
		}
		return list
	}
	late := step{young + 1, nil}
	for _, c := range []struct {
		name    string
		steps   []step // records from 2 on
		clean   uint64
		limit   int
		horizon uint64
		n       int
	}{
		{"nothing", nil, 9, 9, 0, 0},
		{"young", []step{at(del(1, "a"))}, 9, 9, 0, 0},
		{"just young", []step{at(del(1, "a")), {young, nil}}, 9, 9, 0, 0},
		{"old", []step{at(del(1, "a")), late}, 9, 9, 2, 1},
		{"beyond what is clean", []step{at(del(1, "a")), at(del(2, "a")), late}, 2, 9, 2, 1},
		{"nothing is clean", []step{at(del(1, "a")), late}, 0, 9, 0, 0},
		{"up to a young one", []step{at(del(1, "a")), at(del(2, "a")), {young, []record.Change{del(3, "a")}}, {1, nil}}, 9, 9, 3, 2},
		{"a young one that an old one hides", []step{at(del(1, "a")), {young + 1, []record.Change{del(2, "a")}}, at(del(1, "b"))}, 9, 9, 0, 0},
		{"an old one behind a young one of its record", []step{at(del(1, "a")), {young + 1, []record.Change{del(1, "b"), initial(numbered(2), update(0, 1, ""))}}, at(remove(numbered(2)))}, 9, 9, 0, 0},
		{"without ids at once", []step{at(initial(numbered(1), update(0, 1, ""))), at(remove(numbered(1)))}, 9, 9, 3, 1},
		{"a limit", []step{at(del(1, "a")), at(del(2, "a")), at(del(3, "a")), late}, 9, 2, 3, 2},
		{"a record that does not fit", []step{at(del(1, "a")), at(many(10, 15)...), late}, 9, 4, 2, 1},
		{"a record that just fits", []step{at(del(1, "a")), at(many(10, 15)...), late}, 9, 6, 3, 6},
		{"a first record over the limit", []step{at(many(10, 15)...), at(del(1, "a")), late}, 9, 1, 2, 5},
		{"what lives again does not count", []step{at(del(1, "a")), at(initial(numbered(1), update(0, 1, ""))), at(del(2, "a")), late}, 9, 1, 4, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, log := openTemp(t, Options{}), newLog()
			for _, step := range c.steps {
				log.time += step.pause
				log.batch(step.changes...)
			}
			r := log.feed(t, s)
			var want position.Position
			if c.horizon > 0 {
				want = pos(c.horizon)
			}
			if h, n := r.Releasable(pos(c.clean), c.limit); h != want || n != c.n {
				t.Fatalf("%d up to %v, want %d up to %v", n, h, c.n, want)
			}
			other := position.Position{Birth: birth + 1, Seq: c.clean}
			if h, n := r.Releasable(other, c.limit); !h.IsZero() || n != 0 {
				t.Errorf("clean in another log: %d up to %v", n, h)
			}
			if c.n == 0 {
				return
			}
			// What it has told is what goes, and then there is nothing below.
			before := len(tombstoneRows(t, s))
			log.release(want)
			log.feed(t, s)
			if gone := before - len(tombstoneRows(t, s)); gone != c.n {
				t.Errorf("%d went, %d were told", gone, c.n)
			}
			if h, n := r.Releasable(want, c.limit); !h.IsZero() || n != 0 {
				t.Errorf("again: %d up to %v", n, h)
			}
		})
	}
}

func tombstoneRows(t fataler, s *Store) (rows []string) {
	for key := range dump(t, s) {
		if key[0] == tableTombstone {
			rows = append(rows, key)
		}
	}
	return rows
}

// Nothing at or above a damaged tombstone is released before it is repaired.
func TestReleasableStopsAtDamage(t *testing.T) {
	p := placeOf(numbered(2))
	for name, damage := range map[string]func(t *testing.T, s *Store){
		"state": func(t *testing.T, s *Store) { rewrite(t, s, p.state(), []byte("rubbish!")) },
		"id":    func(t *testing.T, s *Store) { rewrite(t, s, p.id("b"), []byte("rubbish!")) },
		"short id": func(t *testing.T, s *Store) {
			rewrite(t, s, p.id("b"), appendRow(nil, p.id("b"), nil)[len(p.id("b")):])
		},
	} {
		t.Run(name, func(t *testing.T) {
			var events []Event
			s, log := openTemp(t, Options{Events: func(e Event) { events = append(events, e) }}), newLog()
			log.batch(withID(remove(numbered(1)), "a"))
			log.batch(withID(remove(numbered(2)), "b"))
			log.batch(withID(remove(numbered(3)), "c"))
			log.time += document.KeepIDsFor + 1
			log.batch()
			r := log.feed(t, s)
			damage(t, s)
			if h, n := r.Releasable(pos(5), 9); h != pos(2) || n != 1 {
				t.Errorf("%d up to %v", n, h)
			}
			if len(events) != 1 || events[0].Kind != RowDamaged {
				t.Errorf("events %v", events)
			}
		})
	}
}

func FuzzParseTombstone(f *testing.F) {
	for _, k := range names {
		p := placeOf(k)
		f.Add(p.tombstone(pos(7)))
	}
	f.Add([]byte{tableTombstone})
	f.Fuzz(func(t *testing.T, key []byte) {
		if len(key) == 0 || key[0] != tableTombstone {
			return // no row of the table
		}
		p, at, err := parseTombstone(key)
		if err != nil {
			return
		}
		if got := p.tombstone(at); string(got) != string(key) {
			t.Fatalf("%q reads as %q at %v, which is %q", key, p.key, at, got)
		}
	})
}
