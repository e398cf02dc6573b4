package service

import (
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/record"
)

// A request moves through these phases. Whoever moves it to answered, the
// committer or the hold's end, answers it; so it is answered once, and what the
// hold's end says is true: a request that waits has never been handed to the log,
// and once it is answered it never will be.
const (
	waiting  int32 = iota // not handed to the log
	barrier               // waits for a commit, adds nothing to it
	appended              // its change is in a batch of unknown fate, or in the log since an earlier try
	answered
)

// A request is one message on its way to its answer.
type request struct {
	svc     *Service
	op      *operation
	msg     *nats.Msg
	arrived time.Time
	decoded chan struct{} // closed when headers and body are read; nil when they are from the beginning
	phase   atomic.Int32
	handed  atomic.Bool // has been appended at some time

	key    contract.Key
	id     string
	writer string

	change *record.Change // of an operation that writes; nil else
	read   func() (reply, error)
	now    bool // needs no commit

	refused error // what Prepare has decided; told once a commit has confirmed it
}

// A reply is a body and headers that go with it.
type reply struct {
	body   any
	header nats.Header
}

func (r *request) writes() bool { return r.change != nil }

// size is what the request counts for where queues are bounded, in bytes.
func (r *request) size() int { return len(r.msg.Data) + 256 }

// begin runs the request; its lane has let it in.
func (r *request) begin() {
	if r.phase.Load() == answered {
		r.leave()
		return
	}
	if r.now {
		go r.serveRead()
		return
	}
	stripe, ok := r.svc.stripe(r.key)
	if !ok {
		go r.Done(contract.Errorf(contract.NoOwner, "no stripe of the layout holds the document"))
		return
	}
	if err := stripe.Submit(r, r.size()); err != nil {
		// On a goroutine of its own: a lane full of requests would nest deeply.
		go r.Done(err)
	}
}

// Prepare is called by the owner when everything committed is applied. It
// decides; the decision is told after the commit that follows.
func (r *request) Prepare(b *record.Builder) bool {
	next := barrier
	var verdict verdict
	if r.change != nil {
		if verdict, r.refused = r.decide(); verdict.add || verdict.done {
			next = appended
		}
	}
	if !r.advance(next) {
		r.leave()
		return false
	}
	if next == appended {
		r.handed.Store(true)
	}
	if verdict.add {
		b.Add(r.change)
	}
	return true
}

// advance moves to a phase, unless the request has been answered.
func (r *request) advance(to int32) bool {
	for {
		from := r.phase.Load()
		if from == answered {
			return false
		}
		if r.phase.CompareAndSwap(from, to) {
			return true
		}
	}
}

// A verdict says what becomes of a change that is not refused: it goes into the
// log, or it is there already, or neither.
type verdict struct{ add, done bool }

// decide says what becomes of the change, or why it is refused.
func (r *request) decide() (verdict, error) {
	v, err := r.svc.Store.Decide(r.change)
	if err != nil {
		return verdict{}, refusal(err)
	}
	if v.Done || v.NoEffect {
		return verdict{done: v.Done}, nil
	}
	if r.change.Verb == record.Snapshot && r.writer != "" {
		if err := r.fence(); err != nil {
			return verdict{}, refusal(err)
		}
	}
	return verdict{add: true}, nil
}

// fence refuses a snapshot that may hold state which never committed: one whose
// writer neither wrote the update at its seq nor has loaded the document since.
func (r *request) fence() error {
	_, incarnation, err := r.svc.Store.Head(r.key)
	if err != nil {
		return err
	}
	if r.svc.loaded.since(r.writer, r.key, load{seq: r.change.Seq, incarnation: incarnation.String()}) {
		return nil
	}
	wrote, err := r.svc.Store.WrittenBy(r.key, r.change.Seq, r.writer)
	if err != nil {
		return err
	}
	if !wrote {
		return contract.Errorf(contract.Fenced, "writer %q has neither written the update at seq %d nor loaded the document at or after it", r.writer, r.change.Seq)
	}
	return nil
}

// Done is called by the owner with the end of it.
func (r *request) Done(err error) {
	switch {
	case err != nil:
		r.answer(reply{}, refusal(err))
	case r.refused != nil:
		r.answer(reply{}, r.refused)
	case r.read != nil && r.phase.Load() != answered:
		go r.serveRead()
		return
	default:
		r.answer(reply{body: r.op.success}, nil)
	}
	r.leave()
}

// serveRead reads and answers. What it reads may be newer than the commit it
// waited for, by changes of other keys only: the lane keeps writers of this one
// back.
func (r *request) serveRead() {
	body, err := r.read()
	if err != nil {
		err = refusal(err)
	}
	r.answer(body, err)
	r.leave()
}

// serveList answers what concerns no single document.
func (r *request) serveList() {
	body, err := r.read()
	if err != nil {
		err = refusal(err)
	}
	r.answer(body, err)
	r.svc.flight.land(r)
}

func (r *request) leave() {
	r.svc.lanes.leave(r)
	r.svc.flight.land(r)
}

// expire answers a request whose hold has ended. "Not happened" is a promise: it
// is said only of what was never handed to the log, neither by this request nor
// by the one whose resend it is.
func (r *request) expire() {
	hold := r.svc.Hold
	if !r.svc.lanes.resends(r) {
		for _, from := range []int32{waiting, barrier} {
			if r.phase.CompareAndSwap(from, answered) {
				r.send(reply{}, contract.Errorf(contract.NoQuorum, "nothing could be committed within %v", hold))
				return
			}
		}
	}
	r.answer(reply{}, contract.Errorf(contract.OutcomeUnknown, "the log has not told within %v whether the request is in it", hold))
}

// answer answers, unless that has been done.
func (r *request) answer(body reply, err error) {
	if r.advance(answered) {
		r.send(body, err)
	}
}

// refusal makes sure that an error has a code. One without is a failure of this
// host's store: this replica cannot answer.
func refusal(err error) error {
	if contract.CodeOf(err) == 0 {
		return contract.Errorf(contract.Damaged, "%v", err)
	}
	return err
}

// send puts the answer on the wire.
func (r *request) send(answer reply, err error) {
	var data []byte
	if err == nil {
		if data, err = encode(answer.body); err != nil {
			err = refusal(err)
		} else if len(data) > contract.MaxReply {
			err = contract.Errorf(contract.TooLarge, "the reply has %d bytes, the limit is %d: ask for less, or with fold client", len(data), contract.MaxReply)
		}
	}
	r.svc.respond(r.msg, data, answer.header, err)
	r.op.stats.note(time.Since(r.arrived), err)
	r.svc.Observe(r.op.name, contract.CodeOf(err), time.Since(r.arrived))
}

func encode(body any) ([]byte, error) {
	if data, ok := body.(json.RawMessage); ok {
		return data, nil
	}
	return marshal(body)
}

// stripe finds the committer of a document's stripe.
func (s *Service) stripe(k contract.Key) (Committer, bool) {
	stripe, ok := s.Layout().StripeOf(layout.BucketOf(k.Space, k.Key))
	if !ok {
		return nil, false
	}
	c := s.Committer(stripe.Name)
	return c, c != nil
}
