package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"trireme/buckets"
	"trireme/embedded"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/repair/plan"
)

// filled is a source with documents of stripe s2 of the given sizes, and what their
// index says of them.
func filled(t testing.TB, sizes ...int) (*servedStore, []Want) {
	t.Helper()
	source := newServedStore(t, six())
	w := source.writer(t, "s2")
	wants := make([]Want, len(sizes))
	for i, k := range keysIn(*source.layout.Load(), "s2", len(sizes)) {
		w.batch(t, create(k, sizes[i]))
		wants[i] = wantOf(t, w.r, k)
	}
	return source, wants
}

// wantOf is a document as the index has it.
func wantOf(t testing.TB, r *buckets.Replica, k contract.Key) Want {
	t.Helper()
	m, err := r.Moment()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	docs, _, err := m.Index(layout.BucketOf(k.Space, k.Key), contract.Key{}, 1000)
	i := slices.IndexFunc(docs, func(d buckets.DocState) bool { return d.Key == k })
	if err != nil || i < 0 {
		t.Fatalf("no document %v: %v", k, err)
	}
	return Want{Key: k, Position: docs[i].Position, Digest: docs[i].Digest}
}

// pullAll pulls and returns what came, in order, as "position digest" each.
func pullAll(ctx context.Context, p *Peer, wants []Want) (came []string, missed []Missed, err error) {
	missed, err = p.Documents(ctx, "h1", "s2", wants, func(d *Pulled) error {
		came = append(came, fmt.Sprint(d.Doc.Key, d.Doc.Position, d.Doc.Digest, d.Image.Size()))
		return nil
	})
	return came, missed, err
}

// wholeOf is what pullAll must return for good copies.
func wholeOf(t testing.TB, source *servedStore, wants []Want) (whole []string) {
	t.Helper()
	r, _, _ := source.Stripe("s2")
	m, err := r.Moment()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, w := range wants {
		im, err := m.Image(w.Key)
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, fmt.Sprint(w.Key, w.Position, w.Digest, im.Size()))
	}
	return whole
}

// idle waits until the server has no stream under way.
func idle(t testing.TB, s *Server) {
	t.Helper()
	reached(t, "without a pull", func() error {
		if n := s.Stats().Pulls; n != 0 {
			return fmt.Errorf("%d pulls", n)
		}
		return nil
	})
}

