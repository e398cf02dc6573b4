package adapter

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/internal/contract"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/requests.txt anew")

func update(begin, end int32) Update {
	return Update{
		SeqBegin: begin, SeqEnd: end, Who: &Who{Agent: "ann", Authority: "doc/<b>"},
		Request: `{"command":"send"`, Redo: `{"x":"<&>é"}`, Undo: `{}`,
		RequiresFutureInvalidation: true, WhenToInvalidateMS: 250, AssetBytes: 7, UpdateType: AddUserData,
	}
}

// everyCall is a call of each operation, with and without what is optional.
var everyCall = []struct {
	name string
	do   func(context.Context, *Client) error
}{
	{"get", func(ctx context.Context, c *Client) error {
		_, err := c.Get(ctx, "s", "k")
		return err
	}},
	{"get local from a host", func(ctx context.Context, c *Client) error {
		_, err := c.Get(ctx, "s", "k", Local(), FromHost("h2"))
		return err
	}},
	{"get parts", func(ctx context.Context, c *Client) error {
		_, err := c.GetParts(ctx, "s", "k")
		return err
	}},
	{"initialize", func(ctx context.Context, c *Client) error {
		return c.Initialize(ctx, "s", "k", update(0, 1))
	}},
	{"patch", func(ctx context.Context, c *Client) error {
		second := update(3, 5)
		second.Who = nil
		return c.Patch(ctx, "s", "k", []Update{update(2, 2), second})
	}},
	{"patch with incarnation and id", func(ctx context.Context, c *Client) error {
		return c.Patch(ctx, "s", "k", []Update{update(2, 2)}, WithIncarnation("1-9"), WithRequestID("mine"))
	}},
	{"head patch", func(ctx context.Context, c *Client) error {
		_, err := c.Compute(ctx, "s", "k", HeadPatch, 0)
		return err
	}},
	{"rewind", func(ctx context.Context, c *Client) error {
		_, err := c.Compute(ctx, "s", "k", Rewind, -3)
		return err
	}},
	{"snapshot", func(ctx context.Context, c *Client) error {
		return c.Snapshot(ctx, SnapshotRequest{Space: "s", Key: "k", Seq: 9, JSON: `{"x":1}`, History: 3, AssetBytes: 4})
	}},
	{"snapshot with incarnation", func(ctx context.Context, c *Client) error {
		return c.Snapshot(ctx, SnapshotRequest{Space: "s", Key: "k", Incarnation: "1-9"})
	}},
	{"recover", func(ctx context.Context, c *Client) error {
		return c.Recover(ctx, RecoverRequest{Space: "s", Key: "k", Seq: 4, Document: `{}`})
	}},
	{"recover for someone", func(ctx context.Context, c *Client) error {
		return c.Recover(ctx, RecoverRequest{Space: "s", Key: "k", Seq: 4, Document: `{}`, Who: &Who{Agent: "ann", Authority: "ops"}})
	}},
	{"delete", func(ctx context.Context, c *Client) error { return c.Delete(ctx, "s", "k") }},
	{"delete mark", func(ctx context.Context, c *Client) error { return c.DeletePhase(ctx, "s", "k", PhaseMark) }},
	{"delete commit", func(ctx context.Context, c *Client) error { return c.DeletePhase(ctx, "s", "k", PhaseCommit) }},
	{"delete abort", func(ctx context.Context, c *Client) error { return c.DeletePhase(ctx, "s", "k", PhaseAbort) }},
	{"deleting", func(ctx context.Context, c *Client) error {
		_, err := Collect(c.Deleting(ctx))
		return err
	}},
	{"close", func(ctx context.Context, c *Client) error { return c.CloseDocument(ctx, "s", "k") }},
	{"shed", func(ctx context.Context, c *Client) error { return c.Shed(ctx, "s", "k") }},
	{"inventory", func(ctx context.Context, c *Client) error {
		_, err := Collect(c.Inventory(ctx, InventoryRequest{}))
		return err
	}},
	{"inventory of a host from a cursor", func(ctx context.Context, c *Client) error {
		_, err := Collect(c.Inventory(ctx, InventoryRequest{Host: "h2", Scope: ScopeHost, Cursor: "abc"}))
		return err
	}},
	{"locate", func(ctx context.Context, c *Client) error {
		_, err := c.Locate(ctx, "s", "k")
		return err
	}},
	{"history", func(ctx context.Context, c *Client) error {
		_, err := Collect(c.History(ctx, HistoryRequest{Space: "s", Key: "k"}))
		return err
	}},
	{"history from 0", func(ctx context.Context, c *Client) error {
		_, err := Collect(c.History(ctx, HistoryRequest{Space: "s", Key: "k", FromSeq: new(int32), Limit: 10}))
		return err
	}},
}

