package buckets

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A gap is a range of keys, from the first up to before the second.
type gap struct{ from, to []byte }

func (g gap) overlaps(h gap) bool {
	return bytes.Compare(g.from, h.to) < 0 && bytes.Compare(h.from, g.to) < 0
}

// in cuts the gap down to the rows whose keys begin with prefix.
func (g gap) in(prefix ...byte) (gap, bool) {
	h := gap{prefix, prefixEnd(prefix)}
	if bytes.Compare(h.from, g.from) < 0 {
		h.from = g.from
	}
	if bytes.Compare(g.to, h.to) < 0 {
		h.to = g.to
	}
	return h, bytes.Compare(h.from, h.to) < 0
}

// An sst is a table of the database: the keys of a range in a file. After a cut
// there may be several of one file.
type sst struct {
	file uint64
	gap
}

// after is the first key after one.
func after(key []byte) []byte { return append(slices.Clip(key), 0) }

// ssts lists the tables that the database is made of now.
func (s *Store) ssts() ([]sst, error) {
	levels, err := s.db.SSTables()
	if err != nil {
		return nil, err
	}
	var list []sst
	for _, level := range levels {
		for i := range level {
			t := &level[i]
			one := sst{uint64(t.BackingSSTNum), gap{t.Smallest.UserKey, t.Largest.UserKey}}
			if !t.Largest.IsExclusiveSentinel() {
				one.to = after(one.to)
			}
			list = append(list, one)
		}
	}
	return list, nil
}

// A flaw is what is wrong with a table.
type flaw struct {
	why error
	// gaps hold all rows that cannot be read. None when what is damaged stands
	// beside the rows (the filter, say): then the rows can be written anew.
	gaps []gap
}

// flawed is a flaw with a reason, for which the reader has not told its file.
func flawed(why error, gaps ...gap) *flaw {
	text := strings.ReplaceAll(why.Error(), "pebble: file 000000: ", "")
	return &flaw{fmt.Errorf("%s: %w", text, ErrDamaged), gaps}
}

// errGone: the database has no use for the file any more.
var errGone = errors.New("the file is gone")

// inspect reads a table from the disk, past all caches. It returns nil for one
// that is as it was written. pace is called with the bytes that were read, now
// and then; its error ends the inspection.
func (s *Store) inspect(ctx context.Context, t sst, pace func(bytes int) error) (*flaw, error) {
	in, err := s.openTable(ctx, t.file)
	if err != nil || in.flaw != nil {
		return in.whole(t), err
	}
	defer in.close()
	if why := in.deletions(ctx); why != nil {
		return flawed(why, t.gap), nil
	}
	if why := in.beside(); why != nil {
		in.flaw = flawed(why)
	}
	from, why, err := in.forward(ctx, t, pace)
	if err != nil || why == nil {
		return in.flaw, err
	}
	to, err := in.backward(ctx, t, pace)
	if err != nil {
		return nil, err
	}
	if bytes.Compare(to, from) <= 0 { // there are only old versions of one row
		to = after(from)
	}
	return flawed(why, gap{from, to}), nil
}

// An inspector reads one file of a table.
type inspector struct {
	file *countingFile
	*sstable.Reader
	flaw *flaw // why the file cannot be opened
}

