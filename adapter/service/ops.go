package service

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/record"
)

// An operation is one endpoint of the service.
type operation struct {
	name     string
	says     string // one line, for `nats service info`
	request  any    // a zero request, for the schema
	response any    // a zero reply, for the schema
	success  any    // what a write that went well answers
	keyed    bool   // concerns one document, and keeps its order
	parse    func(s *Service, r *request) error
	stats    *stats
}

func (s *Service) operations() []*operation {
	empty, done := json.RawMessage(`{}`), json.RawMessage(`{"value":0}`)
	write := func(name, says string, request, success, response any, change func([]byte) (*record.Change, error)) *operation {
		return &operation{name: name, says: says, request: request, response: response, success: success, keyed: true, parse: parseWrite(change)}
	}
	read := func(name, says string, request, response any, parse func(*Service, *request) error) *operation {
		return &operation{name: name, says: says, request: request, response: response, keyed: true, parse: parse}
	}
	list := func(name, says string, request, response any, parse func(*Service, *request) error) *operation {
		return &operation{name: name, says: says, request: request, response: response, parse: parse}
	}
	ops := []*operation{
		read(contract.OpGet, "the merged document", contract.GetRequest{}, contract.DocumentReply{}, parseGet),
		write(contract.OpInitialize, "create a document", contract.InitializeRequest{}, empty, contract.EmptyReply{}, initializeChange),
		write(contract.OpPatch, "append updates at head+1, all or none", contract.PatchRequest{}, empty, contract.EmptyReply{}, patchChange),
		read(contract.OpCompute, "fold redos (HeadPatch) or undos (Rewind)", contract.ComputeRequest{}, contract.DocumentReply{}, parseCompute),
		write(contract.OpSnapshot, "replace what lies below a seq by one text", contract.SnapshotRequest{}, done, contract.SnapshotReply{}, snapshotChange),
		write(contract.OpRecover, "replace a document and its history", contract.RecoverRequest{}, empty, contract.EmptyReply{}, recoverChange),
		write(contract.OpDelete, "delete a document, in one step or two", contract.DeleteRequest{}, empty, contract.EmptyReply{}, deleteChange),
		list(contract.OpDeleting, "documents that are marked and not yet removed", contract.DeletingRequest{}, contract.KeysReply{}, parseDeleting),
		read(contract.OpClose, "this writer has closed the document", contract.KeyRequest{}, contract.EmptyReply{}, parseRelease),
		read(contract.OpShed, "this writer has let the document go", contract.KeyRequest{}, contract.EmptyReply{}, parseRelease),
		list(contract.OpInventory, "documents of a host, a writer, or all", contract.InventoryRequest{}, contract.KeysReply{}, parseInventory),
		list(contract.OpLocate, "where a document lives", contract.KeyRequest{}, contract.LocateReply{}, parseLocate),
		read(contract.OpHistory, "the retained log of a document", contract.HistoryRequest{}, contract.HistoryReply{}, parseHistory),
	}
	for _, op := range ops {
		op.stats = &stats{}
	}
	return ops
}

func parseWrite(change func([]byte) (*record.Change, error)) func(*Service, *request) error {
	return func(_ *Service, r *request) error {
		c, err := change(r.msg.Data)
		if err != nil {
			return err
		}
		c.ID, c.Writer = r.id, r.writer
		r.change, r.key = c, c.Key
		return nil
	}
}

func parseGet(s *Service, r *request) error {
	f, err := decode[contract.GetRequest](r.msg.Data)
	if err != nil {
		return err
	}
	r.key = contract.Key{Space: f.Space, Key: f.Key}
	switch f.Consistency {
	case "", contract.Linearizable:
	case contract.Local:
		r.now, r.here = true, true
	default:
		return contract.Errorf(contract.Malformed, "consistency %q is unknown: want linearizable or local", f.Consistency)
	}
	get, err := s.folded(r, f.Fold)
	if err != nil {
		return err
	}
	r.read = get
	if r.now {
		r.read = func() (reply, error) { return s.local(r.key, get) }
	}
	return nil
}

