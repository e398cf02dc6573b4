package buckets

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/document"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
)

// A tx gathers what one record changes. A replica uses one over and over, for
// its memory.
type tx struct {
	store   *Store
	missed  *missed
	batch   *pebble.Batch
	pos     position.Position
	time    int64
	buckets map[layout.Bucket]BucketState
	changed map[contract.Key]struct{}
	heads   []changedHead
	gone    [][]byte // place.common of the documents that are released
	skipped uint64

	row     []byte // what put writes
	scratch []byte
}

var (
	errTwice = errors.New("the record changes the document twice")
	errAgain = errors.New("the request id has taken effect already")
)

// begin starts the batch of the record at p.
func (t *tx) begin(p position.Position) {
	t.batch, t.pos, t.skipped = t.store.db.NewBatch(), p, 0
	clear(t.buckets)
	clear(t.changed)
	t.heads, t.gone = t.heads[:0], t.gone[:0]
}

func (t *tx) put(key, content []byte) error {
	t.row = appendRow(t.row[:0], key, content)
	return t.batch.Set(t.row[:len(key)], t.row[len(key):], nil)
}

// skip counts and tells what is not applied.
func (t *tx) skip(kind EventKind, k contract.Key, err error) {
	t.skipped++
	if kind == RecordSkipped {
		t.missed.all(t.pos)
	} else {
		t.missed.note(k, t.pos)
	}
	if kind == RowDamaged {
		t.store.damages.note(k, t.pos, err)
	}
	t.store.opts.Events(Event{Kind: kind, Position: t.pos, Key: k, Err: err})
}

// spare tells of damage that apply can do without; other errors stay.
func (t *tx) spare(p *place, err error) error {
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	t.store.damages.note(p.key, position.Position{}, err)
	t.store.opts.Events(Event{Kind: RowDamaged, Position: t.pos, Key: p.key, Err: err})
	return nil
}

// changes applies the changes of a batch.
func (t *tx) changes(list []record.Change) error {
	for i := range list {
		c := &list[i]
		if _, twice := t.changed[c.Key]; twice {
			t.skip(ChangeSkipped, c.Key, errTwice)
			continue
		}
		if len(list) > 1 {
			t.changed[c.Key] = struct{}{}
		}
		if err := t.change(c); err != nil {
			return fmt.Errorf("change %d: %w", i+1, err)
		}
	}
	return nil
}

// change applies one change, or skips it.
func (t *tx) change(c *record.Change) error {
	p := placeOf(c.Key)
	before, err := t.store.head(&p)
	if errors.Is(err, ErrDamaged) {
		// Whatever the change does, this copy cannot follow. It stays as it is,
		// answers "damaged", and repair replaces it.
		t.skip(RowDamaged, c.Key, err)
		return nil
	}
	if err != nil {
		return err
	}
	state := before.state
	if !state.Position.Less(t.pos) {
		return nil // applied already: repair has brought it
	}
	again, err := t.store.checkID(&p, c)
	// Where the id's row is damaged the change goes on: the owner has looked the
	// id up in its own copy.
	switch err = t.spare(&p, err); {
	case again:
		err = errAgain
	case err == nil:
		err = state.Refuse(c)
	}
	if again || contract.CodeOf(err) != 0 {
		t.skip(ChangeSkipped, c.Key, err)
		return nil
	}
	if err != nil {
		return err
	}
	if c.ID == "" && state.NoEffect(c) {
		t.missed.note(c.Key, t.pos) // a copy that is not as it should be hides an effect
		return nil
	}
	if err := t.effect(&p, &state, c); err != nil {
		return err
	}
	state.Touch(t.pos)
	ids, err := t.remember(&p, c, &state.IDs)
	if err != nil {
		return err
	}
	after, err := t.putState(&p, &before, &state)
	t.heads = append(t.heads, changedHead{p.common, after, c.ID, ids})
	return err
}

