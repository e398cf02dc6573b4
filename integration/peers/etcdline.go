package main

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// An etcdAsker is one lean client of etcd.
type etcdAsker interface {
	method() string // the path of the gRPC method
	request() proto.Message
	check(reply []byte) error
}

type newEtcdAsker func(n int) etcdAsker

// An etcdLine has a connection to each member. Its clients ask them in turn.
type etcdLine struct {
	conns   []*grpcConn
	answers chan grpcAnswer
	askers  []etcdAsker
	turns   []int
	buffer  []byte
}

func connectEtcdLean(c *cluster, f *fleet, first, clients int, newAsker newEtcdAsker) (driver, error) {
	l := &etcdLine{answers: make(chan grpcAnswer, clients), turns: make([]int, clients)}
	for _, address := range c.addresses {
		conn, err := dialGRPC(address, l.answers)
		if err != nil {
			return nil, err
		}
		l.conns = append(l.conns, conn)
		f.closers = append(f.closers, conn.close)
	}
	for i := range clients {
		l.turns[i] = first + i
		l.askers = append(l.askers, newAsker(first+i))
	}
	return lean{l}, nil
}

func (l *etcdLine) send(client int) (err error) {
	a := l.askers[client]
	if l.buffer, err = (proto.MarshalOptions{}).MarshalAppend(l.buffer[:0], a.request()); err != nil {
		return err
	}
	l.turns[client]++
	return l.conns[l.turns[client]%len(l.conns)].send(client, a.method(), l.buffer)
}

// answer sends what was gathered before it waits.
func (l *etcdLine) answer(ctx context.Context) (int, error) {
	if len(l.answers) == 0 {
		for _, c := range l.conns {
			if err := c.flush(); err != nil {
				return 0, err
			}
		}
	}
	select {
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case a := <-l.answers:
		if a.err != nil {
			return 0, a.err
		}
		return a.client, l.askers[a.client].check(a.message)
	}
}

// put is what a lean client sends that puts a value, whatever was there.
type put struct {
	etcdDocument
	body pb.PutRequest
}

func newPut(n int) etcdAsker {
	p := &put{etcdDocument: newEtcdDocument("put", n)}
	p.body.Key = []byte(p.key)
	return p
}

func (*put) method() string { return "/etcdserverpb.KV/Put" }

func (p *put) request() proto.Message {
	p.body.Value = []byte(p.texts.take(changeBytes))
	return &p.body
}

func (*put) check([]byte) error { return nil } // its status was

// swap is what a lean client sends that puts a value if the last one is its own.
type swap struct {
	etcdDocument
	revision *pb.Compare_ModRevision
	value    *pb.PutRequest
	body     *pb.TxnRequest
}

func newSwap(n int) etcdAsker {
	s := &swap{etcdDocument: newEtcdDocument("txn", n), revision: &pb.Compare_ModRevision{}}
	s.value = &pb.PutRequest{Key: []byte(s.key)}
	s.body = &pb.TxnRequest{
		Compare: []*pb.Compare{{Result: pb.Compare_EQUAL, Target: pb.Compare_MOD, Key: []byte(s.key), TargetUnion: s.revision}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: s.value}}},
	}
	return s
}

func (*swap) method() string { return "/etcdserverpb.KV/Txn" }

func (s *swap) request() proto.Message {
	s.value.Value = []byte(s.texts.take(changeBytes))
	return s.body
}

func (s *swap) check(reply []byte) error {
	var r pb.TxnResponse
	if err := proto.Unmarshal(reply, &r); err != nil {
		return fmt.Errorf("read the answer of a transaction: %w", err)
	}
	if !r.Succeeded {
		return errOvertaken
	}
	s.revision.ModRevision = r.Header.Revision
	return nil
}
