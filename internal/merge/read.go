package merge

import "fmt"

// maxDepth bounds the nesting of objects and arrays, hence every recursion of
// this package. encoding/json has the same bound.
const maxDepth = 10_000

// reader turns one text after another into values.
type reader struct {
	index   int // of the text, for errors
	text    string
	at      int
	scratch []byte // for the array being read
	store
}

// read parses the whole text. Its tokens are parts of text where they can be.
func (r *reader) read(index int, text string) (value, error) {
	r.index, r.text, r.at = index, text, 0
	v, err := r.value(0)
	if err != nil {
		return value{}, err
	}
	if r.blanks(); r.at < len(r.text) {
		return value{}, r.fail("the text goes on after its value")
	}
	return v, nil
}

// value reads the next value, which stands below depth objects and arrays.
func (r *reader) value(depth int) (value, error) {
	r.blanks()
	switch r.peek() {
	case '{':
		return r.readObject(depth + 1)
	case '[':
		return r.readArray(depth + 1)
	default:
		token, err := r.scalar()
		return value{token: token}, err
	}
}

func (r *reader) readObject(depth int) (value, error) {
	if depth > maxDepth {
		return value{}, r.failDepth()
	}
	r.at++
	o := r.object()
	for {
		if closed, err := r.closes('}'); closed || err != nil {
			return value{obj: o}, err
		}
		token, escaped, err := r.key()
		if err != nil {
			return value{}, err
		}
		v, err := r.value(depth)
		if err != nil {
			return value{}, err
		}
		key := token[1 : len(token)-1]
		if escaped {
			key = decode(key)
		}
		if slot := o.find(key); slot >= 0 {
			o.members[slot].value = v
		} else {
			r.makeRoom(o)
			o.push(member{key, token, v})
		}
	}
}

// readArray makes one token of an array: the array as it is written if it is
// written as this package would, else rewritten so.
func (r *reader) readArray(depth int) (value, error) {
	start := r.at
	rewritten, err := r.copyArray(r.scratch[:0], depth)
	if err != nil {
		return value{}, err
	}
	r.scratch = rewritten
	if written := r.text[start:r.at]; written == string(rewritten) {
		return value{token: written}, nil
	}
	return value{token: string(rewritten)}, nil
}

// closes skips blanks and passes the bracket if it comes next.
func (r *reader) closes(bracket byte) (bool, error) {
	r.blanks()
	switch r.peek() {
	case bracket:
		r.at++
		return true, nil
	case end:
		if r.at == len(r.text) {
			return false, r.fail(fmt.Sprintf("the text ends before its %q", bracket))
		}
	}
	return false, nil
}

// key reads a key and sees that a value follows.
func (r *reader) key() (token string, escaped bool, err error) {
	if r.peek() != '"' {
		return "", false, r.fail("a key is not a string")
	}
	if token, escaped, err = r.quoted(); err != nil {
		return "", false, err
	}
	if r.blanks(); r.peek() == '}' {
		return "", false, r.fail("a key has no value")
	}
	return token, escaped, nil
}
