package buckets

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/document"
	"trireme/internal/layout"
)

// Verify re-reads every row of the store, recomputes every digest, and compares
// it with what is kept. The result joins every fault found; nil means that the
// store is what it says it is. It sees the store as it stood when it began.
func (s *Store) Verify() error {
	snap := s.db.NewSnapshot()
	defer snap.Close()
	var sums, kept [layout.Buckets]digest.Digest
	var faults []error
	var documents, live, marked int
	err := scanAll(snap, []byte{tableDocument}, func(key, content []byte, err error) error {
		documents++
		bucket := layout.Bucket(key[1])<<8 | layout.Bucket(key[2])
		if err == nil {
			sums[bucket] = sums[bucket].Add(documentDigest(key, content))
			err = verifyDocument(snap, key, content, &live, &marked)
		}
		if err != nil {
			faults = append(faults, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = scan(snap, []byte{tableBucket}, func(key, content []byte) error {
		b, err := parseBucketState(content)
		kept[layout.Bucket(key[1])<<8|layout.Bucket(key[2])] = b.Digest
		return err
	})
	if err != nil {
		return err
	}
	for b := range sums {
		if sums[b] != kept[b] {
			faults = append(faults, fmt.Errorf("bucket %d: digest is kept as %v, its documents have %v: %w", b, kept[b], sums[b], ErrDamaged))
		}
	}
	return errors.Join(errors.Join(faults...), count(snap, tableName, live), count(snap, tableMarked, marked))
}

// verifyDocument recomputes what a document's state says of its other rows.
func verifyDocument(r pebble.Reader, key, content []byte, live, marked *int) error {
	k, _, err := parseNames(key[3:])
	if err != nil {
		return err
	}
	state, err := document.Decode(content)
	if err != nil {
		return fmt.Errorf("document %q in space %q: %w: %w", k.Key, k.Space, ErrDamaged, err)
	}
	bucket := layout.BucketOf(k.Space, k.Key)
	if state.Live {
		*live++
	}
	if state.Marked {
		*marked++
	}
	if err := errors.Join(verifyChain(r, bucket, k, &state), verifyBase(r, bucket, k, &state), verifyIDs(r, bucket, k, &state)); err != nil {
		return fmt.Errorf("document %q in space %q: %w", k.Key, k.Space, err)
	}
	return nil
}

func verifyChain(r pebble.Reader, bucket layout.Bucket, k contract.Key, state *document.State) error {
	chain := state.ChainStart
	redos, undos := 0, 0
	err := scan(r, documentKey(tableEntry, bucket, k), func(key, content []byte) error {
		chain = document.Chain(chain, content)
		seq := parseSeq(key[len(key)-4:])
		if state.Redos.Holds(seq) {
			redos++
		}
		if state.Undos.Holds(seq) {
			undos++
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case chain != state.ChainEnd:
		return fmt.Errorf("chain of entries ends in %v, kept is %v: %w", chain, state.ChainEnd, ErrDamaged)
	case redos != state.Redos.Count || undos != state.Undos.Count:
		return fmt.Errorf("%d redos and %d undos are stored, kept are %d and %d: %w", redos, undos, state.Redos.Count, state.Undos.Count, ErrDamaged)
	}
	return nil
}

func verifyBase(r pebble.Reader, bucket layout.Bucket, k contract.Key, state *document.State) error {
	text, err := get(r, documentKey(tableBase, bucket, k))
	if err != nil {
		return err
	}
	if !state.Base.Present && text != nil || state.Base.Present && digest.Of(text) != state.Base.Digest {
		return fmt.Errorf("base: digest: %w", ErrDamaged)
	}
	return nil
}

func verifyIDs(r pebble.Reader, bucket layout.Bucket, k contract.Key, state *document.State) error {
	var sum digest.Digest
	n := 0
	prefix := documentKey(tableID, bucket, k)
	err := scan(r, prefix, func(key, content []byte) error {
		id := string(key[len(prefix):])
		row, err := parseIDRow(content)
		if err != nil {
			return err
		}
		sum = sum.Add(row.digest(id))
		n++
		order, err := get(r, idOrderKey(bucket, k, row.position))
		if err == nil && string(order) != id {
			err = fmt.Errorf("request id %q is not in its place: %w", id, ErrDamaged)
		}
		return err
	})
	if err == nil && (n != state.IDs.Count || sum != state.IDs.Sum) {
		err = fmt.Errorf("%d request ids are stored, kept are %d, or they differ: %w", n, state.IDs.Count, ErrDamaged)
	}
	return err
}

func count(r pebble.Reader, table byte, want int) error {
	n := 0
	err := scan(r, []byte{table}, func(_, _ []byte) error { n++; return nil })
	if err == nil && n != want {
		err = fmt.Errorf("%d rows in the list of names %q, %d documents belong there: %w", n, table, want, ErrDamaged)
	}
	return err
}

// scanAll is like scan, but hands a row's damage to visit and goes on.
func scanAll(r pebble.Reader, prefix []byte, visit func(key, content []byte, err error) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return damage(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		content, err := row(it)
		if err := visit(it.Key(), content, err); err != nil {
			return err
		}
	}
	return damage(it.Error())
}
