package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// A gate lets operators make the consumer that `nats stream view` reads with, and no
// other. It looks into the request, which permissions cannot do: a consumer may name a
// subject to deliver to, and the server publishes there with every right among the
// streams. So a client could have the records of one stripe written into the log of
// another; the server refuses that only within one stream.
//
// The gate reads requests strictly, and sends on what it understood, never the bytes
// that it was given.
type gate struct{ out *conn }

const (
	gateSubject = "$JS.API.CONSUMER.CREATE.>"
	gateQueue   = "gate" // one host answers
	gateTimeout = 5 * time.Second
	gateIdle    = time.Hour // how long a consumer may stay unused
)

// openGate starts the gate on connections of its own, which end with the others.
func openGate(r *running) error {
	in, err := r.open("gate in", gateInbox, r.keys.gateIn)
	if err != nil {
		return err
	}
	out, err := r.open("gate out", gateInbox, r.keys.gateOut)
	if err != nil {
		return err
	}
	if _, err := in.QueueSubscribe(gateSubject, gateQueue, gate{out}.serve); err != nil {
		return fmt.Errorf("open gate: %w", err)
	}
	if err := in.Flush(); err != nil {
		return fmt.Errorf("open gate: %w", err)
	}
	return nil
}

// serve answers one request. An answer that cannot be sent is the client's loss, above
// all one that would go elsewhere than to an inbox: the gate's user may not send it.
func (g gate) serve(m *nats.Msg) {
	answer, err := g.pass(m)
	if err != nil {
		answer = refusal(err)
	}
	_ = m.Respond(answer)
}

func (g gate) pass(m *nats.Msg) ([]byte, error) {
	request, err := readView(m.Data)
	if err != nil {
		return nil, err
	}
	clean, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("write consumer request: %w", err)
	}
	answer, err := g.out.Request(m.Subject, clean, gateTimeout)
	if err != nil {
		return nil, fmt.Errorf("make consumer: %w", err)
	}
	return answer.Data, nil
}

// A viewRequest has the fields of a consumer request that a reader may set.
type viewRequest struct {
	Stream string     `json:"stream_name"`
	Config viewConfig `json:"config"`
	Action string     `json:"action,omitempty"`
}

type viewConfig struct {
	Name           string        `json:"name,omitempty"`
	Durable        string        `json:"durable_name,omitempty"`
	Description    string        `json:"description,omitempty"`
	DeliverPolicy  string        `json:"deliver_policy,omitempty"`
	StartSeq       uint64        `json:"opt_start_seq,omitempty"`
	StartTime      *time.Time    `json:"opt_start_time,omitempty"`
	AckPolicy      string        `json:"ack_policy"`
	AckWait        time.Duration `json:"ack_wait,omitempty"`
	MaxDeliver     int           `json:"max_deliver,omitempty"`
	FilterSubject  string        `json:"filter_subject,omitempty"`
	FilterSubjects []string      `json:"filter_subjects,omitempty"`
	ReplayPolicy   string        `json:"replay_policy,omitempty"`
	MaxAckPending  int           `json:"max_ack_pending,omitempty"`
	MaxWaiting     int           `json:"max_waiting,omitempty"`
	HeadersOnly    bool          `json:"headers_only,omitempty"`
	Idle           time.Duration `json:"inactive_threshold"`
	Replicas       int           `json:"num_replicas,omitempty"`
	Memory         bool          `json:"mem_storage"`
	PauseUntil     time.Time     `json:"pause_until,omitzero"`
}

// readView reads the request of a reader, and refuses every other one. Unknown fields
// are refused whatever their case, deliver_subject above all.
func readView(data []byte) (viewRequest, error) {
	var r viewRequest
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("only consumers for reading can be made here: %w", err)
	}
	if c := r.Config; !c.Memory || c.Idle <= 0 || c.Idle > gateIdle {
		return r, fmt.Errorf("only consumers for reading can be made here: set mem_storage, and inactive_threshold to at most %v", gateIdle)
	}
	if !r.Config.PauseUntil.IsZero() {
		return r, errors.New("only consumers for reading can be made here: leave pause_until out")
	}
	// Nobody needs to acknowledge: acknowledgements have no way into the streams' account.
	r.Config.AckPolicy, r.Config.AckWait, r.Config.MaxDeliver, r.Config.MaxAckPending = "none", 0, 0, 0
	r.Config.Replicas = 1
	return r, nil
}

// refusal is an error in the form that clients of the JetStream API know.
func refusal(err error) []byte {
	answer, _ := json.Marshal(map[string]any{ // strings and numbers always marshal
		"type": server.JSApiConsumerCreateResponseType,
		"error": map[string]any{
			"code": 403, "err_code": server.JSConsumerCreateErrF, "description": err.Error(),
		},
	})
	return answer
}
