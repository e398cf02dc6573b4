package adapter

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/internal/contract"
)

// encode writes a request as it travels. <, > and & stay themselves, so that a
// person can read it.
func encode(body any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return nil, contract.Errorf(contract.Malformed, "write the request as JSON: %v", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

var errReply = errors.New("unreadable reply")

// decode reads a reply into out, or returns the refusal that it is.
func decode(msg *nats.Msg, out any) error {
	if code := msg.Header.Get(micro.ErrorCodeHeader); code != "" {
		return refusal(code, msg.Header.Get(micro.ErrorHeader), msg.Data)
	}
	if err := json.Unmarshal(msg.Data, out); err != nil {
		return fmt.Errorf("%w: %w", errReply, err)
	}
	return nil
}

// refusal believes the header, by which NATS tells an error from an answer; the
// body has the better message.
func refusal(code, message string, data []byte) error {
	n, err := strconv.Atoi(code)
	if err != nil {
		return fmt.Errorf("%w: header %s %q: %s", errReply, micro.ErrorCodeHeader, code, message)
	}
	var body contract.ErrorReply
	if json.Unmarshal(data, &body) == nil && body.Message != "" {
		message = body.Message
	}
	return &Error{Code: Code(n), Message: message}
}

// behind reads how far behind a local read may be, -1 if the reply does not say.
func behind(h nats.Header) int64 {
	n, err := strconv.ParseInt(h.Get(contract.HeaderBehind), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// checkText refuses what JSON cannot carry: encoding/json would silently put
// other characters in its place.
func checkText(field, text string) error {
	if !utf8.ValidString(text) {
		return contract.Errorf(contract.Malformed, "%s is not valid UTF-8", field)
	}
	return nil
}

func checkUpdate(field string, u *Update) error {
	if err := cmp.Or(
		checkText(field+".request", u.Request),
		checkText(field+".redo", u.Redo),
		checkText(field+".undo", u.Undo),
		checkWho(field+".who", u.Who),
	); err != nil {
		return err
	}
	return contract.CheckUpdate(field, u)
}

func checkWho(field string, w *Who) error {
	if w == nil {
		return nil
	}
	return cmp.Or(checkText(field+".agent", w.Agent), checkText(field+".authority", w.Authority))
}
