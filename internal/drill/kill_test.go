package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/adapter"
	"trireme/buckets"
)

const (
	killDocuments = 12
	killWriters   = 2 // a document
	killSpace     = "drill"
)

// TestDrillKill kills the host at random moments under load: no acknowledged change
// may be lost, none applied twice, the histories linearizable, and the digests
// equal to a recomputation.
func TestDrillKill(t *testing.T) {
	n := rounds(5, 50)
	d := newDaemon(t)
	d.launch()
	d.ready()
	l := newLoad(t, d.url())
	for round := range n {
		l.awaitAcked(1 + rand.Int64N(1500))
		d.kill()
		verifyStore(t, d.data)
		d.launch()
		if round%3 == 2 { // sometimes it dies while it starts
			<-time.After(time.Duration(rand.IntN(150)) * time.Millisecond)
			d.kill()
			d.launch()
		}
	}
	d.ready()
	l.stop()
	lost, doubled := l.judge(t)
	if code := d.terminate(); code != 0 {
		t.Errorf("exit code %d after SIGTERM\n%s", code, d.tail())
	}
	verifyStore(t, d.data)
	t.Logf("%d kills: %d changes acknowledged, %d lost, %d doubled; %d head-differs, %d reads, %d unknown",
		n, l.acked.Load(), lost, doubled, l.refused.Load(), l.reads.Load(), l.unknown.Load())
}

// verifyStore recomputes every digest of a store that nobody has open.
func verifyStore(t *testing.T, data string) {
	t.Helper()
	store, err := buckets.Open(filepath.Join(data, "store"), buckets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.Verify(), store.Close()); err != nil {
		t.Errorf("the store after the kill: %v", err)
	}
}

// A load is clients that patch and get a few documents, several on each.
type load struct {
	t       *testing.T
	client  *adapter.Client
	nc      *nats.Conn
	cancel  context.CancelFunc
	wait    sync.WaitGroup
	history []*history

	acked, refused, reads, unknown atomic.Int64

	mu  sync.Mutex
	ids []map[string]int32 // acknowledged request ids of each document, with their seq
}

func newLoad(t *testing.T, url string) *load {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	c, err := adapter.NewClient(nc, adapter.WithRetryWait(5*time.Millisecond, 100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	l := &load{t: t, client: c, nc: nc}
	began := time.Now()
	for i := range killDocuments {
		l.history = append(l.history, &history{began: began})
		l.ids = append(l.ids, map[string]int32{})
		first := adapter.Update{SeqBegin: 0, SeqEnd: 1, Redo: `{"last":"first"}`, Undo: `{}`, UpdateType: "AddUserData"}
		if err := c.Initialize(t.Context(), killSpace, fmt.Sprint(i), first); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	for i := range killDocuments {
		for w := range killWriters {
			l.wait.Go(func() { l.write(ctx, i, w) })
		}
	}
	return l
}

// awaitAcked waits until so many more changes are acknowledged.
func (l *load) awaitAcked(more int64) {
	l.t.Helper()
	goal := l.acked.Load() + more
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for l.acked.Load() < goal {
		select {
		case <-tick.C:
		case <-deadline:
			l.t.Fatalf("%d changes are acknowledged after two minutes, waiting for %d", l.acked.Load(), goal)
		}
	}
}

func (l *load) stop() {
	l.cancel()
	l.wait.Wait()
}

// write patches on top of the head it knows, or reads it when it was wrong. Two
// writers of a document get in each other's way, on purpose.
func (l *load) write(ctx context.Context, document, writer int) {
	key := fmt.Sprint(document)
	client := document*killWriters + writer
	h := l.history[document]
	head := int32(1)
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("%d-%d-%d", document, writer, n)
		in := docInput{patch: true, seq: head + 1, id: id}
		called := h.now()
		err := l.patch(key, in)
		switch {
		case err == nil:
			l.acked.Add(1)
			l.mu.Lock()
			l.ids[document][id] = in.seq
			l.mu.Unlock()
			h.add(client, in, called, docOutput{result: success})
			head++
			continue
		case errors.Is(err, adapter.ErrHeadDiffers):
			l.refused.Add(1)
			h.add(client, in, called, docOutput{result: headDiffers})
		case errors.Is(err, adapter.ErrOutcomeUnknown):
			l.unknown.Add(1)
			h.add(client, in, called, docOutput{result: unknown})
		default:
			l.t.Errorf("patch %s: %v", key, err)
			return
		}
		head = l.get(client, key, h, head)
	}
}

func (l *load) patch(key string, in docInput) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	u := adapter.Update{SeqBegin: in.seq, SeqEnd: in.seq, Redo: fmt.Sprintf(`{"last":%q}`, in.id), Undo: `{}`, UpdateType: "AddUserData"}
	return l.client.Patch(ctx, killSpace, key, []adapter.Update{u}, adapter.WithRequestID(in.id))
}

func (l *load) get(client int, key string, h *history, head int32) int32 {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	called := h.now()
	doc, err := l.client.Get(ctx, killSpace, key)
	if err != nil {
		l.t.Errorf("get %s: %v", key, err)
		return head
	}
	var body struct{ Last string }
	if err := json.Unmarshal([]byte(doc.Patch), &body); err != nil {
		l.t.Errorf("get %s: %v", key, err)
	}
	l.reads.Add(1)
	h.add(client, docInput{}, called, docOutput{head: doc.Seq, last: body.Last})
	return doc.Seq
}

// judge compares what was acknowledged with what the host has, entry by entry,
// and asks whether the histories are linearizable.
func (l *load) judge(t *testing.T) (lost, doubled int) {
	defer l.nc.Close()
	if l.acked.Load() == 0 {
		t.Error("nothing was acknowledged: the load proves nothing")
	}
	for i := range killDocuments {
		present := map[string]int32{}
		for page, err := range l.client.History(t.Context(), adapter.HistoryRequest{Space: killSpace, Key: fmt.Sprint(i)}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Entries {
				if _, twice := present[e.RequestID]; twice {
					doubled++
					t.Errorf("document %d: request %s was applied twice", i, e.RequestID)
				}
				present[e.RequestID] = e.SeqEnd
			}
		}
		for id, seq := range l.ids[i] {
			if present[id] != seq {
				lost++
				t.Errorf("document %d: request %s was acknowledged at seq %d, the log has it at %d", i, id, seq, present[id])
			}
		}
		l.history[i].judge(t, fmt.Sprintf("document %d", i), docState{1, "first"})
	}
	return lost, doubled
}
