package host

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"trireme/adapter"
	"trireme/ops"
	"trireme/streams"
)

// TestRebuild deletes the stream of a stripe behind the hosts' backs, or has an empty one
// in its place, and has its log made anew from the members' documents.
func TestRebuild(t *testing.T) {
	for name, wreck := range map[string]func(t *testing.T, c *trio, stripe string){
		"deleted": deleteStream,
		"made anew": func(t *testing.T, c *trio, stripe string) {
			deleteStream(t, c, stripe)
			cfg := c.hosts[0].stripe(stripe).logConfig()
			log, err := streams.Create(t.Context(), c.hosts[0].log, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRebuild(t, wreck)
		})
	}
}

func deleteStream(t *testing.T, c *trio, stripe string) {
	t.Helper()
	js, err := jetstream.New(c.hosts[0].log)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), streams.StreamName(stripe)); err != nil {
		t.Fatal(err)
	}
}

func testRebuild(t *testing.T, wreck func(*testing.T, *trio, string)) {
	c := newTrio(t)
	c.start(0, 1, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	const documents, stripe = 60, "s2"
	client := c.client(0)
	for n := range documents {
		if err := client.Initialize(ctx, "s", fmt.Sprint(n), first(n)); err != nil {
			t.Fatal(err)
		}
	}
	steer := steering{c.hosts[0]}
	if p, err := steer.RebuildPlan(ctx, stripe); err != nil || p.Refused == "" {
		t.Errorf("the log is there, and the plan is %+v, %v", p, err)
	}
	wreck(t, c, stripe)
	eventually(t, "every host says that the log is gone", func() bool {
		for _, h := range c.hosts {
			if !hasCondition(h.Status(), "log-gone") {
				return false
			}
		}
		return true
	})
	for n := range documents { // they can be read all the same
		d, err := client.Get(ctx, "s", fmt.Sprint(n), adapter.Local())
		if want := fmt.Sprintf(`{"n":%d}`, n); err != nil || d.Patch != want {
			t.Fatalf("document %d: %q, %v; want %q", n, d.Patch, err, want)
		}
	}
	var p ops.RebuildPlan
	eventually(t, "a plan that can be carried out", func() bool {
		var err error
		if p, err = steer.RebuildPlan(ctx, stripe); err != nil {
			t.Fatal(err)
		}
		return p.Refused == ""
	})
	t.Logf("the plan: %+v", p)
	if p.From == "" || len(p.Lost)+len(p.Stake) > 0 {
		t.Fatalf("all members agree, and the plan is %+v", p)
	}
	other := p
	other.Situation = "another"
	if _, err := steer.Rebuild(ctx, other, func(ops.RebuildProgress) {}); err == nil {
		t.Error("a plan of another situation is carried out")
	}
	for range 2 { // the second finds it done
		result, err := steer.Rebuild(ctx, p, func(p ops.RebuildProgress) { t.Log(p.Step) })
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", result)
	}
	for n := range documents {
		key := fmt.Sprint(n)
		d, err := client.Get(ctx, "s", key)
		if want := fmt.Sprintf(`{"n":%d}`, n); err != nil || d.Patch != want {
			t.Fatalf("document %d: %q, %v; want %q", n, d.Patch, err, want)
		}
		if err := client.Patch(ctx, "s", key, []adapter.Update{{SeqBegin: 2, SeqEnd: 2, Redo: `{"again":true}`, Undo: `{}`, UpdateType: adapter.AddUserData}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "every member is well again, and has applied the same", func() bool {
		want := c.hosts[0].stripe(stripe).replica.Applied()
		for _, h := range c.hosts {
			if s := h.stripe(stripe); s.sickness() != "" || s.replica.Applied() != want || s.replica.Skipped() > 0 {
				return false
			}
		}
		return true
	})
	if err := client.Initialize(ctx, "s", "0", first(0)); err == nil {
		t.Error("document 0 can be created twice")
	}
}

func hasCondition(st ops.Status, id string) bool {
	for _, c := range st.Conditions {
		if c.ID == id {
			return true
		}
	}
	return false
}
