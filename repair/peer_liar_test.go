package repair

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"trireme/internal/layout"
)

// A liar answers in h1's place, on a NATS server of its own.
type liar struct {
	nc   *nats.Conn
	peer *Peer // asks it

	mu     sync.Mutex
	answer func(m *nats.Msg) []*nats.Msg // to be sent to the asker, whatever their subjects
}

func newLiar(t *testing.T, source Source) *liar {
	t.Helper()
	server := aServer(t)
	l := &liar{nc: logConn(t, server), peer: asker(logConn(t, server), source)}
	_, err := l.nc.Subscribe("trireme.repair.h1.*", func(m *nats.Msg) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if m.Reply == "" {
			return // credit
		}
		for _, a := range l.answer(m) {
			a.Subject = m.Reply
			if err := l.nc.PublishMsg(a); err != nil {
				t.Error(err)
			}
		}
	})
	if err == nil {
		err = l.nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *liar) says(answer func(m *nats.Msg) []*nats.Msg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = answer
}

// honest is what h1 answers to a question, again and again, as a JSON object that a test
// may spoil.
func honest(t *testing.T, nc *nats.Conn, endpoint string, ask any) func() map[string]any {
	t.Helper()
	m, err := nc.Request(Subject("h1", endpoint), marshal(t, ask), wirePatience)
	if err != nil {
		t.Fatal(err)
	}
	return func() (answer map[string]any) {
		if err := json.Unmarshal(m.Data, &answer); err != nil {
			t.Fatalf("%s: %v", m.Data, err)
		}
		return answer
	}
}

// in goes down a JSON value by names of fields and numbers of elements.
func in(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	return v
}

// put changes a field.
func put(v any, value any, path ...any) {
	at, last := in(v, path[:len(path)-1]...), path[len(path)-1]
	if name, ok := last.(string); ok {
		at.(map[string]any)[name] = value
	} else {
		at.([]any)[last.(int)] = value
	}
}

