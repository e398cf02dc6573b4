package main

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// changeBytes is how large every change is, whoever gets it.
const changeBytes = 256

// texts gives each client letters that differ from change to change and that no
// compression makes small. Text of x's would flatter whoever compresses what it
// writes together.
type texts struct {
	pool string
	next int
}

func newTexts(seed uint64) *texts {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	random := rand.New(rand.NewPCG(seed, 0))
	var b strings.Builder
	for range 32 * changeBytes {
		b.WriteByte(letters[random.IntN(len(letters))])
	}
	return &texts{pool: b.String()}
}

// take returns the next n letters, n at most changeBytes.
func (t *texts) take(n int) string {
	t.next = (t.next + 257) % (len(t.pool) - changeBytes) // a prime: it comes by every place
	return t.pool[t.next : t.next+n]
}

// update is a change of a document as Adama would make it: redo and undo, which
// together have changeBytes.
func (t *texts) update(seq int32) (redo, undo string) {
	undo = `{"n":` + strconv.Itoa(int(seq-1)) + `}`
	head, tail := `{"t":"`, `","n":`+strconv.Itoa(int(seq))+`}`
	return head + t.take(changeBytes-len(head)-len(tail)-len(undo)) + tail, undo
}
