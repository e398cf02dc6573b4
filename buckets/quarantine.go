package buckets

import "context"

// A Loss is a range of rows that was cut out of the store because the database
// could not read all of it.
type Loss struct {
	File    string  // that could not be read
	Why     string  // what was wrong with it
	From    []byte  // the first key of the range
	To      []byte  // the key behind the range
	Buckets []Range // that are incomplete now
}

// Corrupt reports whether the database has met something that it cannot read, and
// that [Store.Quarantine] has not dealt with yet.
func (s *Store) Corrupt() bool { return false }

// CheckFiles reads the database's files from the disk, past all caches, and
// notices what is wrong with them, so that [Store.Corrupt] says so. After every
// read it calls pace with the number of bytes, and ends early with its error.
func (s *Store) CheckFiles(ctx context.Context, pace func(bytes int) error) error { return errNotBuilt }

// Quarantine cuts what was noticed to be unreadable out of the database, so that
// scans and compactions work again, and returns what was lost. The buckets
// concerned are incomplete from then on, see [Store.Incomplete].
func (s *Store) Quarantine(ctx context.Context) ([]Loss, error) { return nil, errNotBuilt }
