package merge

import (
	"fmt"
	"strings"
)

// quoted reads a string, from quote to quote. Most are short and plain.
func (r *reader) quoted() (token string, escaped bool, err error) {
	near := r.text[r.at+1 : min(r.at+24, len(r.text))]
	for i := 0; i < len(near) && near[i] != '\\'; i++ {
		if near[i] == '"' {
			token = r.text[r.at : r.at+i+2]
			r.at += len(token)
			return token, false, nil
		}
	}
	return r.quotedFar()
}

// quotedFar is quoted for any string. Its cost is linear: no byte is searched
// twice for the same thing.
func (r *reader) quotedFar() (token string, escaped bool, err error) {
	start, slash := r.at, false
	for i, quote := start+1, 0; ; i += 2 {
		if quote < i {
			next := strings.IndexByte(r.text[i:], '"')
			if next < 0 {
				return "", false, r.fail("a string is not closed")
			}
			quote = i + next
		}
		backslash := strings.IndexByte(r.text[i:quote], '\\')
		if backslash < 0 {
			r.at = quote + 1
			break
		}
		i += backslash
		escaped = true
		slash = slash || r.text[i+1] == '/'
	}
	token = r.text[start:r.at]
	if slash {
		token = plainSlashes(token)
	}
	return token, escaped, nil
}

// scalar reads a string, a number, true, false or null.
func (r *reader) scalar() (string, error) {
	if r.peek() == '"' {
		token, _, err := r.quoted()
		return token, err
	}
	start := r.at
	stop := start
	for stop < len(r.text) && class[r.text[stop]] == bare {
		stop++
	}
	token := r.text[start:stop]
	if !isBareValue(token) {
		return "", r.failValue(token)
	}
	r.at = stop
	return token, nil
}

func (r *reader) fail(why string) error {
	return &UnreadableError{Text: r.index, Offset: r.at, Why: why}
}

func (r *reader) failValue(token string) error {
	switch {
	case r.at == len(r.text):
		return r.fail("the text ends where a value should be")
	case token == "":
		return r.fail(fmt.Sprintf("%q where a value should be", r.text[r.at]))
	default:
		return r.fail(fmt.Sprintf("%.16q is not a value", token))
	}
}

func (r *reader) failDepth() error {
	return r.fail(fmt.Sprintf("more than %d levels", maxDepth))
}

// end is what peek answers at the end of the text (and for a NUL in it, which
// begins nothing either).
const end = 0

func (r *reader) peek() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return end
}

func (r *reader) blanks() {
	for r.at < len(r.text) && class[r.text[r.at]] == blank {
		r.at++
	}
}
