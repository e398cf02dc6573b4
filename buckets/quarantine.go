package buckets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/layout"
)

// A Loss is a range of rows that was cut out of the store because the database
// could not read all of it.
type Loss struct {
	File    string  // that could not be read
	Why     string  // what was wrong with it
	From    []byte  // the first key of the range
	To      []byte  // the key behind the range
	Buckets []Range // that are incomplete now
}

// CheckFiles reads the database's files from the disk, past all caches, and
// notices what is wrong with them, so that [Store.Corrupt] says so. Now and then
// it calls pace with the number of bytes read since, and ends early with its error.
func (s *Store) CheckFiles(ctx context.Context, pace func(bytes int) error) error {
	list, err := s.ssts()
	if err != nil {
		return fmt.Errorf("check files: %w", err)
	}
	for _, t := range list {
		flaw, err := s.inspect(ctx, t, pace)
		if err != nil && !errors.Is(err, errGone) {
			return fmt.Errorf("check file %s: %w", tableFile(t.file), err)
		}
		if flaw != nil {
			s.noteSick(t.file, flaw.why)
		}
	}
	return nil
}

// Quarantine cuts what was noticed to be unreadable out of the database, so that
// scans and compactions work again, and returns what was lost. The buckets
// concerned are incomplete from then on, see [Store.Incomplete]. Records wait
// meanwhile, for about as long as reading the states of these buckets takes. It
// may be called again at any time, and goes on where it was ended.
func (s *Store) Quarantine(ctx context.Context) ([]Loss, error) {
	s.cutting.Lock()
	defer s.cutting.Unlock()
	var losses []Loss
	for round := range 8 { // what is cut out may have hidden more
		lost, err := s.quarantine(ctx, round < 4)
		losses = append(losses, lost...)
		if err != nil {
			return losses, fmt.Errorf("quarantine: %w", err)
		}
		if !s.Corrupt() {
			return losses, nil
		}
	}
	return losses, fmt.Errorf("quarantine: there are still files that cannot be read: %v", sortedFiles(s.sick.list()))
}

// quarantine deals with what is known now. With spare, tables whose rows are well
// are not cut out but written anew.
func (s *Store) quarantine(ctx context.Context, spare bool) ([]Loss, error) {
	sick := s.sick.list()
	wounds, spared, err := s.diagnose(ctx, sick, spare)
	if err == nil && len(wounds) > 0 {
		err = s.cut(ctx, wounds)
	}
	if err != nil {
		return nil, err
	}
	lost := s.losses(wounds)
	for _, t := range spared {
		err = errors.Join(err, s.rewrite(ctx, t))
	}
	if err == nil {
		err = s.recover(ctx, sick)
	}
	if err == nil && (len(lost) > 0 || s.marks().lists) {
		err = s.mendLists(ctx)
	}
	if err == nil {
		err = s.exclusively(s.sumAnew)
	}
	if errors.Is(err, ErrDamaged) && s.sick.any.Load() {
		err = nil // the next round deals with it
	}
	return lost, err
}

// A wound is a gap to cut out, with the first file and reason that it is for.
type wound struct {
	gap
	file uint64
	why  error
}

func unhurried(int) error { return nil }

// diagnose finds the gaps that the files make, grown together where they touch,
// and the tables that have none because only what stands beside their rows is
// damaged.
func (s *Store) diagnose(ctx context.Context, sick map[uint64]error, spare bool) (wounds []wound, spared []sst, err error) {
	list, err := s.ssts()
	if err != nil {
		return nil, nil, err
	}
	for _, t := range list {
		if sick[t.file] == nil {
			continue
		}
		flaw, err := s.inspect(ctx, t, unhurried)
		switch {
		case errors.Is(err, errGone) || err == nil && flaw == nil:
			continue
		case err != nil:
			return nil, nil, err
		case flaw.gaps == nil && spare:
			spared = append(spared, t)
			continue
		case flaw.gaps == nil:
			flaw.gaps = []gap{t.gap}
		}
		for _, g := range flaw.gaps {
			wounds = append(wounds, wound{g, t.file, flaw.why})
		}
	}
	wounds, err = s.widen(ctx, wounds)
	return wounds, spared, err
}

var errMoreSick = errors.New("another file cannot be read")

