package buckets

import "trireme/internal/contract"

// An Image is one document or tombstone whole: its state and every row that the
// state vouches for, as they are on disk. It comes from [Moment.Image] or
// [ParseImage] and does not change.
type Image struct {
	Key contract.Key

	raw []byte // the encoding
}

// ParseImage reads an encoded image and nothing else. It looks at the form only;
// [Image.Check] looks at what it says. The image keeps b, which must not change
// any more.
func ParseImage(b []byte) (*Image, error) { return nil, errNotBuilt }

// Check tells what the image is of, once everything that its state vouches for
// has been recomputed: checksums of rows, chain of updates, digest of the base,
// sum of request ids. It fails with [ErrDamaged]. The first call does the work;
// it is not for several goroutines.
func (im *Image) Check() (DocState, error) { return DocState{}, errNotBuilt }

// AppendBinary appends the encoded image, [Image.Size] bytes; docs/formats.md
// describes them.
func (im *Image) AppendBinary(b []byte) []byte { return append(b, im.raw...) }

// Size is the length of the encoded image in bytes.
func (im *Image) Size() int { return len(im.raw) }
