package record

import (
	"fmt"
	"math"

	"trireme/internal/contract"
)

// No update takes fewer bytes than minUpdate. The type is any word.
const minUpdate = len("+ 0 0 t - - 0 0 0 0 0 0\r\n\r\n\r\n\r\n")

// AppendUpdate appends an update as it stands in the log and in the store.
func AppendUpdate(b []byte, u *contract.Update) []byte {
	b = append(b, "+ "...)
	b = appendInt(b, int64(u.SeqBegin))
	b = appendInt(append(b, ' '), int64(u.SeqEnd))
	b = appendToken(b, u.UpdateType)
	b = appendWho(b, u.Who)
	if u.RequiresFutureInvalidation {
		b = append(b, " 1 "...)
	} else {
		b = append(b, " 0 "...)
	}
	b = appendInt(b, int64(u.WhenToInvalidateMS))
	b = appendInt(append(b, ' '), u.AssetBytes)
	b = appendInt(append(b, ' '), int64(len(u.Request)))
	b = appendInt(append(b, ' '), int64(len(u.Redo)))
	b = appendInt(append(b, ' '), int64(len(u.Undo)))
	b = append(b, crlf...)
	for _, text := range [...]string{u.Request, u.Redo, u.Undo} {
		b = append(append(b, text...), crlf...)
	}
	return b
}

// UpdateSize is how many bytes [AppendUpdate] appends.
func UpdateSize(u *contract.Update) int {
	n := len("+") + len(" 1") + len(crlf) // the mark, rfi, the end of the line
	for _, number := range [...]int64{int64(u.SeqBegin), int64(u.SeqEnd), int64(u.WhenToInvalidateMS), u.AssetBytes} {
		n += len(" ") + intSize(number)
	}
	n += tokenSize(u.UpdateType) + whoSize(u.Who)
	for _, text := range [...]string{u.Request, u.Redo, u.Undo} {
		n += len(" ") + intSize(int64(len(text))) + len(text) + len(crlf)
	}
	return n
}

// ParseUpdate reads exactly one update. Its texts share memory with s.
func ParseUpdate(s string) (contract.Update, error) {
	p := parser{body: s}
	var u contract.Update
	p.update(&u)
	if err := p.end(nil); err != nil {
		return contract.Update{}, fmt.Errorf("update: %w", err)
	}
	return u, nil
}

func (p *parser) update(u *contract.Update) {
	f := fields{line: p.line()}
	if f.word("mark") != "+" {
		f.fail("an update begins with +")
	}
	u.SeqBegin, u.SeqEnd = f.int32("seq_begin"), f.int32("seq_end")
	u.UpdateType = f.token("type")
	u.Who = f.who()
	u.RequiresFutureInvalidation = f.bool("rfi")
	u.WhenToInvalidateMS = f.int32("when")
	u.AssetBytes = f.integer("assets")
	request, redo, undo := f.size("request", math.MaxInt32), f.size("redo", math.MaxInt32), f.size("undo", math.MaxInt32)
	if err := f.end(); err != nil {
		p.fail("update: %w", err)
		return
	}
	u.Request, u.Redo, u.Undo = p.take(request), p.take(redo), p.take(undo)
}

// intSize is how many bytes [appendInt] appends.
func intSize(n int64) int {
	var scratch [len("-9223372036854775808")]byte
	return len(appendInt(scratch[:0], n))
}
