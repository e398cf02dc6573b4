package buckets

import (
	"cmp"
	"encoding/json"
	"slices"

	"trireme/internal/contract"
	"trireme/internal/merge"
	"trireme/internal/position"
	"trireme/internal/record"
)

// A twin does what the contract says in the most obvious way: every document is
// a list of updates, each with a note of what of it is retained.
type twin struct {
	docs    map[contract.Key]*twinDoc
	touched map[contract.Key]position.Position // of the last change that took effect
	now     int64
}

type twinDoc struct {
	live, marked bool
	incarnation  position.Position
	head         int32
	base         *contract.Base
	updates      []twinUpdate
	dropped      *int32 // the highest seq_end ever dropped
	recoverSeq   *int32
	recoverBy    string
	ids          []twinID
}

type twinUpdate struct {
	contract.Update
	redo, undo bool // retained
	at         position.Position
	writer, id string
}

type twinID struct {
	id, body string
	time     int64
}

func newTwin() *twin {
	return &twin{docs: map[contract.Key]*twinDoc{}, touched: map[contract.Key]position.Position{}}
}

func (w *twin) doc(k contract.Key) *twinDoc {
	if w.docs[k] == nil {
		w.docs[k] = &twinDoc{}
	}
	return w.docs[k]
}

// knows tells what must be remembered of a request id, if anything.
func (w *twin) knows(c *record.Change) (id twinID, must, may bool) {
	ids := w.doc(c.Key).ids
	for i, known := range ids {
		if known.id == c.ID {
			return known, len(ids)-i <= 16 || known.time >= w.now-120_000, true
		}
	}
	return twinID{}, false, false
}

