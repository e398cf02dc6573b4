package buckets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// layoutOf tells where the blocks of a table are.
func layoutOf(t *testing.T, s *Store, file uint64) *sstable.Layout {
	t.Helper()
	in, err := s.openTable(context.Background(), file)
	if err != nil || in.flaw != nil {
		t.Fatal(err, in.flaw)
	}
	defer in.close()
	l, err := in.Layout()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// bottom compacts a store into its lowest level and returns its table.
func bottom(t *testing.T, s *Store) sst {
	t.Helper()
	if err := s.db.Compact(context.Background(), []byte{0}, []byte{255}, false); err != nil {
		t.Fatal(err)
	}
	list, err := s.ssts()
	if err != nil || len(list) != 1 {
		t.Fatalf("%d tables, %v", len(list), err)
	}
	return list[0]
}

func middle(h block.Handle) int64 { return int64(h.Offset+h.Length/2) * 8 }

// TestQuarantineByBlock damages one block of each kind in the only table of a
// store, or in one that covers others, and heals it.
func TestQuarantineByBlock(t *testing.T) {
	t.Parallel()
	w := newRot(t)
	kinds := map[string]func(l *sstable.Layout) []block.Handle{
		"first rows": func(l *sstable.Layout) []block.Handle { return []block.Handle{l.Data[0].Handle} },
		"some rows":  func(l *sstable.Layout) []block.Handle { return []block.Handle{l.Data[len(l.Data)/2].Handle} },
		"last rows":  func(l *sstable.Layout) []block.Handle { return []block.Handle{l.Data[len(l.Data)-1].Handle} },
		"two places": func(l *sstable.Layout) []block.Handle {
			return []block.Handle{l.Data[len(l.Data)/3].Handle, l.Data[len(l.Data)/2].Handle}
		},
		"filter":     func(l *sstable.Layout) []block.Handle { return []block.Handle{l.Filter[0].Handle} },
		"index":      func(l *sstable.Layout) []block.Handle { return l.Index[:1] },
		"properties": func(l *sstable.Layout) []block.Handle { return []block.Handle{l.Properties} },
		"metaindex":  func(l *sstable.Layout) []block.Handle { return []block.Handle{l.MetaIndex} },
		"footer":     func(l *sstable.Layout) []block.Handle { return []block.Handle{l.Footer} },
	}
	for kind, blocks := range kinds {
		for _, covered := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s covered %v", kind, covered), func(t *testing.T) {
				fs := w.clone(t)
				s := open(t, fs, rotOptions())
				defer func() { closed(t, s) }()
				bad := bottom(t, s)
				if covered { // by a table of all that has changed since
					if err := w.feed(s, w.log.seq()); err != nil {
						t.Fatal(err)
					}
					if err := s.db.Flush(); err != nil {
						t.Fatal(err)
					}
				}
				for _, h := range blocks(layoutOf(t, s, bad.file)) {
					flipFile(t, fs, tableFile(bad.file), middle(h))
				}
				if err := s.CheckFiles(context.Background(), unhurried); err != nil || !s.Corrupt() {
					t.Fatalf("check: %v, corrupt %v", err, s.Corrupt())
				}
				losses, err := s.Quarantine(context.Background())
				if err != nil || s.Corrupt() {
					t.Fatalf("%v, corrupt %v", err, s.Corrupt())
				}
				if kind == "filter" != (len(losses) == 0) {
					t.Errorf("lost: %+v", losses)
				}
				for _, l := range losses {
					if whole := bytes.Equal(l.From, bad.from) && bytes.Equal(l.To, bad.to); whole && slices.Contains([]string{"first rows", "some rows", "last rows", "two places"}, kind) {
						t.Errorf("all of the table is lost: %+v", l)
					}
				}
				if err := w.feed(s, w.log.seq()); err != nil {
					t.Fatal(err)
				}
				trusted(t, w.then, w.ask(s, w.log.seq()), false)
				w.heal(t, s)
				verified(t, s)
				sameStores(t, s, w.later)
			})
		}
	}
}

