package buckets

import (
	"encoding/binary"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// A place is where the rows of one document are.
type place struct {
	bucket layout.Bucket
	key    contract.Key
	common []byte // what the keys of its rows have in common behind the table
}

// placeOf finds a document: the bucket keeps the documents of a bucket
// together, the escapes keep names apart and in order.
func placeOf(k contract.Key) place {
	p := place{bucket: layout.BucketOf(k.Space, k.Key), key: k}
	b := make([]byte, 0, 2+len(k.Space)+len(k.Key)+4)
	b = binary.BigEndian.AppendUint16(b, uint16(p.bucket))
	p.common = appendName(appendName(b, k.Space), k.Key)
	return p
}

// row is the key of the document's row in a table that has one, and the
// beginning of its rows' keys in a table that has several.
func (p *place) row(table byte) []byte {
	const room = 16 // for a seq, or the beginning of a request id
	return append(append(make([]byte, 0, 1+len(p.common)+room), table), p.common...)
}

// state is the row of the document's state.
func (p *place) state() []byte { return p.row(tableDocument) }

// base is the row of the text of its base.
func (p *place) base() []byte { return p.row(tableBase) }

// entry is the row of the update that ends at seqEnd.
func (p *place) entry(seqEnd int32) []byte { return appendSeq(p.row(tableEntry), seqEnd) }

// id is the row of a request id.
func (p *place) id(id string) []byte { return append(p.row(tableID), id...) }

// name is the document's row in a table that is in the order of names.
func (p *place) name(table byte) []byte { return nameKey(table, p.key) }
