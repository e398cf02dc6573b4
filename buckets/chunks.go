package buckets

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Pebble writes its MANIFEST and its write-ahead logs as records in chunks: blocks
// of 32 KiB; in them chunks of checksum (4), length of the payload (2), type (1),
// in a log also its number (4) and an offset (8), and the payload. Reading them it
// takes some damage for the end of the file: a MANIFEST is cut off at the first bad
// chunk, as after a crash in the middle of a write, and what was flushed since is
// forgotten; a log is at an end where a chunk bears the next log's number. So the
// chunks are looked at here before Pebble does.

const (
	chunkBlock  = 32 << 10
	chunkHeader = 7
	sector      = 512 // what a disk writes in whole
)

// chunkHeaders are the sizes of headers by type of chunk; 0 for what is no type.
var chunkHeaders = [...]int{0, 7, 7, 7, 7, 11, 11, 11, 11, 19, 19, 19, 19}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crc(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// A chunk is a place in a file of chunks.
type chunk struct {
	data   []byte // from its header to the end of the file
	room   int    // bytes to the end of its block
	header int    // size of its header, 0 for none
	size   int    // with header and payload
}

// chunkAt looks at the chunk that begins at an offset.
func chunkAt(file []byte, at int) chunk {
	c := chunk{data: file[at:], room: chunkBlock - at%chunkBlock}
	if kind := int(c.data[6]); kind < len(chunkHeaders) {
		c.header = chunkHeaders[kind]
	}
	c.size = c.header + int(binary.LittleEndian.Uint16(c.data[4:]))
	return c
}

// holds reports whether the checksum is that of the chunk if it has this size.
func (c *chunk) holds(size int) bool {
	return binary.LittleEndian.Uint32(c.data) == cooked(crc(c.data[6:size]))
}

// cooked is how Pebble stores a checksum.
func cooked(sum uint32) uint32 { return (sum>>15 | sum<<17) + 0xa282ead8 }

// log is the number of the log that the chunk says it belongs to.
func (c *chunk) log() (number uint32, ok bool) {
	if c.header < 11 || len(c.data) < 11 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(c.data[7:]), true
}

// trailer reports whether the chunk is what ends a log: an empty one without a
// checksum that bears the number of the next log.
func (c *chunk) trailer() bool {
	return bytes.Equal(c.data[:chunkHeader], []byte{0, 0, 0, 0, 0, 0, 5})
}

// zero reports whether nothing but zeros follows an offset in the chunk's data.
func (c *chunk) zero(from int) bool {
	for _, b := range c.data[min(from, len(c.data)):] {
		if b != 0 {
			return false
		}
	}
	return true
}

// checkManifest tells whether a MANIFEST is whole, or ends as a crash in the
// middle of a write leaves it. A flipped bit in its last chunk is no such end.
func checkManifest(file []byte) error {
	for at := 0; len(file)-at >= chunkHeader; {
		c := chunkAt(file, at)
		if c.room < chunkHeader {
			at += c.room
			continue
		}
		switch {
		case c.header == chunkHeader && c.size <= min(c.room, len(c.data)) && c.holds(c.size):
			at += c.size
		case c.torn(at):
			return nil
		default:
			return fmt.Errorf("chunk at offset %d: checksum: %w", at, ErrDamaged)
		}
	}
	return nil
}

// torn reports whether the chunk at an offset is what is left of the last write
// before a crash: cut off, or zeros from its beginning or from some sector on.
func (c *chunk) torn(at int) bool {
	if c.zero(0) {
		return true
	}
	const few = 8 // a whole chunk may end in some zeros
	for cut := sector - at%sector; cut+few <= len(c.data); cut += sector {
		if c.zero(cut) {
			return true
		}
	}
	return c.header == chunkHeader && len(c.data) < c.size && c.size <= c.room && !c.shorter()
}

// shorter reports whether the checksum holds for a shorter chunk, so that its
// length is what is damaged.
func (c *chunk) shorter() bool {
	sum := crc(c.data[6:c.header])
	for i := c.header; ; i++ {
		if cooked(sum) == binary.LittleEndian.Uint32(c.data) {
			return true
		}
		if i == len(c.data) {
			return false
		}
		sum = crc32.Update(sum, castagnoli, c.data[i:i+1])
	}
}

// checkLog makes sure that a write-ahead log does not end at a damaged chunk that
// seems to bear the number of the next log: that is how a log says that it is at
// its end. Pebble finds other damage itself.
func checkLog(file []byte, number uint32) error {
	for at := 0; len(file)-at >= chunkHeader; {
		c := chunkAt(file, at)
		if c.room < chunkHeader || c.header == 0 && c.zeros() {
			at += c.room
			continue
		}
		log, ok := c.log()
		if !ok || c.size > min(c.room, len(c.data)) {
			return nil
		}
		switch {
		case log == number+1 && !c.trailer():
			return fmt.Errorf("chunk at offset %d: checksum: %w", at, ErrDamaged)
		case log != number || !c.holds(c.size):
			return nil
		}
		at += c.size
	}
	return nil
}

// zeros reports whether there is nothing in the rest of the block.
func (c *chunk) zeros() bool {
	block := chunk{data: c.data[:min(c.room, len(c.data))]}
	return block.zero(0)
}
