package drill

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/adapter"
	"trireme/internal/contract"
)

// A question is a raw request under way: sent once, never again.
type question struct {
	in     docInput
	get    bool
	called int64 // by the clock of a history
	inbox  *nats.Subscription
}

// An answer is what came back.
type answer struct {
	code   contract.Code // 0 for success
	body   []byte
	header nats.Header
}

// ask sends a request and does not wait for the answer. It returns when the connection
// has taken it.
func ask(nc *nats.Conn, subject string, body any, id string) (*question, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	q := &question{}
	m := &nats.Msg{Subject: subject, Reply: nc.NewRespInbox(), Data: data, Header: nats.Header{}}
	if id != "" {
		m.Header[contract.HeaderRequestID] = []string{id}
	}
	if q.inbox, err = nc.SubscribeSync(m.Reply); err != nil {
		return nil, err
	}
	return q, nc.PublishMsg(m)
}

// answer waits for the answer; an error means that none has come.
func (q *question) answer(limit time.Duration) (answer, error) {
	m, err := q.inbox.NextMsg(limit)
	if err != nil {
		return answer{}, err
	}
	if m.Header.Get("Status") == "503" {
		return answer{}, nats.ErrNoResponders
	}
	a := answer{body: m.Data, header: m.Header}
	if code := m.Header.Get(micro.ErrorCodeHeader); code != "" {
		n, err := strconv.Atoi(code)
		if err != nil {
			return a, err
		}
		a.code = contract.Code(n)
	}
	return a, nil
}

// askPatch sends a patch of a document, straight to the owner of its partition if the
// subject is that of one.
func (d *ledger) askPatch(nc *nats.Conn, subject, space string, in docInput) (*question, error) {
	body := contract.PatchRequest{Space: space, Key: d.key, Patches: []adapter.Update{change(in)}}
	called := d.now()
	q, err := ask(nc, subject, body, in.id)
	if q != nil {
		q.in, q.called = in, called
	}
	return q, err
}

func (d *ledger) askGet(nc *nats.Conn, subject, space string) (*question, error) {
	called := d.now()
	q, err := ask(nc, subject, map[string]string{"space": space, "key": d.key}, "")
	if q != nil {
		q.get, q.called = true, called
	}
	return q, err
}

// settle notes in the ledger what a question was answered, and returns it in words.
func (d *ledger) settle(t testing.TB, q *question, limit time.Duration) (contract.Code, string) {
	t.Helper()
	a, err := q.answer(limit)
	code := a.code
	switch {
	case errors.Is(err, nats.ErrNoResponders): // nobody has it: there was no owner just then
		code, err = contract.NoOwner, nil
	case err != nil:
		code = contract.OutcomeUnknown
	}
	switch {
	case q.get && code == 0:
		var doc struct {
			Seq   int32
			Patch string
		}
		if err := json.Unmarshal(a.body, &doc); err != nil {
			t.Error(err)
			return code, err.Error()
		}
		if err := d.read(whoLate, q.called, doc.Seq, doc.Patch); err != nil {
			t.Error(err)
		}
		return code, "seq " + itoa(int(doc.Seq))
	case !q.in.patch:
	case code == 0:
		d.success(q.in)
		d.add(whoLate, q.in, q.called, docOutput{result: success})
	case code == contract.OutcomeUnknown:
		d.unknown(q.in)
		d.add(whoLate, q.in, q.called, docOutput{result: unknown})
	case code == contract.HeadDiffers:
		d.add(whoLate, q.in, q.called, docOutput{result: headDiffers})
	}
	if err != nil {
		return code, unanswered + err.Error()
	}
	return code, fmt.Sprintf("%d %.200s", code, a.body)
}

// unanswered begins the text of a request that nobody has answered.
const unanswered = "no answer: "
