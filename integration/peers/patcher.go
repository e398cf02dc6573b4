package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"trireme/adapter"
	"trireme/internal/contract"
)

const space = "peers"

// A patcher patches a document of its own, as Adama would: one patch in flight,
// each under a request id.
type patcher struct {
	key   string
	seq   int32 // of the patch that was sent last
	texts *texts

	hosts []*adapter.Client // asked in turn by call
	turn  int

	body    []byte
	subject string // where next sends to
}

func newPatcher(n int, hosts []*adapter.Client) *patcher {
	return &patcher{
		key: fmt.Sprintf("doc-%04d", n), seq: 1, texts: newTexts(uint64(n)), hosts: hosts, turn: n,
		subject: contract.SubjectPrefix + contract.OpPatch,
	}
}

// initialize makes the document.
func (p *patcher) initialize(ctx context.Context) error {
	first := adapter.Update{SeqEnd: 1, Redo: "{}", Undo: "{}", UpdateType: adapter.Internal}
	return p.hosts[p.turn%len(p.hosts)].Initialize(ctx, space, p.key, first)
}

func (p *patcher) call(ctx context.Context) error {
	p.turn++
	p.seq++
	u := adapter.Update{SeqBegin: p.seq, SeqEnd: p.seq, UpdateType: adapter.AddUserData}
	u.Redo, u.Undo = p.texts.update(p.seq)
	return p.hosts[p.turn%len(p.hosts)].Patch(ctx, space, p.key, []adapter.Update{u})
}

// next puts the same request together by hand.
func (p *patcher) next(m *nats.Msg) {
	p.seq++
	redo, undo := p.texts.update(p.seq)
	b := append(p.body[:0], `{"space":"`+space+`","key":"`...)
	b = append(b, p.key...)
	b = append(b, `","patches":[{"seq_begin":`...)
	b = strconv.AppendInt(b, int64(p.seq), 10)
	b = append(b, `,"seq_end":`...)
	b = strconv.AppendInt(b, int64(p.seq), 10)
	b = append(b, `,"redo":`...)
	b = strconv.AppendQuote(b, redo)
	b = append(b, `,"undo":`...)
	b = strconv.AppendQuote(b, undo)
	b = append(b, `,"update_type":"AddUserData"}]}`...)
	p.body = b
	m.Subject, m.Data = p.subject, b
	m.Header = nats.Header{contract.HeaderRequestID: {nuid.Next()}}
}

// partitionHeader is by which a host that had to pass a request on tells the way:
// the partition, and its buckets.
const partitionHeader = "Trireme-Partition"

// check goes straight to the owner from the second time on, as [adapter.Client] does.
func (p *patcher) check(reply *nats.Msg) error {
	if string(reply.Data) != "{}" {
		return fmt.Errorf("patch %s: %q %s", p.key, reply.Header, reply.Data)
	}
	if partition, _, _ := strings.Cut(reply.Header.Get(partitionHeader), " "); partition != "" {
		p.subject = contract.SubjectPrefix + "p." + partition + "." + contract.OpPatch
	}
	return nil
}