func body(c *record.Change) string {
	bare := *c
	bare.ID, bare.Writer = "", ""
	text, err := json.Marshal(bare)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (w *twin) absent(k contract.Key) contract.Code {
	switch d := w.doc(k); {
	case !d.live:
		return contract.NotFound
	case d.marked:
		return contract.BeingDeleted
	}
	return 0
}

func (w *twin) refuse(c *record.Change) contract.Code {
	d := w.doc(c.Key)
	absent := w.absent(c.Key)
	other := c.Incarnation != position.Position{} && c.Incarnation != d.incarnation
	switch c.Verb {
	case record.Init:
		switch {
		case absent == contract.NotFound:
			return 0
		case absent != 0:
			return absent
		}
		return contract.Exists
	case record.Patch:
		for i, u := range c.Updates {
			if u.SeqEnd < u.SeqBegin || i > 0 && int64(u.SeqBegin) != int64(c.Updates[i-1].SeqEnd)+1 {
				return contract.Malformed
			}
		}
		if absent != 0 {
			return absent
		}
		if int64(c.Updates[0].SeqBegin) != int64(d.head)+1 || other {
			return contract.HeadDiffers
		}
		return 0
	case record.Snapshot:
		switch {
		case c.History <= 0:
			return contract.NoHistory
		case absent != 0:
			return absent
		case c.Seq > d.head, other, d.dropped != nil && c.Seq < *d.dropped:
			return contract.SnapshotSeq
		}
		return 0
	case record.Recover:
		return absent
	}
	return 0
}

// apply does a change that is neither refused nor known.
func (w *twin) apply(c *record.Change, at position.Position) {
	d := w.doc(c.Key)
	switch c.Verb {
	case record.Init:
		*d = twinDoc{live: true, incarnation: at, ids: d.ids}
		d.append(c, at)
	case record.Patch:
		d.append(c, at)
	case record.Snapshot:
		d.snapshot(c)
	case record.Recover:
		seq, other := c.Seq, c.Seq
		*d = twinDoc{
			live: true, incarnation: at, head: seq, dropped: &seq, recoverSeq: &other, recoverBy: c.Writer,
			base: &contract.Base{Seq: seq, JSON: c.Text}, ids: d.ids,
		}
	case record.Delete:
		switch c.Phase {
		case contract.PhaseMark:
			d.marked = d.live
		case contract.PhaseAbort:
			d.marked = false
		default:
			*d = twinDoc{ids: d.ids}
		}
	}
	if c.ID != "" {
		d.ids = slices.DeleteFunc(d.ids, func(i twinID) bool { return i.id == c.ID })
		d.ids = append(d.ids, twinID{c.ID, body(c), w.now})
	}
}

// release forgets the documents that are deleted at or below a horizon.
func (w *twin) release(horizon position.Position) {
	for k, at := range w.touched {
		if !w.doc(k).live && !horizon.Less(at) {
			delete(w.docs, k)
			delete(w.touched, k)
		}
	}
}

// releasable tells how far tombstones may be released, looking at every record.
func (w *twin) releasable(upTo, limit uint64) (horizon position.Position, n uint64) {
	for seq := uint64(1); seq <= upTo; seq++ {
		of := uint64(0)
		for k, at := range w.touched {
			d := w.doc(k)
			if d.live || at != pos(seq) {
				continue
			}
			for _, id := range d.ids {
				if id.time >= w.now-120_000 {
					return horizon, n
				}
			}
			of++
		}
		if of > 0 && n > 0 && n+of > limit {
			return horizon, n
		}
		if of > 0 {
			horizon, n = pos(seq), n+of
		}
	}
	return horizon, n
}

func (d *twinDoc) append(c *record.Change, at position.Position) {
	for _, u := range c.Updates {
		d.updates = append(d.updates, twinUpdate{u, true, true, at, c.Writer, c.ID})
		d.head = u.SeqEnd
	}
}

func (d *twinDoc) snapshot(c *record.Change) {
	d.base = &contract.Base{Seq: c.Seq, JSON: c.Text, AssetBytes: c.AssetBytes}
	undos := 0
	for _, u := range slices.Backward(d.updates) {
		if u.undo {
			undos++
		}
	}
	for i := range d.updates {
		u := &d.updates[i]
		if u.redo && int64(u.SeqEnd)+int64(c.History) <= int64(c.Seq) {
			u.redo = false
			end := u.SeqEnd
			d.dropped = &end
		}
		if u.undo && undos > int(c.History) {
			u.undo = false
			undos--
		}
	}
}

func (d *twinDoc) redos(after int64) (list []twinUpdate) {
	for _, u := range d.updates {
		if u.redo && int64(u.SeqEnd) > after {
			list = append(list, u)
		}
	}
	return list
}

func (d *twinDoc) parts() contract.PartsReply {
	r := contract.PartsReply{Redos: []string{}, Seq: d.head, Incarnation: d.incarnation.String()}
	r.Reads = len(d.redos(beginning))
	after := beginning
	if d.base != nil {
		r.Reads++
		r.Base = &d.base.JSON
		after = int64(d.base.Seq)
	}
	for _, u := range d.redos(after) {
		r.Redos = append(r.Redos, u.Redo)
	}
	return r
}

func foldAll(texts []string) (string, contract.Code) {
	var list [][]byte
	for _, text := range texts {
		list = append(list, []byte(text))
	}
	merged, err := merge.Fold(list...)
	if err != nil {
		return "", contract.Unmergeable
	}
	return string(merged), 0
}

func (d *twinDoc) get() (contract.DocumentReply, contract.Code) {
	parts := d.parts()
	texts := parts.Redos
	if parts.Base != nil {
		texts = append([]string{*parts.Base}, texts...)
	}
	text, code := foldAll(texts)
	if code != 0 {
		return contract.DocumentReply{}, code
	}
	return contract.DocumentReply{Patch: text, Reads: parts.Reads, Seq: d.head, Incarnation: parts.Incarnation}, 0
}

func (d *twinDoc) compute(method string, seq int32) (string, contract.Code) {
	var texts []string
	if method == contract.HeadPatch {
		if d.dropped != nil && seq < *d.dropped {
			return "", contract.NothingToPatch
		}
		for _, u := range d.redos(int64(seq)) {
			texts = append(texts, u.Redo)
		}
		if len(texts) == 0 {
			return "", contract.NothingToPatch
		}
		return foldAll(texts)
	}
	last := int32(0)
	for _, u := range slices.Backward(d.updates) {
		if !u.undo || u.SeqBegin < seq {
			break
		}
		texts, last = append(texts, u.Undo), u.SeqBegin
	}
	if len(texts) == 0 || last > seq {
		return "", contract.NothingToUndo
	}
	return foldAll(texts)
}

func (d *twinDoc) assets() int64 {
	sum, after := int64(0), beginning
	if d.base != nil {
		sum, after = d.base.AssetBytes, int64(d.base.Seq)
	}
	for _, u := range d.updates {
		if int64(u.SeqEnd) > after {
			sum += u.AssetBytes
		}
	}
	return sum
}

// history is the whole retained log from a seq on.
func (d *twinDoc) history(from *int32) contract.HistoryReply {
	r := contract.HistoryReply{
		Base: d.base, Entries: []contract.Entry{}, Seq: d.head, Incarnation: d.incarnation.String(), AssetBytes: d.assets(),
	}
	for _, u := range d.redos(beginning) {
		if from == nil || u.SeqEnd >= *from {
			r.Entries = append(r.Entries, contract.Entry{Update: u.Update, Position: u.at.String(), Writer: u.writer, RequestID: u.id})
		}
	}
	return r
}

func (d *twinDoc) writtenBy(seq int32, writer string) bool {
	if d.recoverSeq != nil && *d.recoverSeq == seq {
		return d.recoverBy == writer
	}
	for _, u := range d.updates {
		if (u.redo || u.undo) && (u.SeqBegin <= seq && seq <= u.SeqEnd || u.SeqEnd == seq) {
			return u.writer == writer
		}
	}
	return false
}

// list returns the documents that a list holds, sorted.
func (w *twin) list(holds func(d *twinDoc) bool) []contract.Key {
	keys := []contract.Key{}
	for k, d := range w.docs {
		if holds(d) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b contract.Key) int {
		return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.Key, b.Key))
	})
	return keys
}
