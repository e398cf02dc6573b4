package merge

import "slices"

// scanLimit is the number of members up to which a key is found by looking at
// each; larger objects keep an index.
const scanLimit = 12

// value is an object, or else a token: any other JSON value as it is written.
type value struct {
	token string
	obj   *object
}

func (v value) isNull() bool { return v.obj == nil && v.token == "null" }

func (v value) appendTo(dst []byte) []byte {
	if v.obj == nil {
		return append(dst, v.token...)
	}
	return v.obj.appendTo(dst)
}

// size is the number of bytes that appendTo appends.
func (v value) size() int {
	if v.obj == nil {
		return len(v.token)
	}
	return v.obj.size()
}

// member is one key of an object. The zero member is a removed one; a live one
// has a token of at least two quotes.
type member struct {
	key   string // decoded
	token string // as written, with quotes
	value value
}

func (m *member) removed() bool { return m.token == "" }

// object keeps its members in order. Removal leaves a hole, so that the index
// stays true; holes are squeezed out when they are the greater part.
type object struct {
	members []member
	index   map[string]int // key to slot; nil while scanning is cheaper
	holes   int
}

// find returns the slot of key, or -1. A slot is good until the next remove.
func (o *object) find(key string) int {
	if o.index == nil && len(o.members) > scanLimit {
		o.reindex()
	}
	if o.index != nil {
		if slot, ok := o.index[key]; ok {
			return slot
		}
		return -1
	}
	for slot := range o.members {
		if m := &o.members[slot]; m.key == key && !m.removed() {
			return slot
		}
	}
	return -1
}

// push appends m, whose key the object must not have.
func (o *object) push(m member) {
	if o.index != nil {
		o.index[m.key] = len(o.members)
	}
	o.members = append(o.members, m)
}

func (o *object) remove(slot int) {
	delete(o.index, o.members[slot].key)
	o.members[slot] = member{}
	if slot == len(o.members)-1 {
		o.members = o.members[:slot]
		return
	}
	o.holes++
	if o.holes > scanLimit && 2*o.holes > len(o.members) {
		o.squeeze()
	}
}

func (o *object) squeeze() {
	o.members = slices.DeleteFunc(o.members, func(m member) bool { return m.removed() })
	o.holes = 0
	if o.index != nil {
		o.reindex()
	}
}

// reindex tells the index where the members are. An index holds the live keys
// and no others, so nothing in it is left over.
func (o *object) reindex() {
	if o.index == nil {
		o.index = make(map[string]int, 2*len(o.members))
	}
	for slot := range o.members {
		if m := &o.members[slot]; !m.removed() {
			o.index[m.key] = slot
		}
	}
}

func (o *object) appendTo(dst []byte) []byte {
	dst = append(dst, '{')
	first := true
	for slot := range o.members {
		m := &o.members[slot]
		if m.removed() {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, m.token...)
		dst = append(dst, ':')
		dst = m.value.appendTo(dst)
	}
	return append(dst, '}')
}

func (o *object) size() int {
	bytes, live := len("{}"), 0
	for slot := range o.members {
		if m := &o.members[slot]; !m.removed() {
			bytes += len(m.token) + len(":") + m.value.size()
			live++
		}
	}
	return bytes + max(0, live-1)
}
