package service

import (
	"encoding/json"
	"sync"
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
// and once it is answered it never will be. A write that was sent to another host
// counts as appended until that host says that it is not.
const (
	waiting  int32 = iota // not handed to the log
	barrier               // waits for a commit, adds nothing to it
	appended              // its change is in a batch of unknown fate, or with another host, or in the log since an earlier try
	answered
)

// A request is one message on its way to its answer.
type request struct {
	svc     *Service
	op      *operation
	msg     *nats.Msg
	arrived time.Time
	reading sync.WaitGroup // until headers and body are read; what is set from them is nobody's before
	decoded chan struct{}  // closed when they are, of a request that is read beside the others; nil else
	due     time.Time      // the end of its hold
	came    way
	phase   atomic.Int32
	handed  atomic.Bool // has been appended at some time
	abroad  atomic.Bool // another host was asked and has not answered
	open    atomic.Bool // was answered, with an unknown outcome
	unknown bool        // an earlier try may have taken effect
	passed  bool        // was passed on to another host at some time
	trip    trip        // guarded by the router's mutex

	key    contract.Key
	id     string
	writer string
	minted string // the id that we have given it, to pass it on

	change *record.Change // of an operation that writes; nil else
	read   func() (reply, error)
	now    bool // needs no commit
	here   bool // is answered by the replica that was asked

	refused error // what Prepare has decided; told once a commit has confirmed it
	mended  int   // how often the copy here was damaged, and was to be mended
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
	switch {
	case r.phase.Load() == answered:
		r.leave()
	case r.here && r.svc.answersHere(r):
		go r.serveRead()
	default:
		r.run()
	}
}

// run tries the request: here, if this host serves its stripe, or at the host
// that does. It may be called again after a try that has not decided it.
func (r *request) run() {
	s := r.svc
	partition, ok := s.partition(r.key)
	committer, serving := s.serving(partition.Stripe)
	waited := r.trip.burst // nobody else has the request now
	switch {
	case r.now && (serving || s.Directory == nil):
		go r.serveRead()
	case serving:
		if err := committer.Submit(r, r.size()); err != nil {
			// On a goroutine of its own: a lane full of requests would nest deeply.
			go r.Done(err)
		} else if waited {
			s.router.served(partition.Stripe)
		}
	case !ok, s.Directory == nil:
		go r.Done(contract.Errorf(contract.NoOwner, "no stripe of the layout holds the document"))
	case r.came == toOwner:
		go r.Done(r.notOwner(partition))
	default:
		s.router.pass(r, partition)
	}
}

// notOwner is what a host says that was asked as the owner and is none. The new owner
// may have heard the request too, and a change may have happened there.
func (r *request) notOwner(p layout.Partition) error {
	if r.writes() {
		return contract.Errorf(contract.OutcomeUnknown, "host %s does not serve stripe %s any more, and the new owner may have heard the request too", r.svc.Host, p.Stripe)
	}
	return contract.Errorf(contract.NoOwner, "host %s does not serve stripe %s", r.svc.Host, p.Stripe)
}

// Prepare is called by the owner when everything committed is applied. It
// decides; the decision is told after the commit that follows.
func (r *request) Prepare(b *record.Builder) bool {
	next := barrier
	var verdict verdict
	if r.change != nil {
		verdict, r.refused = r.decide()
		r.unknown = r.unknown || verdict.done
		if verdict.add || r.unknown {
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
	case err != nil && r.goesOn(contract.CodeOf(err)):
		return
	case err != nil:
		r.answer(reply{}, r.blur(refusal(err)))
	case r.mendable(r.refused):
		r.notYet()
		go r.rerun()
		return
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

// goesOn has a request that this host could not commit go on to whoever can now,
// within its hold. It says false when there is no way on.
func (r *request) goesOn(code contract.Code) bool {
	if r.svc.router == nil || r.came == toOwner || r.ending() {
		return false
	}
	switch code {
	case contract.NoOwner, contract.Deposed: // not in the log
		r.notYet()
	case contract.OutcomeUnknown:
		if r.writes() && r.id == "" && r.minted == "" {
			return false // a second try would be a second request
		}
		r.unheard()
	default:
		return false
	}
	partition, ok := r.svc.partition(r.key)
	if ok {
		r.svc.router.turnedOut(r, partition)
	}
	return ok
}

// blur takes the promise out of an error that holds for the last try, but not for
// all of them.
func (r *request) blur(err error) error {
	if code := contract.CodeOf(err); r.unknown && (code == contract.NoOwner || code == contract.NoQuorum || code == contract.Deposed) {
		return contract.Errorf(contract.OutcomeUnknown, "an earlier try may have taken effect; the last says: %v", err)
	}
	return err
}

// serveRead reads and answers. What it reads may be newer than the commit it
// waited for, by changes of other keys only: the lane keeps writers of this one
// back.
func (r *request) serveRead() {
	body, err := r.readSound()
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
// by the one whose resend it is. WHOSE RESEND IT IS, its headers and body tell: one
// that is being decoded is waited for.
func (r *request) expire() {
	r.reading.Wait()
	if r.svc.lanes.resends(r) || !r.giveUp() {
		r.answer(reply{}, contract.Errorf(contract.OutcomeUnknown, "the log has not told within %v whether the request is in it", r.svc.Hold))
	}
	if r.svc.router != nil {
		r.svc.router.settled(r)
	}
}

// giveUp answers a request that has not happened. It says false when it may have.
func (r *request) giveUp() bool {
	for _, from := range []int32{waiting, barrier} {
		if r.phase.CompareAndSwap(from, answered) {
			partition, _ := r.svc.partition(r.key)
			r.send(reply{}, r.svc.away(partition.Stripe))
			return true
		}
	}
	return false
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
	r.open.Store(contract.CodeOf(err) == contract.OutcomeUnknown)
	r.svc.respond(r.msg, data, answer.header, err)
	r.note(err)
}

// note counts the answer.
func (r *request) note(err error) {
	r.op.stats.note(time.Since(r.arrived), err)
	r.svc.Observe(r.op.name, contract.CodeOf(err), time.Since(r.arrived))
}

func encode(body any) ([]byte, error) {
	if data, ok := body.(json.RawMessage); ok {
		return data, nil
	}
	return marshal(body)
}
