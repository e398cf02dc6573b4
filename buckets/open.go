package buckets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// Open opens the store in a directory, or makes one. It fails with an
// [UnopenableError] when the files are so damaged that there is no store to be had,
// and with other errors when another process has it open, when it is of a newer
// format, and when the system refuses.
//
// A store of which parts cannot be read does open; [Store.Corrupt] may say so
// then, and [Store.Incomplete] says what was lost before.
func Open(dir string, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	opts.FS = readFS{opts.FS}
	s := &Store{dir: dir, opts: opts, replicas: map[string]*Replica{}, heads: newHeadCache(opts.HeadBytes)}
	s.damages.keys = map[contract.Key]Damage{}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open document store in %s: %w", dir, err)
	}
	return s, nil
}

// open undoes what it did if it fails.
func (s *Store) open() (err error) {
	var undo []func() error
	defer func() {
		for _, f := range slices.Backward(undo) {
			if err != nil {
				err = errors.Join(err, f())
			}
		}
	}()
	if s.merged, err = newMergedCache(s.opts.MergedBytes); err != nil {
		return err
	}
	undo = append(undo, func() error { s.merged.close(); return nil })
	cache := pebble.NewCache(s.opts.CacheBytes)
	defer cache.Unref() // the database keeps a reference of its own
	o := s.pebbleOptions(cache)
	if o.Lock, err = s.examine(o); err != nil {
		return err
	}
	if s.lock = o.Lock; s.lock != nil {
		undo = append(undo, s.lock.Close)
	}
	if s.db, err = pebble.Open(s.dir, o); err != nil {
		return hopeless(err)
	}
	undo = append(undo, s.db.Close)
	if err := s.loadMarks(); err != nil {
		return err
	}
	if err := s.checkFormat(); err != nil {
		return hopelessIfDamaged(err)
	}
	return s.loadDigests()
}

func (s *Store) pebbleOptions(cache *pebble.Cache) *pebble.Options {
	o := &pebble.Options{
		FS:                          s.opts.FS,
		Cache:                       cache,
		MemTableSize:                s.opts.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		// Changes fall on documents all over the key space, so a compaction rewrites
		// much for little: wait until it is worth it. DESIGN.md has the figures.
		L0CompactionThreshold: 8,
		L0StopWritesThreshold: 32,
		LBaseMaxBytes:         256 << 20,

		FormatMajorVersion: pebble.FormatNewest,
		Logger:             databaseLog{s.opts.Logger},
		EventListener:      s.listener(),
	}
	o.Levels[0].FilterPolicy = bloom.FilterPolicy(10)
	o.EnsureDefaults()
	s.readers = o.MakeReaderOptions()
	return o
}

// examine locks an existing store and looks for damage that Pebble would take for
// something else.
func (s *Store) examine(o *pebble.Options) (*pebble.Lock, error) {
	if _, err := s.opts.FS.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // Pebble makes it
	}
	lock, err := pebble.LockDirectory(s.dir, s.opts.FS)
	if err != nil {
		return nil, fmt.Errorf("another process may have it open: %w", err)
	}
	if err := s.examineFiles(o); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func (s *Store) examineFiles(o *pebble.Options) error {
	names, err := s.opts.FS.List(s.dir)
	if err != nil {
		return err
	}
	have, err := pebble.Peek(s.dir, s.opts.FS)
	switch {
	case err != nil:
		return err // of a newer version, mostly
	case !have.Exists:
		return pristine(names)
	}
	return errors.Join(s.examineManifest(have.ManifestFilename), s.examineLogs(names), s.examineOptions(o, have.OptionsFilename))
}

// pristine makes sure that there is nothing in a folder of which no MANIFEST
// tells: Pebble would begin a new database over it.
func pristine(names []string) error {
	for _, name := range names {
		if strings.HasSuffix(name, tableSuffix) || strings.HasSuffix(name, logSuffix) {
			return &UnopenableError{fmt.Errorf("there is %s but no MANIFEST: %w", name, ErrDamaged)}
		}
	}
	return nil
}

