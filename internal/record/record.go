package record

import (
	"fmt"
	"strconv"

	"trireme/internal/digest"
	"trireme/internal/position"
)

// Version of the format, second word of every header line. Readers refuse a
// version they do not know.
const Version = 1

// maxLayout is the highest layout version: JSON numbers are exact up to it.
const maxLayout = 1 << 53

// Kind tells the records apart.
type Kind uint8

// The kinds of record.
const (
	Batch   Kind = iota + 1 // changes committed by the owner of an epoch
	Claim                   // a host takes the ownership: its position is the new epoch
	Release                 // the owner of an epoch lets the tombstones up to a position go
)

// A Record is one message of a stripe's log.
type Record struct {
	Kind Kind
	Time int64        // Unix milliseconds at the owner; never less than the record before says
	Prev digest.Chain // the chain of the log before this record

	Epoch   position.Position // of a batch or a release: the claim it was written under
	Changes []Change          // of a batch; none makes a barrier
	Horizon position.Position // of a release: the highest position of a tombstone that goes

	Host   string // of a claim: who claims
	Boot   string // of a claim: which run of that host's process
	Layout int    // of a claim: the version of the layout it goes by
}

// AppendClaim appends the bytes of a claim.
func AppendClaim(b []byte, r *Record) []byte {
	b = append(b, "CLAIM "...)
	b = appendInt(b, Version)
	b = appendInt(append(b, ' '), r.Time)
	b = append(append(b, ' '), r.Prev.String()...)
	b = appendToken(b, r.Host)
	b = appendToken(b, r.Boot)
	b = appendInt(append(b, ' '), int64(r.Layout))
	return append(b, crlf...)
}

// AppendRelease appends the bytes of a release.
func AppendRelease(b []byte, r *Record) []byte {
	b = append(b, "RELEASE "...)
	b = appendInt(b, Version)
	b = r.Epoch.Append(append(b, ' '))
	b = appendInt(append(b, ' '), r.Time)
	b = append(append(b, ' '), r.Prev.String()...)
	b = r.Horizon.Append(append(b, ' '))
	return append(b, crlf...)
}

// A Builder gathers the changes of a batch. The zero value is an empty batch.
type Builder struct {
	frames []byte
	n      int
}

// Add appends a change.
func (b *Builder) Add(c *Change) {
	b.frames = c.append(b.frames)
	b.n++
}

// Len is how many changes have been added.
func (b *Builder) Len() int { return b.n }

// Size is how many bytes the changes take.
func (b *Builder) Size() int { return len(b.frames) }

// Reset empties the batch and keeps the memory.
func (b *Builder) Reset() { b.frames, b.n = b.frames[:0], 0 }

// Record returns the bytes of the batch as one record. They share no memory
// with the builder.
func (b *Builder) Record(epoch position.Position, time int64, prev digest.Chain) []byte {
	r := make([]byte, 0, len(b.frames)+128)
	r = append(r, "BATCH "...)
	r = appendInt(r, Version)
	r = epoch.Append(append(r, ' '))
	r = appendInt(append(r, ' '), time)
	r = append(append(r, ' '), prev.String()...)
	r = appendInt(append(r, ' '), int64(b.n))
	r = appendInt(append(r, ' '), int64(len(b.frames)))
	r = append(r, crlf...)
	return append(r, b.frames...)
}

// Parse reads one record. The texts of the result share one copy of body, so
// whoever keeps a part for long clones it. Anything but the exact bytes that
// this package writes is an error, so that equal records have equal bytes.
func Parse(body []byte) (Record, error) {
	p := parser{body: string(body)}
	var r Record
	f := fields{line: p.line()}
	if p.err != nil {
		return Record{}, fmt.Errorf("record: header: %w", p.err)
	}
	verb := f.word("verb")
	if v := f.integer("version"); f.err == nil && v != Version {
		return Record{}, fmt.Errorf("record: version %d, this program reads version %d: upgrade it", v, Version)
	}
	switch verb {
	case "BATCH":
		r.Kind = Batch
	case "CLAIM":
		r.Kind = Claim
	case "RELEASE":
		r.Kind = Release
	default:
		return Record{}, fmt.Errorf("record: verb %.16q, want BATCH, CLAIM or RELEASE", verb)
	}
	if r.Kind != Claim {
		r.Epoch = f.position("epoch")
	}
	r.Time = f.integer("time")
	r.Prev = f.chain("prev")
	if err := p.rest(&r, &f); err != nil {
		return Record{}, fmt.Errorf("record: %w", err)
	}
	return r, nil
}

// rest reads what follows the words that the kinds have in common.
func (p *parser) rest(r *Record, f *fields) error {
	var err error
	switch r.Kind {
	case Batch:
		return p.batch(r, f)
	case Claim:
		r.Host, r.Boot = f.token("host"), f.token("boot")
		r.Layout = f.size("layout", maxLayout)
		if err = p.end(f.end()); err != nil {
			err = fmt.Errorf("claim: %w", err)
		}
	case Release:
		r.Horizon = f.horizon()
		if err = p.end(f.end()); err != nil {
			err = fmt.Errorf("release: %w", err)
		}
	}
	return err
}

func (p *parser) batch(r *Record, f *fields) error {
	n, size := f.size("changes", len(p.body)), f.size("bytes", len(p.body))
	if err := f.end(); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	if size != p.left() {
		return fmt.Errorf("batch says %d bytes of changes, %d follow", size, p.left())
	}
	if n > 0 {
		r.Changes = make([]Change, 0, min(n, 1+size/minFrame))
	}
	for i := range n {
		r.Changes = append(r.Changes, Change{})
		if err := p.change(&r.Changes[i]); err != nil {
			return fmt.Errorf("change %d of %d: %w", i+1, n, err)
		}
	}
	if err := p.end(nil); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	return nil
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