// effect does what the verb says.
func (t *tx) effect(p *place, state *document.State, c *record.Change) error {
	switch c.Verb {
	case record.Init:
		state.Initialize(t.pos)
		return errors.Join(t.put(p.name(tableName), nil), t.appendUpdates(p, state, c))
	case record.Patch:
		return t.appendUpdates(p, state, c)
	case record.Snapshot:
		return t.snapshot(p, state, c)
	case record.Recover:
		state.Recover(c, t.pos)
		return errors.Join(t.deleteEntries(p), t.put(p.base(), []byte(c.Text)))
	case record.Delete:
		return t.delete(p, state, c)
	}
	return fmt.Errorf("verb %v", c.Verb)
}

func (t *tx) appendUpdates(p *place, state *document.State, c *record.Change) error {
	for i := range c.Updates {
		u := &c.Updates[i]
		t.scratch = appendEntry(t.scratch[:0], t.pos, c, u)
		state.Append(u, t.scratch)
		if err := t.put(p.entry(u.SeqEnd), t.scratch); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) snapshot(p *place, state *document.State, c *record.Change) error {
	stored, err := t.stored(p)
	if err != nil {
		return err
	}
	if dropped := state.Snapshot(c, t.pos, stored); dropped > 0 {
		// The end of a range is exclusive: one byte more than the last key.
		end := append(p.entry(stored[dropped-1].SeqEnd), 0)
		if err := t.batch.DeleteRange(p.row(tableEntry), end, nil); err != nil {
			return err
		}
	}
	return t.put(p.base(), []byte(c.Text))
}

// stored reads what a snapshot needs of every update, as far as it can.
func (t *tx) stored(p *place) ([]document.Stored, error) {
	var list []document.Stored
	err := scan(t.store.db, p.row(tableEntry), func(key, content []byte, err error) error {
		s := document.Stored{SeqEnd: parseSeq(key[len(key)-4:]), Unread: true}
		var e entry
		if err == nil {
			e, err = parseEntry(content)
		}
		if err == nil {
			s = document.Stored{
				SeqBegin: e.SeqBegin, SeqEnd: s.SeqEnd, Position: e.position,
				Assets: e.AssetBytes, Bytes: bytes.Clone(content),
			}
		}
		list = append(list, s)
		return t.spare(p, err)
	})
	return list, t.spare(p, err)
}

func (t *tx) delete(p *place, state *document.State, c *record.Change) error {
	if state.NoEffect(c) {
		return nil
	}
	switch c.Phase {
	case contract.PhaseMark:
		state.Marked = true
		return t.put(p.name(tableMarked), nil)
	case contract.PhaseAbort:
		state.Marked = false
		return t.batch.Delete(p.name(tableMarked), nil)
	}
	state.Remove(t.pos)
	return errors.Join(
		t.batch.Delete(p.name(tableName), nil),
		t.batch.Delete(p.name(tableMarked), nil),
		t.batch.Delete(p.base(), nil),
		t.deleteEntries(p),
	)
}

func (t *tx) deleteEntries(p *place) error {
	entries := p.row(tableEntry)
	return t.batch.DeleteRange(entries, prefixEnd(entries), nil)
}

// bucket is a bucket as the record leaves it so far.
func (t *tx) bucket(of layout.Bucket) BucketState {
	if b, ok := t.buckets[of]; ok {
		return b
	}
	return t.store.digests.get(of)
}

// touch notes that the record has changed the bucket. One that images have
// brought further stays there.
func (t *tx) touch(of layout.Bucket, b BucketState) {
	if b.Position.Less(t.pos) {
		b.Position = t.pos
	}
	t.buckets[of] = b
}

// putState writes the document's row and moves its bucket's digest.
func (t *tx) putState(p *place, before *head, state *document.State) (head, error) {
	b := t.bucket(p.bucket)
	key := p.state()
	t.scratch = state.AppendBinary(t.scratch[:0])
	after := head{state: *state, digest: documentDigest(key, t.scratch), stored: true}
	if before.stored {
		b.Digest = b.Digest.Sub(before.digest)
	}
	b.Digest = b.Digest.Add(after.digest)
	t.touch(p.bucket, b)
	return after, errors.Join(t.put(key, t.scratch), setTombstone(t.batch, p, &before.state, state))
}

func (t *tx) putBuckets() error {
	for bucket, state := range t.buckets {
		t.scratch = state.append(t.scratch[:0])
		if err := t.put(bucketKey(bucket), t.scratch); err != nil {
			return err
		}
	}
	return nil
}