// TestDocumentsComeWhole has them of all sizes: many in a frame, and one in many, as a
// small MaxPayload wants.
func TestDocumentsComeWhole(t *testing.T) {
	sizes := []int{0, 1, 100, 70_000, 5, 3_000_000, 60_000, 65_000, 66_000, 1}
	for range 200 {
		sizes = append(sizes, 300)
	}
	source, wants := filled(t, sizes...)
	want := wholeOf(t, source, wants)
	nobody := Want{Key: keysIn(*source.layout.Load(), "s2", len(sizes)+1)[len(sizes)]}
	for _, c := range []struct {
		name    string
		payload int32
		window  int
		limits  Limits
	}{
		{"as they are", 0, 0, Limits{}},
		{"in small frames", 100_000, 0, Limits{}},
		{"in a small window", 0, minWindow, Limits{}},
		{"in the server's small window", 100_000, 0, Limits{Window: minWindow}},
		{"in several streams", 0, 0, Limits{PullBytes: 1000}},
		{"each in a stream of its own", 0, 0, Limits{PullTime: time.Nanosecond * 200_000_000, PullBytes: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := &embedded.Server{Dir: t.TempDir(), Listen: embedded.NoListener, MaxPayload: c.payload}
			if err := server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			s := serving(t, logConn(t, server), source, c.limits)
			p := asker(logConn(t, server), source)
			p.Window = c.window
			came, missed, err := pullAll(t.Context(), p, append(slices.Clone(wants), nobody))
			if err != nil || !slices.Equal(came, want) {
				t.Errorf("%d of %d came: %v", len(came), len(want), err)
			}
			if len(missed) != 1 || missed[0].Want != nobody || missed[0].Damaged != "" {
				t.Errorf("missed %v", missed)
			}
			idle(t, s)
			if got := s.Stats(); got.Documents != uint64(len(wants)) || (c.limits.PullBytes > 0) != (got.Pulled > 1) {
				t.Errorf("the server says %+v", got)
			}
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestThePeerWaitsForTheVisitor has the visitor stand still: no more than the window
// is under way, whatever there is to send.
func TestThePeerWaitsForTheVisitor(t *testing.T) {
	sizes := make([]int, 100)
	for i := range sizes {
		sizes[i] = 50_000
	}
	source, wants := filled(t, sizes...)
	server := aServer(t)
	s := serving(t, logConn(t, server), source, Limits{})
	p := asker(logConn(t, server), source)
	p.Window = 1 << 20
	visiting, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	result := make(chan error, 1)
	n := 0
	go func() {
		_, err := p.Documents(t.Context(), "h1", "s2", wants, func(*Pulled) error {
			n++
			once.Do(func() { close(visiting); <-goOn })
			return nil
		})
		result <- err
	}()
	<-visiting
	// The server has sent what it may when it waits: at most a frame short of the window.
	most := uint64(p.Window)
	reached(t, "at the end of the window", func() error {
		if sent := s.Stats().Sent; sent < most-chunk {
			return fmt.Errorf("%d bytes sent", sent)
		}
		return nil
	})
	if docs := s.Stats().Documents; docs == uint64(len(wants)) {
		t.Errorf("all %d documents were read although nobody takes them", docs)
	}
	close(goOn)
	if err := <-result; err != nil || n != len(wants) {
		t.Errorf("%d documents came: %v", n, err)
	}
	idle(t, s)
}

// TestTheVisitorMayTakeItsTime has a visit that lasts longer than a peer may be silent.
func TestTheVisitorMayTakeItsTime(t *testing.T) {
	source, wants := filled(t, 100_000, 100_000, 100_000)
	server := aServer(t)
	const stall = 2 * time.Second
	s := serving(t, logConn(t, server), source, Limits{Stall: stall, Window: minWindow})
	spy, err := logConn(t, server).SubscribeSync(Subject("h1", EndpointCredit))
	if err != nil {
		t.Fatal(err)
	}
	p := asker(logConn(t, server), source)
	p.Stall = stall
	n := 0
	_, err = p.Documents(t.Context(), "h1", "s2", wants, func(*Pulled) error {
		if n++; n > 1 {
			return nil
		}
		for range aliveFactor + 2 { // signs of life, for longer than stall
			if _, err := spy.NextMsg(wirePatience); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	if err != nil || n != len(wants) {
		t.Errorf("%d documents came: %v", n, err)
	}
	idle(t, s)
	if err := spy.Unsubscribe(); err != nil {
		t.Error(err)
	}
}

// TestASmallBudget has the server send so slowly that only its signs of life keep the
// pull going.
func TestASmallBudget(t *testing.T) {
	source, wants := filled(t, 60_000, 60_000)
	server := aServer(t)
	const rate = 25_000
	s := serving(t, logConn(t, server), source, Limits{Rate: rate, Window: minWindow, Stall: 2 * time.Second})
	p := asker(logConn(t, server), source)
	p.Stall = 2 * time.Second
	began := time.Now()
	if came, _, err := pullAll(t.Context(), p, wants); err != nil || len(came) != len(wants) {
		t.Errorf("%d documents came: %v", len(came), err)
	}
	// The first frame may be sent ahead of its budget.
	least := time.Duration(float64(s.Stats().Data-minWindow) / rate * float64(time.Second))
	if took := time.Since(began); took < least-burst {
		t.Errorf("%d bytes went in %v, at %d a second", s.Stats().Data, took, rate)
	}
	idle(t, s)
}

// TestAStreamEnds has it end for every reason before all was sent.
func TestAStreamEnds(t *testing.T) {
	sizes := make([]int, 50)
	for i := range sizes {
		sizes[i] = 100_000
	}
	source, wants := filled(t, sizes...)
	errVisit := errors.New("the visitor has enough")
	for _, c := range []struct {
		name   string
		stall  time.Duration
		during func(cancel context.CancelFunc, s *Server, server *embedded.Server, peers *nats.Conn) error
		judge  func(error) bool
	}{
		{
			"the visitor fails", wirePatience, func(context.CancelFunc, *Server, *embedded.Server, *nats.Conn) error { return errVisit },
			func(err error) bool { return errors.Is(err, errVisit) },
		},
		{
			"the caller gives up", wirePatience, func(cancel context.CancelFunc, _ *Server, _ *embedded.Server, _ *nats.Conn) error {
				cancel()
				return nil
			},
			func(err error) bool { return errors.Is(err, context.Canceled) },
		},
		{
			"the server closes", wirePatience, func(_ context.CancelFunc, s *Server, _ *embedded.Server, _ *nats.Conn) error { return s.Close() },
			func(err error) bool { return errors.Is(err, ErrRefused) },
		},
		{"the peer's connection ends", 300 * time.Millisecond, func(_ context.CancelFunc, s *Server, _ *embedded.Server, peers *nats.Conn) error {
			peers.Close()
			return s.Close()
		}, func(err error) bool { return errors.Is(err, ErrUnreachable) }},
		{
			"NATS ends", 300 * time.Millisecond, func(_ context.CancelFunc, _ *Server, server *embedded.Server, _ *nats.Conn) error {
				return server.Close()
			},
			func(err error) bool { return errors.Is(err, ErrUnreachable) || errors.Is(err, ErrRefused) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := aServer(t)
			inside := logConn(t, server)
			s := &Server{Conn: inside, Host: "h1", Source: source, Limits: Limits{Window: 256 << 10, Stall: c.stall}}
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			p := asker(logConn(t, server), source)
			p.Stall = c.stall
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n := 0
			_, err := p.Documents(ctx, "h1", "s2", wants, func(*Pulled) error {
				if n++; n == 3 {
					return c.during(cancel, s, server, inside)
				}
				return nil
			})
			if !c.judge(err) || n >= len(wants) {
				t.Errorf("after %d documents: %v", n, err)
			}
			idle(t, s)
			if err := s.Close(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
				t.Error(err)
			}
		})
	}
}

// TestAPeerThatFallsSilentIsGivenUp: what it holds is free again.
func TestAPeerThatFallsSilentIsGivenUp(t *testing.T) {
	source, wants := filled(t, 500_000, 500_000, 500_000)
	server := aServer(t)
	s := serving(t, logConn(t, server), source, Limits{Stall: 50 * time.Millisecond, Window: minWindow, Pulls: 1})
	nc := logConn(t, server)
	frames, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	ask := documentsAsk{Documents: keysOf(wants), Pull: "x"}
	if err := nc.PublishRequest(Subject("h1", EndpointDocuments), frames.Subject, marshal(t, ask)); err != nil {
		t.Fatal(err)
	}
	if _, err := frames.NextMsg(wirePatience); err != nil {
		t.Fatal(err)
	}
	// Another one finds no room meanwhile, or room if the first was given up already.
	_, _, err = pullAll(t.Context(), asker(nc, source), wants)
	if r, ok := errors.AsType[*RefusedError](err); err != nil && (!ok || r.Code != CodeNotNow || r.Retry != retryPull) {
		t.Errorf("%v", err)
	}
	idle(t, s)
	var last frame
	for {
		m, err := frames.NextMsg(wirePatience)
		if err != nil {
			t.Fatalf("no end came: %v", err)
		}
		if last, err = parseFrame(m.Data); err != nil {
			t.Fatal(err)
		}
		if last.kind == frameEnd {
			break
		}
	}
	p := asker(nc, source)
	p.Stall = 50 * time.Millisecond
	reached(t, "served again", func() error { // unless this machine stands still for so long
		_, _, err := pullAll(t.Context(), p, wants)
		return err
	})
}

func TestSoManyPullsAtOnce(t *testing.T) {
	source, wants := filled(t, 100_000, 100_000, 100_000)
	server := aServer(t)
	const pulls = 2
	s := serving(t, logConn(t, server), source, Limits{Pulls: pulls, Window: minWindow})
	p := asker(logConn(t, server), source)
	begun, goOn := make(chan struct{}, pulls), make(chan struct{})
	var all sync.WaitGroup
	for range pulls {
		all.Go(func() {
			first := true
			_, err := p.Documents(t.Context(), "h1", "s2", wants, func(*Pulled) error {
				if first {
					begun <- struct{}{}
					<-goOn
				}
				first = false
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range pulls {
		<-begun
	}
	_, _, err := pullAll(t.Context(), p, wants)
	wantRefusal(t, err, CodeNotNow)
	if r, ok := errors.AsType[*RefusedError](err); !ok || r.Retry != retryPull {
		t.Errorf("%v tells no time", err)
	}
	close(goOn)
	all.Wait()
	idle(t, s)
	if came, _, err := pullAll(t.Context(), p, wants); err != nil || len(came) != len(wants) {
		t.Errorf("%d documents came: %v", len(came), err)
	}
}

// TestDocumentsMoveOn has documents change between index and pull.
func TestDocumentsMoveOn(t *testing.T) {
	source, server, p := pairOf(t, Limits{})
	w := source.writer(t, "s2")
	keys := keysIn(*source.layout.Load(), "s2", 3)
	var wants []Want
	for _, k := range keys {
		w.batch(t, create(k, 100))
		wants = append(wants, wantOf(t, w.r, k))
	}
	w.batch(t, remove(keys[1]))
	later := wantOf(t, w.r, keys[1])
	_, err := p.Documents(t.Context(), "h1", "s2", wants, func(d *Pulled) error {
		want := d.Want
		if d.Want.Key == keys[1] {
			want = later
		}
		if d.Doc.Key != want.Key || d.Doc.Position != want.Position || d.Doc.Digest != want.Digest || d.Side.Applied != w.at() {
			t.Errorf("came %v of %v, want %v", d.Doc, d.Side, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	idle(t, server)
}

func keysOf(wants []Want) (keys []contract.Key) {
	for i := range wants {
		keys = append(keys, wants[i].Key)
	}
	return keys
}

// TestAnyDocumentsInAnyOrder asks for what is there and what is not, next to one another
// and not, in order and not.
func TestAnyDocumentsInAnyOrder(t *testing.T) {
	source, server, p := pairOf(t, Limits{PullBytes: 20_000})
	l := *source.layout.Load()
	w := source.writer(t, "s2")
	first := l.PartitionsOf("s2")[0].First
	var keys []contract.Key
	there := map[contract.Key]Want{}
	for i := 0; len(keys) < 120; i++ {
		k := contract.Key{Space: "space", Key: fmt.Sprintf("key-%06d", i)}
		if b := layout.BucketOf(k.Space, k.Key); b != first && b != first+1 {
			continue
		}
		keys = append(keys, k)
		if len(keys)%5 > 0 {
			w.batch(t, create(k, 50*(len(keys)%9)))
			there[k] = wantOf(t, w.r, k)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		ask := rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 0, len(keys), rapid.ID).Draw(t, "ask")
		switch rapid.IntRange(0, 3).Draw(t, "order") {
		case 0: // as drawn
		case 1:
			slices.SortFunc(ask, contract.Key.Compare)
		default: // as indexes have them
			slices.SortFunc(ask, func(a, b contract.Key) int {
				return cmp.Or(cmp.Compare(bucketOf(a), bucketOf(b)), a.Compare(b))
			})
		}
		var wants, want []Want
		var absent []Missed
		for _, k := range ask {
			wants = append(wants, Want{Key: k, Position: there[k].Position, Digest: there[k].Digest})
			if _, ok := there[k]; ok {
				want = append(want, there[k])
			} else {
				absent = append(absent, Missed{Want: Want{Key: k}, Side: plan.Side{Host: "h1", Applied: w.at()}})
			}
		}
		var came []Want
		missed, err := p.Documents(context.Background(), "h1", "s2", wants, func(d *Pulled) error {
			came = append(came, Want{d.Doc.Key, d.Doc.Position, d.Doc.Digest})
			return nil
		})
		if err != nil || !slices.Equal(came, want) || !slices.Equal(missed, absent) {
			t.Fatalf("%v\ncame %v\nwant %v\nmissed %v\nwant %v", err, came, want, missed, absent)
		}
	})
	idle(t, server)
}

// TestADamagedCopyIsNotSent: it is told of, and the documents beside it come.
func TestADamagedCopyIsNotSent(t *testing.T) {
	for _, table := range "dei" { // state, updates, request ids
		t.Run(string(table), func(t *testing.T) {
			source, wants := filled(t, 10, 20, 30, 40, 50, 60, 70)
			source.rot(t, byte(table), wants[4].Key)
			server := aServer(t)
			serving(t, logConn(t, server), source, Limits{})
			p := asker(logConn(t, server), source)
			came, missed, err := pullAll(t.Context(), p, wants)
			if err != nil || !slices.Equal(came, wholeOf(t, source, append(slices.Clone(wants[:4]), wants[5:]...))) {
				t.Errorf("%d came: %v", len(came), err)
			}
			if len(missed) != 1 || missed[0].Want != wants[4] || missed[0].Damaged == "" {
				t.Errorf("missed %v", missed)
			}
			c, err := p.Document(t.Context(), "h1", wants[4].Key)
			if err != nil || c.Doc.Damaged == "" || c.Image != 0 || c.Doc.Key != wants[4].Key {
				t.Errorf("explained as %v, %v", c, err)
			}
			_, docs, err := p.Index(t.Context(), "h1", bucketOf(wants[4].Key))
			if i := slices.IndexFunc(docs, func(d plan.Doc) bool { return d.Key == wants[4].Key }); err != nil || i < 0 || docs[i].Damaged == "" {
				t.Errorf("listed as %v, %v", docs, err) // noticed by now, whichever row it is
			}
		})
	}
}

// TestAHostEndsInTheMiddle: it is another machine, as far as NATS is concerned.
func TestAHostEndsInTheMiddle(t *testing.T) {
	sizes := make([]int, 40)
	for i := range sizes {
		sizes[i] = 100_000
	}
	source, wants := filled(t, sizes...)
	from, to := twoServers(t)
	for _, s := range []*embedded.Server{from, to} {
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
	}
	s := &Server{Conn: logConn(t, from), Host: "h1", Source: source, Limits: Limits{Window: minWindow, Stall: 300 * time.Millisecond}}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	p := asker(logConn(t, to), source)
	reached(t, "answered", func() error { _, err := p.Roots(t.Context(), "h1"); return err })
	p.Stall = 300 * time.Millisecond
	n := 0
	_, err := p.Documents(t.Context(), "h1", "s2", wants, func(*Pulled) error {
		if n++; n == 2 {
			s.Conn.Close() // what it says last is not sent any more
			return from.Close()
		}
		return nil
	})
	if !errors.Is(err, ErrUnreachable) || n < 2 || n >= len(wants) {
		t.Errorf("after %d documents: %v", n, err)
	}
	if _, err := p.Roots(t.Context(), "h1"); !errors.Is(err, ErrUnreachable) {
		t.Errorf("the host that has ended: %v", err)
	}
	idle(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestMoreThanOneRequestMayHold has many names, and long ones.
func TestMoreThanOneRequestMayHold(t *testing.T) {
	source, server, p := pairOf(t, Limits{})
	for name, c := range map[string]struct {
		wants []Want
		least uint64 // requests
	}{
		"many":      {absentOnes(*source.layout.Load(), maxKeys+10, ""), 2},
		"long ones": {absentOnes(*source.layout.Load(), 100, strings.Repeat("\x01", 1000)), 2},
		"few":       {absentOnes(*source.layout.Load(), 10, ""), 1},
	} {
		t.Run(name, func(t *testing.T) {
			before := server.Stats().Pulled
			came, missed, err := pullAll(t.Context(), p, c.wants)
			if err != nil || len(came) > 0 || len(missed) != len(c.wants) {
				t.Errorf("%d came and %d not: %v", len(came), len(missed), err)
			}
			for i, m := range missed {
				if m.Want != c.wants[i] || m.Damaged != "" {
					t.Fatalf("missed %v, want %v", m, c.wants[i])
				}
			}
			if n := server.Stats().Pulled - before; n < c.least || n > c.least+2 {
				t.Errorf("%d requests for %d documents", n, len(c.wants))
			}
		})
	}
}

func absentOnes(l layout.Layout, n int, long string) (wants []Want) {
	for i := 0; len(wants) < n; i++ {
		k := contract.Key{Space: "nobody" + long, Key: fmt.Sprintf("%s%d", long, i)}
		if s, _ := l.StripeOf(bucketOf(k)); s.Name == "s2" {
			wants = append(wants, Want{Key: k})
		}
	}
	return wants
}
