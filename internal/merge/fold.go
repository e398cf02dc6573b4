package merge

import "bytes"

// Fold merges texts in order, nulls kept, and returns the merged text. One
// text comes back as it is, unread. The result shares no memory with texts.
//
// It fails with [ErrNoTexts], or with an [*UnreadableError] (errors.Is
// [ErrUnreadable]) for the first text that cannot be read.
func Fold(texts ...[]byte) ([]byte, error) {
	switch len(texts) {
	case 0:
		return nil, ErrNoTexts
	case 1:
		return bytes.Clone(texts[0]), nil
	}
	var a Accumulator
	for _, text := range texts {
		if err := a.Add(text); err != nil {
			return nil, err
		}
	}
	return a.Bytes(), nil
}

// Accumulator folds texts that arrive one by one, reading each only once. The
// zero value is ready and keeps nulls. It is for one goroutine at a time.
//
// It holds on to the texts whose tokens are still in the result. To keep a
// merged document for long, keep its Bytes and start over from them.
type Accumulator struct {
	// DropNulls makes a patch's key:null remove the key instead of moving it
	// to the end. The first text keeps its nulls all the same. Set it before
	// the first Add.
	DropNulls bool

	texts  int
	first  string // the first text, unread until a second one comes
	root   value  // the merged value, from the second text on
	reader reader
}

// Add folds text onto what is there; the first text is the document. The text
// is copied. An error is an [*UnreadableError], and an Add that fails changes
// nothing. An unreadable first text fails the Adds after it, not its own.
func (a *Accumulator) Add(text []byte) error {
	if a.texts == 0 {
		a.first, a.texts = string(text), 1
		return nil
	}
	base := a.root
	if a.texts == 1 {
		var err error
		if base, err = a.reader.read(0, a.first); err != nil {
			return err
		}
	}
	patch, err := a.reader.read(a.texts, string(text))
	if err != nil {
		return err
	}
	a.root = a.apply(base, patch)
	a.first = ""
	a.texts++
	return nil
}

// Bytes returns the fold of the texts added so far, in memory of its own: the
// first text as it is while it is the only one, empty before that.
func (a *Accumulator) Bytes() []byte {
	if a.texts < 2 {
		return []byte(a.first)
	}
	return a.root.appendTo(make([]byte, 0, a.root.size()))
}

// apply uses up patch: its objects become part of the result or are recycled.
func (a *Accumulator) apply(base, patch value) value {
	switch {
	case patch.obj == nil:
		return patch
	case base.obj != nil:
		a.merge(base.obj, patch.obj)
		return base
	case a.DropNulls:
		empty := a.reader.object()
		a.merge(empty, patch.obj)
		return value{obj: empty}
	default:
		return patch // onto {} every member is new, so the merge is the patch
	}
}

func (a *Accumulator) merge(target, patch *object) {
	for i := range patch.members {
		m := &patch.members[i]
		slot := target.find(m.key)
		switch {
		case m.value.isNull():
			if slot >= 0 {
				target.remove(slot)
			}
			if !a.DropNulls {
				target.push(*m)
			}
		case slot >= 0:
			held := &target.members[slot].value
			*held = a.apply(*held, m.value)
		default:
			target.push(member{m.key, m.token, a.apply(value{}, m.value)})
		}
	}
	a.reader.recycle(patch)
}
