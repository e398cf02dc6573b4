package buckets

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/internal/contract"
	"trireme/internal/record"
)

var testKey = contract.Key{Space: "space", Key: "key"}

func TestApplyInOrder(t *testing.T) {
	log := newLog()
	log.batch(initial(testKey, update(0, 1, `{"a":1}`)))
	log.batch(patch(testKey, update(2, 2, `{"a":2}`)))
	s := openTemp(t, Options{})
	r, err := s.Replica("s1", birth)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(2, log.bodies[1]); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("apply over a gap: %v", err)
	}
	log.feed(t, s)
	want, before := dump(t, s), r.Applied()
	for seq := uint64(1); seq <= 3; seq++ {
		if err := r.Apply(seq, []byte("something else")); err != nil {
			t.Errorf("apply %d again: %v", seq, err)
		}
	}
	if err := r.Apply(5, log.bodies[2]); err == nil {
		t.Error("a gap is applied")
	}
	if r.Applied() != before || sprint(dump(t, s)) != sprint(want) || r.Skipped() != 0 {
		t.Error("records that were left alone have changed the store")
	}
}

func TestSkips(t *testing.T) {
	other := contract.Key{Space: "space", Key: "other"}
	cases := []struct {
		name   string
		append func(l *stripeLog)
		kind   EventKind
		about  string // in the event
	}{
		{"no record", func(l *stripeLog) { l.append([]byte("rubbish")) }, RecordSkipped, "record"},
		{"empty", func(l *stripeLog) { l.append(nil) }, RecordSkipped, "record"},
		{"wrong chain", func(l *stripeLog) {
			o := *l
			o.chain[5]++
			l.append(strangeBatch(&o, patch(testKey, update(2, 2, "{}"))))
		}, RecordSkipped, "chain"},
		{"claim of a wrong chain", func(l *stripeLog) {
			l.append(record.AppendClaim(nil, &record.Record{Time: 1, Host: "h", Boot: "b"}))
		}, RecordSkipped, "chain"},
		{"old epoch", func(l *stripeLog) {
			o := *l
			l.claim()
			o.chain = l.chain
			l.append(strangeBatch(&o, patch(testKey, update(2, 2, "{}"))))
		}, RecordSkipped, "epoch"},
		{"future epoch", func(l *stripeLog) {
			o := *l
			o.epoch.Seq += 10
			l.append(strangeBatch(&o, patch(testKey, update(2, 2, "{}"))))
		}, RecordSkipped, "epoch"},
		{"refused", func(l *stripeLog) { l.batch(patch(testKey, update(7, 7, "{}"))) }, ChangeSkipped, "head"},
		{"an id used for something else", func(l *stripeLog) { l.batch(withID(remove(testKey), "id")) }, ChangeSkipped, "id"},
		{"an id again", func(l *stripeLog) {
			l.batch(withID(initial(testKey, update(0, 1, `{"a":1}`)), "id"))
		}, ChangeSkipped, "taken effect"},
		{"twice", func(l *stripeLog) {
			l.batch(snapshotAt(testKey, 1, 0, ""), patch(testKey, update(2, 2, "{}")))
		}, ChangeSkipped, "twice"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			log := newLog()
			var events []Event
			s := openTemp(t, Options{Events: func(e Event) { events = append(events, e) }})
			log.batch(withID(initial(testKey, update(0, 1, `{"a":1}`)), "id"))
			before := log.feed(t, s).Skipped()
			c.append(log)
			r := log.feed(t, s)
			last := log.seq()
			if n := len(events); n == 0 || events[n-1].Kind != c.kind || events[n-1].Position != pos(last) || !strings.Contains(events[n-1].String(), c.about) {
				t.Fatalf("events %v", events)
			}
			if r.Skipped()-before != uint64(len(events)) {
				t.Errorf("%d skipped, %d events", r.Skipped()-before, len(events))
			}
			if a := r.Applied(); a.Seq != last || a.Chain != log.chain || a.Epoch != log.epoch {
				t.Errorf("applied %+v, the log is at %d %v %v", a, last, log.chain, log.epoch)
			}
			if doc, err := s.Get(testKey); err != nil || doc.Patch != `{"a":1}` || doc.Seq != 1 {
				t.Errorf("get: %+v, %v", doc, err)
			}
			// The log goes on behind it.
			log.batch(initial(other, update(0, 1, "{}")), patch(testKey, update(2, 2, `{"b":2}`)))
			log.feed(t, s)
			if doc, err := s.Get(testKey); err != nil || doc.Seq != 2 {
				t.Errorf("get after the next record: %+v, %v", doc, err)
			}
			verified(t, s)
		})
	}
}

