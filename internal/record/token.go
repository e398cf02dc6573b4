package record

import (
	"strings"

	"trireme/internal/contract"
	"trireme/internal/position"
)

// Tokens are words without blanks. A byte that would break a line or a word
// (0x00 to 0x20, 0x7f) and the percent sign are written %XX with upper-case
// digits; everything else stands as it is, UTF-8 included. The empty text is a
// lone %. Where a word may be absent, - stands for "absent" and the text "-" is
// written %2D.

const (
	absent = "-"
	empty  = "%"
	upper  = "0123456789ABCDEF"
)

func mustEscape(c byte) bool { return c <= ' ' || c == 0x7f || c == '%' }

// appendToken appends a blank and the token.
func appendToken(b []byte, s string) []byte {
	b = append(b, ' ')
	switch s {
	case "":
		return append(b, empty...)
	case absent:
		return append(b, "%2D"...)
	}
	if escapes(s) == 0 {
		return append(b, s...)
	}
	for i := range len(s) {
		if c := s[i]; mustEscape(c) {
			b = append(b, '%', upper[c>>4], upper[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// escapes counts the bytes of s that a token cannot hold as they are.
func escapes(s string) int {
	n := 0
	for i := range len(s) {
		if mustEscape(s[i]) {
			n++
		}
	}
	return n
}

// tokenSize is how many bytes [appendToken] appends.
func tokenSize(s string) int {
	switch s {
	case "":
		return len(" " + empty)
	case absent:
		return len(" %2D")
	}
	return len(" ") + len(s) + 2*escapes(s)
}

// appendOptional appends a blank and the token, or - for "".
func appendOptional(b []byte, s string) []byte {
	if s == "" {
		return append(b, " -"...)
	}
	return appendToken(b, s)
}

// appendWho appends two tokens, or two - for nobody.
func appendWho(b []byte, w *contract.Who) []byte {
	if w == nil {
		return append(b, " - -"...)
	}
	return appendToken(appendToken(b, w.Agent), w.Authority)
}

func whoSize(w *contract.Who) int {
	if w == nil {
		return len(" - -")
	}
	return tokenSize(w.Agent) + tokenSize(w.Authority)
}

func appendIncarnation(b []byte, p position.Position) []byte {
	if p.IsZero() {
		return append(b, " -"...)
	}
	return p.Append(append(b, ' '))
}

// appendText ends a line with the size of s and appends s.
func appendText(b []byte, s string) []byte {
	b = appendInt(append(b, ' '), int64(len(s)))
	b = append(b, crlf...)
	return append(append(b, s...), crlf...)
}

// unescape reads a token other than [absent]; ok is false when appendToken
// would not have written it so.
func unescape(s string) (text string, ok bool) {
	if s == empty {
		return "", true
	}
	if escapes(s) == 0 { // the usual case, which copies nothing
		return s, s != "" && s != absent
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := strings.IndexByte(upper, s[i+1]), strings.IndexByte(upper, s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			c = byte(hi<<4 | lo)
			if !mustEscape(c) && s != "%2D" {
				return "", false
			}
			i += 2
		} else if mustEscape(c) {
			return "", false
		}
		b = append(b, c)
	}
	return string(b), true
}
