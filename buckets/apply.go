package buckets

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/document"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
)

// A tx gathers what one record changes.
type tx struct {
	store   *Store
	batch   *pebble.Batch
	pos     position.Position
	time    int64
	buckets map[layout.Bucket]BucketState
	seen    map[contract.Key]struct{}
	skipped uint64
	scratch []byte
}

var (
	errTwice = errors.New("the record changes the document twice")
	errAgain = errors.New("the request id has taken effect already")
)

func (t *tx) put(key, content []byte) error { return t.batch.Set(key, seal(key, content), nil) }

// skip counts and tells what is not applied.
func (t *tx) skip(kind EventKind, c *record.Change, err error) {
	t.skipped++
	e := Event{Kind: kind, Position: t.pos, Err: err}
	if c != nil {
		e.Key = c.Key
	}
	t.store.opts.Events(e)
}

// damaged tells of a row that apply could do without.
func (t *tx) damaged(k contract.Key, err error) {
	t.store.opts.Events(Event{Kind: RowDamaged, Position: t.pos, Key: k, Err: err})
}

// change applies one change, or skips it.
func (t *tx) change(c *record.Change) error {
	bucket := layout.BucketOf(c.Key.Space, c.Key.Key)
	key := documentKey(tableDocument, bucket, c.Key)
	state, before, err := loadState(t.store.db, key)
	if errors.Is(err, ErrDamaged) {
		// Whatever the change does, this copy cannot follow. It stays as it is,
		// answers "damaged", and repair replaces it.
		t.skip(RowDamaged, c, err)
		return nil
	}
	if err != nil {
		return err
	}
	if !state.Position.Less(t.pos) {
		return nil // applied already: repair has brought it
	}
	if err := t.refuse(bucket, &state, c); err != nil {
		if contract.CodeOf(err) == 0 && !errors.Is(err, errTwice) && !errors.Is(err, errAgain) {
			return err
		}
		t.skip(ChangeSkipped, c, err)
		return nil
	}
	if c.ID == "" && state.NoEffect(c) {
		return nil
	}
	if err := t.effect(bucket, &state, c); err != nil {
		return err
	}
	state.Touch(t.pos)
	if err := t.remember(bucket, c, &state.IDs); err != nil {
		return err
	}
	return t.putState(bucket, key, before, &state)
}

// refuse tells why the change may not be applied.
func (t *tx) refuse(bucket layout.Bucket, state *document.State, c *record.Change) error {
	if _, twice := t.seen[c.Key]; twice {
		return errTwice
	}
	if t.seen == nil {
		t.seen = map[contract.Key]struct{}{}
	}
	t.seen[c.Key] = struct{}{}
	again, err := checkID(t.store.db, bucket, c)
	switch {
	case errors.Is(err, ErrDamaged):
		// The owner has looked the id up in its own copy: the change goes on.
		t.damaged(c.Key, err)
	case err != nil:
		return err
	case again:
		return errAgain
	}
	return state.Refuse(c)
}

// effect does what the verb says.
func (t *tx) effect(bucket layout.Bucket, state *document.State, c *record.Change) error {
	switch c.Verb {
	case record.Init:
		state.Initialize(t.pos)
		return errors.Join(t.put(nameKey(tableName, c.Key), nil), t.appendUpdates(bucket, state, c))
	case record.Patch:
		return t.appendUpdates(bucket, state, c)
	case record.Snapshot:
		return t.snapshot(bucket, state, c)
	case record.Recover:
		state.Recover(c, t.pos)
		return errors.Join(t.deleteEntries(bucket, c.Key), t.put(documentKey(tableBase, bucket, c.Key), []byte(c.Text)))
	case record.Delete:
		return t.delete(bucket, state, c)
	}
	return fmt.Errorf("verb %v", c.Verb)
}

