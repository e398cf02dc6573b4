package localcluster

import (
	"bufio"
	"net"
	"sync"
	"time"
)

// A link is one connection through a proxy. The proxy's lock guards it.
type link struct {
	proxy     *Proxy
	dialer    string // its name, once it has told it
	out, back *lane  // to the server, and from it
	lossy     bool   // something was dropped
	closed    bool
	gone      chan struct{} // closed when it is
}

// A lane is one direction of a link.
type lane struct {
	link     *link
	from, to net.Conn
	opposite *lane
	queue    []due
	held     []*Frame
	ended    bool // nothing more comes from there
	broken   bool // nothing more can be written there
	moved    *sync.Cond
}

// due is what is to be written, and when.
type due struct {
	at    time.Time
	frame *Frame
}

func newLink(p *Proxy, dialer, server net.Conn) *link {
	l := &link{proxy: p, gone: make(chan struct{})}
	l.out = &lane{link: l, from: dialer, to: server, moved: sync.NewCond(&p.mu)}
	l.back = &lane{link: l, from: server, to: dialer, moved: sync.NewCond(&p.mu)}
	l.out.opposite, l.back.opposite = l.back, l.out
	return l
}

// close needs the lock.
func (l *link) close() {
	if !l.closed {
		close(l.gone)
	}
	l.closed = true
	_ = l.out.from.Close() // who reads or writes there learns by that
	_ = l.out.to.Close()
	l.out.moved.Broadcast()
	l.back.moved.Broadcast()
}

// read takes frames in and has them judged, until there are no more.
func (a *lane) read() {
	r := bufio.NewReaderSize(a.from, 64<<10)
	for {
		f, err := readFrame(r)
		p := a.link.proxy
		p.mu.Lock()
		if err != nil {
			a.end()
			p.mu.Unlock()
			return
		}
		a.take(f)
		p.mu.Unlock()
	}
}

// take needs the lock.
func (a *lane) take(f *Frame) {
	l := a.link
	if a == l.out && l.dialer == "" {
		l.dialer = f.introduces()
	}
	if a.opposite.ended { // the other side is gone, and held frames of it are not
		if f.Verb == "PING" {
			a.opposite.push(&Frame{Line: []byte("PONG\r\n")})
		}
		return
	}
	a.name(f)
	switch l.proxy.judge(f) {
	case Pass:
		a.push(f)
	case Hold:
		a.held = append(a.held, f)
	case Drop:
		l.lossy = true
	case Cut:
		l.close()
	}
}

func (a *lane) name(f *Frame) {
	f.From, f.To = a.link.dialer, a.link.proxy.Name
	if a == a.link.back {
		f.From, f.To = f.To, f.From
	}
}

// push needs the lock.
func (a *lane) push(f *Frame) {
	if a.broken {
		return
	}
	a.queue = append(a.queue, due{time.Now().Add(a.link.proxy.delay), f})
	a.moved.Signal()
}

// end needs the lock: nothing more comes. When nothing waits either, it is over.
func (a *lane) end() {
	a.ended = true
	a.moved.Signal()
	if len(a.held) == 0 && len(a.queue) == 0 {
		a.link.close()
	}
}

// review judges what is held anew. It needs the lock.
func (a *lane) review() {
	held := a.held
	a.held = nil
	for _, f := range held {
		switch a.link.proxy.judge(f) {
		case Pass:
			a.push(f)
		case Hold:
			a.held = append(a.held, f)
		case Drop:
			a.link.lossy = true
		case Cut:
			a.link.close()
		}
	}
	a.moved.Signal()
}

// next waits for what is to be written; false when there will be nothing more.
func (a *lane) next() (due, bool) {
	p := a.link.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(a.queue) == 0 {
		if a.link.closed || a.broken {
			return due{}, false
		}
		if a.ended && len(a.held) == 0 {
			a.link.close()
			return due{}, false
		}
		a.moved.Wait()
	}
	if a.link.closed {
		return due{}, false
	}
	d := a.queue[0]
	a.queue = a.queue[1:]
	return d, true
}

// write writes what was let pass.
func (a *lane) write() {
	for {
		d, more := a.next()
		if !more {
			return
		}
		select {
		case <-time.After(time.Until(d.at)):
		case <-a.link.gone:
			return
		}
		bytes := net.Buffers{d.frame.Line, d.frame.Message}
		if _, err := bytes.WriteTo(a.to); err != nil {
			a.fail()
			return
		}
	}
}

// fail notes that the far side is gone. What it sent before, and is held, stays.
func (a *lane) fail() {
	p := a.link.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	a.broken, a.queue = true, nil
	if len(a.opposite.held) == 0 {
		a.link.close()
	}
}
