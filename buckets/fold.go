package buckets

import (
	"trireme/internal/contract"
	"trireme/internal/document"
	"trireme/internal/merge"
)

// Get returns the merged document: the base, if there is one, with the retained
// redos after it folded in order. It fails with [contract.Unmergeable] when a
// stored text cannot be read as JSON.
func (s *Store) Get(k contract.Key) (contract.DocumentReply, error) {
	if reply, ok := s.cached(k); ok {
		return reply, nil
	}
	v, err := s.view(k)
	if err != nil {
		return contract.DocumentReply{}, err
	}
	defer v.close()
	text, err := s.mergedText(v)
	if err != nil {
		return contract.DocumentReply{}, err
	}
	return reply(&v.state, text, reads(&v.state)), nil
}

// cached answers without a view of the database if the cache has the document as
// it is now.
func (s *Store) cached(k contract.Key) (contract.DocumentReply, bool) {
	p := placeOf(k)
	repaired := s.repaired[p.bucket].Load() // BEFORE the head: a repair between makes the text useless
	h, ok := s.heads.get(&p)
	if !ok || readable(&h.state, &p) != nil {
		return contract.DocumentReply{}, false
	}
	d, ok := s.merged.get(&p, &h.state, repaired)
	if !ok || d.head != h.state.Head {
		return contract.DocumentReply{}, false
	}
	return reply(&h.state, d.text, reads(&h.state)), true
}

func reply(s *document.State, text []byte, reads int) contract.DocumentReply {
	return contract.DocumentReply{Patch: string(text), Reads: reads, Seq: s.Head, Incarnation: s.Incarnation.String()}
}

// mergedText folds the document, going on from the text that is cached for an
// earlier head on the same base.
func (s *Store) mergedText(v *view) ([]byte, error) {
	if cached, ok := s.merged.get(&v.place, &v.state, v.repaired); ok {
		if cached.head == v.state.Head {
			return cached.text, nil
		}
		if text, err := v.foldOnto(cached.text, int64(cached.head)); err == nil {
			s.merged.put(v, text)
			return text, nil
		}
		// Whatever is wrong, the whole fold tells it properly.
	}
	base, err := v.base()
	if err != nil {
		return nil, s.told(v.key, err)
	}
	text, err := v.foldOnto(base, v.baseSeq())
	if err != nil {
		return nil, s.told(v.key, err)
	}
	s.merged.put(v, text)
	return text, nil
}

// foldOnto folds the redos after a seq onto a text, if there is one.
func (v *view) foldOnto(text []byte, after int64) ([]byte, error) {
	var texts [][]byte
	if text != nil {
		texts = append(texts, text)
	}
	err := v.updates(after, func(e *entry) bool {
		texts = append(texts, []byte(e.Redo))
		return true
	})
	if err != nil {
		return nil, err
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
		return contract.DocumentReply{}, s.told(k, err)
	}
	return reply(&v.state, text, 1), nil
}

// headPatch folds the retained redos that end after seq; snapshots are ignored.
func (v *view) headPatch(seq int32) ([]byte, error) {
	if int64(seq) < floor(v.state.Redos) {
		return nil, contract.Errorf(contract.NothingToPatch, "changes up to %d are no longer retained, so there is no patch from %d", v.state.Redos.Floor, seq)
	}
	if seq >= v.state.Head {
		return nil, contract.Errorf(contract.NothingToPatch, "there is no change after %d, the head is %d", seq, v.state.Head)
	}
	return v.foldOnto(nil, int64(seq))
}

// rewind folds the retained undos that begin at or after seq, newest first.
func (v *view) rewind(seq int32) ([]byte, error) {
	undos, err := v.undos(seq)
	if err != nil {
		return nil, err
	}
	if n := len(undos); n == 0 || undos[n-1].SeqBegin > seq {
		return nil, contract.Errorf(contract.NothingToUndo, "the retained undos do not reach back to %d", seq)
	}
	texts := make([][]byte, 0, len(undos))
	for i := range undos {
		texts = append(texts, []byte(undos[i].Undo))
	}
	return fold(texts)
}

// undos reads the updates with a retained undo down to the first that begins
// before seq, newest first. It fails with [ErrDamaged] when one is missing.
func (v *view) undos(seq int32) ([]entry, error) {
	it, err := v.snap.NewIter(under(v.row(tableEntry)))
	if err != nil {
		return nil, damage(err)
	}
	defer it.Close()
	var list []entry
	next, bottom := int64(v.state.Head), floor(v.state.Undos)
	for ok := it.Last(); ok && next > bottom; ok = it.Prev() {
		e, err := v.entry(it)
		if err != nil {
			return nil, err
		}
		if int64(e.SeqEnd) != next {
			return nil, v.missing(int64(e.SeqEnd), next+1)
		}
		if e.SeqBegin < seq {
			return list, nil
		}
		list = append(list, e)
		if next = int64(e.SeqBegin) - 1; e.position == v.state.Incarnation {
			return list, nil
		}
	}
	if err := it.Error(); err != nil {
		return nil, damage(err)
	}
	if next > bottom {
		return nil, v.missing(bottom, next+1)
	}
	return list, nil
}
