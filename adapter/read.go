package adapter

import (
	"context"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/merge"
)

// Get returns a document, folded. By default it sees every change that was
// acknowledged before Get was called. It fails with [ErrNotFound],
// [ErrBeingDeleted], [ErrUnmergeable] where a stored text is not readable as
// JSON, [ErrTooLarge] where the document does not fit into one reply, and
// [ErrNotHere] for a [Local] read.
func (c *Client) Get(ctx context.Context, space, key string, opts ...GetOption) (Document, error) {
	var reply contract.DocumentReply
	lag, err := c.get(ctx, Key{Space: space, Key: key}, "", opts, &reply)
	return document(reply, lag), err
}

// GetParts is Get without the folding: it reads also what cannot be merged.
func (c *Client) GetParts(ctx context.Context, space, key string, opts ...GetOption) (Parts, error) {
	var r contract.PartsReply
	lag, err := c.get(ctx, Key{Space: space, Key: key}, contract.FoldClient, opts, &r)
	return Parts{Base: r.Base, Redos: r.Redos, Reads: r.Reads, Seq: r.Seq, Incarnation: r.Incarnation, Behind: lag}, err
}

// Fold merges the parts as the service does. It fails with [ErrUnmergeable].
func (p Parts) Fold() (string, error) {
	texts := make([][]byte, 0, 1+len(p.Redos))
	if p.Base != nil {
		texts = append(texts, []byte(*p.Base))
	}
	for _, redo := range p.Redos {
		texts = append(texts, []byte(redo))
	}
	merged, err := merge.Fold(texts...)
	if err != nil {
		return "", contract.Errorf(contract.Unmergeable, "fold base and redos: %v", err)
	}
	return string(merged), nil
}

// Compute folds the retained redos after seq ([HeadPatch]) or the retained
// undos down to seq ([Rewind]). It fails with [ErrNotFound], [ErrBeingDeleted],
// [ErrUnknownMethod], [ErrNothingToPatch], [ErrNothingToUndo] and
// [ErrUnmergeable].
func (c *Client) Compute(ctx context.Context, space, key, method string, seq int32) (Document, error) {
	r := call{
		op: contract.OpCompute, key: Key{Space: space, Key: key}, toOwner: true,
		body: contract.ComputeRequest{Space: space, Key: key, Method: method, Seq: seq},
	}
	var reply contract.DocumentReply
	_, err := c.ask(ctx, &r, checkText("method", method), &reply)
	return document(reply, 0), err
}

// Locate says where a document lives, or would live. It needs neither owner nor
// quorum.
func (c *Client) Locate(ctx context.Context, space, key string) (Location, error) {
	r := keyCall(contract.OpLocate, space, key)
	var reply Location
	_, err := c.ask(ctx, &r, nil, &reply)
	return reply, err
}

func (c *Client) get(ctx context.Context, key Key, fold string, opts []GetOption, out any) (int64, error) {
	var g get
	r := call{op: contract.OpGet, key: key}
	for _, opt := range opts {
		if err := opt(&g); err != nil {
			return 0, r.refused(err)
		}
	}
	r.host, r.toOwner = g.host, g.host == "" && g.consistency != contract.Local
	r.body = contract.GetRequest{Space: key.Space, Key: key.Key, Consistency: g.consistency, Fold: fold}
	header, err := c.ask(ctx, &r, nil, out)
	if err != nil || g.consistency != contract.Local {
		return 0, err
	}
	return behind(header), nil
}

// ask is do for what is about one document; fault is what is wrong with the rest
// of the request.
func (c *Client) ask(ctx context.Context, r *call, fault error, out any) (nats.Header, error) {
	if err := contract.CheckKey(r.key); err != nil {
		return nil, r.refused(err)
	}
	if fault != nil {
		return nil, r.refused(fault)
	}
	r.bucket = layout.BucketOf(r.key.Space, r.key.Key)
	return c.do(ctx, r, out)
}

// refused is the error of a call that was never sent.
func (r *call) refused(err error) error {
	return &CallError{Op: r.op, Key: r.key, RequestID: r.id, Err: err}
}

func keyCall(op, space, key string) call {
	return call{op: op, key: Key{Space: space, Key: key}, body: contract.KeyRequest{Space: space, Key: key}}
}

func document(r contract.DocumentReply, lag int64) Document {
	return Document{Patch: r.Patch, Reads: r.Reads, Seq: r.Seq, Incarnation: r.Incarnation, Behind: lag}
}
