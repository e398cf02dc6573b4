package embedded

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TestServerDeliversIntoAnotherLog shows why there is a gate: the server itself lets a
// consumer of one stripe deliver into the log of another.
func TestServerDeliversIntoAnotherLog(t *testing.T) {
	s := started(t, &Server{})
	nc, js := withLog(t, s)
	arrived, err := nc.SubscribeSync("trireme.log.s1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Request(gateSubjectOf("trireme-s2"), []byte(push("", "trireme.log.s1", "")), patience); err != nil {
		t.Fatal(err)
	}
	if m, err := arrived.NextMsg(patience); err != nil || string(m.Data) != "first record of s2" {
		t.Fatalf("delivered %v, %v", m, err)
	}
	last := uint64(0)
	for deadline := time.Now().Add(patience); last != 2 && time.Now().Before(deadline); {
		st, err := js.Stream(t.Context(), "trireme-s1") // our subscription and the stream hear of it apart
		if err != nil {
			t.Fatal(err)
		}
		last = st.CachedInfo().State.LastSeq
	}
	if last != 2 {
		t.Errorf("the log ends at %d; if the server refuses this now, the gate can go", last)
	}
}

func TestReadView(t *testing.T) {
	tests := []struct {
		name, body string
		refusal    string // "" is accepted
	}{
		{"the pager's", view("a", ""), ""},
		{"with headers only", view("a", `"headers_only":true,`), ""},
		{"deliver subject", view("a", `"deliver_subject":"trireme.log.s1",`), "deliver_subject"},
		{"deliver subject, empty", view("a", `"deliver_subject":"",`), "deliver_subject"},
		{"deliver subject in other case", view("a", `"Deliver_Subject":"x",`), "Deliver_Subject"},
		{"deliver group", view("a", `"deliver_group":"x",`), "deliver_group"},
		{"sourcing", view("a", `"direct":true,`), "direct"},
		{"sampling", view("a", `"sample_freq":"100",`), "sample_freq"},
		{"on disk", view("a", `"mem_storage":false,`), ""}, // the later field counts, as for the server
		{"kept for good", `{"stream_name":"s","config":{"mem_storage":true}}`, "inactive_threshold"},
		{"kept too long", `{"stream_name":"s","config":{"mem_storage":true,"inactive_threshold":3600000000001}}`, "inactive_threshold"},
		{"not in memory", `{"stream_name":"s","config":{"inactive_threshold":1}}`, "mem_storage"},
		{"paused", `{"stream_name":"s","config":{"mem_storage":true,"inactive_threshold":1,"pause_until":"2030-01-01T00:00:00Z"}}`, "pause_until"},
		{"unknown field", `{"stream_name":"s","pedantic":true,"config":{}}`, "pedantic"},
		{"two configurations", `{"config":{"deliver_subject":"x"},"config":{"mem_storage":true,"inactive_threshold":1}}`, "deliver_subject"},
		{"nothing", "", "EOF"},
		{"no object", "[]", "cannot unmarshal"},
		{"half", `{"config":{`, "EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := readView([]byte(tt.body))
			if tt.refusal == "" {
				if err != nil || r.Config.AckPolicy != "none" || r.Config.Replicas != 1 {
					t.Fatalf("%+v, %v", r, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.refusal) {
				t.Fatalf("error %v, want one about %s", err, tt.refusal)
			}
		})
	}
}

// FuzzReadView holds that what is sent on never names a subject to deliver to, as the
// server would read it, and never outlives its use.
func FuzzReadView(f *testing.F) {
	f.Add([]byte(view("a", "")))
	f.Add([]byte(push("a", "trireme.log.s1", "")))
	f.Add([]byte(`{"config":{"deliver_subject":"x"},"config":{"mem_storage":true,"inactive_threshold":1}}`))
	f.Add([]byte(`{"CONFIG":{"DELIVER_SUBJECT":"x"}} {"config":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := readView(body)
		if err != nil {
			return
		}
		clean, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var server struct {
			Config struct {
				DeliverSubject string        `json:"deliver_subject"`
				DeliverGroup   string        `json:"deliver_group"`
				Direct         bool          `json:"direct"`
				Memory         bool          `json:"mem_storage"`
				Idle           time.Duration `json:"inactive_threshold"`
				AckPolicy      string        `json:"ack_policy"`
			} `json:"config"`
		}
		if err := json.Unmarshal(clean, &server); err != nil {
			t.Fatalf("%s: %v", clean, err)
		}
		c := server.Config
		if c.DeliverSubject != "" || c.DeliverGroup != "" || c.Direct || !c.Memory || c.Idle <= 0 || c.Idle > time.Hour || c.AckPolicy != "none" {
			t.Errorf("%s", clean)
		}
	})
}

func TestGateRefusesAsTheAPIDoes(t *testing.T) {
	s := started(t, &Server{})
	withLog(t, s)
	outside, _ := dial(t, s)
	js, err := jetstream.New(outside)
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateConsumer(t.Context(), "trireme-s1", jetstream.ConsumerConfig{Durable: "mine", AckPolicy: jetstream.AckExplicitPolicy})
	if err == nil || !strings.Contains(err.Error(), "only consumers for reading") {
		t.Errorf("a durable consumer: %v", err)
	}
	// And the library's own reader passes.
	ordered, err := js.OrderedConsumer(t.Context(), "trireme-s1", jetstream.OrderedConsumerConfig{InactiveThreshold: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	m, err := ordered.Next(jetstream.FetchMaxWait(patience))
	if err != nil || string(m.Data()) != "first record of s1" {
		t.Errorf("ordered consumer: %v, %v", m, err)
	}
}
