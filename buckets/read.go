package buckets

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/document"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
)

// A Verdict says what would become of a change.
type Verdict struct {
	// Done: it has taken effect already, under its request id. It must not be
	// appended again; the answer is success.
	Done bool
	// NoEffect: it changes nothing and has no request id to remember. It need
	// not be appended; the answer is success.
	NoEffect bool
}

// Decide tells what applying the change now would do. A refusal is a
// [contract.Error]; other errors are the database's.
func (s *Store) Decide(c *record.Change) (Verdict, error) {
	bucket := layout.BucketOf(c.Key.Space, c.Key.Key)
	done, err := checkID(s.db, bucket, c)
	if err != nil || done {
		return Verdict{Done: done}, told(err)
	}
	state, _, err := loadState(s.db, documentKey(tableDocument, bucket, c.Key))
	if err != nil {
		return Verdict{}, told(err)
	}
	if err := state.Refuse(c); err != nil {
		return Verdict{}, err
	}
	return Verdict{NoEffect: c.ID == "" && state.NoEffect(c)}, nil
}

// told turns damage into the refusal that a client is told.
func told(err error) error {
	if errors.Is(err, ErrDamaged) {
		return contract.Errorf(contract.Damaged, "%v", err)
	}
	return err
}

// A view reads one document as it stands at one moment.
type view struct {
	snap   *pebble.Snapshot
	bucket layout.Bucket
	key    contract.Key
	state  document.State
}

// view opens a readable document. The caller closes it.
func (s *Store) view(k contract.Key) (*view, error) {
	v := &view{snap: s.db.NewSnapshot(), bucket: layout.BucketOf(k.Space, k.Key), key: k}
	var err error
	if v.state, _, err = loadState(v.snap, documentKey(tableDocument, v.bucket, k)); err == nil {
		err = v.state.Readable(k)
	}
	if err != nil {
		v.close()
		return nil, told(err)
	}
	return v, nil
}

func (v *view) close() { _ = v.snap.Close() } // it only drops a reference

// base reads the text of the base; nil when there is none.
func (v *view) base() ([]byte, error) {
	if !v.state.Base.Present {
		return nil, nil
	}
	text, err := get(v.snap, documentKey(tableBase, v.bucket, v.key))
	if err != nil {
		return nil, err
	}
	if digest.Of(text) != v.state.Base.Digest {
		return nil, fmt.Errorf("base of document %q in space %q: digest: %w", v.key.Key, v.key.Space, ErrDamaged)
	}
	if text == nil {
		text = []byte{}
	}
	return text, nil
}

// foldFrom is the seq after which the retained redos are folded on the base.
func (v *view) foldFrom() (seq int32, all bool) {
	switch {
	case v.state.Base.Present:
		return v.state.Base.Seq, false
	case v.state.Redos.Cut:
		return v.state.Redos.Floor, false
	}
	return 0, true
}

// updates visits the stored updates that end after seq, or all, oldest first.
// It fails with [ErrDamaged] when one is missing.
func (v *view) updates(after int32, all bool, visit func(e *entry) (more bool, err error)) error {
	prefix := documentKey(tableEntry, v.bucket, v.key)
	opts := &pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)}
	if !all {
		opts.LowerBound = append(entryKey(v.bucket, v.key, after), 0)
	}
	it, err := v.snap.NewIter(opts)
	if err != nil {
		return damage(err)
	}
	defer it.Close()
	next, known := int64(after)+1, !all
	for ok := it.First(); ok; ok = it.Next() {
		e, err := v.entry(it)
		if err != nil {
			return err
		}
		// A range may straddle the seq of a snapshot, so the first one may begin
		// earlier, but none may begin later.
		if known && int64(e.SeqBegin) > next {
			return fmt.Errorf("updates %d to %d of document %q are missing: %w", next, e.SeqBegin-1, v.key.Key, ErrDamaged)
		}
		next, known = int64(e.SeqEnd)+1, true
		if more, err := visit(&e); err != nil || !more {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return damage(err)
	}
	if after < v.state.Head && next != int64(v.state.Head)+1 || all && !known {
		return fmt.Errorf("updates from %d up to the head %d of document %q are missing: %w", next, v.state.Head, v.key.Key, ErrDamaged)
	}
	return nil
}

