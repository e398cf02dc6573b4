package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// memory is a server of etcd's protocol that keeps revisions.
type memory struct {
	pb.UnimplementedKVServer
	mu       sync.Mutex
	revision int64
	keys     map[string]int64
}

func (m *memory) Put(_ context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(r.Value) != changeBytes {
		return nil, errors.New("a value of another size")
	}
	m.revision++
	m.keys[string(r.Key)] = m.revision
	return &pb.PutResponse{Header: &pb.ResponseHeader{Revision: m.revision}}, nil
}

func (m *memory) Txn(_ context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	put := r.Success[0].GetRequestPut()
	if m.keys[string(r.Compare[0].Key)] != r.Compare[0].GetModRevision() || string(put.Key) != string(r.Compare[0].Key) {
		return &pb.TxnResponse{Header: &pb.ResponseHeader{Revision: m.revision}}, nil
	}
	m.revision++
	m.keys[string(put.Key)] = m.revision
	return &pb.TxnResponse{Header: &pb.ResponseHeader{Revision: m.revision}, Succeeded: true}, nil
}

// serve runs grpc-go's own server, which is etcd's.
func serve(t *testing.T, m *memory) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterKVServer(s, m)
	var ended sync.WaitGroup
	ended.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() {
		s.Stop()
		ended.Wait()
	})
	return l.Addr().String()
}

func TestLeanClientsSpeakGRPC(t *testing.T) {
	m := &memory{keys: map[string]int64{}}
	servers := &cluster{addresses: []string{serve(t, m), serve(t, m)}} // of one memory
	for name, newAsker := range map[string]newEtcdAsker{etcdPut: newPut, etcdTxn: newSwap} {
		before := m.revision
		f := &fleet{}
		d, err := connectEtcdLean(servers, f, 0, 64, newAsker)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		took, err := d.drive(t.Context(), 64, window{now, now.Add(200 * time.Millisecond)})
		f.close()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if changed := m.revision - before; len(took) == 0 || changed < int64(len(took)) || changed > int64(len(took)+64) {
			t.Errorf("%s: %d answers, %d changes", name, len(took), changed)
		}
	}
}

// An answer that is an error is one, and so is the end of the connection.
func TestLeanClientsTellErrors(t *testing.T) {
	m := &memory{keys: map[string]int64{"txn/doc-0000": 77}}
	servers := &cluster{addresses: []string{serve(t, m)}}
	now := time.Now()
	w := window{now, now.Add(time.Minute)}
	for _, c := range []struct {
		newAsker newEtcdAsker
		want     error
	}{{newSwap, errOvertaken}, {func(int) etcdAsker { return &swap{} }, nil}} {
		f := &fleet{}
		d, err := connectEtcdLean(servers, f, 0, 1, func(n int) etcdAsker {
			if c.want == nil {
				return unknownMethod{newPut(n)}
			}
			return c.newAsker(n)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = d.drive(t.Context(), 1, w); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
		f.close()
	}
}

type unknownMethod struct{ etcdAsker }

func (unknownMethod) method() string { return "/etcdserverpb.KV/Shred" }
