package buckets

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
)

// A NamesResult says what [Store.CheckNames] has read and found.
type NamesResult struct {
	Next    string // where to go on, when More
	More    bool
	Rows    int
	Damaged []Damage // names without a state, or with one that cannot be read
	Mended  int      // rows and documents that were put right from the states
}

// CheckNames re-reads the tables that list documents (by name: the live ones, and
// those marked for deletion; by position: the tombstones) and compares them with
// the states: a row that a state contradicts is mended. It begins with after "",
// reads at most limit rows, and goes on with NamesResult.Next. A document that is
// missing in a list is found by [Replica.CheckBucket].
func (s *Store) CheckNames(after string, limit int) (NamesResult, error) {
	page := listPage{store: s}
	page.Next = after
	err := page.read(limit)
	if err == nil && len(page.wrong)+len(page.nobodys) > 0 {
		err = s.exclusively(page.mend)
	}
	if err != nil {
		return page.NamesResult, fmt.Errorf("check names: %w", err)
	}
	return page.NamesResult, nil
}

// A listPage is a part of the lists and what does not fit in it.
type listPage struct {
	NamesResult
	store   *Store
	wrong   []contract.Key // a state contradicts their rows
	nobodys [][]byte       // rows that are no document's
}

// lists are the tables that list documents, in order.
var lists = []byte{tableMarked, tableName, tableTombstone}

func (l *listPage) read(limit int) error {
	snap := l.store.db.NewSnapshot()
	defer snap.Close()
	for _, table := range lists {
		o := under([]byte{table})
		switch {
		case l.Next >= string(o.UpperBound):
			continue
		case l.Next > string(o.LowerBound):
			o.LowerBound = append([]byte(l.Next), 0)
		}
		if err := l.table(snap, o, limit); err != nil || l.More {
			return err
		}
	}
	return nil
}

func (l *listPage) table(snap pebble.Reader, o *pebble.IterOptions, limit int) error {
	it, err := snap.NewIter(o)
	if err != nil {
		return damage(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if l.More = l.Rows == limit; l.More {
			return nil
		}
		l.Rows++
		l.Next = string(it.Key())
		_, damaged := row(it)
		if err := l.row(snap, bytes.Clone(it.Key()), damaged); err != nil {
			return err
		}
	}
	return damage(it.Error())
}

// row compares a row of a list with the document's state.
func (l *listPage) row(snap pebble.Reader, key []byte, damaged error) error {
	p, err := parseListed(key)
	if err != nil {
		l.nobodys = append(l.nobodys, key)
		return nil //nolint:nilerr // that is the finding
	}
	state, err := listedState(snap, &p)
	switch {
	case errors.Is(err, ErrAbsent) && key[0] == tableTombstone:
		// What a tombstone was is not known from its row. The bucket's digest tells
		// the peers that it is missing.
		l.nobodys = append(l.nobodys, key)
		return nil
	case errors.Is(err, ErrAbsent), errors.Is(err, ErrDamaged):
		l.store.notice(p.key, fmt.Errorf("it is in a list of documents: %w: %w", err, ErrDamaged))
		noted, _ := l.store.Damage(p.key)
		l.Damaged = append(l.Damaged, noted)
		return nil
	case err != nil:
		return err
	}
	want := false
	_ = eachList(&p, &state, func(row []byte, wanted bool) error {
		want = want || wanted && bytes.Equal(row, key)
		return nil
	})
	switch {
	case !want && key[0] == tableTombstone:
		l.nobodys = append(l.nobodys, key)
	case !want || damaged != nil:
		l.wrong = append(l.wrong, p.key)
	}
	return nil
}

// parseListed reads the key of a row of any list.
func parseListed(key []byte) (place, error) {
	if key[0] == tableTombstone {
		p, _, err := parseTombstone(key)
		return p, err
	}
	k, rest, err := parseNames(key[1:])
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("row %q: %w", key, ErrDamaged)
	}
	return placeOf(k), err
}

// listedState reads the state of a document that is in a list.
func listedState(r pebble.Reader, p *place) (DocState, error) {
	content, err := get(r, p.state())
	if err == nil && content == nil {
		err = ErrAbsent
	}
	if err != nil {
		return DocState{}, err
	}
	d, _ := indexed(p.state(), content, nil)
	if d.Position.IsZero() {
		err = fmt.Errorf("%s: %w", d.Damaged, ErrDamaged)
	}
	return d, err
}

// mend puts right what was found, as it stands now. All stripes are locked.
func (l *listPage) mend() error {
	for _, row := range l.nobodys {
		if err := l.remove(row); err != nil {
			return err
		}
	}
	for _, k := range l.wrong {
		if err := l.store.mendNames(k, &l.Mended); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes a row of a list that is no document's, if that is still so.
func (l *listPage) remove(row []byte) error {
	if p, err := parseListed(row); err == nil {
		state, err := listedState(l.store.db, &p)
		if err == nil && !state.Live && bytes.Equal(row, p.tombstone(state.Position)) {
			return nil
		}
		if err != nil && !errors.Is(err, ErrAbsent) {
			return err
		}
	}
	if err := l.store.db.Delete(row, pebble.NoSync); err != nil {
		return err
	}
	l.Mended++
	l.store.opts.Events(Event{Kind: RowMended, Err: fmt.Errorf("row %q, which was no document's, is gone", row)})
	return nil
}

// mendNames puts the rows of the lists right that a document's state contradicts.
// Where the state cannot be read they stay as they are: they may be all that is
// left to tell that there was a document. The document's stripe is locked.
func (s *Store) mendNames(k contract.Key, mended *int) error {
	p := placeOf(k)
	state, err := listedState(s.db, &p)
	if errors.Is(err, ErrAbsent) || errors.Is(err, ErrDamaged) {
		return nil
	}
	if err == nil {
		err = listed(s.db, &p, &state)
	}
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	c := changing{batch: s.db.NewBatch()}
	defer c.close()
	if err := errors.Join(
		eachList(&p, &state, func(row []byte, want bool) error { return c.name(row, want, true) }),
		c.batch.Commit(pebble.NoSync),
	); err != nil {
		return err
	}
	*mended++
	s.opts.Events(Event{Kind: RowMended, Key: k, Err: err})
	return nil
}

// exclusively runs f while no stripe changes anything. LOCK ORDER: the store's
// list of replicas, then the replicas by name.
func (s *Store) exclusively(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Replica, 0, len(s.replicas))
	for _, r := range s.replicas {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Replica) int { return strings.Compare(a.stripe, b.stripe) })
	for _, r := range all {
		r.mu.Lock()
		defer r.mu.Unlock()
	}
	return f()
}
