package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/internal/contract"
)

// respond puts an answer on the wire.
func (s *Service) respond(msg *nats.Msg, data []byte, header nats.Header, err error) {
	answer := &nats.Msg{Data: data, Header: header}
	if e, ok := errors.AsType[*contract.Error](err); ok {
		body := e.Reply()
		answer.Data, _ = marshal(body) // of strings and a number: it cannot fail
		answer.Header = nats.Header{
			micro.ErrorCodeHeader: []string{strconv.Itoa(int(e.Code))},
			micro.ErrorHeader:     []string{headerText(body.Name, body.Message)},
		}
	}
	s.publish(msg, answer)
}

// publish sends the answer to a message, if somebody asks for one.
func (s *Service) publish(msg, answer *nats.Msg) {
	if msg.Reply == "" {
		return
	}
	answer.Subject = msg.Reply
	if err := s.Conn.PublishMsg(answer); err != nil {
		s.Logger.Warn("reply", "subject", msg.Subject, "error", err)
	}
}

// headerText is the error as one line of a header.
func headerText(name, message string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, name+": "+message)
}

// marshal is json.Marshal without the escapes that HTML would need.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode reply: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