// rewrite has the database write a table anew, if it can. A compaction needs
// another table over it, else it might only be moved: a deletion of a row that
// is not there makes one.
func (s *Store) rewrite(ctx context.Context, t sst) error {
	key, err := s.deleteNothing(t)
	if err != nil || key == nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// A compaction that fails is tried again at once, and others wait for it. It
	// has told which file it cannot read, so that file comes first.
	defer s.sick.onNote(func() { cancel(errMoreSick) })()
	err = s.db.Compact(ctx, key, after(key), false)
	if pebble.IsCorruptionError(err) || errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errMoreSick) {
		return nil
	}
	return err
}

// deleteNothing deletes a row that is not there, under a key that the table covers.
// It returns no key when there is none that would do.
func (s *Store) deleteNothing(t sst) (key []byte, err error) {
	err = s.exclusively(func() error {
		key = after(t.from)
		if row, err := get(s.db, key); bytes.Compare(key, t.to) >= 0 || row != nil || err != nil {
			key = nil
			return nil //nolint:nilerr // the table is cut out instead
		}
		return s.db.Delete(key, pebble.NoSync)
	})
	return key, err
}

// widen lets gaps grow until the database can cut them: until it can read, in
// every table that a gap's border goes through, the rows nearest to the border.
func (s *Store) widen(ctx context.Context, wounds []wound) ([]wound, error) {
	const patience = 8
	for try := 0; len(wounds) > 0; try++ {
		wounds = merged(wounds)
		list, err := s.ssts()
		if err != nil {
			return nil, err
		}
		var more []wound
		for _, t := range list {
			for _, w := range wounds {
				grown, err := s.grow(ctx, t, w, try >= patience)
				if err != nil {
					return nil, err
				}
				more = append(more, grown...)
			}
		}
		if len(more) == 0 {
			break
		}
		wounds = append(wounds, more...)
	}
	return wounds, nil
}

