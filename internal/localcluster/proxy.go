package localcluster

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A Verdict says what becomes of a [Frame].
type Verdict uint8

// The verdicts.
const (
	Pass Verdict = iota // it goes on
	Hold                // it waits until a later filter lets it go; what comes after it does not wait for it
	Drop                // nobody hears of it
	Cut                 // the connection is closed
)

// A Filter judges frames. It must not call the proxy.
type Filter func(*Frame) Verdict

// A Proxy stands in front of a NATS server and passes on what goes to and fro,
// unless told otherwise. Set the fields, then Start.
//
// When one end of a connection closes while frames from it are held, the other end
// hears nothing of that until they are let go: pings are answered for it.
type Proxy struct {
	Name   string // of the server behind it
	Listen string // host:port; port 0 takes a free one
	Target string // host:port of the server

	listener net.Listener
	wait     sync.WaitGroup

	mu     sync.Mutex // guards what follows, and the lanes of all links
	filter Filter
	delay  time.Duration
	links  map[*link]struct{}
	closed bool
}

// Start listens.
func (p *Proxy) Start() error {
	var err error
	if p.listener, err = net.Listen("tcp", p.Listen); err != nil {
		return fmt.Errorf("proxy of %s: %w", p.Name, err)
	}
	p.links = map[*link]struct{}{}
	p.wait.Go(p.accept)
	return nil
}

// Address is where it listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Filter judges frames by f from now on, nil passes them all. What is held is judged
// anew, in the order in which it came.
func (p *Proxy) Filter(f Filter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.filter = f
	for l := range p.links {
		l.out.review()
		l.back.review()
	}
}

// CutLossy closes the connections of which something was dropped. TCP loses nothing out
// of the middle: a connection that has lost something does not go on for long, and two
// servers that go on with one do not know of what the other has subscribed to meanwhile.
func (p *Proxy) CutLossy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if l.lossy {
			l.close()
		}
	}
}

// Delay makes frames that come from now on arrive so much later.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Held is how many frames are held.
func (p *Proxy) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for l := range p.links {
		n += len(l.out.held) + len(l.back.held)
	}
	return n
}

// Close closes every connection and returns when nothing runs any more.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		l.close()
	}
	p.mu.Unlock()
	p.wait.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) accept() {
	for {
		dialer, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wait.Go(func() { p.serve(dialer) })
	}
}

// serve connects a dialer with the server. A server that is not there is one that
// closes at once.
func (p *Proxy) serve(dialer net.Conn) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(loopback)}}
	server, err := d.Dial("tcp", p.Target)
	if err != nil {
		_ = dialer.Close() // it learns by that
		return
	}
	l := newLink(p, dialer, server)
	p.mu.Lock()
	if p.closed {
		l.close()
	}
	p.links[l] = struct{}{}
	p.mu.Unlock()
	var lanes sync.WaitGroup
	for _, lane := range []*lane{l.out, l.back} {
		lanes.Go(lane.read)
		lanes.Go(lane.write)
	}
	lanes.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// judge needs the lock.
func (p *Proxy) judge(f *Frame) Verdict {
	if p.filter == nil {
		return Pass
	}
	return p.filter(f)
}
