package repair

import (
	"encoding/binary"
	"fmt"
)

// A stream of documents is a sequence of frames, each one message: a head, data, and
// an end. The bodies of the data frames, joined, are a sequence of items, one for each
// document asked for, in the order in which they were asked for. docs/formats.md shows
// the bytes.

// frameKind is the second byte of a frame.
type frameKind byte

const (
	frameHead frameKind = 'H' // JSON: whose documents follow
	frameData frameKind = 'D' // a piece of the items
	frameEnd  frameKind = 'E' // JSON: how it ended
)

// frameSize is what stands before a frame's body: version, kind, and the number of the
// frame in its stream, from 0, big-endian.
const frameSize = 6

type frame struct {
	kind   frameKind
	number uint32
	body   []byte
}

// putFrame writes what stands before the body into the first bytes of b.
func putFrame(b []byte, kind frameKind, number uint32) {
	b[0], b[1] = protocolVersion, byte(kind)
	binary.BigEndian.PutUint32(b[2:frameSize], number)
}

// parseFrame reads a frame; its body is part of b.
func parseFrame(b []byte) (frame, error) {
	if len(b) < frameSize {
		return frame{}, fmt.Errorf("frame of %d bytes: it has at least %d", len(b), frameSize)
	}
	if b[0] != protocolVersion {
		return frame{}, fmt.Errorf("frame of version %d: this program reads version %d", b[0], protocolVersion)
	}
	f := frame{kind: frameKind(b[1]), number: binary.BigEndian.Uint32(b[2:]), body: b[frameSize:]}
	switch f.kind {
	case frameHead, frameData, frameEnd:
		return f, nil
	}
	return frame{}, fmt.Errorf("frame of kind 0x%02x: there is no such kind", b[1])
}

// itemKind is the first byte of an item.
type itemKind byte

const (
	itemImage   itemKind = 'I' // the document's encoded image
	itemAbsent  itemKind = 'A' // empty: there is no such document here
	itemDamaged itemKind = 'X' // text: why the copy here counts for nothing
)

// itemSize is what stands before an item's content: kind, and length in 4 bytes,
// big-endian.
const itemSize = 5

// maxDamageText bounds the text of an itemDamaged, in bytes.
const maxDamageText = 1 << 10

func appendItemHead(b []byte, kind itemKind, size int) []byte {
	return binary.BigEndian.AppendUint32(append(b, byte(kind)), uint32(size))
}

// An assembler joins the bodies of data frames and cuts them into items. The zero value,
// with maxImage set, is at the beginning of a stream.
type assembler struct {
	maxImage int // bytes

	head    [itemSize]byte
	headHas int
	size    int    // of the item begun, once its head is whole
	content []byte // of the item begun, nil while nothing of it has come
}

// trustedSize is how much room is made for an item before its bytes have come.
const trustedSize = 1 << 20

// between reports whether the bytes so far end where an item ends.
func (a *assembler) between() bool { return a.headHas == 0 }

// feed takes the next body and hands each item that is complete now to visit. The
// content is the visitor's to keep; it may be part of body. An error of visit is returned
// as it is.
func (a *assembler) feed(body []byte, visit func(kind itemKind, content []byte) error) error {
	for len(body) > 0 {
		if a.headHas < itemSize {
			n := copy(a.head[a.headHas:], body)
			a.headHas += n
			body = body[n:]
			if a.headHas < itemSize {
				return nil
			}
			if err := a.begin(); err != nil {
				return err
			}
		}
		body = a.take(body)
		if len(a.content) < a.size {
			return nil
		}
		kind, content := itemKind(a.head[0]), a.content
		a.headHas, a.content = 0, nil
		if err := visit(kind, content); err != nil {
			return err
		}
	}
	return nil
}

// begin reads the head of an item.
func (a *assembler) begin() error {
	a.size = int(binary.BigEndian.Uint32(a.head[1:]))
	limit := 0
	switch itemKind(a.head[0]) {
	case itemImage:
		limit = a.maxImage
	case itemDamaged:
		limit = maxDamageText
	case itemAbsent:
	default:
		return fmt.Errorf("item of kind 0x%02x: there is no such kind", a.head[0])
	}
	if a.size > limit {
		return fmt.Errorf("item of kind %q has %d bytes, at most %d are taken", a.head[0], a.size, limit)
	}
	return nil
}

// take moves what belongs to the item off the front of body. An item that is in body
// as a whole is not copied.
func (a *assembler) take(body []byte) (rest []byte) {
	missing := min(a.size-len(a.content), len(body))
	switch {
	case a.content == nil && missing == a.size:
		a.content = body[:missing:missing]
	case a.content == nil:
		a.content = append(make([]byte, 0, min(a.size, trustedSize)), body[:missing]...)
	default:
		a.content = append(a.content, body[:missing]...)
	}
	return body[missing:]
}
