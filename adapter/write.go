package adapter

import (
	"cmp"
	"context"
	"fmt"

	"trireme/internal/contract"
)

// Initialize creates a document whose head is the update's seq_end. It fails
// with [ErrExists] and [ErrBeingDeleted].
func (c *Client) Initialize(ctx context.Context, space, key string, first Update, opts ...WriteOption) error {
	r := call{
		op: contract.OpInitialize, key: Key{Space: space, Key: key},
		body: &contract.InitializeRequest{Space: space, Key: key, Patch: first},
	}
	return c.change(ctx, &r, checkUpdate("patch", &first), opts)
}

// Patch appends updates, all or none, if the first begins at head+1 and each
// begins where the one before ends. It fails with [ErrHeadDiffers],
// [ErrNotFound] and [ErrBeingDeleted]. See [Compact] for fewer updates.
func (c *Client) Patch(ctx context.Context, space, key string, updates []Update, opts ...WriteOption) error {
	r := call{
		op: contract.OpPatch, key: Key{Space: space, Key: key},
		body: &contract.PatchRequest{Space: space, Key: key, Patches: updates},
	}
	return c.change(ctx, &r, checkBatch(updates), opts)
}

// Snapshot makes a text the document's base at a seq and drops the history
// before it, but for the last changes. The head stays. It fails with
// [ErrNoHistory], [ErrNotFound], [ErrBeingDeleted], [ErrSnapshotSeq], and with
// [ErrFenced] if the client's writer did not write what the snapshot covers,
// nor load it since; that one is harmless.
func (c *Client) Snapshot(ctx context.Context, s SnapshotRequest, opts ...WriteOption) error {
	r := call{op: contract.OpSnapshot, key: Key{Space: s.Space, Key: s.Key}, body: &s}
	return c.change(ctx, &r, checkDocument("json", s.JSON), opts)
}

// Recover replaces a document and its history; the head becomes the seq given,
// up or down. It fails with [ErrNotFound] and [ErrBeingDeleted].
func (c *Client) Recover(ctx context.Context, d RecoverRequest, opts ...WriteOption) error {
	r := call{op: contract.OpRecover, key: Key{Space: d.Space, Key: d.Key}, body: &d}
	fault := cmp.Or(checkWho("who", d.Who), checkDocument("document", d.Document))
	return c.change(ctx, &r, fault, opts)
}

// Delete removes a document. It succeeds also if there is none. The key may be
// used again, and its numbering starts anew.
func (c *Client) Delete(ctx context.Context, space, key string, opts ...WriteOption) error {
	return c.delete(ctx, space, key, "", nil, opts)
}

// DeletePhase does one phase of a deletion that has something to do between
// mark and removal: [PhaseMark], then [PhaseCommit] or [PhaseAbort]. Each of
// them succeeds also if there is no document.
func (c *Client) DeletePhase(ctx context.Context, space, key, phase string, opts ...WriteOption) error {
	var fault error
	switch phase {
	case PhaseMark, PhaseCommit, PhaseAbort:
	default:
		fault = contract.Errorf(contract.Malformed, "phase %q is unknown: want %s, %s or %s", phase, PhaseMark, PhaseCommit, PhaseAbort)
	}
	return c.delete(ctx, space, key, phase, fault, opts)
}

// CloseDocument releases the writer's use of a document. The data stays.
func (c *Client) CloseDocument(ctx context.Context, space, key string, opts ...WriteOption) error {
	r := keyCall(contract.OpClose, space, key)
	return c.change(ctx, &r, nil, opts)
}

// Shed releases the writer's use of a document that its node has to give up.
// The data stays. To shed one that is not in use is harmless.
func (c *Client) Shed(ctx context.Context, space, key string, opts ...WriteOption) error {
	r := keyCall(contract.OpShed, space, key)
	return c.change(ctx, &r, nil, opts)
}

func (c *Client) delete(ctx context.Context, space, key, phase string, fault error, opts []WriteOption) error {
	r := call{
		op: contract.OpDelete, key: Key{Space: space, Key: key},
		body: contract.DeleteRequest{Space: space, Key: key, Phase: phase},
	}
	return c.change(ctx, &r, fault, opts)
}

// change is ask for what carries a request id. The replies have nothing to say.
func (c *Client) change(ctx context.Context, r *call, fault error, opts []WriteOption) error {
	r.changes, r.toOwner = true, true
	for _, opt := range opts {
		if err := opt(r); err != nil {
			return r.refused(err)
		}
	}
	var nothing struct{}
	_, err := c.ask(ctx, r, fault, &nothing)
	return err
}

func checkBatch(updates []Update) error {
	for i := range updates {
		if err := checkUpdate(fmt.Sprintf("patches[%d]", i), &updates[i]); err != nil {
			return err
		}
	}
	return contract.CheckPatches(updates)
}

func checkDocument(field, text string) error {
	if err := checkText(field, text); err != nil {
		return err
	}
	return contract.CheckDocument(field, text)
}
