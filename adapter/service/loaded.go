package service

import (
	"maps"
	"slices"
	"sync"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// loadedLimit bounds what is remembered of all writers together. Beyond it the
// writer that was idle longest is forgotten: its snapshots may then be refused
// until it loads or writes again, which is harmless.
const loadedLimit = 1 << 20

// loaded remembers which writer has loaded which documents, up to which seq,
// and not released them. It lives at the owner and need not survive it.
type loaded struct {
	mu    sync.Mutex
	total int
	clock uint64
	of    map[string]*writerSet
}

type writerSet struct {
	used uint64
	docs map[contract.Key]load
}

// A load is what a writer has seen of a document. It counts for the incarnation
// that was read: what a recover has replaced must not come back by a snapshot.
type load struct {
	seq         int32
	incarnation string
}

func newLoaded() *loaded { return &loaded{of: map[string]*writerSet{}} }

// note remembers what the writer has read.
func (l *loaded) note(writer string, k contract.Key, at load) {
	if writer == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.of[writer]
	if w == nil {
		w = &writerSet{docs: map[contract.Key]load{}}
		l.of[writer] = w
	}
	l.clock++
	w.used = l.clock
	if _, known := w.docs[k]; !known {
		l.total++
	}
	w.docs[k] = at
	for l.total > loadedLimit && len(l.of) > 1 {
		l.forgetIdlest()
	}
}

func (l *loaded) forgetIdlest() {
	var idlest string
	for name, w := range l.of {
		if idlest == "" || w.used < l.of[idlest].used {
			idlest = name
		}
	}
	l.total -= len(l.of[idlest].docs)
	delete(l.of, idlest)
}

// release forgets that the writer has the document.
func (l *loaded) release(writer string, k contract.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.of[writer]
	if w == nil {
		return
	}
	if _, known := w.docs[k]; known {
		l.total--
		delete(w.docs, k)
	}
	if len(w.docs) == 0 {
		delete(l.of, writer)
	}
}

// since reports whether the writer has loaded the document's incarnation at or
// after seq.
func (l *loaded) since(writer string, k contract.Key, at load) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.of[writer]
	if w == nil {
		return false
	}
	had, known := w.docs[k]
	return known && had.incarnation == at.incarnation && had.seq >= at.seq
}

// forget forgets the documents in some buckets: this host owns them no more.
func (l *loaded) forget(among func(layout.Bucket) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for writer, w := range l.of {
		before := len(w.docs)
		maps.DeleteFunc(w.docs, func(k contract.Key, _ load) bool { return among(layout.BucketOf(k.Space, k.Key)) })
		l.total -= before - len(w.docs)
		if len(w.docs) == 0 {
			delete(l.of, writer)
		}
	}
}

// list returns what the writer has loaded in the buckets that are accepted, all if
// nil, in order, after a key.
func (l *loaded) list(writer string, after contract.Key, limit int, accept func(layout.Bucket) bool) []contract.Key {
	l.mu.Lock()
	list := []contract.Key{}
	if w := l.of[writer]; w != nil {
		for k := range w.docs {
			if k.Compare(after) > 0 && (accept == nil || accept(layout.BucketOf(k.Space, k.Key))) {
				list = append(list, k)
			}
		}
	}
	l.mu.Unlock()
	slices.SortFunc(list, contract.Key.Compare)
	return list[:min(limit, len(list))]
}