// TestRequests compares what travels with testdata/requests.txt.
func TestRequests(t *testing.T) {
	f := newFake(t, reply(`{}`))
	c := f.newClient(WithWriter("node-7"), WithRequestIDs(counter()))
	var got strings.Builder
	for _, call := range everyCall {
		if err := call.do(t.Context(), c); err != nil {
			t.Fatalf("%s: %v", call.name, err)
		}
		asked := f.requests()
		fmt.Fprintf(&got, "# %s\n%s\n", call.name, transcript(asked[len(asked)-1]))
	}
	if n := len(f.requests()); n != len(everyCall) {
		t.Errorf("%d calls made %d requests", len(everyCall), n)
	}
	const golden = "testdata/requests.txt"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the requests differ from %s (-rewrite writes it anew):\n%s", golden, got.String())
	}
}

func transcript(m *nats.Msg) string {
	var b strings.Builder
	fmt.Fprintln(&b, m.Subject)
	var names []string
	for name := range m.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\n", name, m.Header.Get(name))
	}
	fmt.Fprintf(&b, "%s\n", m.Data)
	return b.String()
}

func TestEveryOperationHasACall(t *testing.T) {
	requests, err := os.ReadFile("testdata/requests.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range contract.Ops() {
		if !strings.Contains(string(requests), "\n"+contract.SubjectPrefix+op+"\n") {
			t.Errorf("no call of %s", op)
		}
	}
}

func TestGet(t *testing.T) {
	const body = `{"patch":"{\"x\":1}","reads":3,"seq":7,"incarnation":"1-2"}`
	for _, test := range []struct {
		name   string
		answer answer
		opts   []GetOption
		behind int64
	}{
		{"linearizable", reply(body), nil, 0},
		{"linearizable, a header that means nothing", reply(body, contract.HeaderBehind, "9"), nil, 0},
		{"local", reply(body, contract.HeaderBehind, "12"), []GetOption{Local()}, 12},
		{"local, untold", reply(body), []GetOption{Local()}, -1},
		{"local, nonsense told", reply(body, contract.HeaderBehind, "-4"), []GetOption{Local()}, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newFake(t, test.answer).newClient()
			got, err := c.Get(t.Context(), "s", "k", test.opts...)
			want := Document{Patch: `{"x":1}`, Reads: 3, Seq: 7, Incarnation: "1-2", Behind: test.behind}
			if err != nil || got != want {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
		})
	}
}

func TestGetParts(t *testing.T) {
	f := newFake(t,
		reply(`{"base":"{\"x\":0,\"y\":1}","redos":["{\"x\":1}","{\"x\":2}"],"reads":4,"seq":7,"incarnation":"1-2"}`),
		reply(`{"base":null,"redos":["not JSON"],"reads":1,"seq":7,"incarnation":"1-2"}`),
		reply(`{"base":"{}","redos":["not JSON"],"reads":1,"seq":7,"incarnation":"1-2"}`),
	)
	c := f.newClient()
	for _, want := range []struct {
		parts, folded string
		err           error
	}{
		{`{"x":0,"y":1} [{"x":1} {"x":2}] 4 7 1-2 0`, `{"x":2,"y":1}`, nil},
		{`<nil> [not JSON] 1 7 1-2 0`, `not JSON`, nil},
		{`{} [not JSON] 1 7 1-2 0`, ``, ErrUnmergeable},
	} {
		p, err := c.GetParts(t.Context(), "s", "k")
		if err != nil {
			t.Fatal(err)
		}
		base := "<nil>"
		if p.Base != nil {
			base = *p.Base
		}
		if got := fmt.Sprint(base, " ", p.Redos, p.Reads, p.Seq, " ", p.Incarnation, " ", p.Behind); got != want.parts {
			t.Errorf("got parts %s, want %s", got, want.parts)
		}
		if folded, err := p.Fold(); folded != want.folded || !errors.Is(err, want.err) {
			t.Errorf("folded %q, %v; want %q, %v", folded, err, want.folded, want.err)
		}
	}
}

func TestLocate(t *testing.T) {
	want := Location{
		Bucket: 12, Partition: 3, Stripe: "s1", Owner: "h1", Epoch: "1-4",
		Members: []string{"h1"}, Adama: "10.0.0.1:8001", Layout: 2,
	}
	got, err := newFake(t, replyWith(want)).newClient().Locate(t.Context(), "s", "k")
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

// FuzzReply: whatever comes back, it is an answer or an error, and what carries
// an error header is never an answer.
func FuzzReply(f *testing.F) {
	f.Add("", "", []byte(`{"patch":"{}","seq":1}`))
	f.Add("621580", "head-differs", []byte(`{"code":621580,"message":"x"}`))
	f.Add("621580", "", []byte(`{"code":"no"}`))
	f.Add("zero", "what", []byte{})
	f.Add("0", "", []byte(`null`))
	f.Fuzz(func(t *testing.T, code, message string, data []byte) {
		m := &nats.Msg{Data: data, Header: nats.Header{}}
		if code != "" {
			m.Header.Set(micro.ErrorCodeHeader, code)
			m.Header.Set(micro.ErrorHeader, message)
		}
		var doc contract.DocumentReply
		err := decode(m, &doc)
		if code != "" && err == nil {
			t.Errorf("code %q with body %q was taken for an answer", code, data)
		}
		if err != nil && err.Error() == "" {
			t.Error("an error without a word")
		}
	})
}
