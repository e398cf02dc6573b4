package localcluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// A relay is a NATS server behind a proxy, with a subscriber that goes around it.
type relay struct {
	t     *testing.T
	proxy *Proxy
	near  *nats.Conn // through the proxy
	got   chan string
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	s, err := server.NewServer(&server.Options{ServerName: "h1", Host: loopback, Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	r := &relay{t: t, got: make(chan string, 100)}
	r.proxy = &Proxy{Name: "h1", Listen: address(0), Target: s.Addr().String()}
	if err := r.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	far, err := nats.Connect(s.ClientURL(), nats.Timeout(patience), nats.NoEcho()) // it is not to hear its own replies
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	if _, err := far.Subscribe(">", func(m *nats.Msg) {
		if m.Reply != "" {
			_ = m.Respond([]byte("re: " + string(m.Data))) // who asks and hears nothing fails
		}
		r.got <- string(m.Data)
	}); err != nil {
		t.Fatal(err)
	}
	if err := far.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	r.near = r.connect()
	return r
}

func (r *relay) connect() *nats.Conn {
	r.t.Helper()
	nc, err := nats.Connect("nats://"+r.proxy.Address(), nats.Name("near"), nats.Timeout(patience), nats.NoReconnect())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	return nc
}

func (r *relay) send(text string) {
	r.t.Helper()
	if err := errors.Join(r.near.Publish("to", []byte(text)), r.near.FlushTimeout(patience)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *relay) hears(want ...string) {
	r.t.Helper()
	for _, text := range want {
		select {
		case got := <-r.got:
			if got != text {
				r.t.Fatalf("heard %q, want %q", got, text)
			}
		case <-time.After(patience):
			r.t.Fatalf("did not hear %q", text)
		}
	}
}

func (r *relay) awaitHeld(n int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	err := Await(ctx, fmt.Sprintf("%d frames held", n), func(context.Context) error {
		if got := r.proxy.Held(); got != n {
			return fmt.Errorf("%d are", got)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestAProxyPassesOn(t *testing.T) {
	r := newRelay(t)
	large := strings.Repeat("x", 500_000)
	r.send("")
	r.send(large)
	reply, err := r.near.Request("ask", []byte("one\r\ntwo"), patience)
	if err != nil || string(reply.Data) != "re: one\r\ntwo" {
		t.Errorf("%q, %v", reply.Data, err)
	}
	r.hears("", large, "one\r\ntwo")
}

func TestAProxyHoldsAndLetsGo(t *testing.T) {
	r := newRelay(t)
	r.proxy.Filter(func(f *Frame) Verdict {
		if f.From == "near" && f.To == "h1" && f.Carries("late") {
			return Hold
		}
		return Pass
	})
	r.send("late 1") // the flush passes
	r.send("early")
	r.send("late 2")
	r.hears("early")
	r.awaitHeld(2)
	r.proxy.Filter(nil)
	r.hears("late 1", "late 2")
}

func TestAProxyDeliversForOneWhoIsGone(t *testing.T) {
	r := newRelay(t)
	r.proxy.Filter(func(f *Frame) Verdict {
		if f.Verb == "PUB" {
			return Hold
		}
		return Pass
	})
	r.send("from the grave")
	r.awaitHeld(1)
	r.near.Close()
	other := r.connect() // others are served
	if err := other.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	r.proxy.Filter(nil)
	r.hears("from the grave")
}

func TestAProxyDropsAReply(t *testing.T) {
	r := newRelay(t)
	dropped := make(chan string, 1)
	r.proxy.Filter(func(f *Frame) Verdict {
		if f.From == "h1" && f.Carries("re: first") {
			dropped <- string(f.Message)
			return Drop
		}
		return Pass
	})
	inbox, err := r.near.SubscribeSync("answers")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second"} {
		if err := r.near.PublishRequest("ask", "answers", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	r.hears("first", "second")
	if reply, err := inbox.NextMsg(patience); err != nil || string(reply.Data) != "re: second" {
		t.Fatalf("%v, %v: want the second reply alone", reply, err)
	}
	select {
	case text := <-dropped:
		if text != "re: first\r\n" {
			t.Errorf("dropped %q", text)
		}
	default:
		t.Error("nothing was dropped")
	}

	cut := make(chan struct{})
	r.near.SetDisconnectErrHandler(func(*nats.Conn, error) { close(cut) })
	whole := r.connect() // nothing of it was dropped
	r.proxy.Filter(nil)
	r.proxy.CutLossy()
	select {
	case <-cut:
	case <-time.After(patience):
		t.Error("a connection that has lost something goes on")
	}
	if err := whole.FlushTimeout(patience); err != nil || whole.Stats().Reconnects > 0 {
		t.Errorf("a connection that has lost nothing was cut: %v", err)
	}
}

func TestAProxyCutsAndDelays(t *testing.T) {
	r := newRelay(t)
	r.proxy.Delay(30 * time.Millisecond)
	began := time.Now()
	if err := r.near.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("there and back took %v, want 60ms", took)
	}
	r.proxy.Delay(0)
	r.proxy.Filter(func(f *Frame) Verdict {
		if f.Verb == "PING" {
			return Cut
		}
		return Pass
	})
	if err := r.near.FlushTimeout(patience); err == nil || errors.Is(err, nats.ErrTimeout) {
		t.Errorf("a flush over a connection that was cut: %v", err)
	}
}

func TestAFrameTellsWhoSpeaks(t *testing.T) {
	for line, want := range map[string]string{
		`INFO {"server_id":"NX","server_name":"h2","port":1}`:     "h2",
		`CONNECT {"verbose":false,"name":"near","lang":"go"}`:     "near",
		`CONNECT {"echo":true,"name":"NXID","cluster":"trireme"}`: "",
		`PING`: "",
	} {
		f, err := readFrame(bufio.NewReader(strings.NewReader(line + "\r\n")))
		if err != nil || f.introduces() != want {
			t.Errorf("%s: %q, %v; want %q", line, f.introduces(), err, want)
		}
	}
}

// Whatever is read is passed on byte by byte.
func FuzzReadFrame(f *testing.F) {
	for _, seed := range []string{
		"PING\r\n", "PUB a 3\r\nabc\r\nPING\r\n", "hpub a b 12 14\r\nNATS/1.0\r\n\r\nxx\r\n", "RMSG ADAMA a + r q 2\r\n\r\n\r\n", "MSG a 1 -1\r\n", "PUB\r\n", "\r\n", "PUB a 99999999999\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		var passed []byte
		for {
			frame, err := readFrame(r)
			if err != nil {
				break
			}
			passed = append(append(passed, frame.Line...), frame.Message...)
		}
		if !bytes.HasPrefix(data, passed) {
			t.Errorf("%q became %q", data, passed)
		}
	})
}
