package buckets

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/digest"
	"trireme/internal/document"
	"trireme/internal/layout"
)

// Verify re-reads every row of the store, recomputes every digest, and compares
// it with what is kept. The result joins the faults found, and tells at least one
// of every document that has any; nil means that the store is what it says it
// is. It sees the store as it stands when it begins.
func (s *Store) Verify() error {
	applied := s.appliedAll() // BEFORE the snapshot: the rows may only be ahead
	snap := s.db.NewSnapshot()
	defer snap.Close()
	v := verifier{snap: snap, computed: make([]BucketState, layout.Buckets)}
	err := errors.Join(
		scan(snap, nil, v.row),
		scan(snap, []byte{tableDocument}, v.document),
		v.buckets(),
		v.stripes(applied),
	)
	v.owners()
	return errors.Join(errors.Join(v.faults...), err)
}

func (s *Store) appliedAll() map[*Replica]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	applied := map[*Replica]uint64{}
	for _, r := range s.replicas {
		applied[r] = r.Applied().Seq
	}
	return applied
}

// A verifier gathers what the rows of a store say.
type verifier struct {
	snap     *pebble.Snapshot
	computed []BucketState // the sums of the documents
	rows     [256]int      // by table: how many there are
	owned    [256]int      // by table: how many belong to a document that could be read
	faults   []error
}

func (v *verifier) fault(err error) {
	if err != nil {
		v.faults = append(v.faults, err)
	}
}

// row checks a row by itself.
func (v *verifier) row(key, _ []byte, damaged error) error {
	if len(key) == 0 || strings.IndexByte(tables, key[0]) < 0 {
		damaged = fmt.Errorf("row %q belongs to no table: %w", key, ErrDamaged)
	} else {
		v.rows[key[0]]++
	}
	v.fault(damaged)
	return nil
}

// owners checks that every row of a document's tables belongs to a document.
func (v *verifier) owners() {
	for _, table := range []byte{tableEntry, tableID, tableMarked, tableName, tableBase, tableTombstone} {
		if rows, owned := v.rows[table], v.owned[table]; rows != owned {
			v.fault(fmt.Errorf("table %q has %d rows, %d belong to documents: %w", table, rows, owned, ErrDamaged))
		}
	}
}

// document checks a document's state against its other rows.
func (v *verifier) document(key, content []byte, damaged error) error {
	if damaged != nil {
		return nil //nolint:nilerr // row has told it
	}
	bucket, err := bucketIn(key)
	if err != nil {
		v.fault(err)
		return nil
	}
	v.computed[bucket].add(key, content)
	k, rest, err := parseNames(key[3:])
	if err == nil && (len(rest) > 0 || layout.BucketOf(k.Space, k.Key) != bucket) {
		err = fmt.Errorf("row %q is not in its bucket: %w", key, ErrDamaged)
	}
	if err != nil {
		v.fault(err)
		return nil
	}
	state, err := document.Decode(content)
	if err != nil {
		v.fault(fmt.Errorf("document %q in space %q: %w: %w", k.Key, k.Space, ErrDamaged, err))
		return nil
	}
	p := placeOf(k)
	for _, err := range []error{
		v.chain(&p, &state), v.base(&p, &state), v.ids(&p, &state),
		v.name(&p, tableName, state.Live), v.name(&p, tableMarked, state.Marked), v.tombstone(&p, &state),
	} {
		if err != nil {
			v.fault(fmt.Errorf("document %q in space %q: %w", k.Key, k.Space, err))
		}
	}
	return nil
}

