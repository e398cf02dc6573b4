package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// pairOf is a served store and a peer that asks for it, both on one NATS server.
func pairOf(t *testing.T, limits Limits) (*servedStore, *Server, *Peer) {
	t.Helper()
	server := aServer(t)
	source := newServedStore(t, six())
	s := serving(t, logConn(t, server), source, limits)
	return source, s, asker(logConn(t, server), source)
}

// old lets every stripe stand far on in its log, so that positions are long.
func (f *servedStore) old(t *testing.T) {
	t.Helper()
	for _, s := range f.layout.Load().Stripes {
		w := f.writer(t, s.Name)
		w.seq = 123_456_789_012
		horizon := position.Position{Birth: s.Birth, Seq: w.seq - 1}
		if err := w.r.Adopt(buckets.Applied{Seq: w.seq, Chain: w.chain, Epoch: w.epoch, Time: 1_795_353_670_250, Horizon: horizon}); err != nil {
			t.Fatal(err)
		}
		w.batch(t, create(keysIn(*f.layout.Load(), s.Name, 1)[0], 100))
	}
}

// A healthy host compares with a peer by one question and its answer.
func TestTheFirstQuestionIsSmall(t *testing.T) {
	server := aServer(t)
	source := newServedStore(t, six())
	source.old(t)
	serving(t, logConn(t, server), source, Limits{})
	var count byteMeter
	nc, err := nats.Connect(server.URL(), nats.SetCustomDialer(&count))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p := asker(nc, source)
	if _, err := p.Roots(t.Context(), "h1"); err != nil { // and subscribes to its answers
		t.Fatal(err)
	}
	sent, received, counted := count.sent.Load(), count.received.Load(), p.Traffic()
	roots, err := p.Roots(t.Context(), "h1")
	if err != nil || len(roots) != 6 {
		t.Fatalf("%d roots, %v", len(roots), err)
	}
	sent, received = count.sent.Load()-sent, count.received.Load()-received
	t.Logf("64 partitions on 6 stripes: %d bytes there and %d back, protocol included", sent, received)
	if sent+received > 2500 {
		t.Errorf("a round costs %d bytes there and %d back, want at most 2500 together", sent, received)
	}
	now := p.Traffic()
	if own := int64(now.Sent - counted.Sent + now.Received - counted.Received); own > sent+received || own < (sent+received)*8/10 {
		t.Errorf("the peer counts %d bytes, the connection %d", own, sent+received)
	}
}

// states are the buckets of ranges as the store has them.
func states(r *buckets.Replica, ranges ...buckets.Range) (plan.Side, []plan.BucketState) {
	s := r.Survey(ranges)
	return plan.Side{Host: "h1", Applied: s.Position, Horizon: s.Horizon}, statesOf(&s, ranges)
}

func TestPeerTellsWhatTheStoreHas(t *testing.T) {
	source, _, p := pairOf(t, Limits{})
	l := *source.layout.Load()
	keys := keysIn(l, "s2", 40)
	w := source.writer(t, "s2")
	for i, k := range keys {
		w.batch(t, create(k, 100*i))
	}
	w.batch(t, remove(keys[3]))
	for _, s := range l.Stripes {
		r, _, _ := source.Stripe(s.Name)
		var ranges []buckets.Range
		for _, part := range l.PartitionsOf(s.Name) {
			ranges = append(ranges, buckets.Range{First: part.First, Last: part.Last})
		}
		side, all := states(r, ranges...)
		got, err := p.Roots(t.Context(), "h1", s.Name)
		want := StripeRoot{Stripe: s.Name, Side: side, Root: plan.RootOf(all)}
		if err != nil || len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
			t.Errorf("root %v, %v; want %v", got, err, want)
		}
		fine, err := p.Partitions(t.Context(), "h1", s.Name)
		for i, part := range l.PartitionsOf(s.Name) {
			_, some := states(r, ranges[i])
			want.Partitions = append(want.Partitions, PartitionRoot{part.ID, plan.RootOf(some)})
		}
		if err != nil || fmt.Sprint(fine) != fmt.Sprint(want) {
			t.Errorf("partitions %v, %v; want %v", fine, err, want)
		}
		first, second := l.PartitionsOf(s.Name)[3].ID, l.PartitionsOf(s.Name)[1].ID
		asOf, some, err := p.Buckets(t.Context(), "h1", s.Name, first, second)
		if _, want := states(r, ranges[3], ranges[1]); err != nil || asOf != side || !slices.Equal(some, want) {
			t.Errorf("buckets of %v and %v: %v, %v, %v", first, second, asOf, some, err)
		}
		at, err := p.Stand(t.Context(), "h1", s.Name)
		if err != nil || at.Applied != r.Applied() || at.Lost != nil {
			t.Errorf("stands at %v, %v; want %v", at, err, r.Applied())
		}
	}
}

