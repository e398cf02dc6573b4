package service

import (
	"strconv"
	"unicode/utf8"

	"trireme/internal/contract"
	"trireme/internal/position"
	"trireme/internal/record"
)

// The forms are the requests as they come: a field that must be there is a
// pointer, so that its absence is seen.

type updateForm struct {
	SeqBegin                   *int32        `json:"seq_begin"`
	SeqEnd                     *int32        `json:"seq_end"`
	Who                        *contract.Who `json:"who"`
	Request                    string        `json:"request"`
	Redo                       *string       `json:"redo"`
	Undo                       *string       `json:"undo"`
	RequiresFutureInvalidation bool          `json:"requires_future_invalidation"`
	WhenToInvalidateMS         int32         `json:"when_to_invalidate_ms"`
	AssetBytes                 int64         `json:"asset_bytes"`
	UpdateType                 string        `json:"update_type"`
}

type initializeForm struct {
	contract.Key
	Patch *updateForm `json:"patch"`
}

type patchForm struct {
	contract.Key
	Patches     []updateForm `json:"patches"`
	Incarnation string       `json:"incarnation"`
}

type snapshotForm struct {
	contract.Key
	Seq         *int32  `json:"seq"`
	JSON        *string `json:"json"`
	History     *int32  `json:"history"`
	AssetBytes  int64   `json:"asset_bytes"`
	Incarnation string  `json:"incarnation"`
}

type recoverForm struct {
	contract.Key
	Seq      *int32        `json:"seq"`
	Document *string       `json:"document"`
	Who      *contract.Who `json:"who"`
}

type computeForm struct {
	contract.Key
	Method string `json:"method"`
	Seq    *int32 `json:"seq"`
}

func missing(field string) error {
	return contract.Errorf(contract.Malformed, "field %s is missing", field)
}

func (f *updateForm) update(field string) (contract.Update, error) {
	for _, need := range []struct {
		name  string
		there bool
	}{
		{"seq_begin", f.SeqBegin != nil},
		{"seq_end", f.SeqEnd != nil},
		{"redo", f.Redo != nil},
		{"undo", f.Undo != nil},
	} {
		if !need.there {
			return contract.Update{}, missing(field + "." + need.name)
		}
	}
	u := contract.Update{
		SeqBegin: *f.SeqBegin, SeqEnd: *f.SeqEnd, Who: f.Who, Request: f.Request, Redo: *f.Redo, Undo: *f.Undo,
		RequiresFutureInvalidation: f.RequiresFutureInvalidation, WhenToInvalidateMS: f.WhenToInvalidateMS,
		AssetBytes: f.AssetBytes, UpdateType: f.UpdateType,
	}
	if u.UpdateType == "" {
		u.UpdateType = contract.AddUserData
	}
	return u, nil
}

func initializeChange(body []byte) (*record.Change, error) {
	f, err := decode[initializeForm](body)
	if err != nil {
		return nil, err
	}
	if f.Patch == nil {
		return nil, missing("patch")
	}
	u, err := f.Patch.update("patch")
	if err != nil {
		return nil, err
	}
	if err := contract.CheckUpdate("patch", &u); err != nil {
		return nil, err
	}
	return &record.Change{Verb: record.Init, Key: f.Key, Updates: []contract.Update{u}}, nil
}

func patchChange(body []byte) (*record.Change, error) {
	var f patchForm
	var err error
	ordinary := false
	if utf8.Valid(body) {
		f, ordinary = readPatch(body)
	}
	if !ordinary {
		if f, err = decode[patchForm](body); err != nil {
			return nil, err
		}
	}
	c := &record.Change{Verb: record.Patch, Key: f.Key, Updates: make([]contract.Update, len(f.Patches))}
	for i := range f.Patches {
		if c.Updates[i], err = f.Patches[i].update(indexed("patches", i)); err != nil {
			return nil, err
		}
	}
	if c.Incarnation, err = incarnation(f.Incarnation); err != nil {
		return nil, err
	}
	return c, contract.CheckPatches(c.Updates)
}

func snapshotChange(body []byte) (*record.Change, error) {
	f, err := decode[snapshotForm](body)
	if err != nil {
		return nil, err
	}
	switch {
	case f.Seq == nil:
		return nil, missing("seq")
	case f.JSON == nil:
		return nil, missing("json")
	case f.History == nil:
		return nil, missing("history")
	}
	c := &record.Change{Verb: record.Snapshot, Key: f.Key, Seq: *f.Seq, History: *f.History, AssetBytes: f.AssetBytes, Text: *f.JSON}
	if c.Incarnation, err = incarnation(f.Incarnation); err != nil {
		return nil, err
	}
	return c, contract.CheckDocument("json", c.Text)
}

func recoverChange(body []byte) (*record.Change, error) {
	f, err := decode[recoverForm](body)
	if err != nil {
		return nil, err
	}
	switch {
	case f.Seq == nil:
		return nil, missing("seq")
	case f.Document == nil:
		return nil, missing("document")
	}
	if err := contract.CheckWho("who", f.Who); err != nil {
		return nil, err
	}
	c := &record.Change{Verb: record.Recover, Key: f.Key, Seq: *f.Seq, Text: *f.Document, Who: f.Who}
	return c, contract.CheckDocument("document", c.Text)
}

func deleteChange(body []byte) (*record.Change, error) {
	f, err := decode[contract.DeleteRequest](body)
	if err != nil {
		return nil, err
	}
	c := &record.Change{Verb: record.Delete, Key: contract.Key{Space: f.Space, Key: f.Key}, Phase: f.Phase}
	switch f.Phase {
	case "":
		c.Phase = record.PhaseRemove
	case contract.PhaseMark, contract.PhaseCommit, contract.PhaseAbort:
	default:
		return nil, contract.Errorf(contract.Malformed, "phase %q is unknown: want mark, commit, abort, or none for both", f.Phase)
	}
	return c, nil
}

func incarnation(s string) (position.Position, error) {
	if s == "" {
		return position.Position{}, nil
	}
	p, err := position.Parse(s)
	if err != nil || p.IsZero() {
		return p, contract.Errorf(contract.Malformed, "incarnation %q: want <birth>-<sequence>, as a get answers it", s)
	}
	return p, nil
}

func indexed(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
