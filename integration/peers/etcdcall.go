package main

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

type newEtcdCaller func(client *clientv3.Client, n int) caller

// connectEtcdOrdinary uses etcd's own client, which goes round its endpoints.
func connectEtcdOrdinary(c *cluster, f *fleet, first, clients int, newCaller newEtcdCaller) (driver, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: c.addresses, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, func() { _ = client.Close() }) // nothing is under way
	var list callers
	for i := range clients {
		list = append(list, newCaller(client, first+i))
	}
	return list, nil
}

// A putter puts a value, whatever was there.
type putter struct {
	etcdDocument
	client *clientv3.Client
}

func newPutter(client *clientv3.Client, n int) caller {
	return &putter{newEtcdDocument("put", n), client}
}

func (p *putter) call(ctx context.Context) error {
	_, err := p.client.Put(ctx, p.key, p.texts.take(changeBytes))
	return err
}

// A swapper puts a value if the last one is its own.
type swapper struct {
	etcdDocument
	client   *clientv3.Client
	revision int64 // of the last one, 0 for none
}

func newSwapper(client *clientv3.Client, n int) caller {
	return &swapper{newEtcdDocument("txn", n), client, 0}
}

var errOvertaken = errors.New("another change came in between, on a key that nobody else has")

func (s *swapper) call(ctx context.Context) error {
	reply, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(s.key), "=", s.revision)).
		Then(clientv3.OpPut(s.key, s.texts.take(changeBytes))).Commit()
	switch {
	case err != nil:
		return err
	case !reply.Succeeded:
		return errOvertaken
	}
	s.revision = reply.Header.Revision
	return nil
}