// TestQuarantineOfDeletions damages the block of range deletions: without it no row
// of the table can be read.
func TestQuarantineOfDeletions(t *testing.T) {
	w := newRot(t)
	fs := w.clone(t)
	s := open(t, fs, rotOptions())
	defer closed(t, s)
	err := errors.Join(w.feed(s, w.log.seq()), s.db.DeleteRange([]byte("y"), []byte("z"), pebble.NoSync), s.db.Flush())
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.ssts()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(one sst) bool { return layoutOf(t, s, one.file).RangeDel.Length > 0 })
	if i < 0 {
		t.Fatal("no table has any")
	}
	flipFile(t, fs, tableFile(list[i].file), middle(layoutOf(t, s, list[i].file).RangeDel))
	if err := s.CheckFiles(context.Background(), unhurried); err != nil {
		t.Fatal(err)
	}
	losses, err := s.Quarantine(context.Background())
	if err != nil || len(losses) != 1 || !bytes.Equal(losses[0].From, list[i].from) || !bytes.Equal(losses[0].To, list[i].to) {
		t.Fatalf("%+v, %v", losses, err)
	}
	trusted(t, w.then, w.ask(s, w.log.seq()), false)
	w.heal(t, s)
	verified(t, s)
	sameStores(t, s, w.later)
}

// TestCompactionFindsDamage: nobody reads the bad block, but a compaction.
func TestCompactionFindsDamage(t *testing.T) {
	w := newRot(t)
	fs := w.clone(t)
	opts := rotOptions()
	var told atomic.Int32
	opts.Events = func(e Event) {
		if e.Kind == FileUnreadable {
			told.Add(1)
		}
	}
	s := open(t, fs, opts)
	defer closed(t, s)
	l := layoutOf(t, s, bottom(t, s).file)
	flipFile(t, fs, tableFile(bottomFile(t, s)), middle(l.Data[len(l.Data)/2].Handle))
	if err := w.feed(s, w.log.seq()); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Compact(context.Background(), []byte{0}, []byte{255}, false); !pebble.IsCorruptionError(err) {
		t.Fatalf("compact: %v", err)
	}
	if !s.Corrupt() || told.Load() != 1 {
		t.Errorf("corrupt %v, told %d times", s.Corrupt(), told.Load())
	}
	if losses, err := s.Quarantine(context.Background()); err != nil || len(losses) != 1 {
		t.Fatalf("%v, %v", losses, err)
	}
	if err := s.db.Compact(context.Background(), []byte{0}, []byte{255}, false); err != nil {
		t.Fatalf("compact: %v", err)
	}
	trusted(t, w.then, w.ask(s, w.log.seq()), false)
}

func bottomFile(t *testing.T, s *Store) uint64 {
	t.Helper()
	list, err := s.ssts()
	if err != nil {
		t.Fatal(err)
	}
	return list[len(list)-1].file
}

// TestMediumError: the disk cannot read a part of a file.
func TestMediumError(t *testing.T) {
	w := newRot(t)
	fs := &brokenDisk{FS: w.clone(t)}
	opts := rotOptions()
	opts.FS = fs
	s, err := Open("store", opts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closed(t, s) }()
	bad := bottom(t, s)
	l := layoutOf(t, s, bad.file)
	fs.set(tableFile(bad.file), int64(l.Data[len(l.Data)/2].Offset))
	if err := w.feed(s, w.seq); err != nil {
		t.Fatal(err)
	}
	trusted(t, w.right, w.ask(s, w.seq), false)
	if !s.Corrupt() {
		t.Fatal("nobody has noticed")
	}
	losses, err := s.Quarantine(context.Background())
	if err != nil || len(losses) != 1 {
		t.Fatalf("%v, %v", losses, err)
	}
	if err := w.feed(s, w.log.seq()); err != nil {
		t.Fatal(err)
	}
	w.heal(t, s)
	verified(t, s)
	sameStores(t, s, w.later)
}

// A brokenDisk fails to read what covers one byte of a file.
type brokenDisk struct {
	vfs.FS
	mu   sync.Mutex
	name string
	at   int64
}

func (d *brokenDisk) set(name string, at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.name, d.at = name, at
}

func (d *brokenDisk) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.Open(name, opts...)
	return brokenFile{f, d, d.PathBase(name)}, err
}

type brokenFile struct {
	vfs.File
	disk *brokenDisk
	name string
}

func (f brokenFile) ReadAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	bad := f.name == f.disk.name && off <= f.disk.at && f.disk.at < off+int64(len(p))
	f.disk.mu.Unlock()
	if bad {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: syscall.EIO}
	}
	return f.File.ReadAt(p, off)
}

