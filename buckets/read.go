package buckets

import (
	"trireme/internal/contract"
	"trireme/internal/document"
	"trireme/internal/position"
)

// reads is what get answers as reads: one for a base, one for every retained
// redo.
func reads(s *document.State) int {
	if s.Base.Present {
		return 1 + s.Redos.Count
	}
	return s.Redos.Count
}

// Parts returns what a document is folded from.
func (s *Store) Parts(k contract.Key) (contract.PartsReply, error) {
	v, err := s.view(k)
	if err != nil {
		return contract.PartsReply{}, err
	}
	defer v.close()
	reply := contract.PartsReply{
		Redos: []string{}, Reads: reads(&v.state), Seq: v.state.Head, Incarnation: v.state.Incarnation.String(),
	}
	base, err := v.base()
	if err != nil {
		return contract.PartsReply{}, s.told(k, err)
	}
	if base != nil {
		text := string(base)
		reply.Base = &text
	}
	err = v.updates(v.baseSeq(), func(e *entry) bool {
		reply.Redos = append(reply.Redos, e.Redo)
		return true
	})
	if err != nil {
		return contract.PartsReply{}, s.told(k, err)
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
		return contract.HistoryReply{}, s.told(k, err)
	}
	if base != nil {
		reply.Base = &contract.Base{Seq: v.state.Base.Seq, JSON: string(base), AssetBytes: v.state.Base.Assets}
	}
	after := floor(v.state.Redos)
	if from != nil {
		after = max(after, int64(*from)-1)
	}
	if after >= int64(v.state.Head) {
		return reply, nil
	}
	size := len(base)
	err = v.updates(after, func(e *entry) bool {
		size += e.TextSize() + entryOverhead
		if len(reply.Entries) > 0 && (len(reply.Entries) >= limit || size > maxBytes) {
			reply.More = true
			return false
		}
		reply.Entries = append(reply.Entries, contract.Entry{
			Update: e.Update, Position: e.position.String(), Writer: e.writer, RequestID: e.id,
		})
		return true
	})
	if err != nil {
		return contract.HistoryReply{}, s.told(k, err)
	}
	return reply, nil
}

// entryOverhead is about what an entry of a history takes beside its texts.
const entryOverhead = 512

// WrittenBy reports whether the update that ends at or covers seq was written
// by the writer; initialize and recover count as writing. A seq that no stored
// update covers was written by nobody.
func (s *Store) WrittenBy(k contract.Key, seq int32, writer string) (bool, error) {
	v, err := s.view(k)
	if err != nil {
		return false, err
	}
	defer v.close()
	if v.state.Recovered && v.state.RecoverSeq == seq {
		return v.state.RecoverWriter == writer, nil
	}
	if seq > v.state.Head || int64(seq) <= min(floor(v.state.Redos), floor(v.state.Undos)) {
		return false, nil
	}
	var covering entry
	err = v.updates(int64(seq)-1, func(e *entry) bool {
		covering = *e
		return false
	})
	if err != nil {
		return false, s.told(k, err)
	}
	return covering.writer == writer && (covering.SeqBegin <= seq || covering.SeqEnd == seq), nil
}

// Head returns head and incarnation of a readable document.
func (s *Store) Head(k contract.Key) (seq int32, incarnation position.Position, err error) {
	p := placeOf(k)
	h, err := s.head(&p)
	if err == nil {
		err = readable(&h.state, &p)
	}
	if err != nil {
		return 0, position.Position{}, s.told(k, err)
	}
	return h.state.Head, h.state.Incarnation, nil
}
