package streams

import (
	"bytes"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func hear(t testing.TB, tail *Tail) (Record, bool) {
	t.Helper()
	select {
	case r, ok := <-tail.C:
		return r, ok
	case <-time.After(deadline):
		t.Fatal("nothing was heard")
		return Record{}, false
	}
}

func TestTailHearsWhatIsPublished(t *testing.T) {
	s := startServer(t)
	teller, listener := createLog(t, s, testConfig()), createLog(t, s, testConfig())
	if _, err := listener.Tail(0, 1); err == nil {
		t.Fatal("no bound was taken for a bound")
	}
	tail, err := listener.Tail(100, 10<<20)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := teller.nc.SubscribeSync(TailSubject("s1")) // as `nats sub` would
	if err != nil {
		t.Fatal(err)
	}
	for _, nc := range []*nats.Conn{teller.nc, listener.nc} {
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []Record{{7, []byte("BATCH")}, {8, make([]byte, maxTailBody)}, {9, make([]byte, maxTailBody+1)}} {
		if err := teller.Publish(r.Seq, r.Body); err != nil {
			t.Fatal(err)
		}
		want := r
		if len(r.Body) > maxTailBody {
			want.Body = nil
		}
		if got, _ := hear(t, tail); got.Seq != want.Seq || !bytes.Equal(got.Body, want.Body) || (got.Body == nil) != (want.Body == nil) {
			t.Fatalf("heard %d with %d bytes", got.Seq, len(got.Body))
		}
	}
	if m, err := seen.NextMsg(deadline); err != nil || string(m.Data) != "BATCH" || m.Header.Get(headerSequence) != "7" {
		t.Fatal(m, err)
	}
	if err := teller.nc.Publish(TailSubject("s1"), []byte("what?")); err != nil {
		t.Fatal(err)
	}
	if got, _ := hear(t, tail); got.Seq != 0 || got.Body != nil {
		t.Fatalf("heard %+v", got)
	}
	if err := tail.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := hear(t, tail); ok {
		t.Fatal("heard after the end")
	}
	teller.nc.Close()
	wantIs(t, teller.Publish(1, nil), nats.ErrConnectionClosed)
}

func TestTailIsBounded(t *testing.T) {
	for name, bound := range map[string][2]int{"records": {5, 1 << 20}, "bytes": {1000, 5 * 1100}} {
		t.Run(name, func(t *testing.T) {
			l := createLog(t, startServer(t), testConfig())
			tail, err := l.Tail(bound[0], bound[1])
			if err != nil {
				t.Fatal(err)
			}
			for i := range 50 {
				if err := l.Publish(uint64(i+1), make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.nc.Flush(); err != nil { // then all have come or are dropped
				t.Fatal(err)
			}
			var got []uint64
			for range 50 - tail.Dropped() {
				r, _ := hear(t, tail)
				got = append(got, r.Seq)
			}
			if len(got) < 4 || len(got) > 10 || got[0] != 1 {
				t.Fatalf("heard %v", got)
			}
			if err := l.Publish(51, nil); err != nil { // there is room again
				t.Fatal(err)
			}
			if r, _ := hear(t, tail); r.Seq != 51 {
				t.Fatalf("heard %d", r.Seq)
			}
			l.nc.Close() // ends it as well
			if _, ok := hear(t, tail); ok {
				t.Fatal("heard after the end")
			}
			if err := tail.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// An answer is taken from the leader only: of the servers in a group the one that
// answers does not list itself.
func TestLeader(t *testing.T) {
	peers := []*jetstream.PeerInfo{{Name: "h2"}, {Name: "h3"}}
	for _, c := range []struct {
		info *jetstream.ClusterInfo
		name string
		ok   bool
	}{
		{nil, "", true},
		{&jetstream.ClusterInfo{Leader: "h1"}, "h1", true},
		{&jetstream.ClusterInfo{Leader: "h1", Replicas: peers}, "h1", true},
		{&jetstream.ClusterInfo{Leader: "h2", Replicas: peers}, "h2", false},
		{&jetstream.ClusterInfo{Leader: "", Replicas: peers}, "", false},
	} {
		if name, ok := leader(c.info); name != c.name || ok != c.ok {
			t.Errorf("%+v: %q, %v", c.info, name, ok)
		}
	}
}

func TestMoveLeaderOfASingleServer(t *testing.T) {
	l := createLog(t, startServer(t), testConfig())
	if st, err := l.State(t.Context()); err != nil || st.Leader != "test" {
		t.Fatal(st, err)
	}
	for _, preferred := range []string{"", "h2"} {
		if err := l.MoveLeader(t.Context(), preferred); err == nil {
			t.Errorf("it moved to %q", preferred)
		}
	}
}
