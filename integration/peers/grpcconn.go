package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A grpcConn makes unary gRPC requests, many at once, for less processor time than
// grpc-go needs: no goroutine and no deadline for each. It is what etcd is given
// so that NATS' cheap requests are no advantage. A connection that fails is not
// made again.
type grpcConn struct {
	conn    net.Conn
	ended   sync.WaitGroup
	answers chan<- grpcAnswer

	mu      sync.Mutex // of what follows: the reader acknowledges what it reads
	out     *bufio.Writer
	framer  *http2.Framer
	header  bytes.Buffer
	encoder *hpack.Encoder
	stream  uint32
	window  int64 // bytes that the server is ready for
	open    map[uint32]*grpcAnswer
}

// A grpcAnswer is the reply to a client's request.
type grpcAnswer struct {
	client  int
	message []byte
	err     error
}

const (
	// grpcPrefix is a byte for the compression and four for the length of a message.
	grpcPrefix = 5
	// largeWindow lets the server answer as it likes.
	largeWindow = 1 << 30
	// firstWindow is what a server takes before it has said otherwise.
	firstWindow = 65535
)

func dialGRPC(address string, answers chan<- grpcAnswer) (*grpcConn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &grpcConn{conn: conn, answers: answers, out: bufio.NewWriterSize(conn, 64<<10), window: firstWindow, open: map[uint32]*grpcAnswer{}}
	c.stream = 1
	c.framer = http2.NewFramer(c.out, bufio.NewReaderSize(conn, 64<<10))
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.SetReuseFrames()
	c.encoder = hpack.NewEncoder(&c.header)
	_, err1 := c.out.WriteString(http2.ClientPreface)
	err2 := c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: largeWindow})
	err3 := c.framer.WriteWindowUpdate(0, largeWindow)
	if err := errors.Join(err1, err2, err3, c.out.Flush()); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c.ended.Go(c.read)
	return c, nil
}

func (c *grpcConn) close() {
	_ = c.conn.Close() // nothing is under way
	c.ended.Wait()
}

// send gathers a request; flush sends it.
func (c *grpcConn) send(client int, method string, message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.window -= int64(grpcPrefix + len(message)); c.window < 0 {
		return errors.New("the server takes no more on this connection: let fewer clients share one, with --per-conn")
	}
	c.header.Reset()
	for _, f := range [...]hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: method},
		{Name: ":authority", Value: "etcd"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	} {
		if err := c.encoder.WriteField(f); err != nil {
			return err
		}
	}
	id := c.stream
	c.stream += 2
	c.open[id] = &grpcAnswer{client: client}
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.header.Bytes(), EndHeaders: true})
	if err != nil {
		return err
	}
	data := binary.BigEndian.AppendUint32(make([]byte, 1, grpcPrefix+len(message)), uint32(len(message)))
	return c.framer.WriteData(id, true, append(data, message...))
}

func (c *grpcConn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Flush()
}

// read takes what the server sends until the connection ends. Only what ends it
// while requests are out is told.
func (c *grpcConn) read() {
	for {
		frame, err := c.framer.ReadFrame()
		if err == nil {
			err = c.take(frame)
		}
		if err != nil {
			c.mu.Lock()
			out := len(c.open)
			c.mu.Unlock()
			if out > 0 && !errors.Is(err, net.ErrClosed) {
				c.answers <- grpcAnswer{err: fmt.Errorf("etcd's connection: %w", err)}
			}
			return
		}
	}
}

func (c *grpcConn) take(frame http2.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		return errors.Join(c.framer.WriteSettingsAck(), c.out.Flush())
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		return errors.Join(c.framer.WritePing(true, f.Data), c.out.Flush())
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
		}
	case *http2.DataFrame:
		if a := c.open[f.StreamID]; a != nil {
			a.message = append(a.message, f.Data()...)
		}
	case *http2.MetaHeadersFrame:
		if f.StreamEnded() {
			return c.end(f)
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("a request was reset: %v", f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server goes away: %v", f.ErrCode)
	}
	return nil
}

// end hands over the answer that a request's trailers complete. The channel has
// room for every client's.
func (c *grpcConn) end(f *http2.MetaHeadersFrame) error {
	a := c.open[f.StreamID]
	if a == nil {
		return fmt.Errorf("an answer to request %d, which is not out", f.StreamID)
	}
	delete(c.open, f.StreamID)
	var status, text string
	for _, h := range f.Fields {
		switch h.Name {
		case "grpc-status":
			status = h.Value
		case "grpc-message":
			text = h.Value
		}
	}
	switch {
	case status != "0":
		a.err = fmt.Errorf("etcd answers status %s %s", strconv.Quote(status), text)
	case len(a.message) < grpcPrefix:
		a.err = fmt.Errorf("etcd answers a message of %d bytes", len(a.message))
	default:
		a.message = a.message[grpcPrefix:]
	}
	c.answers <- *a
	return nil
}
