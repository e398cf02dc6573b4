package buckets

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

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
	w := walker{document: v.document, orphan: v.orphan}
	err := errors.Join(
		w.walk(snap, span{}),
		v.others(),
		v.buckets(),
		v.stripes(applied),
		s.marks().fault(),
	)
	v.lists()
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
	listed   [256]int      // by table: how many rows the lists have
	owned    [256]int      // by table: how many of them belong to documents that could be read
	faults   []error
}

func (v *verifier) fault(err error) {
	if err != nil {
		v.faults = append(v.faults, err)
	}
}

// document takes a document whose rows have been checked.
func (v *verifier) document(d *walked) error {
	if d.content != nil {
		v.computed[d.bucket].add(d.row, d.content)
	}
	err := d.err
	if err == nil {
		p, state := placeOf(d.key), d.state()
		err = eachList(&p, &state, v.list)
	}
	if err != nil {
		v.fault(fmt.Errorf("document %q in space %q: %w", d.key.Key, d.key.Space, err))
	}
	return nil
}

func (v *verifier) orphan(key []byte) error {
	v.fault(fmt.Errorf("row %q belongs to no document: %w", key, ErrDamaged))
	return nil
}

// list checks that a document is in a list if it should be.
func (v *verifier) list(row []byte, want bool) error {
	there, err := inList(v.snap, row, want)
	if there {
		v.owned[row[0]]++
	}
	return err
}

// others checks the rows of the other tables by themselves.
func (v *verifier) others() error {
	it, err := v.snap.NewIter(nil)
	if err != nil {
		return damage(err)
	}
	defer it.Close()
	for ok := it.First(); ok; {
		key := it.Key()
		if len(key) > 0 && strings.IndexByte(walkedTables, key[0]) >= 0 {
			ok = it.SeekGE([]byte{key[0] + 1})
			continue
		}
		if len(key) == 0 || strings.IndexByte(tables, key[0]) < 0 {
			v.fault(fmt.Errorf("row %q belongs to no table: %w", key, ErrDamaged))
		} else {
			v.listed[key[0]]++
			_, err := row(it)
			v.fault(err)
		}
		ok = it.Next()
	}
	return damage(it.Error())
}

// lists checks that every row of a list belongs to a document.
func (v *verifier) lists() {
	for _, table := range []byte{tableMarked, tableName, tableTombstone} {
		if rows, owned := v.listed[table], v.owned[table]; rows != owned {
			v.fault(fmt.Errorf("table %q has %d rows, %d belong to documents: %w", table, rows, owned, ErrDamaged))
		}
	}
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