// openTable fails with errGone when there is no such file, and with errors that
// say nothing about the file's bytes. Whatever else is wrong is a flaw.
func (s *Store) openTable(ctx context.Context, number uint64) (inspector, error) {
	f, err := s.opts.FS.Open(s.opts.FS.PathJoin(s.dir, tableFile(number)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return inspector{}, errGone
	case err != nil && !unreadable(err):
		return inspector{}, err
	case err != nil:
		return inspector{flaw: flawed(err)}, nil
	}
	in := inspector{file: &countingFile{File: f}}
	readable, err := sstable.NewSimpleReadable(in.file)
	if err == nil {
		in.Reader, err = sstable.NewReader(ctx, readable, s.readers)
	}
	if err != nil {
		in.flaw = flawed(err)
		return in, errors.Join(ctx.Err(), f.Close())
	}
	return in, nil
}

func (in *inspector) close() { _ = in.Close() } // it was only read

// whole makes all of the table a gap when the file cannot be opened.
func (in *inspector) whole(t sst) *flaw {
	if in.flaw != nil {
		in.flaw.gaps = []gap{t.gap}
	}
	return in.flaw
}

// deletions checks the deletions of ranges, without which none of the table's rows
// can be read.
func (in *inspector) deletions(ctx context.Context) error {
	it, err := in.NewRawRangeDelIter(ctx, sstable.NoFragmentTransforms, sstable.NoReadEnv)
	if err == nil && it != nil {
		it.Close()
	}
	return err
}

// beside checks what stands beside the rows and is not read by reading them.
func (in *inspector) beside() error {
	layout, err := in.Layout()
	if err != nil {
		return err
	}
	for _, filter := range layout.Filter {
		b := make([]byte, filter.Length+block.TrailerLen)
		if _, err := in.file.ReadAt(b, int64(filter.Offset)); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
		if cooked(crc(b[:filter.Length+1])) != binary.LittleEndian.Uint32(b[filter.Length+1:]) {
			return fmt.Errorf("filter at offset %d: checksum: %w", filter.Offset, ErrDamaged)
		}
	}
	return nil
}

// forward reads all rows. Where that fails it tells the key to cut from: that of
// the last row read, or that of a row without a value.
func (in *inspector) forward(ctx context.Context, t sst, pace func(int) error) (from []byte, why, err error) {
	it, why := in.NewIter(sstable.NoTransforms, t.from, t.to, sstable.AssertNoBlobHandles)
	if why != nil {
		return t.from, why, nil
	}
	defer it.Close()
	from = t.from
	for kv := it.SeekGE(t.from, 0); kv != nil; kv = it.Next() {
		from = append(from[:0:0], kv.K.UserKey...)
		if _, _, why := kv.Value(nil); why != nil {
			return from, why, nil
		}
		if err := in.pause(ctx, pace); err != nil {
			return nil, nil, err
		}
	}
	return from, it.Error(), nil
}

// backward reads rows from the end and tells the key to cut up to.
func (in *inspector) backward(ctx context.Context, t sst, pace func(int) error) (to []byte, err error) {
	it, why := in.NewIter(sstable.NoTransforms, t.from, t.to, sstable.AssertNoBlobHandles)
	if why != nil {
		return t.to, nil // the whole table is cut out
	}
	defer it.Close()
	to = t.to
	for kv := it.SeekLT(t.to, 0); kv != nil; kv = it.Prev() {
		if _, _, why := kv.Value(nil); why != nil {
			return to, nil // up to before the row read last
		}
		to = append(to[:0:0], kv.K.UserKey...)
		if err := in.pause(ctx, pace); err != nil {
			return nil, err
		}
	}
	return to, nil
}

// pause calls pace when enough has been read.
func (in *inspector) pause(ctx context.Context, pace func(int) error) error {
	const enough = 256 << 10
	if in.file.read < enough {
		return nil
	}
	n := in.file.read
	in.file.read = 0
	return errors.Join(ctx.Err(), pace(n))
}

// seekable reports whether the database can find the rows nearest to the borders
// of a gap in this table, which it does when it cuts the gap out. It takes a row
// that it cannot read there for the end of the table, and all beyond would be lost
// without a word.
func (in *inspector) seekable(t sst, g gap) bool {
	it, err := in.NewIter(sstable.NoTransforms, t.from, t.to, sstable.AssertNoBlobHandles)
	if err != nil {
		return false
	}
	defer it.Close()
	if bytes.Compare(t.from, g.from) < 0 && it.SeekLT(g.from, 0) == nil && it.Error() != nil {
		return false
	}
	return bytes.Compare(g.to, t.to) >= 0 || it.SeekGE(g.to, 0) != nil || it.Error() == nil
}

// A countingFile counts the bytes that are read.
type countingFile struct {
	vfs.File
	read int
}

func (f *countingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.read += n
	return n, err
}
