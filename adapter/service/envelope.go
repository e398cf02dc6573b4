package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"trireme/internal/contract"
)

// decode reads a request's body. encoding/json would replace bytes that are no
// UTF-8, and escapes of half a surrogate pair, by U+FFFD without a word; a store
// may not change what it is given, so these are refused.
func decode[T any](body []byte) (T, error) {
	var v T
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return v, contract.Errorf(contract.Malformed, `the body is empty: send a JSON object such as {"space":"s","key":"k"}`)
	case !utf8.Valid(body):
		return v, contract.Errorf(contract.Malformed, "the body is not valid UTF-8")
	}
	if at := loneSurrogate(body); at >= 0 {
		return v, contract.Errorf(contract.Malformed, "the body has half a surrogate pair at offset %d, which no UTF-8 text can hold", at)
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return v, contract.Errorf(contract.Malformed, "the body: %v", explain(err))
	}
	return v, nil
}

// explain says what is wrong with a body in the terms of a caller.
func explain(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		where := "the body"
		if e.Field != "" {
			where = "field " + e.Field
		}
		return fmt.Errorf("%s is a JSON %s, want %s", where, e.Value, wanted(e.Type.String()))
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not valid JSON at offset %d: %w", e.Offset, err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON ends too early")
	}
	return err
}

func wanted(goType string) string {
	switch goType {
	case "int32":
		return "an integer of 32 bits"
	case "int64":
		return "an integer of 64 bits"
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	}
	return "an object of the operation's form"
}

// loneSurrogate finds a \u escape of half a surrogate pair; -1 for none. Such an
// escape may only stand in a string, where a backslash always escapes.
func loneSurrogate(body []byte) int {
	for i := 0; ; {
		j := bytes.IndexByte(body[i:], '\\')
		if j < 0 {
			return -1
		}
		i += j
		unit, ok := escapedUnit(body[i:])
		switch {
		case !ok:
			i = min(i+2, len(body))
		case unit < 0xd800 || unit > 0xdfff:
			i += 6
		case unit < 0xdc00 && isLow(body[i+6:]):
			i += 12
		default:
			return i
		}
	}
}

func isLow(b []byte) bool {
	unit, ok := escapedUnit(b)
	return ok && unit >= 0xdc00 && unit <= 0xdfff
}

// escapedUnit reads \uXXXX at the front of b.
func escapedUnit(b []byte) (uint64, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return unit, err == nil
}
