package adapter

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// A proxy stands before a server, and can stand still: connections stay, and
// nothing comes through.
type proxy struct {
	listener net.Listener
	wait     sync.WaitGroup

	mu     sync.Mutex
	frozen chan struct{} // closed when it goes on
	conns  []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l}
	p.wait.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			p.wait.Go(func() { p.copy(in, out) })
			p.wait.Go(func() { p.copy(out, in) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.thaw()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wait.Wait()
	})
	return p
}

func (p *proxy) copy(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = make(chan struct{})
}

func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

// A host that is there and says nothing is left for another.
func TestDialLeavesAFrozenHost(t *testing.T) {
	one, two := newFake(t, reply(`{}`)), newFake(t, reply(`{}`))
	frozen := newProxy(t, one.server.Addr().String())
	nc, err := Dial("nats://"+frozen.listener.Addr().String()+","+two.server.ClientURL(),
		nats.DontRandomize(), nats.PingInterval(50*time.Millisecond), nats.Timeout(500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c, err := NewClient(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), "s", "k"); err != nil || len(one.requests()) != 1 {
		t.Fatalf("the first host was asked %d times, %v", len(one.requests()), err)
	}
	frozen.freeze()
	if err := c.Delete(t.Context(), "s", "k"); err != nil || len(two.requests()) != 1 {
		t.Fatalf("the second host was asked %d times, %v", len(two.requests()), err)
	}
}

func TestDialWaitsForAHost(t *testing.T) {
	f := newFake(t, reply(`{}`))
	url := f.server.ClientURL()
	f.server.Shutdown()
	f.server.WaitForShutdown()
	nc, err := Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if _, err := Dial(url, nats.RetryOnFailedConnect(false)); err == nil {
		t.Error("no error, though nobody listens")
	}
}