// TestAnswersThatAreNotValid spoils what h1 says in every way that shows.
func TestAnswersThatAreNotValid(t *testing.T) {
	server := aServer(t)
	source, wants := filled(t, 10, 20, 30)
	nc := logConn(t, server)
	serving(t, logConn(t, server), source, Limits{})
	liar := newLiar(t, source)
	l := *source.layout.Load()
	b := bucketOf(wants[0].Key)
	part, _ := l.PartitionOf(b)
	ask := asking{Version: protocolVersion, From: "h2"}
	two := func(v any, path ...any) { // the first element twice
		list := in(v, path...).([]any)
		put(v, append(slices.Clone(list[:1]), list...), path...)
	}
	type spoil struct {
		name string
		do   func(a map[string]any)
		want error
	}
	common := []spoil{
		{"another version", func(a map[string]any) { a["version"] = 2 }, ErrGarbage},
		{"no version", func(a map[string]any) { delete(a, "version") }, ErrGarbage},
		{"another host", func(a map[string]any) { a["host"] = "h3" }, ErrGarbage},
		{"another layout", func(a map[string]any) { a["layout"] = 11 }, ErrLayout},
		{"another layout of that version", func(a map[string]any) { a["layout_digest"] = strings.Repeat("0", 32) }, ErrLayout},
		{"a field of another kind", func(a map[string]any) { a["host"] = []int{1} }, ErrGarbage},
	}
	ofStripe := []spoil{
		{"another stripe", func(a map[string]any) { a["stripe"] = "s1" }, ErrGarbage},
		{"another birth", func(a map[string]any) { a["applied"] = "7-9" }, ErrLayout},
		{"no position", func(a map[string]any) { delete(a, "applied") }, ErrLayout},
		{"a position that is none", func(a map[string]any) { a["applied"] = "2-09" }, ErrGarbage},
		{"a horizon of a later stripe", func(a map[string]any) { a["horizon"] = "3-1" }, ErrGarbage},
	}
	for _, c := range []struct {
		endpoint string
		ask      any
		run      func(*Peer) error
		spoils   []spoil
	}{
		{
			EndpointRoots,
			rootsAsk{asking: ask, Stripes: []string{"s2"}, Partitions: true},
			func(p *Peer) error { _, err := p.Partitions(t.Context(), "h1", "s2"); return err },
			[]spoil{
				{"another birth", func(a map[string]any) { put(a, "7-9", "stripes", 0, "applied") }, ErrLayout},
				{"a stripe that was not asked for", func(a map[string]any) { put(a, "s1", "stripes", 0, "stripe") }, ErrGarbage},
				{"an unknown stripe", func(a map[string]any) { put(a, "s9", "stripes", 0, "stripe") }, ErrGarbage},
				{"a stripe twice", func(a map[string]any) { two(a, "stripes") }, ErrGarbage},
				{"a short digest", func(a map[string]any) { put(a, "00", "stripes", 0, "root") }, ErrGarbage},
				{"a digest in capitals", func(a map[string]any) { put(a, strings.Repeat("A", 64), "stripes", 0, "root") }, ErrGarbage},
				{"a position of a later stripe", func(a map[string]any) { put(a, "3-1", "stripes", 0, "position") }, ErrGarbage},
				{"no partitions", func(a map[string]any) { delete(in(a, "stripes", 0).(map[string]any), "partitions") }, ErrGarbage},
				{"a partition twice", func(a map[string]any) { two(a, "stripes", 0, "partitions") }, ErrGarbage},
				{"another partition", func(a map[string]any) { put(a, 3, "stripes", 0, "partitions", 0, "partition") }, ErrGarbage},
				{"no stripe", func(a map[string]any) { a["stripes"] = []any{} }, ErrRefused},
			},
		},
		{
			EndpointStand,
			standAsk{asking: ask, stripeAsked: stripeAsked{Stripe: "s2"}},
			func(p *Peer) error { _, err := p.Stand(t.Context(), "h1", "s2"); return err }, append([]spoil{
				{"a chain that is none", func(a map[string]any) { a["chain"] = "00" }, ErrGarbage},
				{"an epoch to come", func(a map[string]any) { a["epoch"] = "2-99" }, ErrGarbage},
				{"a time that is none", func(a map[string]any) { a["time"] = -1 }, ErrGarbage},
				{"lost buckets out of order", func(a map[string]any) { a["lost"] = [][]int{{7, 8}, {8, 9}} }, ErrGarbage},
				{"lost buckets that end before they begin", func(a map[string]any) { a["lost"] = [][]int{{8, 7}} }, ErrGarbage},
				{"lost buckets that are none", func(a map[string]any) { a["lost"] = [][]int{{7, 16384}} }, ErrGarbage},
				{"a chain of no log", func(a map[string]any) { a["applied"] = "2-0"; delete(a, "epoch") }, ErrGarbage},
			}, ofStripe...),
		},
		{
			EndpointBuckets,
			bucketsAsk{asking: ask, Partitions: []layout.PartitionID{part.ID}},
			func(p *Peer) error { _, _, err := p.Buckets(t.Context(), "h1", "s2", part.ID); return err }, append([]spoil{
				{"a bucket twice", func(a map[string]any) { two(a, "buckets") }, ErrGarbage},
				{"a bucket that was not asked for", func(a map[string]any) { put(a, int(part.Last)+1, "buckets", 0, "bucket") }, ErrGarbage},
				{"a bucket that is none", func(a map[string]any) { put(a, 20000, "buckets", 0, "bucket") }, ErrGarbage},
				{"no position of a bucket", func(a map[string]any) { put(a, "0-0", "buckets", 0, "position") }, ErrGarbage},
				{"a bucket of a later stripe", func(a map[string]any) { put(a, "3-1", "buckets", 0, "position") }, ErrGarbage},
			}, ofStripe...),
		},
		{
			EndpointIndex,
			indexAsk{asking: ask, Bucket: b},
			func(p *Peer) error { _, _, err := p.Index(t.Context(), "h1", b); return err }, append([]spoil{
				{"another bucket", func(a map[string]any) { a["bucket"] = int(b) + 1 }, ErrGarbage},
				{"a document twice", func(a map[string]any) { two(a, "documents") }, ErrGarbage},
				{"a document of another bucket", func(a map[string]any) { put(a, "elsewhere", "documents", 0, "key") }, ErrGarbage},
				{"a document without a position", func(a map[string]any) { put(a, "0-0", "documents", 0, "position") }, ErrGarbage},
				{"a document of a later stripe", func(a map[string]any) { put(a, "3-1", "documents", 0, "position") }, ErrGarbage},
				{"a document from before it was", func(a map[string]any) { put(a, "2-99", "documents", 0, "incarnation") }, ErrGarbage},
				{"a head that is none", func(a map[string]any) { put(a, 1<<31, "documents", 0, "head") }, ErrGarbage},
				{"more and nothing", func(a map[string]any) { a["more"], a["documents"] = true, []any{} }, ErrGarbage},
				{"more of the same without end", func(a map[string]any) { a["more"] = true }, ErrGarbage},
			}, ofStripe...),
		},
		{
			EndpointDocument,
			documentAsk{asking: ask, Key: wants[0].Key},
			func(p *Peer) error { _, err := p.Document(t.Context(), "h1", wants[0].Key); return err }, append([]spoil{
				{"another document", func(a map[string]any) { a["key"] = "elsewhere" }, ErrGarbage},
				{"another bucket", func(a map[string]any) { a["bucket"] = int(b) + 1 }, ErrGarbage},
				{"damaged without a reason", func(a map[string]any) { a["checked"] = "damaged" }, ErrGarbage},
				{"a reason without damage", func(a map[string]any) { a["damaged"] = "rot" }, ErrGarbage},
				{"a check that is none", func(a map[string]any) { a["checked"] = "perhaps" }, ErrGarbage},
				{"no position", func(a map[string]any) { delete(a, "position") }, ErrGarbage},
			}, ofStripe...),
		},
	} {
		if err := c.run(asker(nc, source)); err != nil {
			t.Fatalf("%s: the truth is refused: %v", c.endpoint, err)
		}
		fresh := honest(t, nc, c.endpoint, c.ask)
		for _, s := range append(slices.Clone(common), c.spoils...) {
			t.Run(c.endpoint+", "+s.name, func(t *testing.T) {
				spoilt := fresh()
				s.do(spoilt)
				body := marshal(t, spoilt)
				liar.says(func(*nats.Msg) []*nats.Msg { return []*nats.Msg{{Data: body}} })
				if err := c.run(liar.peer); !errors.Is(err, s.want) {
					t.Errorf("%v, want %v", err, s.want)
				}
			})
		}
		whole := marshal(t, fresh())
		for name, body := range map[string][]byte{
			"nothing": {}, "no JSON": []byte("h1 is well"), "half": whole[:len(whole)/2], "two": append(slices.Clone(whole), whole...),
			"a list": []byte("[]"), "null": []byte("null"), "noise": noise(1000), "too much": []byte(`"` + strings.Repeat("x", maxAnswer) + `"`),
		} {
			t.Run(c.endpoint+", "+name, func(t *testing.T) {
				liar.says(func(*nats.Msg) []*nats.Msg { return []*nats.Msg{{Data: body}} })
				if err := c.run(liar.peer); !errors.Is(err, ErrGarbage) {
					t.Errorf("%v, want %v", err, ErrGarbage)
				}
			})
		}
	}
}

// noise is the same every time.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b) // it never fails
	return b
}
