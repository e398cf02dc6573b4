package merge

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// What a byte outside of strings is.
const (
	bare   = iota // part of a number or a word
	blank         // separates
	bounds        // is a token by itself or begins one
)

var class = [256]byte{
	' ': blank, '\t': blank, '\n': blank, '\r': blank, ',': blank, ':': blank,
	'{': bounds, '}': bounds, '[': bounds, ']': bounds, '"': bounds,
}

func isBareValue(token string) bool {
	switch token {
	case "true", "false", "null", "NaN", "Infinity", "-Infinity":
		return true
	}
	return isNumber(token)
}

// isNumber accepts the numbers of JSON, and also a leading plus, leading zeros
// and a point without digits before it or after it.
func isNumber(s string) bool {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	whole, s := digits(s)
	fraction := 0
	if s != "" && s[0] == '.' {
		fraction, s = digits(s[1:])
	}
	if whole+fraction == 0 {
		return false
	}
	if s == "" {
		return true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return false
	}
	s = s[1:]
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	exponent, s := digits(s)
	return exponent > 0 && s == ""
}

// digits counts the leading digits of s and returns what comes after them.
func digits(s string) (count int, rest string) {
	for count < len(s) && s[count]-'0' <= 9 {
		count++
	}
	return count, s[count:]
}

// plainSlashes writes every \/ of a string token as a plain slash.
func plainSlashes(token string) string {
	var out strings.Builder
	out.Grow(len(token))
	for {
		i := strings.IndexByte(token, '\\')
		if i < 0 {
			out.WriteString(token)
			return out.String()
		}
		out.WriteString(token[:i])
		if token[i+1] != '/' {
			out.WriteString(token[i : i+2])
		} else {
			out.WriteByte('/')
		}
		token = token[i+2:]
	}
}

// decode resolves the escapes of what stands between the quotes of a key.
func decode(s string) string {
	out := make([]byte, 0, len(s))
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			return string(append(out, s...))
		}
		out = append(out, s[:i]...)
		var n int
		out, n = appendEscape(out, s[i:])
		s = s[i+n:]
	}
}

// appendEscape decodes the escape at the start of s and says how long it is.
func appendEscape(out []byte, s string) ([]byte, int) {
	switch s[1] {
	case '"', '\\', '/':
		return append(out, s[1]), 2
	case 'b':
		return append(out, '\b'), 2
	case 'f':
		return append(out, '\f'), 2
	case 'n':
		return append(out, '\n'), 2
	case 'r':
		return append(out, '\r'), 2
	case 't':
		return append(out, '\t'), 2
	}
	unit, ok := codeUnit(s)
	if !ok {
		return append(out, '\\'), 1
	}
	if !utf16.IsSurrogate(unit) {
		return utf8.AppendRune(out, unit), 6
	}
	if low, ok := codeUnit(s[6:]); ok {
		if char := utf16.DecodeRune(unit, low); char != utf8.RuneError {
			return utf8.AppendRune(out, char), 12
		}
	}
	return appendSurrogate(out, unit), 6
}

// codeUnit reads \uXXXX at the start of s.
func codeUnit(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(unit), err == nil
}

// appendSurrogate writes a lone surrogate as WTF-8 does, in the three bytes
// that UTF-8 leaves unused, so that it equals no other key.
func appendSurrogate(out []byte, unit rune) []byte {
	return append(out, 0xE0|byte(unit>>12), 0x80|byte(unit>>6)&0x3F, 0x80|byte(unit)&0x3F)
}