func (s *Store) examineManifest(path string) error {
	b, err := s.read(path)
	if err != nil {
		return hopeless(err)
	}
	if err := checkManifest(b); err != nil {
		return &UnopenableError{fmt.Errorf("file %s: %w", s.opts.FS.PathBase(path), err)}
	}
	return nil
}

// examineLogs looks at all write-ahead logs but the last: of that one the end may
// be missing, as after a crash.
func (s *Store) examineLogs(names []string) error {
	var numbers []uint64
	for _, name := range names {
		if n, ok := fileNumber(name, logSuffix); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers[:max(0, len(numbers)-1)] {
		name := fmt.Sprintf("%06d%s", n, logSuffix)
		b, err := s.read(s.opts.FS.PathJoin(s.dir, name))
		if err != nil {
			return hopeless(err)
		}
		if err := checkLog(b, uint32(n)); err != nil {
			return &UnopenableError{fmt.Errorf("file %s: %w", name, err)}
		}
	}
	return nil
}

// examineOptions puts an OPTIONS file out of the way that Pebble would not open
// the database with. It only says how the database was configured before, which
// this program does not vary in what matters.
func (s *Store) examineOptions(o *pebble.Options, name string) error {
	if name == "" {
		return nil
	}
	path := s.opts.FS.PathJoin(s.dir, s.opts.FS.PathBase(name))
	b, err := s.read(path)
	if err == nil {
		err = o.CheckCompatibility(s.dir, string(b))
	} else if !unreadable(err) {
		return err
	}
	if err == nil {
		return nil
	}
	s.opts.Events(Event{Kind: FileUnreadable, Err: fmt.Errorf("file %s, set aside: %w", s.opts.FS.PathBase(path), err)})
	return s.opts.FS.Rename(path, s.opts.FS.PathJoin(s.dir, "damaged-"+s.opts.FS.PathBase(path)))
}

func (s *Store) read(path string) ([]byte, error) {
	f, err := s.opts.FS.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// hopeless makes an [UnopenableError] of an error with which Pebble did not open,
// but for those that come from the system around it and may pass.
func hopeless(err error) error {
	var number syscall.Errno
	if errors.As(err, &number) && !unreadable(err) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return &UnopenableError{err}
}

func hopelessIfDamaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return &UnopenableError{err}
	}
	return err
}

// loadMarks reads what was lost before.
func (s *Store) loadMarks() error {
	m, damaged, err := readMarks(s.opts.FS, s.dir)
	if err != nil {
		return fmt.Errorf("read what the document store has lost: %w", err)
	}
	s.marking.now.Store(m)
	if damaged == nil {
		return nil
	}
	s.opts.Events(Event{Kind: FileUnreadable, Err: damaged})
	return writeMarks(s.opts.FS, s.dir, m)
}

// loadDigests reads every bucket's state. What cannot be read, and what has lost
// rows, is put together again from the documents, as far as they can be read.
func (s *Store) loadDigests() error {
	s.unsummed.buckets.buckets = s.marks().buckets
	last := -1 // the bucket read last
	err := scan(s.db, []byte{tableBucket}, func(key, content []byte, damaged error) error {
		bucket, err := bucketIn(key)
		if err != nil || len(key) != 3 {
			return nil //nolint:nilerr // no bucket's row; Verify tells of it
		}
		last = int(bucket)
		var state BucketState
		if err = damaged; err == nil {
			state, err = parseBucketState(content)
		}
		if err != nil {
			s.opts.Events(Event{Kind: RowDamaged, Err: err})
			s.unsummed.add([]Range{{bucket, bucket}})
		}
		s.digests.of[bucket] = state
		return nil
	})
	switch {
	case errors.Is(err, ErrDamaged) && last+1 < layout.Buckets:
		// Nobody knows how many rows there are behind the last one read.
		s.unsummed.add([]Range{{layout.Bucket(last + 1), layout.Buckets - 1}})
	case err != nil && !errors.Is(err, ErrDamaged):
		return err
	}
	return s.sumAnew()
}
