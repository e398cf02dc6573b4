package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A publisher publishes a message and waits for the acknowledgement.
type publisher struct {
	subject string
	texts   *texts

	hosts []jetstream.JetStream // asked in turn by call
	turn  int
}

func (p *publisher) next(m *nats.Msg) {
	m.Subject, m.Data = p.subject, []byte(p.texts.take(changeBytes))
}

func (p *publisher) call(ctx context.Context) error {
	p.turn++
	m := &nats.Msg{}
	p.next(m)
	_, err := p.hosts[p.turn%len(p.hosts)].PublishMsg(ctx, m)
	return err
}

func (p *publisher) check(reply *nats.Msg) error {
	if !bytes.Contains(reply.Data, []byte(`"seq":`)) {
		return fmt.Errorf("publish to %s: %q %s", p.subject, reply.Header, reply.Data)
	}
	return nil
}
