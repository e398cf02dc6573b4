package buckets

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// sickFiles are the files of tables that something could not be read of, by their
// numbers, with why. They wait for [Store.Quarantine].
type sickFiles struct {
	any atomic.Bool

	mu   sync.Mutex
	of   map[uint64]error
	also func() // called when there is one more
}

// note reports whether the file was thought to be well before.
func (s *sickFiles) note(file uint64, why error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.of[file]; known {
		return false
	}
	if s.of == nil {
		s.of = map[uint64]error{}
	}
	s.of[file] = why
	s.any.Store(true)
	if s.also != nil {
		s.also()
	}
	return true
}

// onNote has f called when there is one more, until off is called. There is one f
// at a time.
func (s *sickFiles) onNote(f func()) (off func()) {
	set := func(f func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.also = f
	}
	set(f)
	return func() { set(nil) }
}

func (s *sickFiles) list() map[uint64]error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.of)
}

func (s *sickFiles) forget(file uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, file)
	s.any.Store(len(s.of) > 0)
}

// sortedFiles are the numbers in order.
func sortedFiles(of map[uint64]error) []uint64 { return slices.Sorted(maps.Keys(of)) }

// Corrupt reports whether the database has met something that it cannot read, and
// that [Store.Quarantine] has not dealt with yet.
func (s *Store) Corrupt() bool { return s.sick.any.Load() || s.marks().lists }

// noteSick takes a file for unreadable, and tells so the first time.
func (s *Store) noteSick(file uint64, why error) {
	if s.sick.note(file, why) {
		s.opts.Events(Event{Kind: FileUnreadable, Err: fmt.Errorf("file %s: %w", tableFile(file), why)})
	}
}

// listener hears of what the database cannot read, whether a request, a scan or a
// compaction wanted it.
func (s *Store) listener() *pebble.EventListener {
	return &pebble.EventListener{
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			if file, ok := fileNumber(s.opts.FS.PathBase(info.Path), tableSuffix); ok {
				s.noteSick(file, info.Details)
			}
		},
		// A compaction that fails is tried again at once, for as long as nobody cuts
		// out what it cannot read; once is enough to hear of it.
		BackgroundError: func(err error) {
			if !pebble.IsCorruptionError(err) {
				databaseLog{s.opts.Logger}.Errorf("background error: %v", err)
			}
		},
	}
}

const (
	tableSuffix = ".sst"
	logSuffix   = ".log"
)

func tableFile(number uint64) string { return fmt.Sprintf("%06d%s", number, tableSuffix) }

// fileNumber reads the number in a name like 000012.sst.
func fileNumber(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, ok && err == nil
}

// A readFS makes corruption of what the disk cannot read: Pebble takes a medium
// error for a passing one, and would try a compaction over it again and again
// without saying which file it is about.
type readFS struct{ vfs.FS }

func (fs readFS) Unwrap() vfs.FS { return fs.FS }

func (fs readFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.Open(name, opts...)
	if err == nil && strings.HasSuffix(name, tableSuffix) {
		f = readFile{f}
	}
	return f, err
}

type readFile struct{ vfs.File }

func (f readFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if n < len(p) && unreadable(err) {
		err = &mediumError{err}
	}
	return n, err
}

// unclean is EUCLEAN, Linux's word for a damaged file system.
const unclean = syscall.Errno(0x75)

// unreadable tells of errors that say that the bytes are not to be had: a medium
// error, a damaged file system, a file that is shorter than it was.
func unreadable(err error) bool {
	return errors.Is(err, syscall.EIO) || runtime.GOOS == "linux" && errors.Is(err, unclean) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

type mediumError struct{ err error }

func (e *mediumError) Error() string        { return "read: " + e.err.Error() }
func (e *mediumError) Unwrap() error        { return e.err }
func (e *mediumError) Is(target error) bool { return target == pebble.ErrCorruption }