// chain recomputes digest and counts of the stored updates.
func (v *verifier) chain(p *place, state *document.State) error {
	chain := state.ChainStart
	redos, undos := 0, 0
	err := scan(v.snap, p.row(tableEntry), func(key, content []byte, damaged error) error {
		v.owned[tableEntry]++
		if damaged != nil {
			return damaged
		}
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
	case state.Damaged:
		return fmt.Errorf("a snapshot met damaged updates: %w", ErrDamaged)
	case chain != state.ChainEnd:
		return fmt.Errorf("chain of updates ends in %v, kept is %v: %w", chain, state.ChainEnd, ErrDamaged)
	case redos != state.Redos.Count || undos != state.Undos.Count:
		return fmt.Errorf("%d redos and %d undos are stored, kept are %d and %d: %w", redos, undos, state.Redos.Count, state.Undos.Count, ErrDamaged)
	}
	return nil
}

func (v *verifier) base(p *place, state *document.State) error {
	text, err := get(v.snap, p.base())
	if err != nil {
		return err
	}
	if text != nil {
		v.owned[tableBase]++
	}
	if state.Base.Present != (text != nil) || state.Base.Present && digest.Of(text) != state.Base.Digest {
		return fmt.Errorf("base: digest: %w", ErrDamaged)
	}
	return nil
}

func (v *verifier) ids(p *place, state *document.State) error {
	var sum digest.Digest
	ids := p.row(tableID)
	n := 0
	err := scan(v.snap, ids, func(key, content []byte, damaged error) error {
		v.owned[tableID]++
		if damaged != nil {
			return damaged
		}
		id := string(key[len(ids):])
		row, err := parseIDRow(content)
		if err != nil {
			return err
		}
		sum = sum.Add(row.digest(id))
		n++
		return nil
	})
	if err == nil && (n != state.IDs.Count || sum != state.IDs.Sum) {
		err = fmt.Errorf("%d request ids are stored, kept are %d, or they differ: %w", n, state.IDs.Count, ErrDamaged)
	}
	return err
}

// name checks that the document is in a list of names if it should be.
func (v *verifier) name(p *place, table byte, want bool) error {
	row, err := get(v.snap, p.name(table))
	if row != nil {
		v.owned[table]++
	}
	if err == nil && (row != nil) != want {
		err = fmt.Errorf("is in the list of names %q: %v, should be: %v: %w", table, row != nil, want, ErrDamaged)
	}
	return err
}

// tombstone checks that a tombstone has its row.
func (v *verifier) tombstone(p *place, state *document.State) error {
	if !state.Tombstone() {
		return nil
	}
	row, err := get(v.snap, p.tombstone(state.Position))
	if row != nil {
		v.owned[tableTombstone]++
	}
	if err == nil && row == nil {
		err = fmt.Errorf("is not in the table of tombstones at %v: %w", state.Position, ErrDamaged)
	}
	return err
}

// buckets compares the buckets' rows with the sums of the documents. A bucket may
// be at a higher position than its documents, at which others have been released.
func (v *verifier) buckets() error {
	kept := make([]BucketState, layout.Buckets)
	err := scan(v.snap, []byte{tableBucket}, func(key, content []byte, damaged error) error {
		bucket, err := bucketIn(key)
		if err == nil && damaged == nil {
			kept[bucket], err = parseBucketState(content)
		}
		v.fault(err)
		return nil
	})
	for b := range kept {
		if kept[b].Digest != v.computed[b].Digest || kept[b].Position.Less(v.computed[b].Position) {
			v.fault(fmt.Errorf("bucket %d is kept as %v, its documents have %v: %w", b, kept[b], v.computed[b], ErrDamaged))
		}
	}
	return err
}

// stripes checks that the rows say where the replicas stand.
func (v *verifier) stripes(applied map[*Replica]uint64) error {
	for r, seq := range applied {
		_, stored, err := r.load(v.snap)
		if err == nil && stored.Seq < seq {
			err = fmt.Errorf("record %d is applied, kept is %d: %w", seq, stored.Seq, ErrDamaged)
		}
		if err != nil {
			v.fault(fmt.Errorf("stripe %s: %w", r.stripe, err))
		}
	}
	format, err := get(v.snap, []byte{tableFormat})
	if err == nil && format == nil {
		err = fmt.Errorf("format version is missing: %w", ErrDamaged)
	}
	return err
}
