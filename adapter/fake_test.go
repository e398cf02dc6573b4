package adapter

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/goleak"

	"trireme/internal/contract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An answer is what the fake service does with one request.
type answer func(f *fake, m *nats.Msg)

// A fake is a service that answers by a script, the last answer again and again,
// and keeps what it was asked.
type fake struct {
	t      testing.TB
	server *server.Server
	client *nats.Conn // of the client under test

	mu     sync.Mutex
	script []answer
	asked  []*nats.Msg
}

// newFake starts a NATS server and the service, unless there is no script.
func newFake(t testing.TB, script ...answer) *fake {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not accept connections")
	}
	f := &fake{t: t, server: s, script: script}
	f.client = f.connect(nats.ReconnectWait(5*time.Millisecond), nats.ReconnectJitter(0, 0), nats.MaxReconnects(-1))
	if len(script) > 0 {
		f.serve()
	}
	return f
}

func (f *fake) connect(opts ...nats.Option) *nats.Conn {
	f.t.Helper()
	nc, err := nats.Connect(f.server.ClientURL(), opts...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(nc.Close)
	return nc
}

func (f *fake) serve() {
	f.t.Helper()
	nc := f.connect()
	if _, err := nc.Subscribe(contract.SubjectPrefix+">", f.handle); err != nil {
		f.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) handle(m *nats.Msg) {
	f.mu.Lock()
	f.asked = append(f.asked, m)
	next := f.script[min(len(f.asked), len(f.script))-1]
	f.mu.Unlock()
	next(f, m)
}

func (f *fake) requests() []*nats.Msg {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// newClient makes the client under test, quick to retry.
func (f *fake) newClient(opts ...Option) *Client {
	f.t.Helper()
	c, err := NewClient(f.client, append([]Option{WithRetryWait(time.Millisecond, time.Millisecond)}, opts...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func reply(body string, header ...string) answer {
	return func(f *fake, m *nats.Msg) {
		out := nats.NewMsg(m.Reply)
		out.Data = []byte(body)
		for i := 0; i < len(header); i += 2 {
			out.Header.Set(header[i], header[i+1])
		}
		if err := m.RespondMsg(out); err != nil {
			f.t.Errorf("respond: %v", err)
		}
	}
}

func replyWith(body any) answer {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return reply(string(data))
}

func refuse(c Code) answer {
	e := contract.Errorf(c, "as the script says")
	data, err := json.Marshal(e.Reply())
	if err != nil {
		panic(err)
	}
	return reply(string(data), micro.ErrorCodeHeader, strconv.Itoa(int(c)), micro.ErrorHeader, c.Name())
}

func drop(*fake, *nats.Msg) {}

// kick makes the server end the client's connection, and gives no reply.
func kick(f *fake, _ *nats.Msg) {
	id, err := f.client.GetClientID()
	if err == nil {
		err = f.server.DisconnectClientByID(id)
	}
	if err != nil {
		f.t.Errorf("disconnect the client: %v", err)
	}
}

// then does something before an answer.
func then(do func(), a answer) answer {
	return func(f *fake, m *nats.Msg) { do(); a(f, m) }
}

func ids(requests []*nats.Msg) []string {
	var all []string
	for _, m := range requests {
		all = append(all, m.Header.Get(contract.HeaderRequestID))
	}
	return all
}

// counter makes the ids r1, r2, ...
func counter() func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Sprintf("r%d", n)
	}
}