func TestPeerListsABucket(t *testing.T) {
	source, server, p := pairOf(t, Limits{indexBytes: 2000}) // so that it takes several answers
	l := *source.layout.Load()
	const bucket = 300
	s, _ := l.StripeOf(bucket)
	w := source.writer(t, s.Name)
	var keys []contract.Key
	for i := 0; len(keys) < 20; i++ {
		if k := (contract.Key{Space: "space", Key: fmt.Sprintf("key-%08d", i)}); layout.BucketOf(k.Space, k.Key) == bucket {
			keys = append(keys, k)
			w.batch(t, create(k, 10))
		}
	}
	w.batch(t, remove(keys[5]))
	before := server.Stats().Reads
	side, docs, err := p.Index(t.Context(), "h1", bucket)
	if err != nil {
		t.Fatal(err)
	}
	if n := server.Stats().Reads - before; n < 2 {
		t.Errorf("%d answers held the index of %d documents", n, len(keys))
	}
	if side != (plan.Side{Host: "h1", Applied: w.at()}) || len(docs) != len(keys) {
		t.Fatalf("side %v, %d documents", side, len(docs))
	}
	var sum digest.Digest
	for i, d := range docs {
		if d.Key != keys[i] || d.Live != (i != 5) || d.Damaged != "" {
			t.Errorf("document %d is %v", i, d)
		}
		c, err := p.Document(t.Context(), "h1", d.Key)
		if err != nil || c.Side != side || c.Sick != "" || c.Doc != d || c.Image == 0 {
			t.Errorf("document %d is %v, %v; in the index %v", i, c, err, d)
		}
		sum = sum.Add(d.Digest)
	}
	r, _, _ := source.Stripe(s.Name)
	if _, all := states(r, buckets.Range{First: bucket, Last: bucket}); all[0].Digest != sum {
		t.Errorf("the bucket has digest %v, its documents %v", all[0].Digest, sum)
	}
	if _, docs, err := p.Index(t.Context(), "h1", bucket+1); err != nil || len(docs) != 0 {
		t.Errorf("an empty bucket: %v, %v", docs, err)
	}
	nobody := contract.Key{Space: "no", Key: "body"}
	if c, err := p.Document(t.Context(), "h1", nobody); err != nil || c.Doc != (plan.Doc{Key: nobody}) {
		t.Errorf("a document that is not there: %v, %v", c, err)
	}
}

// questions are all that a peer can be asked, about stripe s2.
func questions(l *layout.Layout) map[string]func(*testing.T, *Peer) error {
	key := keysIn(*l, "s2", 1)[0]
	b := layout.BucketOf(key.Space, key.Key)
	return map[string]func(*testing.T, *Peer) error{
		EndpointRoots:   func(t *testing.T, p *Peer) error { _, err := p.Roots(t.Context(), "h1"); return err },
		"partitions":    func(t *testing.T, p *Peer) error { _, err := p.Partitions(t.Context(), "h1", "s2"); return err },
		EndpointStand:   func(t *testing.T, p *Peer) error { _, err := p.Stand(t.Context(), "h1", "s2"); return err },
		EndpointBuckets: func(t *testing.T, p *Peer) error { _, _, err := p.Buckets(t.Context(), "h1", "s2", 1); return err },
		EndpointIndex:   func(t *testing.T, p *Peer) error { _, _, err := p.Index(t.Context(), "h1", b); return err },
		EndpointDocument: func(t *testing.T, p *Peer) error {
			_, err := p.Document(t.Context(), "h1", key)
			return err
		},
		EndpointDocuments: func(t *testing.T, p *Peer) error {
			_, err := p.Documents(t.Context(), "h1", "s2", []Want{{Key: key}}, func(*Pulled) error {
				t.Error("a document was handed on")
				return nil
			})
			return err
		},
	}
}

