package buckets

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
)

const birth = 1

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func pos(seq uint64) position.Position { return position.Position{Birth: birth, Seq: seq} }

// A stripeLog is a log in memory, properly chained.
type stripeLog struct {
	bodies [][]byte
	chain  digest.Chain
	epoch  position.Position
	time   int64
}

// newLog begins with a claim.
func newLog() *stripeLog {
	l := &stripeLog{time: 1_000_000}
	l.claim()
	return l
}

func (l *stripeLog) append(body []byte) {
	l.bodies = append(l.bodies, body)
	l.chain = l.chain.Next(body)
}

func (l *stripeLog) seq() uint64 { return uint64(len(l.bodies)) }

func (l *stripeLog) claim() {
	l.append(record.AppendClaim(nil, &record.Record{Time: l.time, Prev: l.chain, Host: "h1", Boot: "b", Layout: 1}))
	l.epoch = pos(l.seq())
}

func (l *stripeLog) batch(changes ...record.Change) {
	var b record.Builder
	for i := range changes {
		b.Add(&changes[i])
	}
	l.append(b.Record(l.epoch, l.time, l.chain))
}

// feed applies what the store has not yet.
func (l *stripeLog) feed(t fataler, s *Store) *Replica {
	t.Helper()
	r, err := s.Replica("s1", birth)
	if err != nil {
		t.Fatal(err)
	}
	for seq := r.Applied().Seq + 1; seq <= l.seq(); seq++ {
		if err := r.Apply(seq, l.bodies[seq-1]); err != nil {
			t.Fatalf("apply record %d: %v", seq, err)
		}
	}
	return r
}

func open(t fataler, fs vfs.FS, opts Options) *Store {
	t.Helper()
	opts.FS = fs
	if opts.CacheBytes == 0 {
		opts.CacheBytes = 1 << 20
	}
	if opts.MergedBytes == 0 {
		opts.MergedBytes = 1 << 20
	}
	if opts.MemTableBytes == 0 {
		opts.MemTableBytes = 256 << 10
	}
	s, err := Open("store", opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t fataler, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// openTemp opens a store in memory that is closed with the test.
func openTemp(t *testing.T, opts Options) *Store {
	s := open(t, vfs.NewMem(), opts)
	t.Cleanup(func() { closed(t, s) })
	return s
}

// dump is every row of the store as it is on disk.
func dump(t fataler, s *Store) map[string]string {
	t.Helper()
	rows := map[string]string{}
	it, err := s.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		rows[string(it.Key())] = string(it.Value())
	}
	if err := it.Error(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// sameStores compares all rows and all digests of two stores.
func sameStores(t fataler, a, b *Store) {
	t.Helper()
	x, y := dump(t, a), dump(t, b)
	for key, value := range x {
		if y[key] != value {
			t.Fatalf("row %q is %q in one store, %q in the other", key, value, y[key])
		}
	}
	if len(x) != len(y) {
		t.Fatalf("%d rows in one store, %d in the other", len(x), len(y))
	}
	for bucket := range layout.Bucket(layout.Buckets) {
		if a.Bucket(bucket) != b.Bucket(bucket) {
			t.Fatalf("bucket %d differs", bucket)
		}
	}
	if a.Root(0, layout.Buckets-1) != b.Root(0, layout.Buckets-1) {
		t.Fatal("the roots differ")
	}
}

func verified(t fataler, s *Store) {
	t.Helper()
	if err := s.Verify(); err != nil {
		t.Fatalf("verify: %v", err)
	}
}

// rewrite puts a row past the store.
func rewrite(t fataler, s *Store, key, value []byte) {
	t.Helper()
	if err := s.db.Set(key, value, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
}

func code(err error) contract.Code {
	if err == nil {
		return 0
	}
	if c := contract.CodeOf(err); c != 0 {
		return c
	}
	return -1
}

func update(begin, end int32, text string) contract.Update {
	return contract.Update{
		SeqBegin: begin, SeqEnd: end, Request: "request", Redo: text, Undo: "u" + text,
		UpdateType: contract.DirectMessageExecute, AssetBytes: int64(end),
	}
}

func initial(k contract.Key, u contract.Update) record.Change {
	return record.Change{Verb: record.Init, Key: k, Writer: "w", Updates: []contract.Update{u}}
}

func patch(k contract.Key, u ...contract.Update) record.Change {
	return record.Change{Verb: record.Patch, Key: k, Writer: "w", Updates: u}
}

func snapshotAt(k contract.Key, seq, history int32, text string) record.Change {
	return record.Change{Verb: record.Snapshot, Key: k, Seq: seq, History: history, Text: text, AssetBytes: 5}
}

func remove(k contract.Key) record.Change {
	return record.Change{Verb: record.Delete, Key: k, Phase: record.PhaseRemove}
}

func withID(c record.Change, id string) record.Change {
	c.ID = id
	return c
}

func sprint(v any) string { return fmt.Sprintf("%+v", v) }

func flip(b []byte, bit int) []byte {
	b = bytes.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}