// TestCacheKeepsDocumentsApart creates two documents in one record whose names
// are the same bytes when joined.
func TestCacheKeepsDocumentsApart(t *testing.T) {
	log, s := newLog(), openTemp(t, Options{})
	log.batch(initial(names[0], update(0, 1, `"first"`)), initial(names[1], update(0, 1, `"second"`)))
	log.feed(t, s)
	for range 2 {
		for i, want := range []string{`"first"`, `"second"`} {
			if doc, err := s.Get(names[i]); err != nil || doc.Patch != want {
				t.Errorf("get %q: %+v, %v", names[i], doc, err)
			}
		}
		s.merged.cache.Wait()
	}
}

// TestLongOrigin applies a change whose writer and id no adapter lets through.
func TestLongOrigin(t *testing.T) {
	long := strings.Repeat("x", 300)
	log, s := newLog(), openTemp(t, Options{})
	c := withID(initial(testKey, update(0, 1, `{}`)), long)
	c.Writer = long
	log.batch(c)
	log.batch(record.Change{Verb: record.Recover, Key: names[0], Writer: long, Text: "{}"})
	log.feed(t, s)
	h, err := s.History(testKey, nil, 10, 1<<20)
	if err != nil || h.Entries[0].Writer != long || h.Entries[0].RequestID != long {
		t.Errorf("history: %+v, %v", h, err)
	}
	verified(t, s)
}

func TestBirthBelongsToTheName(t *testing.T) {
	fs := vfs.NewMem()
	for range 2 { // in memory, then from disk
		s := open(t, fs, Options{})
		newLog().feed(t, s)
		if _, err := s.Replica("s1", birth+1); err == nil || !strings.Contains(err.Error(), "birth") {
			t.Errorf("replica of another birth: %v", err)
		}
		if r, err := s.Replica("s1", birth); err != nil || r.Applied().Seq != 1 {
			t.Errorf("replica: %v", err)
		}
		closed(t, s)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{})
	key := []byte{tableFormat}
	rewrite(t, s, key, appendRow(nil, key, []byte{formatVersion + 1})[len(key):])
	closed(t, s)
	if _, err := Open("store", Options{FS: fs}); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("open: %v", err)
	}
}

// TestDurable crashes with everything lost that was not synced.
func TestDurable(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, fs, Options{})
	defer func() { closed(t, s) }()
	log := newLog()
	log.batch(initial(testKey, update(0, 1, `{}`)))
	r := log.feed(t, s)
	if r.Durable() != 0 {
		t.Fatalf("%d is durable before the first checkpoint", r.Durable())
	}
	for seq := int32(2); seq < 40; seq++ {
		log.batch(patch(testKey, update(seq, seq, `{}`)))
		log.feed(t, s)
		if seq%5 != 0 {
			continue
		}
		if err := s.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		if r.Durable() != log.seq() {
			t.Fatalf("durable %d after a checkpoint at %d", r.Durable(), log.seq())
		}
		log.batch() // a barrier after it
		log.feed(t, s)
		crashed := open(t, fs.CrashClone(vfs.CrashCloneCfg{}), Options{})
		after, err := crashed.Replica("s1", birth)
		if err != nil || after.Applied().Seq < r.Durable() || after.Durable() != 0 {
			t.Errorf("after the crash: applied %d, durable %d before: %v", after.Applied().Seq, r.Durable(), err)
		}
		verified(t, crashed)
		log.feed(t, crashed)
		sameStores(t, s, crashed)
		closed(t, crashed)
	}
}