// folded reads a document in the asked form, and notes that the writer has it.
func (s *Service) folded(r *request, fold string) (func() (reply, error), error) {
	switch fold {
	case "", contract.FoldServer:
		return func() (reply, error) {
			d, err := s.Store.Get(r.key)
			if err == nil && s.loadsHere(r) {
				s.loaded.note(r.writer, r.key, load{d.Seq, d.Incarnation})
			}
			return reply{body: d}, err
		}, nil
	case contract.FoldClient:
		return func() (reply, error) {
			d, err := s.Store.Parts(r.key)
			if err == nil && s.loadsHere(r) {
				s.loaded.note(r.writer, r.key, load{d.Seq, d.Incarnation})
			}
			return reply{body: d}, err
		}, nil
	}
	return nil, contract.Errorf(contract.Malformed, "fold %q is unknown: want server or client", fold)
}

// loadsHere says whether what is read counts as loaded: not at a replica that does
// not own the document, since it would never hear of its closing.
func (s *Service) loadsHere(r *request) bool {
	if !r.here {
		return true
	}
	p, _ := s.partition(r.key)
	_, serving := s.serving(p.Stripe)
	return serving
}

// local reads from this replica and says how far behind it may be.
func (s *Service) local(k contract.Key, get func() (reply, error)) (reply, error) {
	c, ok := s.replica(k)
	if !ok {
		return reply{}, contract.Errorf(contract.NotHere, "host %s has no replica of document %q in space %q, or one that is being healed", s.Host, k.Key, k.Space)
	}
	behind := c.Behind()
	body, err := get()
	if contract.CodeOf(err) == contract.NotFound {
		return reply{}, contract.Errorf(contract.NotHere, "this replica has no document %q in space %q", k.Key, k.Space)
	}
	body.header = nats.Header{contract.HeaderBehind: []string{strconv.FormatUint(behind, 10)}}
	return body, err
}

func parseCompute(s *Service, r *request) error {
	f, err := decode[computeForm](r.msg.Data)
	if err != nil {
		return err
	}
	if f.Seq == nil {
		return missing("seq")
	}
	r.key = f.Key
	r.read = func() (reply, error) {
		d, err := s.Store.Compute(r.key, f.Method, *f.Seq)
		if err == nil {
			s.loaded.note(r.writer, r.key, load{d.Seq, d.Incarnation})
		}
		return reply{body: d}, err
	}
	return nil
}

// historyBytes bounds the texts of one page of history, so that a reply stays
// far below what the wire carries.
const historyBytes = 8 << 20

func parseHistory(s *Service, r *request) error {
	f, err := decode[contract.HistoryRequest](r.msg.Data)
	if err != nil {
		return err
	}
	limit := int(f.Limit)
	if limit < 0 {
		return contract.Errorf(contract.Malformed, "limit %d is negative: want a number of entries, or none", limit)
	}
	if limit == 0 {
		limit = math.MaxInt
	}
	r.key = contract.Key{Space: f.Space, Key: f.Key}
	r.read = func() (reply, error) {
		h, err := s.Store.History(r.key, f.FromSeq, limit, historyBytes)
		return reply{body: h}, err
	}
	return nil
}

func parseRelease(s *Service, r *request) error {
	f, err := decode[contract.KeyRequest](r.msg.Data)
	if err != nil {
		return err
	}
	r.key, r.now = contract.Key(f), true
	r.read = func() (reply, error) {
		s.loaded.release(r.writer, r.key)
		return reply{body: json.RawMessage(`{}`)}, nil
	}
	return nil
}

func parseLocate(s *Service, r *request) error {
	f, err := decode[contract.KeyRequest](r.msg.Data)
	if err != nil {
		return err
	}
	r.key = contract.Key(f)
	if err := contract.CheckKey(r.key); err != nil {
		return err
	}
	r.read = func() (reply, error) { return s.locate(r.key) }
	return nil
}

func (s *Service) locate(k contract.Key) (reply, error) {
	l, bucket := s.Layout(), layout.BucketOf(k.Space, k.Key)
	partition, ok := l.PartitionOf(bucket)
	stripe, found := l.Stripe(partition.Stripe)
	if !ok || !found {
		return reply{}, contract.Errorf(contract.NoOwner, "the layout has no stripe for bucket %v", bucket)
	}
	answer := contract.LocateReply{
		Bucket: int(bucket), Partition: int(partition.ID), Stripe: stripe.Name,
		Members: stripe.Hosts, Layout: int(l.Version),
	}
	if owner, epoch := s.owner(stripe.Name); owner != "" {
		answer.Owner, answer.Epoch = owner, epoch.String()
		if host, ok := l.Host(owner); ok {
			answer.Adama = host.Adama
		}
	}
	return reply{body: answer}, nil
}
