package repair

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/layout"
)

// Bits that flip anywhere in the rows are found by a scrub and healed from others.
func TestAScrubFindsFlippedBits(t *testing.T) {
	s, m := three(t, 400)
	flips := 0
	m.reopen(func(db *pebble.DB) {
		for _, table := range "deis" {
			it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{byte(table)}, UpperBound: []byte{byte(table) + 1}})
			if err != nil {
				t.Fatal(err)
			}
			for ok := it.First(); ok; ok = it.Next() {
				value := append([]byte(nil), it.Value()...)
				if rand.IntN(10) > 0 || len(value) == 0 {
					continue
				}
				value[rand.IntN(len(value))] ^= 1 << rand.IntN(8)
				if err := db.Set(it.Key(), value, pebble.Sync); err != nil {
					t.Fatal(err)
				}
				flips++
			}
			if err := it.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	var told []ScrubProgress
	result, err := m.r.Scrub(t.Context(), Scope{}, func(p ScrubProgress) { told = append(told, p) })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bits flipped, %d documents were damaged", flips, result.Damaged)
	if result.Damaged == 0 || int(result.Damaged) > flips || len(result.Findings) != int(result.Damaged) {
		t.Errorf("%d flips, %+v", flips, result.ScrubProgress)
	}
	for _, f := range result.Findings {
		if !f.Repaired {
			t.Errorf("%+v", f)
		}
	}
	s.same(s.members...)
	last := told[len(told)-1]
	if len(told) != simBuckets || last.Read != last.Buckets || last.Bytes == 0 || last.Documents != 400 || last.Began == nil {
		t.Errorf("%d times told, last %+v", len(told), last)
	}
	if len(happened[ScrubEnded](m)) != 1 || len(happened[ScrubFound](m)) != int(result.Damaged) || m.r.Status().Scrub.Last == nil {
		t.Error("it was not told")
	}
}

// Documents that vanished with all their rows are found by the comparison that follows
// a scrub, since it sets the bucket's digest right.
func TestAScrubShowsWhatHasVanished(t *testing.T) {
	s, m := three(t, 200)
	m.reopen(func(db *pebble.DB) {
		for _, table := range "deisn" {
			b := []byte{byte(table)}
			it, err := db.NewIter(&pebble.IterOptions{LowerBound: b, UpperBound: []byte{byte(table) + 1}})
			if err != nil {
				t.Fatal(err)
			}
			for ok := it.First(); ok; ok = it.Next() {
				if containsAny(string(it.Key()), simKey(11).Key, simKey(12).Key) {
					if err := db.Delete(it.Key(), pebble.Sync); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := it.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if result := m.round(); result.Pulled != 0 {
		t.Errorf("kept digests showed it: %+v", result)
	}
	if _, err := m.r.Scrub(t.Context(), Scope{}, nil); err != nil {
		t.Fatal(err)
	}
	if result := m.round(); result.Pulled != 2 || result.Verdicts["missing"] != 2 {
		t.Errorf("%+v", result)
	}
	s.same(s.members...)
}

// A kept digest that is not that of the documents is set right by the comparison that
// stumbles over it.
func TestAComparisonMendsAWrongDigest(t *testing.T) {
	s, m := three(t, 200)
	k := simKey(11)
	b := layout.BucketOf(k.Space, k.Key)
	other := simKey(12)
	m.reopen(func(db *pebble.DB) { // a document vanishes, and the bucket's digest stays
		for _, table := range "deisn" {
			it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{byte(table)}, UpperBound: []byte{byte(table) + 1}})
			if err != nil {
				t.Fatal(err)
			}
			for ok := it.First(); ok; ok = it.Next() {
				if containsAny(string(it.Key()), k.Key) {
					if err := db.Delete(it.Key(), pebble.Sync); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := it.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	// Something else in its bucket makes the bucket be looked at.
	for i := 0; layout.BucketOf(other.Space, other.Key) != b; i++ {
		other = simKey(10_000 + i)
	}
	s.log.batch(s.log.edit(other, 10))
	s.feedAll()
	m.loses(other)
	m.round()
	m.round()
	s.same(s.members...)
	if m.doc(k).Position.IsZero() || m.r.Status().Counters.Pulled["missing"] != 2 {
		t.Errorf("%+v", m.r.Status().Counters)
	}
}

// The slow scrub goes on where it was, over restarts, and begins again when it is
// through.
func TestTheSlowScrubGoesOn(t *testing.T) {
	s := newSim(t, 1)
	s.log.fill(1000, 50)
	s.feedAll()
	m := s.members[0]
	every := 2 * time.Second
	m.start(Config{ScrubEvery: every})
	until(t, "it is on its way", func() bool { return m.r.Status().Scrub.Pass.Read > simBuckets/4 })
	m.stop()
	k, err := readKept(m.dir)
	if err != nil || k.Scrub.Read == 0 || k.Scrub.Next == 0 || k.Scrub.Began == nil {
		t.Fatalf("kept %+v, %v", k.Scrub, err)
	}
	m.start(Config{ScrubEvery: every})
	if st := m.r.Status().Scrub; st.Pass.Read < k.Scrub.Read || !st.Pass.Began.Equal(*k.Scrub.Began) {
		t.Errorf("goes on at %+v, kept was %+v", st.Pass, k.Scrub)
	}
	until(t, "the end of the pass", func() bool { return m.r.Status().Scrub.LastEnded != nil })
	ended := happened[ScrubEnded](m)
	if len(ended) == 0 || ended[0].Read != simBuckets || ended[0].Documents == 0 || ended[0].Err != nil {
		t.Errorf("told %+v", ended)
	}
	until(t, "the next pass", func() bool { return m.r.Status().Scrub.Pass.Read > 0 })
}

func TestAScrubEndsWithItsContext(t *testing.T) {
	_, m := three(t, 100)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := m.r.Scrub(ctx, Scope{}, func(p ScrubProgress) {
		if p.Read == 100 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	one := layout.PartitionID(1)
	result, err := m.r.Scrub(t.Context(), Scope{Partition: &one}, nil)
	if err != nil || result.Read != layout.Buckets/64 {
		t.Errorf("one partition: %+v, %v", result.ScrubProgress, err)
	}
}
