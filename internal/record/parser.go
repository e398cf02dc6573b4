package record

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
)

// A parser takes lines and texts off the front of a record. After a fault it
// returns nothing more; the first fault stays.
type parser struct {
	body string
	at   int
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	p.at = len(p.body)
}

// left is how many bytes have not been taken.
func (p *parser) left() int { return len(p.body) - p.at }

// line takes a line without its end.
func (p *parser) line() string {
	rest := p.body[p.at:]
	n := strings.Index(rest, crlf)
	if n < 0 {
		p.fail("a line does not end")
		return ""
	}
	p.at += n + len(crlf)
	return rest[:n]
}

// take takes n bytes and the line end after them.
func (p *parser) take(n int) string {
	if p.err != nil {
		return ""
	}
	rest := p.body[p.at:]
	if n > len(rest)-len(crlf) || rest[n:n+len(crlf)] != crlf {
		p.fail("a text of %d bytes does not end where it should", n)
		return ""
	}
	p.at += n + len(crlf)
	return rest[:n]
}

// end tells the first fault, or that bytes are left over.
func (p *parser) end(other error) error {
	switch {
	case p.err != nil:
		return p.err
	case other != nil:
		return other
	case p.left() > 0:
		return fmt.Errorf("%d bytes are left over", p.left())
	}
	return nil
}

// fields takes words off the front of a line; the first fault stays.
type fields struct {
	line string
	at   int // beyond the line's end once the last word has been taken
	err  error
}

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

func (f *fields) word(name string) string {
	if f.at > len(f.line) {
		f.fail("%s is missing", name)
		return ""
	}
	rest := f.line[f.at:]
	n := strings.IndexByte(rest, ' ')
	if n < 0 {
		n = len(rest)
	}
	f.at += n + 1
	return rest[:n]
}

func (f *fields) end() error {
	if f.at <= len(f.line) {
		f.fail("unexpected words %.32q", f.line[f.at:])
	}
	return f.err
}

func (f *fields) token(name string) string { return f.unescape(name, f.word(name)) }

func (f *fields) unescape(name, word string) string {
	text, ok := unescape(word)
	if !ok {
		f.fail("%s %.64q is not a token", name, word)
	}
	return text
}

// optional reads a token that is never empty, or - as "".
func (f *fields) optional(name string) string {
	word := f.word(name)
	if word == absent {
		return ""
	}
	if word == empty {
		f.fail("%s is empty", name)
	}
	return f.unescape(name, word)
}

func (f *fields) who() *contract.Who {
	agent, authority := f.word("agent"), f.word("authority")
	if agent == absent && authority == absent {
		return nil
	}
	return &contract.Who{Agent: f.unescape("agent", agent), Authority: f.unescape("authority", authority)}
}

func (f *fields) integer(name string) int64 { return f.number(name, 64) }

func (f *fields) int32(name string) int32 { return int32(f.number(name, 32)) }

// size reads a number from 0 to limit.
func (f *fields) size(name string, limit int) int {
	n := f.integer(name)
	if n < 0 || n > int64(limit) {
		f.fail("%s %d is out of range", name, n)
		return 0
	}
	return int(n)
}

// number reads a decimal integer in the one way that appendInt writes it.
func (f *fields) number(name string, bits int) int64 {
	word := f.word(name)
	n, err := strconv.ParseInt(word, 10, bits)
	if err != nil || !canonical(word) {
		f.fail("%s %.32q is not a number of %d bits", name, word, bits)
		return 0
	}
	return n
}

func canonical(word string) bool {
	digits := strings.TrimPrefix(word, "-")
	return digits == "0" && digits == word || digits != "" && digits[0] >= '1' && digits[0] <= '9'
}

func (f *fields) bool(name string) bool {
	n := f.integer(name)
	if n != 0 && n != 1 {
		f.fail("%s %d is not 0 or 1", name, n)
	}
	return n == 1
}

func (f *fields) incarnation() position.Position {
	word := f.word("incarnation")
	if word == absent {
		return position.Position{}
	}
	return f.parsePosition("incarnation", word)
}

func (f *fields) position(name string) position.Position {
	return f.parsePosition(name, f.word(name))
}

// horizon reads a position that is not zero.
func (f *fields) horizon() position.Position {
	p := f.position("horizon")
	if p.IsZero() {
		f.fail("horizon %v is not a position in a log", p)
	}
	return p
}

func (f *fields) parsePosition(name, word string) position.Position {
	p, err := position.Parse(word)
	if err != nil || p.IsZero() && name == "incarnation" || p.Seq > math.MaxInt64 {
		f.fail("%s %.48q is not a position", name, word)
	}
	return p
}

func (f *fields) chain(name string) digest.Chain {
	c, err := digest.ParseChain(f.word(name))
	if err != nil {
		f.fail("%s: %w", name, err)
	}
	return c
}
