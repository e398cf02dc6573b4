package buckets

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
)

// mendLists puts the lists right after rows were lost: documents come into the
// lists that their states say they belong in, and what a list knows of without
// there being a state is noticed as damaged.
func (s *Store) mendLists(ctx context.Context) error {
	if s.marks().lists {
		if err := s.relist(ctx); err != nil {
			return err
		}
	}
	const page = 1 << 12
	for result, after := (NamesResult{More: true}), ""; result.More; after = result.Next {
		var err error
		if result, err = s.CheckNames(after, page); err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	if err := s.db.Flush(); err != nil { // BEFORE the mark goes, as in ClearIncomplete
		return fmt.Errorf("flush document store: %w", err)
	}
	return s.mark(func(m *markSet) { m.lists = false })
}

// relist reads all states and puts back the rows of lists that are missing.
func (s *Store) relist(ctx context.Context) error {
	const most = 1 << 10 // documents that are mended while records wait
	snap := s.db.NewSnapshot()
	defer snap.Close()
	var unlisted []contract.Key
	mend := func() error {
		mended := 0
		err := s.exclusively(func() error {
			for _, k := range unlisted {
				if err := s.mendNames(k, &mended); err != nil {
					return err
				}
			}
			return nil
		})
		unlisted = unlisted[:0]
		return errors.Join(err, ctx.Err())
	}
	err := scan(snap, []byte{tableDocument}, func(key, content []byte, damaged error) error {
		d, ok := indexed(key, content, damaged)
		if !ok || d.Position.IsZero() {
			return nil
		}
		missing, err := misses(snap, &d)
		if err != nil || !missing {
			return err
		}
		if unlisted = append(unlisted, d.Key); len(unlisted) < most {
			return nil
		}
		return mend()
	})
	return errors.Join(err, mend())
}

// misses reports whether a list is without a document that it should have, or has
// one that it should not have.
func misses(r pebble.Reader, d *DocState) (bool, error) {
	p := placeOf(d.Key)
	err := listed(r, &p, d)
	if errors.Is(err, ErrDamaged) && !pebble.IsCorruptionError(err) {
		return true, nil
	}
	return false, err
}
