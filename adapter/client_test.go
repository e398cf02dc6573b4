package adapter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/internal/contract"
)

var sentinels = map[Code]error{
	621580: ErrHeadDiffers, 625676: ErrNotFound, 667658: ErrExists, 786620: ErrBeingDeleted, 785491: ErrUnknownMethod,
	787507: ErrNothingToPatch, 791602: ErrNothingToUndo, 734263: ErrNoHistory, 729311: ErrSnapshotSeq, 735344: ErrWrongMachine,
	1500001: ErrNoOwner, 1500002: ErrNoQuorum, 1500003: ErrDeposed, 1500004: ErrOutcomeUnknown, 1500005: ErrMalformed,
	1500006: ErrTooLarge, 1500007: ErrOverloaded, 1500008: ErrDamaged, 1500009: ErrFenced, 1500010: ErrBufferFull,
	1500011: ErrUnmergeable, 1500012: ErrNotHere,
}

// TestErrors: each code that comes over the wire is its sentinel and no other.
func TestErrors(t *testing.T) {
	for _, x := range contract.Codes() {
		t.Run(x.Name, func(t *testing.T) {
			want, ok := sentinels[x.Code]
			if !ok {
				t.Fatalf("code %d has no sentinel", x.Code)
			}
			// A code that is asked again for ends with the context.
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := newFake(t, refuse(x.Code)).newClient()
			c.retry.sleep = func(context.Context, time.Duration) { cancel() }
			err := c.Patch(ctx, "s", "k", []Update{update(1, 1)})
			for code, sentinel := range sentinels {
				if errors.Is(err, sentinel) != (code == x.Code) {
					t.Errorf("%v: is %v: %t", err, sentinel, errors.Is(err, sentinel))
				}
			}
			if CodeOf(err) != x.Code {
				t.Errorf("its code is %d", CodeOf(err))
			}
			e, ok := errors.AsType[*CallError](err)
			if !ok || e.Op != "patch" || e.Key != (Key{Space: "s", Key: "k"}) || e.RequestID == "" {
				t.Errorf("got %+v, want to be told of the call", e)
			}
			if text := err.Error(); !strings.HasPrefix(text, `patch "s/k": `) || !strings.Contains(text, want.Error()) {
				t.Errorf("it says %s", text)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	if x, ok := Explain(621580); !ok || x.Name != "head-differs" || x.Caller == "" {
		t.Errorf("got %+v, %t", x, ok)
	}
	if _, ok := Explain(1); ok {
		t.Error("explains a code that is none")
	}
}

func TestErrorReplies(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer answer
		want   string
	}{
		{"a body", refuse(contract.NotFound), `625676 not-found: as the script says`},
		{"no body", reply("", micro.ErrorCodeHeader, "625676", micro.ErrorHeader, "not there"), `625676 not-found: not there`},
		{"another body", reply("<html>", micro.ErrorCodeHeader, "625676", micro.ErrorHeader, "not there"), `625676 not-found: not there`},
		{"a foreign code", reply("", micro.ErrorCodeHeader, "500", micro.ErrorHeader, "handler failed"), `500 500: handler failed`},
		{"no number", reply("", micro.ErrorCodeHeader, "X", micro.ErrorHeader, "what"), `unreadable reply: header Nats-Service-Error-Code "X": what`},
		{"no JSON", reply("hello"), `unreadable reply: invalid character 'h' looking for beginning of value`},
		{"no object", reply(`["a"]`), `unreadable reply: json: cannot unmarshal array into Go value of type contract.DocumentReply`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := newFake(t, test.answer).newClient().Get(t.Context(), "s", "k")
			if err == nil || err.Error() != `get "s/k": `+test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestSameID: however a call's tries go, they all carry one id, and its body.
func TestSameID(t *testing.T) {
	f := newFake(t, drop, refuse(contract.NoOwner), kick, refuse(contract.OutcomeUnknown), drop, reply(`{}`))
	c := f.newClient()
	c.retry.tryTimeout = 300 * time.Millisecond
	for range 2 {
		if err := c.Patch(t.Context(), "s", "k", []Update{update(1, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	all := f.requests()
	got := ids(all)
	tries := slices.Index(got, got[len(got)-1])
	if first := slices.Compact(got[:tries]); tries < 6 || len(first) != 1 || len(first[0]) != 22 {
		t.Errorf("the tries of two calls carried %v, want one id six times and another", got)
	}
	for _, m := range all[1:] {
		if string(m.Data) != string(all[0].Data) {
			t.Errorf("a resend said %s, the first try %s", m.Data, all[0].Data)
		}
	}
}

func TestReadsAreRetried(t *testing.T) {
	f := newFake(t, kick, refuse(contract.NoQuorum), refuse(contract.Damaged), reply(`{"seq":3}`))
	doc, err := f.newClient().Get(t.Context(), "s", "k")
	if err != nil || doc.Seq != 3 {
		t.Fatalf("got %+v, %v", doc, err)
	}
	for _, id := range ids(f.requests()) {
		if id != "" {
			t.Errorf("a read carried the id %q", id)
		}
	}
}

// TestEnd: how a call ends when its context does between two tries.
func TestEnd(t *testing.T) {
	for _, test := range []struct {
		name    string
		script  []answer
		unknown bool // of a patch; a read has no outcome
		also    error
	}{
		{"no service", nil, false, nats.ErrNoResponders},
		{"no quorum", []answer{refuse(contract.NoQuorum)}, false, ErrNoQuorum},
		{"disconnected", []answer{kick}, true, nats.ErrDisconnected},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, call := range everyCall[:5] {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				c := newFake(t, test.script...).newClient()
				c.retry.sleep = func(context.Context, time.Duration) { cancel() }
				err := call.do(ctx, c)
				unknown := test.unknown && !strings.HasPrefix(call.name, "get")
				if !errors.Is(err, context.Canceled) || !errors.Is(err, test.also) || errors.Is(err, ErrOutcomeUnknown) != unknown {
					t.Errorf("%s: got %v; want canceled, %v, unknown %t", call.name, err, test.also, unknown)
				}
			}
		})
	}
}

// TestTimeout: a context without a deadline gets one.
func TestTimeout(t *testing.T) {
	f := newFake(t, drop)
	for _, call := range everyCall {
		t.Run(call.name, func(t *testing.T) {
			t.Parallel()
			err := call.do(t.Context(), f.newClient(WithTimeout(300*time.Millisecond)))
			e, ok := errors.AsType[*CallError](err)
			if !ok || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v, want the deadline", err)
			}
			if changes := e.RequestID != ""; errors.Is(err, ErrOutcomeUnknown) != changes {
				t.Errorf("got %v; want an unknown outcome: %t", err, changes)
			}
		})
	}
}

// TestAskAgain: the id in the error of a call of unknown outcome makes the next
// call the same request.
func TestAskAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := newFake(t, then(cancel, drop), refuse(contract.HeadDiffers))
	c := f.newClient()
	err := c.Patch(ctx, "s", "k", []Update{update(1, 1)})
	call, ok := errors.AsType[*CallError](err)
	if !ok || !errors.Is(err, ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) || call.Tries != 1 {
		t.Fatalf("got %v, want an unknown outcome after one try", err)
	}
	err = c.Patch(t.Context(), "s", "k", []Update{update(1, 1)}, WithRequestID(call.RequestID))
	if !errors.Is(err, ErrHeadDiffers) || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("got %v, want the decision", err)
	}
	if got := ids(f.requests()); got[0] != got[1] {
		t.Errorf("the calls carried %v, want one id", got)
	}
}

func TestEndedContextSendsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := newFake(t, reply(`{}`))
	err := f.newClient().Patch(ctx, "s", "k", []Update{update(1, 1)})
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrOutcomeUnknown) || len(f.requests()) != 0 {
		t.Errorf("got %v after %d requests", err, len(f.requests()))
	}
}

func TestClosedConnection(t *testing.T) {
	f := newFake(t, func(f *fake, _ *nats.Msg) { f.client.Close() })
	c := f.newClient()
	err := c.Patch(t.Context(), "s", "k", []Update{update(1, 1)})
	if !errors.Is(err, nats.ErrConnectionClosed) || !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("closed while it waited: got %v, want an unknown outcome", err)
	}
	err = c.Patch(t.Context(), "s", "k", []Update{update(1, 1)})
	if !errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("closed before: got %v, want a known outcome", err)
	}
	if n := len(f.requests()); n != 1 {
		t.Errorf("sent %d requests", n)
	}
}

// TestNotConnected: without a connection nothing is sent, not even later.
func TestNotConnected(t *testing.T) {
	f := newFake(t, reply(`{}`))
	c := f.newClient(WithTimeout(100 * time.Millisecond))
	lost := f.client.StatusChanged(nats.RECONNECTING)
	f.server.Shutdown()
	select {
	case <-lost:
	case <-time.After(10 * time.Second):
		t.Fatal("the connection does not end")
	}
	err := c.Patch(t.Context(), "s", "k", []Update{update(1, 1)})
	if !errors.Is(err, errNotConnected) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("got %v, want a promise that nothing happened", err)
	}
	if n, _ := f.client.Buffered(); n > 0 {
		t.Errorf("%d bytes wait to be sent", n)
	}
}

