package adapter

import (
	"trireme/internal/contract"
	"trireme/internal/merge"
)

// Compact merges every [Invalidate] into the update before it, as Adama's client
// does before it sends a batch: redos are folded in order, undos newest first,
// asset bytes are summed, the flags are those of the last, everything else that
// of the first. The result covers the same seqs. Updates stay apart where
// together they would be over the limit of one entry.
//
// It fails with [ErrMalformed] if the updates do not follow one another without
// gaps, and with [ErrUnmergeable] if a text that has to be folded is not
// readable as JSON. An update that nothing is merged into stays as it is,
// unread.
//
// As Adama's does, the fold forgets that an object was replaced as a whole
// within one group: {"x":null} then {"x":{"y":1}} becomes {"x":{"y":1}}, which
// keeps the other members of an older x.
func Compact(updates []Update) ([]Update, error) {
	if err := checkContiguous(updates); err != nil {
		return nil, err
	}
	var out []Update
	for len(updates) > 0 {
		n := groupLength(updates)
		u, err := squash(updates[:n])
		if err != nil {
			return nil, err
		}
		out = append(out, u)
		updates = updates[n:]
	}
	return out, nil
}

// groupLength says how many updates the first one and its invalidates are.
func groupLength(updates []Update) int {
	size := updates[0].TextSize()
	for i := 1; i < len(updates); i++ {
		size += updates[i].TextSize()
		if updates[i].UpdateType != Invalidate || size > contract.MaxEntry {
			return i
		}
	}
	return len(updates)
}

func squash(group []Update) (Update, error) {
	first, last := group[0], group[len(group)-1]
	if len(group) == 1 {
		return first, nil
	}
	redos, undos := make([][]byte, len(group)), make([][]byte, len(group))
	first.AssetBytes = 0
	for i, u := range group {
		redos[i] = []byte(u.Redo)
		undos[len(group)-1-i] = []byte(u.Undo)
		first.AssetBytes += u.AssetBytes
	}
	redo, err := merge.Fold(redos...)
	if err != nil {
		return Update{}, contract.Errorf(contract.Unmergeable, "fold the redos of seqs %d to %d: %v", first.SeqBegin, last.SeqEnd, err)
	}
	undo, err := merge.Fold(undos...)
	if err != nil {
		return Update{}, contract.Errorf(contract.Unmergeable, "fold the undos of seqs %d to %d: %v", first.SeqBegin, last.SeqEnd, err)
	}
	first.Redo, first.Undo = string(redo), string(undo)
	first.SeqEnd = last.SeqEnd
	first.RequiresFutureInvalidation = last.RequiresFutureInvalidation
	first.WhenToInvalidateMS = last.WhenToInvalidateMS
	return first, nil
}

func checkContiguous(updates []Update) error {
	for i := range updates {
		u := &updates[i]
		if u.SeqEnd < u.SeqBegin {
			return contract.Errorf(contract.Malformed, "updates[%d] ends at seq_end %d, before its seq_begin %d", i, u.SeqEnd, u.SeqBegin)
		}
		if i > 0 && int64(u.SeqBegin) != int64(updates[i-1].SeqEnd)+1 {
			return contract.Errorf(contract.Malformed, "updates[%d].seq_begin is %d, but updates[%d] ends at %d", i, u.SeqBegin, i-1, updates[i-1].SeqEnd)
		}
	}
	return nil
}
