package localcluster

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// A Frame is one line of NATS' protocol, between a client and a server or between two
// servers, with the message that may follow it.
type Frame struct {
	From, To string // who sends it to whom: names of hosts and clients, "" while not known
	Verb     string // INFO, CONNECT, PING, PUB, HPUB, MSG, HMSG, RMSG, ...
	Line     []byte // all of the line, its end included
	Message  []byte // and the bytes that it announces, their end included; nil for none
}

// About tells whether the line has a text in it, a subject for one.
func (f *Frame) About(text string) bool { return bytes.Contains(f.Line, []byte(text)) }

// Carries tells whether the frame is a message whose line or content has a text in it.
func (f *Frame) Carries(text string) bool {
	return f.Message != nil && (f.About(text) || bytes.Contains(f.Message, []byte(text)))
}

// The verbs that announce bytes, by the last word of their line.
func announces(verb string) bool {
	switch verb {
	case "PUB", "HPUB", "MSG", "HMSG", "RMSG", "LMSG":
		return true
	}
	return false
}

// maxMessage is more than our servers' max_payload: what is larger is no NATS.
const maxMessage = 80 << 20

func readFrame(r *bufio.Reader) (*Frame, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	words := bytes.Fields(line)
	if len(words) == 0 {
		return &Frame{Line: line}, nil
	}
	f := &Frame{Verb: string(bytes.ToUpper(words[0])), Line: line}
	if !announces(f.Verb) {
		return f, nil
	}
	last := string(words[len(words)-1])
	size, err := strconv.ParseUint(last, 10, 32)
	if err != nil || size > maxMessage {
		return nil, fmt.Errorf("%s of %q bytes", f.Verb, last)
	}
	f.Message = make([]byte, size+uint64(len("\r\n")))
	_, err = io.ReadFull(r, f.Message)
	return f, err
}

// introduces finds the name that a dialer gives itself: a server in its INFO, a client
// in its CONNECT.
func (f *Frame) introduces() string {
	switch f.Verb {
	case "INFO":
		return field(f.Line, `"server_name":"`)
	case "CONNECT":
		if !f.About(`"cluster":"`) { // a server's has an id that changes
			return field(f.Line, `"name":"`)
		}
	}
	return ""
}

func field(line []byte, key string) string {
	_, rest, _ := bytes.Cut(line, []byte(key))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}