func TestTooLargeForTheServer(t *testing.T) {
	f := newFake(t, reply(`{}`)) // its max_payload is 1 MB
	big := update(1, 1)
	big.Redo = strings.Repeat(" ", 1<<20)
	err := f.newClient().Patch(t.Context(), "s", "k", []Update{big})
	if !errors.Is(err, ErrTooLarge) || len(f.requests()) != 0 {
		t.Errorf("got %v after %d requests", err, len(f.requests()))
	}
}

// TestBadRequests: what can only be refused is refused before it is sent.
func TestBadRequests(t *testing.T) {
	f := newFake(t, reply(`{}`))
	c := f.newClient()
	ctx := t.Context()
	patch := func(change func(*Update), opts ...WriteOption) error {
		u := update(1, 1)
		change(&u)
		return c.Patch(ctx, "s", "k", []Update{u}, opts...)
	}
	nothing := func(*Update) {}
	_, emptySpace := c.Get(ctx, "", "k")
	_, badKey := c.Get(ctx, "s", "\xff")
	_, longKey := c.Locate(ctx, "s", strings.Repeat("k", 1025))
	_, badMethod := c.Compute(ctx, "s", "k", "\xff", 1)
	_, badHost := c.Get(ctx, "s", "k", FromHost("a.b"))
	_, noHost := c.Get(ctx, "s", "k", FromHost(""))
	_, allHosts := Collect(c.Inventory(ctx, InventoryRequest{Host: "*"}))
	_, noKey := Collect(c.History(ctx, HistoryRequest{Space: "s"}))
	badID := f.newClient(WithRequestIDs(func() string { return "a\nb" })).Delete(ctx, "s", "k")
	for _, test := range []struct {
		name string
		got  error
		want error
	}{
		{"an empty space", emptySpace, ErrMalformed},
		{"a key that is not UTF-8", badKey, ErrMalformed},
		{"a long key", longKey, ErrTooLarge},
		{"no key", noKey, ErrMalformed},
		{"a method that is not UTF-8", badMethod, ErrMalformed},
		{"a host that is two tokens", badHost, ErrMalformed},
		{"an empty host", noHost, ErrMalformed},
		{"every host", allHosts, ErrMalformed},
		{"no updates", c.Patch(ctx, "s", "k", nil), ErrMalformed},
		{"a gap", c.Patch(ctx, "s", "k", []Update{update(1, 1), update(3, 3)}), ErrMalformed},
		{"a reversed range", c.Patch(ctx, "s", "k", []Update{update(2, 1)}), ErrMalformed},
		{"an unknown type", patch(func(u *Update) { u.UpdateType = "?" }), ErrMalformed},
		{"redo that is not UTF-8", patch(func(u *Update) { u.Redo = "\xff" }), ErrMalformed},
		{"undo that is not UTF-8", patch(func(u *Update) { u.Undo = "\xff" }), ErrMalformed},
		{"request that is not UTF-8", patch(func(u *Update) { u.Request = "\xff" }), ErrMalformed},
		{"agent that is not UTF-8", patch(func(u *Update) { u.Who = &Who{Agent: "\xff"} }), ErrMalformed},
		{"a large update", patch(func(u *Update) { u.Redo = strings.Repeat(" ", contract.MaxEntry) }), ErrTooLarge},
		{"an empty request id", patch(nothing, WithRequestID("")), ErrMalformed},
		{"a long request id", patch(nothing, WithRequestID(strings.Repeat("x", 65))), ErrMalformed},
		{"a request id of two lines", patch(nothing, WithRequestID("a\nb")), ErrMalformed},
		{"a generated id of two lines", badID, ErrMalformed},
		{"an empty incarnation", patch(nothing, WithIncarnation("")), ErrMalformed},
		{"an incarnation to delete", c.Delete(ctx, "s", "k", WithIncarnation("1-1")), ErrMalformed},
		{"a bad first update", c.Initialize(ctx, "s", "k", Update{UpdateType: "?"}), ErrMalformed},
		{"an unknown phase", c.DeletePhase(ctx, "s", "k", "now"), ErrMalformed},
		{"a phase that is none", c.DeletePhase(ctx, "s", "k", ""), ErrMalformed},
		{"a snapshot that is not UTF-8", c.Snapshot(ctx, SnapshotRequest{Space: "s", Key: "k", JSON: "\xff"}), ErrMalformed},
		{"a large snapshot", c.Snapshot(ctx, SnapshotRequest{Space: "s", Key: "k", JSON: strings.Repeat(" ", contract.MaxDocument+1)}), ErrTooLarge},
		{"a document that is not UTF-8", c.Recover(ctx, RecoverRequest{Space: "s", Key: "k", Document: "\xff"}), ErrMalformed},
		{"an authority that is not UTF-8", c.Recover(ctx, RecoverRequest{Space: "s", Key: "k", Who: &Who{Authority: "\xff"}}), ErrMalformed},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, test.got, test.want)
		}
		if e, ok := errors.AsType[*CallError](test.got); !ok || e.Tries != 0 {
			t.Errorf("%s: got %+v, want no tries", test.name, e)
		}
	}
	if n := len(f.requests()); n > 0 {
		t.Errorf("%d of them were sent", n)
	}
	if _, err := c.Get(ctx, "s", "k"); err != nil {
		t.Errorf("a good request after them: %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	nc := newFake(t).client
	for name, opt := range map[string]Option{
		"no writer":           WithWriter(""),
		"a writer in UTF-8":   WithWriter("nöde"),
		"a long writer":       WithWriter(strings.Repeat("x", 65)),
		"no timeout":          WithTimeout(0),
		"no wait":             WithRetryWait(0, time.Second),
		"waits upside down":   WithRetryWait(time.Second, time.Millisecond),
		"no id from anywhere": WithRequestIDs(nil),
	} {
		if c, err := NewClient(nc, opt); c != nil || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, %v", name, c, err)
		}
	}
	if _, err := NewClient(nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("no connection: got %v", err)
	}
}
