package buckets

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of a store. The zero value is sane.
type Options struct {
	// CacheBytes bounds Pebble's block cache. 64 MiB when zero.
	CacheBytes int64
	// MemTableBytes bounds one memtable; two may exist. 16 MiB when zero.
	MemTableBytes uint64
	// HeadBytes bounds the cache of the states of documents that were changed
	// lately. 32 MiB when zero, no cache when negative.
	HeadBytes int64
	// MergedBytes bounds the cache of merged documents. 64 MiB when zero, no
	// cache when negative.
	MergedBytes int64
	// Logger hears of the database's background work. Silent when nil.
	Logger *slog.Logger
	// Events hears of what a person should know. None when nil.
	Events func(Event)
	// FS is where the files are. The disk when nil.
	FS vfs.FS
}

func (o Options) withDefaults() Options {
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 16 << 20
	}
	if o.HeadBytes == 0 {
		o.HeadBytes = 32 << 20
	}
	if o.MergedBytes == 0 {
		o.MergedBytes = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	return o
}