func (v *view) entry(it *pebble.Iterator) (entry, error) {
	content, err := row(it)
	if err != nil {
		return entry{}, err
	}
	return parseEntry(content)
}

// reads is what get answers as reads: one for a base, one for every retained
// redo.
func (v *view) reads() int {
	if v.state.Base.Present {
		return 1 + v.state.Redos.Count
	}
	return v.state.Redos.Count
}

// redos returns the texts to fold on the base.
func (v *view) redos() (texts []string, err error) {
	after, all := v.foldFrom()
	texts = []string{}
	err = v.updates(after, all, func(e *entry) (bool, error) {
		texts = append(texts, e.Redo)
		return true, nil
	})
	return texts, err
}

// Parts returns what a document is folded from.
func (s *Store) Parts(k contract.Key) (contract.PartsReply, error) {
	v, err := s.view(k)
	if err != nil {
		return contract.PartsReply{}, err
	}
	defer v.close()
	base, err := v.base()
	if err != nil {
		return contract.PartsReply{}, told(err)
	}
	redos, err := v.redos()
	if err != nil {
		return contract.PartsReply{}, told(err)
	}
	reply := contract.PartsReply{Redos: redos, Reads: v.reads(), Seq: v.state.Head, Incarnation: v.state.Incarnation.String()}
	if base != nil {
		text := string(base)
		reply.Base = &text
	}
	return reply, nil
}

// History returns the retained log from the update that ends at or after from,
// all of it when from is nil: at most limit updates and about maxBytes of texts,
// but at least one. More in the reply says that there are further ones.
func (s *Store) History(k contract.Key, from *int32, limit, maxBytes int) (contract.HistoryReply, error) {
	v, err := s.view(k)
	if err != nil {
		return contract.HistoryReply{}, err
	}
	defer v.close()
	reply := contract.HistoryReply{
		Entries: []contract.Entry{}, Seq: v.state.Head,
		Incarnation: v.state.Incarnation.String(), AssetBytes: v.state.Assets,
	}
	base, err := v.base()
	if err != nil {
		return contract.HistoryReply{}, told(err)
	}
	if base != nil {
		reply.Base = &contract.Base{Seq: v.state.Base.Seq, JSON: string(base), AssetBytes: v.state.Base.Assets}
	}
	size := len(base)
	after, all := v.state.Redos.Floor, !v.state.Redos.Cut
	if from != nil && (all || *from > after) && *from > -1<<31 {
		after, all = *from-1, false
	}
	err = v.updates(after, all, func(e *entry) (bool, error) {
		size += e.TextSize() + 512
		if len(reply.Entries) > 0 && (len(reply.Entries) >= limit || size > maxBytes) {
			reply.More = true
			return false, nil
		}
		reply.Entries = append(reply.Entries, contract.Entry{
			Update: e.Update, Position: e.position.String(), Writer: e.writer, RequestID: e.id,
		})
		return true, nil
	})
	return reply, told(err)
}

// WrittenBy reports whether the update that ends at or covers seq was written
// by the writer; initialize and recover count as writing. Head is the present
// one.
func (s *Store) WrittenBy(k contract.Key, seq int32, writer string) (bool, error) {
	v, err := s.view(k)
	if err != nil {
		return false, err
	}
	defer v.close()
	if v.state.Recovered && v.state.RecoverSeq == seq {
		return v.state.RecoverWriter == writer, nil
	}
	prefix := documentKey(tableEntry, v.bucket, k)
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: entryKey(v.bucket, k, seq), UpperBound: prefixEnd(prefix)})
	if err != nil {
		return false, told(damage(err))
	}
	defer it.Close()
	if !it.First() {
		return false, told(damage(it.Error()))
	}
	e, err := v.entry(it)
	if err != nil {
		return false, told(err)
	}
	return e.writer == writer && (e.SeqBegin <= seq || e.SeqEnd == seq), nil
}

// Head returns head and incarnation of a readable document.
func (s *Store) Head(k contract.Key) (seq int32, incarnation position.Position, err error) {
	v, err := s.view(k)
	if err != nil {
		return 0, position.Position{}, err
	}
	defer v.close()
	return v.state.Head, v.state.Incarnation, nil
}
