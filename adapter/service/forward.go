package service

import (
	"cmp"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"

	"trireme/adapter/internal/hint"
	"trireme/internal/contract"
	"trireme/internal/layout"
)

// headerHold, on a request that a host passes on, is how long it may still wait,
// in milliseconds. So the owner, which knows what became of it, speaks first when
// the hold ends.
const headerHold = "Trireme-Hold"

// lastMoment is how much of the hold must be left for another try.
const lastMoment = 250 * time.Millisecond

// goesOut notes that the request is about to be sent to another host, from where
// on nobody here knows what becomes of it. It says false when the request has been
// answered.
func (r *request) goesOut() bool {
	r.abroad.Store(true)
	if !r.writes() {
		return r.phase.Load() != answered
	}
	if r.id == "" && r.minted == "" {
		// Under an id of ours it can be sent again, as one with an id can.
		r.minted = nuid.Next()
		r.change.ID = r.minted
	}
	if !r.advance(appended) {
		return false
	}
	r.handed.Store(true)
	return true
}

// onward is the request as it goes to the owner. Only the headers that are known
// go along: this host has more rights than the client that has set the others.
func (r *request) onward(p layout.PartitionID, reply string, now time.Time) *nats.Msg {
	m := &nats.Msg{
		Subject: contract.SubjectPrefix + "p." + p.String() + "." + r.op.name, Reply: reply, Data: r.msg.Data,
		Header: nats.Header{headerHold: []string{strconv.FormatInt(r.due.Sub(now).Milliseconds(), 10)}},
	}
	if id := cmp.Or(r.id, r.minted); id != "" {
		m.Header[contract.HeaderRequestID] = []string{id}
	}
	if r.writer != "" {
		m.Header[contract.HeaderWriter] = []string{r.writer}
	}
	return m
}

// A hearing is what an answer from another host means.
type hearing uint8

const (
	final   hearing = iota // for the one who asks
	nothing                // the try has done nothing: again
	doubt                  // who knows what it has done: again
)

// hear judges an answer. ending says that there is no time for another try,
// unknown that an earlier one may have done something.
func hear(m *nats.Msg, ending, unknown bool) (contract.Code, hearing) {
	code, err := codeIn(m)
	switch {
	case len(m.Data) == 0 && m.Header.Get("Status") == "503":
		return 0, nothing // nobody listens there
	case err != nil:
		return 0, doubt
	case ownerElsewhere(m) && (code != contract.OutcomeUnknown || !ending):
		return code, doubt
	case code == contract.NoQuorum && (!ending || unknown):
		return code, nothing
	}
	// A decision is true of all tries: the owner looks for the id first. What is
	// refused for want of room is final too: to hold it here and try again would
	// only hide the overload and add to it.
	return code, final
}

// ownerElsewhere says whether an answer is that of a host which is not the owner, or
// no more. While an ownership moves two hosts may listen, the new owner among them.
func ownerElsewhere(m *nats.Msg) bool {
	code, err := codeIn(m)
	return err == nil && (code == contract.NoOwner || code == contract.Deposed || code == contract.OutcomeUnknown)
}

// told takes the answer of another host; the request is in no spot. It reports
// whether that was the end.
func (r *request) told(m *nats.Msg) bool {
	code, what := hear(m, r.ending(), r.unknown)
	switch what {
	case final:
		r.relay(m, code)
		return true
	case nothing:
		r.notYet()
	case doubt:
		r.unheard()
	}
	r.svc.router.back(r)
	return false
}

// ending says that there is no time left for another try.
func (r *request) ending() bool { return time.Until(r.due) < lastMoment }

// unsent is the end of a try that has not left this host.
func (r *request) unsent(err error) {
	r.notYet()
	if errors.Is(err, nats.ErrMaxPayload) {
		r.answer(reply{}, contract.Errorf(contract.TooLarge, "the request has %d bytes, the server's max_payload is %d", len(r.msg.Data), r.svc.Conn.MaxPayload()))
		r.leave()
		return
	}
	r.svc.router.back(r)
}

// notYet is the end of a try that is known to have done nothing.
func (r *request) notYet() {
	r.abroad.Store(false)
	if !r.unknown {
		r.advance(waiting)
	}
}

// unheard is the end of a try of which nobody knows what it has done. From here on
// only a decision under the same id can tell.
func (r *request) unheard() {
	r.abroad.Store(false)
	r.unknown = r.unknown || r.writes()
}

// relay passes the answer of the owner on as it is, and tells a client that may ask
// any host where the owner listens.
func (r *request) relay(m *nats.Msg, code contract.Code) {
	var err error
	if code != 0 {
		err = &contract.Error{Code: code, Message: m.Header.Get(micro.ErrorHeader)}
	}
	if r.advance(answered) {
		r.open.Store(code == contract.OutcomeUnknown)
		if r.came == toAny {
			if m.Header == nil {
				m.Header = nats.Header{}
			}
			m.Header[hint.Header] = []string{hint.Format(r.trip.partition)}
		}
		r.svc.publish(r.msg, &nats.Msg{Header: m.Header, Data: m.Data})
		r.note(err)
	}
	r.leave()
}

// codeIn reads the code of an answer, 0 for success.
func codeIn(m *nats.Msg) (contract.Code, error) {
	text := m.Header.Get(micro.ErrorCodeHeader)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	return contract.Code(n), err
}

// refusalIn is the refusal that an answer is.
func refusalIn(m *nats.Msg, code contract.Code) error {
	var body contract.ErrorReply
	if json.Unmarshal(m.Data, &body) != nil || body.Message == "" {
		body.Message = m.Header.Get(micro.ErrorHeader)
	}
	return &contract.Error{Code: code, Message: body.Message}
}
