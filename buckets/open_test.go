package buckets

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/internal/layout"
)

// list returns the names of a store's files of a kind.
func list(t *testing.T, files vfs.FS, kind string) (names []string) {
	t.Helper()
	all, err := files.List("store")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	for _, name := range all {
		if fileKind(name) == kind {
			names = append(names, name)
		}
	}
	return names
}

func overwrite(t *testing.T, files vfs.FS, name, content string) {
	t.Helper()
	f, err := files.Create(files.PathJoin("store", name), vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestUnopenable: what there is no store after.
func TestUnopenable(t *testing.T) {
	t.Parallel()
	w := newRot(t)
	for name, damage := range map[string]func(t *testing.T, fs *vfs.MemFS){
		"MANIFEST flipped": func(t *testing.T, fs *vfs.MemFS) {
			names := list(t, fs, "manifest")
			flipFile(t, fs, names[len(names)-1], 999)
		},
		"MANIFEST empty": func(t *testing.T, fs *vfs.MemFS) {
			names := list(t, fs, "manifest")
			overwrite(t, fs, names[len(names)-1], "")
		},
		"MANIFEST gone": func(t *testing.T, fs *vfs.MemFS) {
			for _, name := range list(t, fs, "manifest") {
				if err := fs.Remove("store/" + name); err != nil {
					t.Fatal(err)
				}
			}
		},
		"nothing says which MANIFEST": func(t *testing.T, fs *vfs.MemFS) {
			names, _ := fs.List("store")
			for _, name := range names {
				if strings.HasPrefix(name, "marker.manifest") {
					if err := fs.Remove("store/" + name); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
		"a table gone": func(t *testing.T, fs *vfs.MemFS) {
			s := open(t, fs, rotOptions())
			file := bottomFile(t, s)
			closed(t, s)
			if err := fs.Remove("store/" + tableFile(file)); err != nil {
				t.Fatal(err)
			}
		},
		"a table cut off": func(t *testing.T, fs *vfs.MemFS) {
			s := open(t, fs, rotOptions())
			file := bottomFile(t, s)
			closed(t, s)
			overwrite(t, fs, tableFile(file), "short")
		},
		"format row damaged": func(t *testing.T, fs *vfs.MemFS) {
			s := open(t, fs, rotOptions())
			rewrite(t, s, []byte{tableFormat}, []byte("damaged row"))
			closed(t, s)
		},
		"format row unreadable": func(t *testing.T, fs *vfs.MemFS) {
			s := open(t, fs, rotOptions())
			bad := bottom(t, s)
			block := layoutOf(t, s, bad.file).Data[0]
			closed(t, s)
			flipFile(t, fs, tableFile(bad.file), middle(block.Handle))
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := w.clone(t)
			damage(t, fs)
			before, _ := fs.List("store")
			for range 2 { // an attempt changes nothing
				opts := rotOptions()
				opts.FS = fs
				s, err := Open("store", opts)
				if err == nil {
					closed(t, s)
				}
				var unopenable *UnopenableError
				if !errors.Is(err, ErrUnopenable) || !errors.As(err, &unopenable) || !strings.Contains(err.Error(), "store") {
					t.Fatalf("open: %v", err)
				}
			}
			after, _ := fs.List("store")
			for _, name := range before {
				if kind := fileKind(name); kind == "table" && !slices.Contains(after, name) {
					t.Errorf("%s is gone", name)
				}
			}
			if err := fs.Rename("store", "aside"); err != nil {
				t.Fatal(err)
			}
			s := open(t, fs, rotOptions())
			w.heal(t, adopted(t, w, s))
			verified(t, s)
			closed(t, s)
		})
	}
}

// adopted sets the replica of an empty store where the twin stands.
func adopted(t *testing.T, w *rot, s *Store) *Store {
	t.Helper()
	r, err := s.Replica("s1", birth)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := w.later.Replica("s1", birth)
	if err == nil {
		err = r.Adopt(peer.Applied())
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNotUnopenable: what may pass, or is somebody's mistake, must not cost the
// folder.
func TestNotUnopenable(t *testing.T) {
	w := newRot(t)
	refused := func(t *testing.T, fs vfs.FS) {
		t.Helper()
		opts := rotOptions()
		opts.FS = fs
		s, err := Open("store", opts)
		if err == nil {
			closed(t, s)
		}
		if err == nil || errors.Is(err, ErrUnopenable) {
			t.Errorf("open: %v", err)
		}
	}
	t.Run("locked", func(t *testing.T) {
		fs := w.clone(t)
		s := open(t, fs, rotOptions())
		refused(t, fs)
		closed(t, s)
		closed(t, open(t, fs, rotOptions()))
	})
	t.Run("newer version", func(t *testing.T) {
		fs := w.clone(t)
		s := open(t, fs, rotOptions())
		key := []byte{tableFormat}
		row := appendRow(nil, key, []byte{formatVersion + 1})
		rewrite(t, s, key, row[1:])
		closed(t, s)
		refused(t, fs)
	})
	t.Run("newer database", func(t *testing.T) {
		fs := w.clone(t)
		names, _ := fs.List("store")
		for _, name := range names {
			if strings.HasPrefix(name, "marker.format-version") {
				if err := fs.Rename("store/"+name, "store/marker.format-version.000099.999"); err != nil {
					t.Fatal(err)
				}
			}
		}
		refused(t, fs)
	})
	for _, number := range []syscall.Errno{syscall.EACCES, syscall.EPERM, syscall.ENOSPC, syscall.EMFILE, syscall.ENOMEM, syscall.EROFS} {
		t.Run(number.Error(), func(t *testing.T) {
			for _, kind := range []string{"MANIFEST", "OPTIONS", logSuffix, tableSuffix, incompleteFile} {
				refusing := &refusingFS{FS: w.clone(t), part: kind, err: &fs.PathError{Op: "open", Path: kind, Err: number}}
				opts := rotOptions()
				opts.FS = refusing
				s, err := Open("store", opts)
				if errors.Is(err, ErrUnopenable) {
					t.Errorf("%s: %v", kind, err)
				}
				if err == nil {
					_ = s.Close() // it was not needed at the start
				}
			}
		})
	}
}

// A refusingFS refuses to open some files for reading.
type refusingFS struct {
	vfs.FS
	part string
	err  error
}

func (r *refusingFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if strings.Contains(r.PathBase(name), r.part) {
		return nil, r.err
	}
	return r.FS.Open(name, opts...)
}

// TestOptionsAreSetAside: what a damaged OPTIONS file says is not needed.
func TestOptionsAreSetAside(t *testing.T) {
	w := newRot(t)
	fs := w.clone(t)
	names := list(t, fs, "options")
	name := names[len(names)-1]
	overwrite(t, fs, name, "[Options]\n  comparer=another\n")
	told := 0
	s := open(t, fs, Options{Events: func(e Event) {
		if e.Kind == FileUnreadable {
			told++
		}
	}})
	defer closed(t, s)
	if err := w.feed(s, w.seq); err != nil {
		t.Fatal(err)
	}
	verified(t, s)
	sameStores(t, s, w.twin)
	if after, _ := fs.List("store"); told != 1 || !slices.Contains(after, "damaged-"+name) {
		t.Errorf("told %d times, files %v", told, after)
	}
}

// TestFreshStore: a folder that is empty, or in which a first start was broken off,
// is no damaged store.
func TestFreshStore(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("store", 0o755); err != nil {
		t.Fatal(err)
	}
	closed(t, open(t, fs, Options{}))
	crashing := vfs.NewCrashableMem()
	s := open(t, crashing, Options{})
	early := crashing.CrashClone(vfs.CrashCloneCfg{})
	closed(t, s)
	closed(t, open(t, early, Options{}))
}

// TestLostReplica: one stripe whose row cannot be read is begun anew; the others
// know nothing of it.
func TestLostReplica(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, s *Store, key []byte){
		"flipped": func(t *testing.T, s *Store, key []byte) {
			rewrite(t, s, key, flip([]byte(dump(t, s)[string(key)]), 5))
		},
		"short": func(t *testing.T, s *Store, key []byte) {
			row := appendRow(nil, key, []byte("short"))
			rewrite(t, s, key, row[len(key):])
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := damageLog()
			fs := vfs.NewMem()
			s := open(t, fs, Options{})
			r := log.feed(t, s)
			if _, err := s.Replica("s2", 2); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Renew("s1", 2); err == nil || errors.Is(err, ErrLostReplica) {
				t.Errorf("renew under another birth: %v", err)
			}
			if same, err := s.Renew("s1", birth); err != nil || same != r {
				t.Errorf("renew what is not lost: %v", err)
			}
			lose(t, s, r.key())
			closed(t, s)
			s = open(t, fs, Options{})
			if _, err := s.Replica("s1", birth); !errors.Is(err, ErrLostReplica) || !errors.Is(err, ErrDamaged) {
				t.Errorf("replica: %v", err)
			}
			if _, err := s.Replica("s2", 2); err != nil {
				t.Errorf("the other stripe: %v", err)
			}
			if r, err := s.Renew("s1", birth); err != nil || r.Applied() != (Applied{}) {
				t.Fatalf("renewed: %v", err)
			}
			closed(t, s)
			s = open(t, fs, Options{})
			defer func() { closed(t, s) }()
			log.feed(t, s)
			verified(t, s)
			whole := openTemp(t, Options{})
			log.feed(t, whole)
			sameStores(t, s, whole)
		})
	}
}

// TestStoreOpensOverDamagedBuckets: rows of buckets are put together again even when
// the database cannot read them, and the blocks are cut out then.
func TestStoreOpensOverDamagedBuckets(t *testing.T) {
	w := newRot(t)
	fs := w.clone(t)
	s := open(t, fs, rotOptions())
	if err := w.feed(s, w.log.seq()); err != nil {
		t.Fatal(err)
	}
	bad := bottom(t, s)
	second := layoutOf(t, s, bad.file).Data[1].Handle // rows of buckets, as the first one
	closed(t, s)
	flipFile(t, fs, tableFile(bad.file), middle(second))
	s = open(t, fs, rotOptions())
	defer func() { closed(t, s) }()
	if !s.Corrupt() {
		t.Fatal("nobody has noticed: the block has no rows of buckets")
	}
	if err := w.feed(s, w.log.seq()); err != nil {
		t.Fatal(err)
	}
	losses, err := s.Quarantine(context.Background())
	if err != nil || len(losses) != 1 {
		t.Fatalf("%v, %v", losses, err)
	}
	w.heal(t, s)
	verified(t, s)
	sameStores(t, s, w.later)
}

// TestSumsStopAtWhatCannotBeRead: a scan that fails at the first document has summed
// up no bucket, the first one included.
func TestSumsStopAtWhatCannotBeRead(t *testing.T) {
	w := newRot(t)
	fs := w.clone(t)
	s := open(t, fs, rotOptions())
	bad := bottom(t, s)
	blocks := layoutOf(t, s, bad.file).Data
	closed(t, s)
	for _, b := range blocks[1 : len(blocks)/4] { // rows of buckets, then the first states
		flipFile(t, fs, tableFile(bad.file), middle(b.Handle))
	}
	s = open(t, fs, rotOptions())
	defer func() { closed(t, s) }()
	states := 0
	err := scan(s.db, []byte{tableDocument}, func(_, _ []byte, _ error) error { states++; return nil })
	if !errors.Is(err, ErrDamaged) || states > 0 {
		t.Fatalf("%d states, %v: the first one can be read", states, err)
	}
	all := []Range{{0, layout.Buckets - 1}}
	s.unsummed.add(all)
	if err := s.exclusively(s.sumAnew); err != nil {
		t.Fatal(err)
	}
	if rest := s.unsummed.buckets.ranges(); !slices.Equal(rest, all) {
		t.Errorf("summed up without being read: all but %v", rest)
	}
	if _, err := s.Quarantine(context.Background()); err != nil {
		t.Fatal(err)
	}
	if rest := s.unsummed.buckets.ranges(); len(rest) > 0 {
		t.Errorf("not summed up: %v", rest)
	}
	if err := w.feed(s, w.log.seq()); err != nil {
		t.Fatal(err)
	}
	w.heal(t, s)
	verified(t, s)
	sameStores(t, s, w.later)
}