// TestReadersAndApplier reads, lists, verifies and checkpoints while records
// apply, for the race detector and for answers that never were.
func TestReadersAndApplier(t *testing.T) {
	s := openTemp(t, Options{})
	log := newLog()
	log.batch(initial(testKey, update(0, 1, `{"n":1}`)))
	log.feed(t, s)
	done := make(chan struct{})
	var wg sync.WaitGroup
	reader := func(read func() error) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := read(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	reader(func() error {
		doc, err := s.Get(testKey)
		if err == nil && doc.Patch != `{"n":`+sprint(doc.Seq)+`}` {
			err = errors.New(sprint(doc))
		}
		return err
	})
	reader(func() error {
		_, e1 := s.History(testKey, nil, 3, 1000)
		_, e2 := s.Keys(contract.Key{}, 3, nil)
		_, e3 := s.Parts(testKey)
		return errors.Join(e1, e2, e3)
	})
	reader(s.Checkpoint)
	reader(s.Verify)
	for seq := int32(2); seq < 300; seq++ {
		if rand.IntN(20) == 0 {
			log.batch(snapshotAt(testKey, seq-1, 2, `{"n":`+sprint(seq-1)+`}`))
		}
		log.batch(patch(testKey, update(seq, seq, `{"n":`+sprint(seq)+`}`)))
		log.feed(t, s)
	}
	close(done)
	wg.Wait()
}

func TestCloseMakesDurable(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, fs, Options{})
	log := newLog()
	log.feed(t, s)
	closed(t, s)
	crashed := open(t, fs.CrashClone(vfs.CrashCloneCfg{}), Options{})
	defer closed(t, crashed)
	if r, err := crashed.Replica("s1", birth); err != nil || r.Applied().Seq != 1 {
		t.Errorf("applied %+v: %v", r.Applied(), err)
	}
}

// TestCacheFollowsTheDocument changes a document in every way under its cached
// text.
func TestCacheFollowsTheDocument(t *testing.T) {
	for _, heads := range []int64{-1, 1 << 20} {
		log, s := newLog(), openTemp(t, Options{HeadBytes: heads})
		log.batch(initial(testKey, update(0, 1, `{"n":1}`)))
		steps := []struct {
			change record.Change
			want   string
		}{
			{patch(testKey, update(2, 2, `{"m":2}`)), `{"n":1,"m":2}`},
			{snapshotAt(testKey, 2, 5, `{"base":2}`), `{"base":2}`},
			{patch(testKey, update(3, 3, `{"m":3}`)), `{"base":2,"m":3}`},
			{snapshotAt(testKey, 1, 5, `{"base":1}`), `{"base":1,"m":3}`},
			{record.Change{Verb: record.Recover, Key: testKey, Seq: 3, Text: `{"r":3}`}, `{"r":3}`},
			{record.Change{Verb: record.Recover, Key: testKey, Seq: 3, Text: `{"r":4}`}, `{"r":4}`},
			{record.Change{Verb: record.Delete, Key: testKey, Phase: contract.PhaseMark}, ""},
			{record.Change{Verb: record.Delete, Key: testKey, Phase: contract.PhaseAbort}, `{"r":4}`},
			{remove(testKey), ""},
			{initial(testKey, update(0, 3, `{"again":1}`)), `{"again":1}`},
			{remove(testKey), ""},
			{initial(testKey, update(0, 3, `{"third":1}`)), `{"third":1}`},
		}
		for i, step := range steps {
			log.feed(t, s)
			_, _ = s.Get(testKey) // so that the text before is cached
			s.merged.cache.Wait()
			log.batch(step.change)
			log.feed(t, s)
			for range 2 {
				doc, err := s.Get(testKey)
				if doc.Patch != step.want || (err != nil) != (step.want == "") {
					t.Errorf("heads %d, step %d: %q, %v, want %q", heads, i, doc.Patch, err, step.want)
				}
				s.merged.cache.Wait()
			}
		}
	}
}

// TestOverlapIsHarmless applies a log to a store whose documents are further than
// its replica, as after a repair.
func TestOverlapIsHarmless(t *testing.T) {
	log := damageLog()
	s := openTemp(t, Options{HeadBytes: -1})
	log.feed(t, s)
	want := dump(t, s)
	s.mu.Lock()
	clear(s.replicas)
	s.mu.Unlock()
	if err := s.db.Delete(append([]byte{tableStripe}, "s1"...), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if r := log.feed(t, s); r.Skipped() != 0 {
		t.Errorf("%d skipped", r.Skipped())
	}
	got := dump(t, s)
	for key, value := range want {
		if got[key] != value {
			t.Errorf("row %q is %q, was %q", key, got[key], value)
		}
	}
	verified(t, s)
}
