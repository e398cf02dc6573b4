package buckets

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"trireme/internal/contract"
)

// imageVersion begins every encoded image.
const imageVersion = 1

// An Image is one document or tombstone whole: its state and every row that the
// state vouches for, as they are on disk. It comes from [Moment.Image] or
// [ParseImage] and does not change.
type Image struct {
	Key contract.Key

	raw   []byte // the encoding
	body  int    // where the rows begin in it
	count int    // of the rows

	checked bool
	state   DocState
	err     error
}

// ParseImage reads an encoded image and nothing else. It looks at the form only;
// [Image.Check] looks at what it says. The image keeps b, which must not change
// any more.
func ParseImage(b []byte) (*Image, error) {
	if len(b) == 0 || b[0] != imageVersion {
		return nil, fmt.Errorf("image of %d bytes: want version %d", len(b), imageVersion)
	}
	c := cutter{b: b[1:]}
	im := &Image{raw: b}
	im.Key.Space, im.Key.Key = string(c.cut()), string(c.cut())
	im.body = len(b) - len(c.b)
	var table byte
	var suffix []byte
	for n := 0; ; n++ {
		t, s, _ := c.row()
		switch {
		case c.bad:
			return nil, fmt.Errorf("image of %d bytes is cut short, or a number in it is not as short as it can be", len(b))
		case n == 0 && (t != tableDocument || len(s) > 0):
			return nil, fmt.Errorf("image of document %q in space %q does not begin with its state", im.Key.Key, im.Key.Space)
		case t == 0 && len(c.b) > 0:
			return nil, fmt.Errorf("image of document %q in space %q: %d bytes follow its end", im.Key.Key, im.Key.Space, len(c.b))
		case t == 0:
			im.count = n
			return im, nil
		case t != tableDocument && bytes.IndexByte([]byte(restTables), t) < 0:
			return nil, fmt.Errorf("image of document %q in space %q: table %q is unknown", im.Key.Key, im.Key.Space, t)
		case n > 0 && (t < table || t == table && bytes.Compare(s, suffix) <= 0):
			return nil, fmt.Errorf("image of document %q in space %q: row %d is not in order", im.Key.Key, im.Key.Space, n)
		}
		table, suffix = t, s
	}
}

// A cutter takes an image apart, from the front. Once something was not as it is
// written, it is bad and has nothing more.
type cutter struct {
	b   []byte
	bad bool
}

// cut takes a length and so many bytes.
func (c *cutter) cut() []byte {
	v, n := binary.Uvarint(c.b)
	if n <= 0 || n > 1 && c.b[n-1] == 0 || v > uint64(len(c.b)-n) {
		c.b, c.bad = nil, true
		return nil
	}
	t := c.b[n : n+int(v)]
	c.b = c.b[n+int(v):]
	return t
}

// row takes a row; table 0 is the end.
func (c *cutter) row() (table byte, suffix, value []byte) {
	if len(c.b) == 0 {
		c.bad = true
		return 0, nil, nil
	}
	table = c.b[0]
	if c.b = c.b[1:]; table == 0 {
		return 0, nil, nil
	}
	return table, c.cut(), c.cut()
}

// rows visits the rows, in the order of tables and keys: the state first.
func (im *Image) rows(visit func(table byte, suffix, value []byte) error) error {
	c := cutter{b: im.raw[im.body:]}
	for {
		table, suffix, value := c.row()
		if table == 0 {
			return nil
		}
		if err := visit(table, suffix, value); err != nil {
			return err
		}
	}
}

// Check tells what the image is of, once everything that its state vouches for
// has been recomputed: checksums of rows, chain of updates, digest of the base,
// sum of request ids. It fails with [ErrDamaged]. The first call does the work;
// it is not for several goroutines.
func (im *Image) Check() (DocState, error) {
	if !im.checked {
		im.checked = true
		if im.state, im.err = im.check(); im.err != nil {
			im.err = fmt.Errorf("image of document %q in space %q: %w", im.Key.Key, im.Key.Space, im.err)
		}
	}
	return im.state, im.err
}

func (im *Image) check() (DocState, error) {
	var c docCheck
	p := placeOf(im.Key)
	state := DocState{Key: im.Key}
	var key []byte
	_ = im.rows(func(table byte, suffix, value []byte) error {
		key = append(append(append(key[:0], table), p.common...), suffix...)
		content, damaged := unseal(key, value)
		if table != tableDocument {
			c.row(table, suffix, content, damaged)
			return c.fault
		}
		if c.begin(content, damaged); c.fault == nil {
			state.fill(&c.state, documentDigest(key, content))
		}
		return c.fault
	})
	return state, c.end()
}

// AppendBinary appends the encoded image, [Image.Size] bytes; docs/formats.md
// describes them.
func (im *Image) AppendBinary(b []byte) []byte { return append(b, im.raw...) }

// Size is the length of the encoded image in bytes.
func (im *Image) Size() int { return len(im.raw) }

// An imageBuilder puts an image together while rows are read.
type imageBuilder struct {
	image Image
	raw   []byte // used again and again
}

// keptImageBytes is the largest buffer that a builder keeps for the next image.
const keptImageBytes = 4 << 20

// begin starts with the names and the value of the state row.
func (b *imageBuilder) begin(k contract.Key, state []byte) {
	b.image = Image{Key: k}
	b.raw = appendText(appendText(append(b.raw[:0], imageVersion), k.Space), k.Key)
	b.image.body = len(b.raw)
	b.row(tableDocument, nil, state)
}

func (b *imageBuilder) row(table byte, suffix, value []byte) {
	b.raw = appendText(appendText(append(b.raw, table), suffix), value)
	b.image.count++
}

// end returns the image of a document that has passed its check.
func (b *imageBuilder) end(state DocState) *Image {
	im := b.image
	im.raw = bytes.Clone(append(b.raw, 0))
	im.checked, im.state = true, state
	if cap(b.raw) > keptImageBytes {
		b.raw = nil
	}
	return &im
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}