// wantRefusal wants a refusal by h1.
func wantRefusal(t *testing.T, err error, code int) {
	t.Helper()
	r, ok := errors.AsType[*RefusedError](err)
	if !ok || r.Code != code || r.Host != "h1" || !errors.Is(err, ErrRefused) || errors.Is(err, ErrLayout) != (code == CodeLayout) {
		t.Errorf("%v, want a refusal with code %d", err, code)
	}
}

func TestASickStripeIsNotAskedFor(t *testing.T) {
	source, _, p := pairOf(t, Limits{})
	source.sick["s2"] = "its disk was replaced"
	for name, ask := range questions(source.layout.Load()) {
		if name == EndpointRoots || name == EndpointDocument {
			continue
		}
		t.Run(name, func(t *testing.T) { wantRefusal(t, ask(t, p), CodeSick) })
	}
	roots, err := p.Roots(t.Context(), "h1", "s1", "s2", "s3")
	if err != nil || len(roots) != 3 || roots[0].Sick != "" || roots[1].Sick != "its disk was replaced" || roots[1].Root != (plan.Root{}) {
		t.Errorf("roots %v, %v", roots, err)
	}
	key := keysIn(*source.layout.Load(), "s2", 1)[0]
	if c, err := p.Document(t.Context(), "h1", key); err != nil || c.Sick != "its disk was replaced" {
		t.Errorf("document %v, %v", c, err)
	}
}

func TestAStripeThatIsNotOpen(t *testing.T) {
	source, _, p := pairOf(t, Limits{})
	source.none = "s2"
	for name, ask := range questions(source.layout.Load()) {
		if name == EndpointRoots {
			continue
		}
		t.Run(name, func(t *testing.T) { wantRefusal(t, ask(t, p), CodeNotFound) })
	}
	if roots, err := p.Roots(t.Context(), "h1"); err != nil || len(roots) != 5 {
		t.Errorf("roots %v, %v", roots, err)
	}
}

func TestAnotherLayout(t *testing.T) {
	source, _, p := pairOf(t, Limits{})
	newer := six()
	newer.Version++
	p.Layout = func() (layout.Layout, string) { return newer, newer.Digest() }
	for name, ask := range questions(&newer) {
		t.Run(name, func(t *testing.T) { wantRefusal(t, ask(t, p), CodeLayout) })
	}
	// The same version, another text.
	other := six()
	other.Hosts[0].Adama = "10.0.0.1:8080"
	p.Layout = func() (layout.Layout, string) { return other, other.Digest() }
	for name, ask := range questions(&other) {
		t.Run(name+" of the same version", func(t *testing.T) { wantRefusal(t, ask(t, p), CodeLayout) })
	}
	// The host has come to it, and answers for it.
	source.layout.Store(&other)
	if roots, err := p.Roots(t.Context(), "h1"); err != nil || len(roots) != 6 {
		t.Errorf("%v, %v", roots, err)
	}
}

func TestAPeerThatIsNotThere(t *testing.T) {
	server := aServer(t)
	source := newServedStore(t, six())
	p := asker(logConn(t, server), source)
	for name, ask := range questions(source.layout.Load()) {
		t.Run(name, func(t *testing.T) {
			if err := ask(t, p); !errors.Is(err, ErrUnreachable) {
				t.Error(err)
			}
		})
	}
}

// TestAPeerThatSaysNothing has the time run out, that of the peer and that of the
// caller.
func TestAPeerThatSaysNothing(t *testing.T) {
	server := aServer(t)
	source := newServedStore(t, six())
	silent := logConn(t, server)
	if _, err := silent.Subscribe("trireme.repair.h1.*", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	if err := silent.Flush(); err != nil {
		t.Fatal(err)
	}
	p := asker(logConn(t, server), source)
	p.Timeout, p.Stall = 50*time.Millisecond, 50*time.Millisecond
	for name, ask := range questions(source.layout.Load()) {
		t.Run(name, func(t *testing.T) {
			if err := ask(t, p); !errors.Is(err, ErrUnreachable) {
				t.Error(err)
			}
		})
	}
	p.Timeout, p.Stall = wirePatience, wirePatience
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Roots(ctx, "h1"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
	_, err := p.Documents(ctx, "h1", "s2", []Want{{Key: keysIn(six(), "s2", 1)[0]}}, func(*Pulled) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}
