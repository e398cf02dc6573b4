package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// connection to a NATS server of the test.
func connection(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", DontListen: true, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.Timeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// controlled is a host that notes what it is told.
type controlled struct {
	mu   sync.Mutex
	told []string
	err  error
	held chan struct{} // a move waits for it, or for its ctx; nil for no wait
}

func (c *controlled) note(format string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, fmt.Sprintf(format, args...))
	return c.err
}

func (c *controlled) Drain(_ context.Context, on bool) error { return c.note("drain %v", on) }
func (c *controlled) CheckLayout(context.Context) error      { return c.note("layout") }

func (c *controlled) Move(ctx context.Context, stripe, to string) error {
	if c.held != nil {
		select {
		case <-c.held:
		case <-ctx.Done():
			return fmt.Errorf("move %s: %w", stripe, ctx.Err())
		}
	}
	return c.note("move %s %s", stripe, to)
}

func started(t *testing.T, c *Control) *Control {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestStatusOnNATS(t *testing.T) {
	nc := connection(t)
	for _, host := range []string{"h1", "h2"} {
		started(t, &Control{Conn: nc, Host: host, Version: "v0.1.0-5-gabc", Controller: &controlled{}, Status: func() Status {
			s := healthy()
			s.Host = host
			return s
		}})
	}
	ask := func(host string) Status {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		s, err := Client{nc}.Status(ctx, host)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if got := ask("").Host; got != "h1" && got != "h2" {
		t.Errorf("any host answers as %q", got)
	}
	for _, host := range []string{"h1", "h2"} {
		if got := ask(host); got.Host != host || got.Stripes[0].Applied != 120 {
			t.Errorf("%s answers %+v", host, got)
		}
	}
	info, err := nc.Request("$SRV.INFO."+ServiceName, nil, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var got micro.Info
	if err := json.Unmarshal(info.Data, &got); err != nil || got.Version != "0.1.0-5-gabc" || len(got.Endpoints) != 5 || got.Metadata["host"] == "" {
		t.Errorf("discovery tells %+v, %v", got, err)
	}
}

func TestControl(t *testing.T) {
	nc := connection(t)
	host := &controlled{}
	started(t, &Control{Conn: nc, Host: "h1", Version: "v0.1.0", Status: member, Controller: host})
	c := Client{nc}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, err := range []error{c.Drain(ctx, "h1", true), c.Drain(ctx, "h1", false), c.Move(ctx, "h1", "s1", "h2")} {
		if err != nil {
			t.Error(err)
		}
	}
	if version, digest, err := c.CheckLayout(ctx, "h1"); err != nil || version != 7 || digest != "c0ffee" {
		t.Errorf("layout %d %s, %v", version, digest, err)
	}
	if got := fmt.Sprint(host.told); got != "[drain true drain false move s1 h2 layout]" {
		t.Errorf("the host was told %s", got)
	}
	for _, failed := range []struct {
		err  error
		want Refusal
	}{
		{&Refusal{Code: CodeRefused, Text: "h2 is sick:\nwiped", Hint: "choose h3"}, Refusal{CodeRefused, "h2 is sick:\nwiped", "choose h3"}},
		{errors.New("torn cable"), Refusal{CodeFailed, "torn cable", ""}},
		{context.DeadlineExceeded, Refusal{CodeTimeout, "context deadline exceeded", "`trireme status` tells what became of it"}},
	} {
		host.err = failed.err
		err := c.Move(ctx, "h1", "s1", "h2")
		if got, ok := errors.AsType[*Refusal](err); !ok || *got != failed.want {
			t.Errorf("told %v, got %#v", failed.err, err)
		}
	}
	reply, err := nc.Request(HostSubject("h1", VerbMove), []byte(`{"stripe":"s1","to":"h2"}`), 10*time.Second)
	if err != nil || reply.Header.Get(micro.ErrorCodeHeader) != "504" || reply.Header.Get(HeaderHint) == "" {
		t.Errorf("headers %v, %v", reply.Header, err)
	}
	if err := c.Drain(ctx, "h9", true); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a host that is not there: %v", err)
	}
}

func TestControlRefusesWhatIsMalformed(t *testing.T) {
	nc := connection(t)
	host := &controlled{}
	started(t, &Control{Conn: nc, Host: "h1", Version: "v0.1.0", Status: member, Controller: host})
	for _, c := range []struct{ verb, body string }{
		{VerbDrain, ``},
		{VerbDrain, `{}`},
		{VerbDrain, `{"drain":1}`},
		{VerbDrain, `{"drain":true,"for":"ever"}`},
		{VerbDrain, `{"drain":true} {}`},
		{VerbDrain, `[`},
		{VerbMove, `{"stripe":"s1"}`},
		{VerbMove, `{"to":"h1"}`},
		{VerbLayout, `{"version":7}`},
	} {
		reply, err := nc.Request(HostSubject("h1", c.verb), []byte(c.body), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := errors.AsType[*Refusal](refused(reply)); !ok || r.Code != CodeMalformed || r.Hint == "" {
			t.Errorf("%s %s: %v", c.verb, c.body, refused(reply))
		}
	}
	if len(host.told) > 0 {
		t.Errorf("the host was told %v", host.told)
	}
}

// Close ends what is under way, and a status is told beside it.
func TestControlCloses(t *testing.T) {
	nc := connection(t)
	host := &controlled{held: make(chan struct{})}
	control := started(t, &Control{Conn: nc, Host: "h1", Version: "v0.1.0", Status: member, Controller: host})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	moved := make(chan error, 1)
	go func() { moved <- Client{nc}.Move(ctx, "h1", "s1", "h2") }()
	for len(control.turns) == 0 { // the move has begun
		if _, err := (Client{nc}).Status(ctx, "h1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := control.Close(); err != nil {
		t.Error(err)
	}
	if err := <-moved; err == nil {
		t.Error("the move is done")
	}
	if len(host.told) > 0 {
		t.Errorf("the host was told %v", host.told)
	}
}

func TestControlHasABound(t *testing.T) {
	nc := connection(t)
	host := &controlled{held: make(chan struct{})}
	started(t, &Control{Conn: nc, Host: "h1", Version: "v0.1.0", Status: member, Controller: host})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	moved := make(chan error, maxControls+1)
	for range maxControls + 1 {
		go func() { moved <- Client{nc}.Move(ctx, "h1", "s1", "h2") }()
	}
	if r, ok := errors.AsType[*Refusal](<-moved); !ok || r.Code != CodeNotNow {
		t.Errorf("one too many: %v", r)
	}
	close(host.held)
	for range maxControls {
		if err := <-moved; err != nil {
			t.Error(err)
		}
	}
}

func TestControlNeedsAConnection(t *testing.T) {
	nc := connection(t)
	nc.Close()
	c := &Control{Conn: nc, Host: "h1", Status: healthy}
	if err := c.Start(); err == nil {
		t.Error("started on a closed connection")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
