package service

import (
	"bytes"

	"trireme/internal/contract"
)

// Patches are nearly all requests there are, and reading them took a tenth of
// the host's time. readPatch reads the ordinary form of one, in one pass; at
// anything out of the ordinary (an unknown or repeated field, \u escapes, a
// number too large, a fault) it gives up, and the general way reads the body
// again and finds the words for what is wrong. A fuzz target holds the two
// against each other.

// readPatch reads a patch. The body is valid UTF-8.
func readPatch(body []byte) (f patchForm, ok bool) {
	s := scanner{rest: body}
	s.object(func(key []byte) bool {
		switch string(key) {
		case "space":
			f.Space = s.text()
		case "key":
			f.Key.Key = s.text()
		case "incarnation":
			f.Incarnation = s.text()
		case "patches":
			s.array(func() { f.Patches = append(f.Patches, s.update()) })
		default:
			return false
		}
		return true
	})
	s.blanks()
	return f, !s.lost && len(s.rest) == 0
}

func (s *scanner) update() (f updateForm) {
	var v struct {
		begin, end int32
		redo, undo string
	}
	s.object(func(key []byte) bool {
		switch string(key) {
		case "seq_begin":
			v.begin, f.SeqBegin = int32(s.integer(32)), &v.begin
		case "seq_end":
			v.end, f.SeqEnd = int32(s.integer(32)), &v.end
		case "redo":
			v.redo, f.Redo = s.text(), &v.redo
		case "undo":
			v.undo, f.Undo = s.text(), &v.undo
		case "request":
			f.Request = s.text()
		case "update_type":
			f.UpdateType = s.text()
		case "requires_future_invalidation":
			f.RequiresFutureInvalidation = s.bool()
		case "when_to_invalidate_ms":
			f.WhenToInvalidateMS = int32(s.integer(32))
		case "asset_bytes":
			f.AssetBytes = s.integer(64)
		case "who":
			f.Who = s.who()
		default:
			return false
		}
		return true
	})
	return f
}

func (s *scanner) who() *contract.Who {
	if s.word("null") {
		return nil
	}
	var w contract.Who
	s.object(func(key []byte) bool {
		switch string(key) {
		case "agent":
			w.Agent = s.text()
		case "authority":
			w.Authority = s.text()
		default:
			return false
		}
		return true
	})
	return &w
}

// A scanner takes JSON values off the front of a body. Once it is lost it takes
// nothing more.
type scanner struct {
	rest []byte
	lost bool
}

func (s *scanner) lose() {
	s.lost, s.rest = true, nil
}

func (s *scanner) blanks() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// next takes c, after blanks, if it comes next.
func (s *scanner) next(c byte) bool {
	s.blanks()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) expect(c byte) {
	if !s.next(c) {
		s.lose()
	}
}

// word takes a bare word if it comes next.
func (s *scanner) word(w string) bool {
	s.blanks()
	if !bytes.HasPrefix(s.rest, []byte(w)) {
		return false
	}
	s.rest = s.rest[len(w):]
	return true
}

// object takes an object; field takes the value of a key, or says that it does
// not know the key.
func (s *scanner) object(field func(key []byte) bool) {
	s.expect('{')
	if s.next('}') {
		return
	}
	var seen [12][]byte
	for n := 0; !s.lost; n++ {
		key, escapes := s.raw()
		s.expect(':')
		for _, before := range seen[:min(n, len(seen))] {
			if bytes.Equal(before, key) {
				s.lose() // which one counts is the general way's to say
			}
		}
		if n >= len(seen) || escapes > 0 || s.lost || !field(key) {
			s.lose()
			return
		}
		seen[n] = key
		if !s.next(',') {
			s.expect('}')
			return
		}
	}
}

func (s *scanner) array(element func()) {
	s.expect('[')
	if s.next(']') {
		return
	}
	for !s.lost {
		element()
		if !s.next(',') {
			s.expect(']')
			return
		}
	}
}

// text takes a string without \u escapes.
func (s *scanner) text() string {
	raw, escapes := s.raw()
	if escapes == 0 {
		return string(raw)
	}
	return s.unescape(raw, escapes)
}

// raw takes a string as it stands between its quotes.
func (s *scanner) raw() (raw []byte, escapes int) {
	s.expect('"')
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			raw, s.rest = s.rest[:i], s.rest[i+1:]
			return raw, escapes
		case c == '\\':
			escapes++
			i++ // whatever it escapes
		case c < ' ':
			s.lose()
			return nil, 0
		}
	}
	s.lose()
	return nil, 0
}

func (s *scanner) unescape(raw []byte, escapes int) string {
	text := make([]byte, 0, len(raw)-escapes)
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return string(append(text, raw...))
		}
		c := unescaped[raw[i+1]]
		if c == 0 {
			s.lose()
			return ""
		}
		text = append(append(text, raw[:i]...), c)
		raw = raw[i+2:]
	}
}

var unescaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// integer takes a whole number of so many bits, without a fraction or exponent.
func (s *scanner) integer(bits int) int64 {
	s.blanks()
	b, i, n := s.rest, 0, int64(0)
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		i++
	}
	first := i
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		if i-first == 18 { // the next digit might not fit
			s.lose()
			return 0
		}
		n = 10*n + int64(b[i]-'0')
	}
	leadingZero := i-first > 1 && b[first] == '0'
	if i == first || leadingZero || i < len(b) && (b[i] == '.' || b[i] == 'e' || b[i] == 'E') {
		s.lose()
		return 0
	}
	if negative {
		n = -n
	}
	if bits == 32 && int64(int32(n)) != n {
		s.lose()
		return 0
	}
	s.rest = b[i:]
	return n
}

func (s *scanner) bool() bool {
	if s.word("true") {
		return true
	}
	if !s.word("false") {
		s.lose()
	}
	return false
}