// grow tells what has to be cut besides a gap because of a table; all of the
// table if nothing less has helped.
func (s *Store) grow(ctx context.Context, t sst, w wound, all bool) ([]wound, error) {
	if !t.overlaps(w.gap) || bytes.Compare(w.from, t.from) <= 0 && bytes.Compare(t.to, w.to) <= 0 {
		return nil, nil
	}
	in, err := s.openTable(ctx, t.file)
	if errors.Is(err, errGone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if in.flaw != nil {
		return []wound{{t.gap, t.file, in.flaw.why}}, nil
	}
	defer in.close()
	if in.seekable(t, w.gap) {
		return nil, nil
	}
	flaw, err := s.inspect(ctx, t, unhurried)
	if err != nil {
		return nil, err
	}
	more := []wound{{gap{w.from, after(w.to)}, w.file, w.why}}
	if flaw != nil {
		for _, g := range flaw.gaps {
			more = append(more, wound{g, t.file, flaw.why})
		}
	}
	if all {
		more = append(more, wound{t.gap, t.file, w.why})
	}
	return more, nil
}

// merged joins wounds that overlap or touch.
func merged(wounds []wound) []wound {
	slices.SortStableFunc(wounds, func(a, b wound) int { return bytes.Compare(a.from, b.from) })
	var list []wound
	for _, w := range wounds {
		if n := len(list); n > 0 && bytes.Compare(w.from, list[n-1].to) <= 0 {
			if bytes.Compare(list[n-1].to, w.to) < 0 {
				list[n-1].to = w.to
			}
			continue
		}
		list = append(list, w)
	}
	return list
}

// recover forgets the files that are well, or gone, or of which no bad row is used
// any more.
func (s *Store) recover(ctx context.Context, sick map[uint64]error) error {
	list, err := s.ssts()
	if err != nil {
		return err
	}
	for _, file := range sortedFiles(sick) {
		well := true
		for _, t := range list {
			if t.file != file || !well {
				continue
			}
			flaw, err := s.inspect(ctx, t, unhurried)
			if err != nil && !errors.Is(err, errGone) {
				return err
			}
			well = flaw == nil
		}
		if well {
			s.sick.forget(file)
		}
	}
	return nil
}

// bucketTables are the tables in the order of buckets that a cut makes a bucket
// incomplete in.
var bucketTables = []byte{tableDocument, tableEntry, tableID, tableBase}

// buckets of which the gap has rows, in tables.
func (g gap) buckets(tables ...byte) []Range {
	var m markSet
	for _, table := range tables {
		if in, ok := g.in(table); ok {
			m.set(Range{bucketFrom(in.from), bucketTo(table, in.to)}, true)
		}
	}
	return m.ranges()
}

// bucketFrom is the bucket of the first row at or after a key of a table.
func bucketFrom(key []byte) layout.Bucket {
	var b [2]byte
	copy(b[:], key[1:])
	return layout.Bucket(b[0])<<8 | layout.Bucket(b[1])
}

// bucketTo is the bucket of the last row before a key.
func bucketTo(table byte, key []byte) layout.Bucket {
	if key[0] != table {
		return layout.Buckets - 1
	}
	b := int(bucketFrom(key))
	if len(key) <= 3 {
		b--
	}
	return layout.Bucket(min(max(b, 0), layout.Buckets-1))
}

func (s *Store) losses(wounds []wound) []Loss {
	list := make([]Loss, 0, len(wounds))
	for _, w := range wounds {
		list = append(list, Loss{
			File: tableFile(w.file), Why: w.why.Error(), From: w.from, To: w.to, Buckets: w.buckets(bucketTables...),
		})
	}
	return list
}

// lockReplicas keeps records from being applied until unlock is called. A record
// that waits for a compaction which cannot succeed holds its replica for ever, so
// this ends with the context.
func (s *Store) lockReplicas(ctx context.Context) (unlock func(), err error) {
	s.mu.Lock()
	var held []*Replica
	unlock = func() {
		for _, r := range held {
			r.mu.Unlock()
		}
		s.mu.Unlock()
	}
	for _, r := range s.replicas {
		for !r.mu.TryLock() {
			select {
			case <-ctx.Done():
				unlock()
				return nil, fmt.Errorf("wait for the record that stripe %s applies: %w", r.stripe, ctx.Err())
			case <-time.After(time.Millisecond):
			}
		}
		held = append(held, r)
	}
	return unlock, nil
}

// cut takes the wounds out of the database. What is in them and known otherwise
// is put back.
func (s *Store) cut(ctx context.Context, wounds []wound) error {
	unlock, err := s.lockReplicas(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.markWounds(wounds); err != nil {
		return err
	}
	known := s.known(wounds)
	// Over rows that are not in a file yet, a cut would be put off and tried for
	// ever if it failed.
	if err := s.db.Flush(); err != nil {
		return err
	}
	for _, w := range wounds {
		if err := s.db.Excise(ctx, pebble.KeyRange{Start: w.from, End: w.to}); err != nil {
			return fmt.Errorf("cut out %q to %q: %w", w.from, w.to, err)
		}
		s.opts.Events(Event{Kind: RowsLost, Err: fmt.Errorf("file %s: rows %q to %q: %w", tableFile(w.file), w.from, w.to, w.why)})
	}
	err = s.putBack(known)
	for _, w := range wounds {
		s.unsummed.add(w.buckets(append(bucketTables, tableBucket)...))
	}
	err = errors.Join(err, s.sumAnew())
	// Into a file: of the log a damaged end may be lost, of which the cut is no part.
	return errors.Join(err, s.db.Flush())
}

// markWounds marks what the wounds take, durably.
func (s *Store) markWounds(wounds []wound) error {
	for _, r := range s.replicas {
		r.missed.all(r.position()) // nobody knows by which documents
	}
	return s.mark(func(m *markSet) {
		m.made++
		for _, w := range wounds {
			for _, g := range w.buckets(bucketTables...) {
				m.set(g, true)
			}
			for _, table := range lists {
				_, hit := w.in(table)
				m.lists = m.lists || hit
			}
		}
	})
}

// known collects the rows in the wounds that are known without reading them: the
// version, where the replicas stand, and the row at the border, which was read.
func (s *Store) known(wounds []wound) (rows [][2][]byte) {
	add := func(key, content []byte) {
		for _, w := range wounds {
			if bytes.Compare(w.from, key) <= 0 && bytes.Compare(key, w.to) < 0 {
				row := appendRow(nil, key, content)
				rows = append(rows, [2][]byte{row[:len(key)], row[len(key):]})
			}
		}
	}
	add([]byte{tableFormat}, []byte{formatVersion})
	for _, r := range s.replicas {
		if a := r.Applied(); a.Seq > 0 {
			add(r.key(), a.encode(r.birth))
		}
	}
	for _, w := range wounds {
		if content, err := get(s.db, w.from); err == nil && content != nil && w.from[0] != tableBucket {
			add(w.from, content)
		}
	}
	return rows
}

func (s *Store) putBack(rows [][2][]byte) error {
	b := s.db.NewBatch()
	defer b.Close()
	for _, row := range rows {
		if err := b.Set(row[0], row[1], nil); err != nil {
			return err
		}
	}
	return b.Commit(pebble.Sync)
}
