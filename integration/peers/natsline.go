package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// connectNATS makes one connection to each server.
func connectNATS(c *cluster, f *fleet) (conns []*nats.Conn, err error) {
	for _, address := range c.addresses {
		nc, err := nats.Connect("nats://"+address, nats.MaxReconnects(-1))
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", address, err)
		}
		conns = append(conns, nc)
		f.closers = append(f.closers, nc.Close)
	}
	return conns, nil
}

// A natsAsker is one lean client of a service on NATS.
type natsAsker interface {
	next(m *nats.Msg) // fills in the request
	check(reply *nats.Msg) error
}

// A natsLine has a connection to each server. Its clients ask them in turn.
type natsLine struct {
	conns   []*nats.Conn
	inboxes []string
	replies chan *nats.Msg
	askers  []natsAsker
	turns   []int
}

func newNATSLine(conns []*nats.Conn, askers []natsAsker, first int) (driver, error) {
	// As many may be on their way as there are clients, twice after a run that was given up.
	l := &natsLine{conns: conns, askers: askers, replies: make(chan *nats.Msg, 2*len(askers))}
	for _, nc := range conns {
		inbox := nc.NewInbox()
		if _, err := nc.ChanSubscribe(inbox+".*", l.replies); err != nil {
			return nil, err
		}
		l.inboxes = append(l.inboxes, inbox+".")
	}
	for i := range askers {
		l.turns = append(l.turns, first+i)
	}
	return lean{l}, nil
}

func (l *natsLine) send(client int) error {
	l.turns[client]++
	host := l.turns[client] % len(l.conns)
	m := &nats.Msg{Reply: l.inboxes[host] + strconv.Itoa(client)}
	l.askers[client].next(m)
	return l.conns[host].PublishMsg(m)
}

func (l *natsLine) answer(ctx context.Context) (int, error) {
	select {
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case m := <-l.replies:
		i, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
		if err != nil {
			return 0, fmt.Errorf("an answer on %s: %w", m.Subject, err)
		}
		return i, l.askers[i].check(m)
	}
}