func (t *tx) appendUpdates(bucket layout.Bucket, state *document.State, c *record.Change) error {
	for i := range c.Updates {
		u := &c.Updates[i]
		t.scratch = appendEntry(t.scratch[:0], t.pos, c, u)
		state.Append(u, t.scratch)
		if err := t.put(entryKey(bucket, c.Key, u.SeqEnd), t.scratch); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) snapshot(bucket layout.Bucket, state *document.State, c *record.Change) error {
	stored, err := t.stored(bucket, c.Key)
	if err != nil {
		return err
	}
	dropped := state.Snapshot(c, t.pos, stored)
	if dropped > 0 {
		// The end of a range is exclusive: one byte more than the last key.
		end := append(entryKey(bucket, c.Key, stored[dropped-1].SeqEnd), 0)
		if err := t.batch.DeleteRange(documentKey(tableEntry, bucket, c.Key), end, nil); err != nil {
			return err
		}
	}
	return t.put(documentKey(tableBase, bucket, c.Key), []byte(c.Text))
}

// stored reads what a snapshot needs of every entry. A damaged one counts as
// empty: the digest then differs from the other replicas', and repair follows.
func (t *tx) stored(bucket layout.Bucket, k contract.Key) ([]document.Stored, error) {
	prefix := documentKey(tableEntry, bucket, k)
	it, err := t.store.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var list []document.Stored
	for ok := it.First(); ok; ok = it.Next() {
		s := document.Stored{SeqEnd: parseSeq(it.Key()[len(prefix):])}
		content, err := row(it)
		var e entry
		if err == nil {
			e, err = parseEntry(content)
		}
		if err == nil {
			s.Assets, s.Bytes = e.AssetBytes, append([]byte(nil), content...)
		} else {
			t.damaged(k, err)
		}
		list = append(list, s)
	}
	return list, it.Error()
}

func (t *tx) delete(bucket layout.Bucket, state *document.State, c *record.Change) error {
	if state.NoEffect(c) {
		return nil
	}
	switch c.Phase {
	case contract.PhaseMark:
		state.Marked = true
		return t.put(nameKey(tableMarked, c.Key), nil)
	case contract.PhaseAbort:
		state.Marked = false
		return t.batch.Delete(nameKey(tableMarked, c.Key), nil)
	}
	state.Remove(t.pos)
	return errors.Join(
		t.batch.Delete(nameKey(tableName, c.Key), nil),
		t.batch.Delete(nameKey(tableMarked, c.Key), nil),
		t.batch.Delete(documentKey(tableBase, bucket, c.Key), nil),
		t.deleteEntries(bucket, c.Key),
	)
}

func (t *tx) deleteEntries(bucket layout.Bucket, k contract.Key) error {
	prefix := documentKey(tableEntry, bucket, k)
	return t.batch.DeleteRange(prefix, prefixEnd(prefix), nil)
}

// putState writes the document's row and moves its bucket's digest.
func (t *tx) putState(bucket layout.Bucket, key, before []byte, state *document.State) error {
	b, ok := t.buckets[bucket]
	if !ok {
		b = t.store.digests.get(bucket)
	}
	if before != nil {
		b.Digest = b.Digest.Sub(documentDigest(key, before))
	}
	after := state.AppendBinary(nil)
	b.Digest = b.Digest.Add(documentDigest(key, after))
	b.Position = t.pos
	t.buckets[bucket] = b
	return t.put(key, after)
}

func (t *tx) putBuckets() error {
	for bucket, state := range t.buckets {
		if err := t.put(bucketKey(bucket), state.append(nil)); err != nil {
			return err
		}
	}
	return nil
}

// loadState reads a document's state and the bytes it is stored as; a document
// that never was has a zero state and no bytes.
func loadState(r pebble.Reader, key []byte) (document.State, []byte, error) {
	content, err := get(r, key)
	if err != nil || content == nil {
		return document.State{}, nil, err
	}
	state, err := document.Decode(content)
	if err != nil {
		return document.State{}, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return state, content, nil
}

func entryKey(bucket layout.Bucket, k contract.Key, seqEnd int32) []byte {
	return appendSeq(documentKey(tableEntry, bucket, k), seqEnd)
}
