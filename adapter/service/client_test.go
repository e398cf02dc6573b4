package service

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/adapter"
	"trireme/internal/contract"
)

// Clients with a deadline of 30 s meet no error, whatever becomes of the hosts, and
// each change happens once. Whom a host takes along as it dies asks again after 10 s;
// a call meets one such death at most.
func TestClientsFollowOwnership(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	w := newWorld(t)
	w.claim("h1", "s1")
	w.claim("h2", "s2")
	stop := make(chan struct{})
	var wait sync.WaitGroup
	defer wait.Wait()
	defer close(stop)
	var done [4]atomic.Int32 // calls of each client
	for i, stripe := range []string{"s1", "s1", "s2", "s2"} {
		key := w.keyOn(stripe, fmt.Sprint("client", i))
		nc := w.connect()
		t.Cleanup(nc.Close)
		c, err := adapter.NewClient(nc, adapter.WithWriter(fmt.Sprint("w", i)))
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			var head int32 = 1
			if err := c.Initialize(t.Context(), key.Space, key.Key, adapter.Update{SeqEnd: 1, Redo: `{}`, Undo: `{}`, UpdateType: adapter.AddUserData}); err != nil {
				t.Error(err)
				return
			}
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				head++
				if err := c.Patch(t.Context(), key.Space, key.Key, []adapter.Update{{SeqBegin: head, SeqEnd: head, Redo: fmt.Sprintf(`{"n":%d}`, n), Undo: `{}`, UpdateType: adapter.AddUserData}}); err != nil {
					t.Error(err)
					return
				}
				done[i].Add(1)
				doc, err := c.Get(t.Context(), key.Space, key.Key)
				if err != nil || doc.Patch != fmt.Sprintf(`{"n":%d}`, n) || doc.Seq != head {
					t.Errorf("after %d: %+v, %v", n, doc, err)
					return
				}
				done[i].Add(1)
			}
		})
	}
	for range 15 {
		if !w.disturb(rng) {
			continue
		}
		for i := range done {
			now := done[i].Load()
			waitFor(t, "the end of the call under way", func() bool { return t.Failed() || done[i].Load() > now })
		}
	}
}

// A client that a host has told the way asks the owner directly from then on.
func TestClientsLearnTheWay(t *testing.T) {
	w := newWorld(t)
	w.claim("h1", "s1")
	k := w.keyOn("s1", "k")
	p, _ := w.hosts["h1"].service().partition(k)
	sub, err := w.client.SubscribeSync(contract.SubjectPrefix + "p.*.get")
	if err != nil {
		t.Fatal(err)
	}
	// Only what is asked at another host is passed on, and the server may choose any.
	w.want(w.send("initialize", createBody(k)), 0)
	waitFor(t, "a hint", func() bool {
		m := w.want(w.send("get", keyBody(k)), 0)
		return strings.HasPrefix(m.Header.Get("Trireme-Partition"), p.ID.String()+" ")
	})
	if m := w.want(w.send("h.h3.get", keyBody(k)), 0); m.Header != nil {
		t.Errorf("who asks a certain host is told to ask elsewhere: %v", m.Header)
	}
	c, err := adapter.NewClient(w.client)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a direct request", func() bool {
		if _, err := c.Get(t.Context(), k.Space, k.Key); err != nil {
			t.Fatal(err)
		}
		for {
			m, err := sub.NextMsg(time.Millisecond)
			if err != nil {
				return false
			}
			if m.Header.Get(headerHold) == "" {
				return true // not from a host
			}
		}
	})
}

func BenchmarkWays(b *testing.B) {
	w := newWorld(b)
	w.claim("h1", "s1")
	k := w.keyOn("s1", "k")
	w.want(w.send("initialize", createBody(k)), 0)
	p, _ := w.hosts["h1"].service().partition(k)
	for name, at := range map[string]string{"at the owner": "h.h1.get", "passed on": "h.h2.get", "direct": "p." + p.ID.String() + ".get"} {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				nc := w.client
				for pb.Next() {
					m, err := nc.RequestMsg(&nats.Msg{Subject: contract.SubjectPrefix + at, Data: []byte(keyBody(k))}, patience)
					if err != nil || codeOf(m) != 0 {
						b.Error(m, err)
						return
					}
				}
			})
		})
	}
}
