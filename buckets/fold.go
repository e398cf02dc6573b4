package buckets

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/merge"
)

// Get returns the merged document: the base, if there is one, with the retained
// redos after it folded in order. It fails with [contract.Unmergeable] when a
// stored text cannot be read as JSON.
func (s *Store) Get(k contract.Key) (contract.DocumentReply, error) {
	v, err := s.view(k)
	if err != nil {
		return contract.DocumentReply{}, err
	}
	defer v.close()
	text, err := s.mergedText(v)
	if err != nil {
		return contract.DocumentReply{}, err
	}
	return v.reply(text, v.reads()), nil
}

func (v *view) reply(text []byte, reads int) contract.DocumentReply {
	return contract.DocumentReply{Patch: string(text), Reads: reads, Seq: v.state.Head, Incarnation: v.state.Incarnation.String()}
}

// mergedText folds the document, going on from the text that is cached for an
// earlier head on the same base.
func (s *Store) mergedText(v *view) ([]byte, error) {
	if cached, ok := s.merged.get(v); ok {
		if cached.head == v.state.Head {
			return cached.text, nil
		}
		if text, err := v.foldOnto(cached.text, cached.head, false); err == nil {
			s.merged.put(v, text)
			return text, nil
		}
		// Whatever is wrong, the whole fold tells it properly.
	}
	base, err := v.base()
	if err != nil {
		return nil, told(err)
	}
	after, all := v.foldFrom()
	text, err := v.foldOnto(base, after, all)
	if err != nil {
		return nil, err
	}
	s.merged.put(v, text)
	return text, nil
}

// foldOnto folds the redos after a seq onto a text, if there is one.
func (v *view) foldOnto(text []byte, after int32, all bool) ([]byte, error) {
	var texts [][]byte
	if text != nil {
		texts = append(texts, text)
	}
	err := v.updates(after, all, func(e *entry) (bool, error) {
		texts = append(texts, []byte(e.Redo))
		return true, nil
	})
	if err != nil {
		return nil, told(err)
	}
	return fold(texts)
}

func fold(texts [][]byte) ([]byte, error) {
	text, err := merge.Fold(texts...)
	if err != nil {
		return nil, contract.Errorf(contract.Unmergeable, "%v", err)
	}
	return text, nil
}

// Compute answers HeadPatch and Rewind.
func (s *Store) Compute(k contract.Key, method string, seq int32) (contract.DocumentReply, error) {
	v, err := s.view(k)
	if err != nil {
		return contract.DocumentReply{}, err
	}
	defer v.close()
	var text []byte
	switch method {
	case contract.HeadPatch:
		text, err = v.headPatch(seq)
	case contract.Rewind:
		text, err = v.rewind(seq)
	default:
		err = contract.Errorf(contract.UnknownMethod, "method %q is unknown: want %s or %s", method, contract.HeadPatch, contract.Rewind)
	}
	if err != nil {
		return contract.DocumentReply{}, told(err)
	}
	return v.reply(text, 1), nil
}

// headPatch folds the retained redos that end after seq; snapshots are ignored.
func (v *view) headPatch(seq int32) ([]byte, error) {
	if v.state.Redos.Cut && seq < v.state.Redos.Floor {
		return nil, contract.Errorf(contract.NothingToPatch, "changes up to %d are no longer retained, so there is no patch from %d", v.state.Redos.Floor, seq)
	}
	if seq >= v.state.Head {
		return nil, contract.Errorf(contract.NothingToPatch, "there is no change after %d, the head is %d", seq, v.state.Head)
	}
	// A document that has lost nothing is read from its beginning, where no
	// seq can be said to be missing.
	all := !v.state.Redos.Cut
	var texts [][]byte
	err := v.updates(max(seq, v.state.Redos.Floor), all, func(e *entry) (bool, error) {
		if e.SeqEnd > seq {
			texts = append(texts, []byte(e.Redo))
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return fold(texts)
}

// rewind folds the retained undos that begin at or after seq, newest first.
func (v *view) rewind(seq int32) ([]byte, error) {
	prefix := documentKey(tableEntry, v.bucket, v.key)
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return nil, damage(err)
	}
	defer it.Close()
	var texts [][]byte
	var last int32
	for ok := it.Last(); ok; ok = it.Prev() {
		e, err := v.entry(it)
		if err != nil {
			return nil, err
		}
		if !v.state.Undos.Holds(e.SeqEnd) || e.SeqBegin < seq {
			break
		}
		if want := len(texts) > 0; want && int64(e.SeqEnd)+1 != int64(last) || !want && e.SeqEnd != v.state.Head {
			return nil, errors.Join(ErrDamaged, errors.New("an undo is missing"))
		}
		texts, last = append(texts, []byte(e.Undo)), e.SeqBegin
	}
	if err := it.Error(); err != nil {
		return nil, damage(err)
	}
	if len(texts) == 0 || last > seq {
		return nil, contract.Errorf(contract.NothingToUndo, "the retained undos do not reach back to %d", seq)
	}
	return fold(texts)
}
