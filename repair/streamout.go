package repair

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"trireme/buckets"
)

// chunk is how many bytes of data a frame has at most.
const chunk = 512 << 10

// pullHard is after how many times Limits.PullTime a stream ends, wherever it is.
const pullHard = 5

// An outflow is one stream of documents, seen from the side that sends it. All but
// hear is for one goroutine.
//
// Data is sent while less than a window of it is under way, that is, has not been worked
// on by the peer; so neither side, nor the servers between them, holds more.
type outflow struct {
	server *Server
	name   string
	reply  string
	window int
	chunk  int
	ctx    context.Context //nolint:containedctx // it is the life of the stream
	cancel context.CancelFunc

	buf    []byte // frameSize bytes of room, and data that was not sent yet
	number uint32 // of the next frame
	sent   uint64 // bytes of data
	items  int

	mu     sync.Mutex
	taken  uint64
	stop   bool
	heard  time.Time
	signal chan struct{} // something of the above has changed
}

func newOutflow(s *Server, name, reply string, window int) *outflow {
	o := &outflow{server: s, name: name, reply: reply, window: window, heard: time.Now(), signal: make(chan struct{}, 1)}
	o.chunk = min(chunk, window, int(s.Conn.MaxPayload())-frameSize)
	o.buf = make([]byte, frameSize, frameSize+o.chunk)
	o.ctx, o.cancel = context.WithTimeout(s.ended, pullHard*s.Limits.PullTime)
	return o
}

// hear takes what the peer tells.
func (o *outflow) hear(c creditAsk) {
	o.mu.Lock()
	o.taken = max(o.taken, c.Taken)
	o.stop = o.stop || c.Stop
	o.heard = time.Now()
	o.mu.Unlock()
	if c.Stop {
		o.cancel()
	}
	select {
	case o.signal <- struct{}{}:
	default:
	}
}

// size is how many bytes of data there were until now.
func (o *outflow) size() uint64 { return o.sent + uint64(len(o.buf)-frameSize) }

func (o *outflow) head(tell headTell) error {
	body, err := json.Marshal(tell)
	if err != nil {
		return fmt.Errorf("begin stream: %w", err)
	}
	return o.publish(append(make([]byte, frameSize), body...), frameHead)
}

func (o *outflow) image(im *buckets.Image) error {
	o.buf = appendItemHead(o.buf, itemImage, im.Size())
	o.buf = im.AppendBinary(o.buf)
	o.items++
	return o.flush(o.chunk)
}

func (o *outflow) text(kind itemKind, text string) error {
	o.buf = append(appendItemHead(o.buf, kind, len(text)), text...)
	o.items++
	return o.flush(o.chunk)
}

// end sends what is left, and how it ended.
func (o *outflow) end(more bool, why error) error {
	if why == nil {
		if err := o.flush(1); err != nil {
			return err
		}
	}
	tell := endTell{Items: o.items, Data: o.sent, More: more}
	if why != nil {
		tell.Refusal = refusalOf(why).tell()
	}
	body, err := json.Marshal(tell)
	if err != nil {
		return fmt.Errorf("end stream: %w", err)
	}
	return o.publish(append(make([]byte, frameSize), body...), frameEnd)
}

// flush sends data in whole frames, while there are so many bytes of it at least.
func (o *outflow) flush(least int) error {
	begin := 0 // of a frame in buf
	for len(o.buf)-begin-frameSize >= least {
		n := min(o.chunk, len(o.buf)-begin-frameSize)
		if err := o.await(n); err != nil {
			return err
		}
		// The room for what stands before the next body is the end of this one, which has
		// been copied then.
		if err := o.publish(o.buf[begin:begin+frameSize+n], frameData); err != nil {
			return err
		}
		o.sent += uint64(n)
		begin += n
	}
	if begin > 0 {
		o.buf = append(o.buf[:frameSize], o.buf[begin+frameSize:]...)
	}
	if cap(o.buf) > 4*o.chunk && len(o.buf) <= o.chunk { // one large document came by
		o.buf = append(make([]byte, 0, frameSize+o.chunk), o.buf...)
	}
	return nil
}

func (o *outflow) publish(b []byte, kind frameKind) error {
	putFrame(b, kind, o.number)
	o.number++
	o.server.counts.sent.Add(uint64(len(b)))
	if err := o.server.Conn.Publish(o.reply, b); err != nil {
		return fmt.Errorf("send frame %d: %w", o.number-1, err)
	}
	return nil
}

// await waits until n bytes may be sent: by the peer's window first, then by the
// budget of all streams.
func (o *outflow) await(n int) error {
	if err := o.room(n); err != nil {
		return err
	}
	for {
		alive, cancel := context.WithTimeout(o.ctx, o.server.Limits.Stall/aliveFactor)
		err := o.server.budget.take(alive, n)
		cancel()
		switch {
		case err == nil:
			return nil
		case o.ctx.Err() != nil:
			return o.over()
		case !errors.Is(err, context.DeadlineExceeded):
			return err
		}
		// The budget is small, and the peer should know that this side is there.
		if err := o.publish(make([]byte, frameSize), frameData); err != nil {
			return err
		}
	}
}

// room waits until the peer has worked on so much that n bytes more are within the
// window.
func (o *outflow) room(n int) error {
	for {
		o.mu.Lock()
		under, stop, heard := int64(o.sent)-int64(min(o.taken, o.sent)), o.stop, o.heard
		o.mu.Unlock()
		left := o.server.Limits.Stall - time.Since(heard)
		switch {
		case stop:
			return errNoMore
		case o.ctx.Err() != nil:
			return o.over()
		case under+int64(n) <= int64(o.window):
			return nil
		case left <= 0:
			return refuse(CodeNotNow, "the peer was not heard for %v", o.server.Limits.Stall)
		}
		timer := time.NewTimer(left)
		select {
		case <-o.signal:
		case <-o.ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// over is why the stream's life has ended.
func (o *outflow) over() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.stop:
		return errNoMore
	case errors.Is(o.ctx.Err(), context.DeadlineExceeded):
		return refuse(CodeNotNow, "the pull took longer than %v", pullHard*o.server.Limits.PullTime)
	}
	return refuse(CodeNotNow, "this host is closing")
}
