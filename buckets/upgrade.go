package buckets

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/document"
)

// Version 1 had no table of tombstones, and where a replica stands had no horizon.

// upgrade writes the table for a store of version 1. A crash in the middle leaves
// version 1, and the next start begins again.
func (s *Store) upgrade() error {
	const most = 1 << 20 // bytes in one batch
	b := s.db.NewBatch()
	defer func() { _ = b.Close() }() // it only gives memory back
	err := scan(s.db, []byte{tableDocument}, func(key, content []byte, damaged error) error {
		state, err := document.Decode(content)
		if damaged != nil || err != nil {
			return nil //nolint:nilerr // it has no row; what damages it is found by whoever reads it
		}
		k, _, err := parseNames(key[3:])
		if err != nil {
			return nil //nolint:nilerr // Verify tells of it
		}
		p := placeOf(k)
		if err := setTombstone(b, &p, &document.State{}, &state); err != nil || b.Len() < most {
			return err
		}
		if err := b.Commit(pebble.NoSync); err != nil {
			return err
		}
		_ = b.Close()
		b = s.db.NewBatch()
		return nil
	})
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	if err != nil {
		return fmt.Errorf("write the table of tombstones, of format version 2: %w", err)
	}
	return s.setFormat()
}

// setFormat writes the present version, and makes everything before it durable.
func (s *Store) setFormat() error {
	key := []byte{tableFormat}
	row := appendRow(nil, key, []byte{formatVersion})
	return s.db.Set(key, row[len(key):], pebble.Sync)
}