// TestCutsAreWidened: rows of one key that lie across the border of a bad block
// must not cost the rows behind it.
func TestCutsAreWidened(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s := open(t, fs, rotOptions())
	defer func() { closed(t, s) }()
	k := contract.Key{Space: "s", Key: "k"}
	p := placeOf(k)
	var snaps []*pebble.Snapshot
	rng := rand.New(rand.NewPCG(1, 1))
	for seq := range int32(12) {
		for range 400 { // versions that snapshots hold on to
			text := make([]byte, 40)
			for i := range text {
				text[i] = byte(rng.Uint32())
			}
			key := p.entry(seq)
			row := appendRow(nil, key, text)
			rewrite(t, s, key, row[len(key):])
			snaps = append(snaps, s.db.NewSnapshot())
		}
	}
	defer func() {
		for _, snap := range snaps {
			_ = snap.Close()
		}
	}()
	before := dump(t, s)
	bad := bottom(t, s)
	l := layoutOf(t, s, bad.file)
	hit := 0
	for i := 1; i < len(l.Data); i++ { // without the first block no store opens
		one := vfs.NewMem()
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		if ok, err := vfs.Clone(fs, one, "store", "store"); err != nil || !ok {
			t.Fatal(ok, err)
		}
		flipFile(t, one, tableFile(bad.file), middle(l.Data[i].Handle))
		func() {
			s := open(t, one, rotOptions())
			defer closed(t, s)
			if err := s.CheckFiles(context.Background(), unhurried); err != nil {
				t.Fatal(err)
			}
			losses, err := s.Quarantine(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			after := dump(t, s)
			for key, value := range before {
				lost := slices.ContainsFunc(losses, func(l Loss) bool { return string(l.From) <= key && key < string(l.To) })
				if !lost && after[key] != value {
					t.Fatalf("block %d: row %q is gone, which is in no loss", i, key)
				}
			}
			hit += len(losses)
		}()
	}
	if hit < len(l.Data)-1 || len(l.Data) < 12 {
		t.Errorf("%d blocks, %d losses", len(l.Data), hit)
	}
}

// TestQuarantineUnderLoad applies records and answers requests while files go bad
// and are cut out.
func TestQuarantineUnderLoad(t *testing.T) {
	w := newRot(t)
	fs := w.clone(t)
	s := open(t, fs, rotOptions())
	defer func() { closed(t, s) }()
	gone := w.gone(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var asked atomic.Int64
	wg.Go(func() {
		for {
			for _, k := range w.keys {
				_, err := s.Get(k)
				if c := code(err); c != 0 && c != contract.Damaged && (c != contract.NotFound || !gone[k]) {
					t.Errorf("get %q: %v", k, err)
				}
				asked.Add(1)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	r, err := s.Replica("s1", birth)
	if err == nil {
		err = w.feed(s, w.seq)
	}
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for seq := w.seq + 1; seq <= w.log.seq(); seq++ {
		if seq%9 == 0 {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
			list, err := s.ssts()
			if err != nil {
				t.Fatal(err)
			}
			one := list[rng.IntN(len(list))]
			if info, err := fs.Stat("store/" + tableFile(one.file)); err == nil {
				flipFile(t, fs, tableFile(one.file), rng.Int64N(info.Size()*8*9/10))
			}
			done := make(chan error, 1)
			go func() {
				err := s.CheckFiles(context.Background(), unhurried)
				if err == nil {
					_, err = s.Quarantine(context.Background())
				}
				done <- err
			}()
			for ; seq < w.log.seq() && len(done) == 0; seq++ {
				if err := r.Apply(seq, w.log.bodies[seq-1]); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Apply(seq, w.log.bodies[seq-1]); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	if asked.Load() == 0 {
		t.Error("nobody asked")
	}
	w.heal(t, s)
	verified(t, s)
	sameStores(t, s, w.later)
}

// TestMomentsOfLostRows: what a cut takes out of a moment is not absent in it.
func TestMomentsOfLostRows(t *testing.T) {
	w := newRot(t)
	fs := w.clone(t)
	s := open(t, fs, rotOptions())
	defer closed(t, s)
	r, err := s.Replica("s1", birth)
	if err == nil {
		err = w.feed(s, w.seq)
	}
	if err != nil {
		t.Fatal(err)
	}
	bad := bottom(t, s)
	before, err := r.Moment()
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	flipFile(t, fs, tableFile(bad.file), middle(layoutOf(t, s, bad.file).Properties))
	if err := s.CheckFiles(context.Background(), unhurried); err != nil {
		t.Fatal(err)
	}
	if losses, err := s.Quarantine(context.Background()); err != nil || len(losses) == 0 {
		t.Fatalf("%v, %v", losses, err)
	}
	afterwards, err := r.Moment()
	if err != nil {
		t.Fatal(err)
	}
	defer afterwards.Close()
	for _, k := range w.keys[:20] {
		b := layout.BucketOf(k.Space, k.Key)
		if docs, _, err := before.Index(b, contract.Key{}, 1000); err == nil {
			t.Errorf("index of before: %v", docs)
		}
		if err := before.Images(b, contract.Key{}, func(contract.Key, *Image, error) error { return nil }); err == nil {
			t.Error("images of before: no error")
		}
		if _, _, err := afterwards.Index(b, contract.Key{}, 1000); err != nil {
			t.Errorf("index of afterwards: %v", err)
		}
		for _, m := range []*Moment{before, afterwards} {
			if _, err := m.Image(k); !errors.Is(err, ErrDamaged) || errors.Is(err, ErrAbsent) {
				t.Errorf("image of %q: %v", k, err)
			}
			if d, err := m.Document(k); err != nil || d.Damaged == "" {
				t.Errorf("document %q: %+v, %v", k, d, err)
			}
		}
	}
}

// TestQuarantineGivesUp: a record that never ends must not hold it for ever.
func TestQuarantineGivesUp(t *testing.T) {
	w := newRot(t)
	fs := w.clone(t)
	s := open(t, fs, rotOptions())
	defer closed(t, s)
	r, err := s.Replica("s1", birth)
	if err == nil {
		err = w.feed(s, w.seq)
	}
	if err != nil {
		t.Fatal(err)
	}
	bad := bottom(t, s)
	flipFile(t, fs, tableFile(bad.file), middle(layoutOf(t, s, bad.file).Data[3].Handle))
	if err := s.CheckFiles(context.Background(), unhurried); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	r.mu.Lock()
	_, err = s.Quarantine(ctx)
	r.mu.Unlock()
	if !errors.Is(err, context.DeadlineExceeded) || !s.Corrupt() {
		t.Errorf("%v, corrupt %v", err, s.Corrupt())
	}
	if _, err := s.Quarantine(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestLostBuckets: which buckets a range of rows is of.
func TestLostBuckets(t *testing.T) {
	key := func(table byte, b layout.Bucket, rest string) []byte {
		return append([]byte{table, byte(b >> 8), byte(b)}, rest...)
	}
	for i, c := range []struct {
		from, to []byte
		want     []Range
	}{
		{key('d', 5, "x"), key('d', 5, "y"), []Range{{5, 5}}},
		{key('d', 5, ""), key('d', 6, ""), []Range{{5, 5}}},
		{key('d', 5, "x"), key('d', 6, "a"), []Range{{5, 6}}},
		{key('d', 16000, "x"), key('e', 2, ""), []Range{{0, 1}, {16000, 16383}}},
		{key('s', 16000, "x"), []byte("t"), []Range{{16000, 16383}}},
		{[]byte("F"), []byte("b"), nil},
		{[]byte("m"), []byte("o"), nil},
		{[]byte("a"), []byte("z"), []Range{{0, 16383}}},
		{[]byte("d"), []byte{'d', 0}, []Range{{0, 0}}},
		{[]byte{'d', 1}, []byte{'d', 2}, []Range{{256, 511}}},
	} {
		if got := (gap{c.from, c.to}).buckets(bucketTables...); !slices.Equal(got, c.want) {
			t.Errorf("%d: %q to %q: %v, want %v", i+1, c.from, c.to, got, c.want)
		}
	}
	for b := range layout.Bucket(layout.Buckets) {
		one := gap{key('i', b, "k"), key('i', b, "l")}
		if got := one.buckets(bucketTables...); len(got) != 1 || got[0] != (Range{b, b}) {
			t.Fatalf("bucket %d: %v", b, got)
		}
	}
}
