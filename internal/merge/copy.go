package merge

// The copy functions read what lies inside an array, check it as strictly as
// the rest and append it to dst as this package writes it. Objects in arrays
// are only rewritten, not merged: equal keys stay as they are.

func (r *reader) copyValue(dst []byte, depth int) ([]byte, error) {
	r.blanks()
	switch r.peek() {
	case '{':
		return r.copyObject(dst, depth+1)
	case '[':
		return r.copyArray(dst, depth+1)
	default:
		token, err := r.scalar()
		return append(dst, token...), err
	}
}

func (r *reader) copyArray(dst []byte, depth int) ([]byte, error) {
	if depth > maxDepth {
		return dst, r.failDepth()
	}
	r.at++
	dst = append(dst, '[')
	for n := 0; ; n++ {
		closed, err := r.closes(']')
		if err != nil {
			return dst, err
		}
		if closed {
			return append(dst, ']'), nil
		}
		if n > 0 {
			dst = append(dst, ',')
		}
		if dst, err = r.copyValue(dst, depth); err != nil {
			return dst, err
		}
	}
}

func (r *reader) copyObject(dst []byte, depth int) ([]byte, error) {
	if depth > maxDepth {
		return dst, r.failDepth()
	}
	r.at++
	dst = append(dst, '{')
	for n := 0; ; n++ {
		closed, err := r.closes('}')
		if err != nil {
			return dst, err
		}
		if closed {
			return append(dst, '}'), nil
		}
		if n > 0 {
			dst = append(dst, ',')
		}
		token, _, err := r.key()
		if err != nil {
			return dst, err
		}
		dst = append(append(dst, token...), ':')
		if dst, err = r.copyValue(dst, depth); err != nil {
			return dst, err
		}
	}
}
