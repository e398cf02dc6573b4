package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/adapter"
	"trireme/internal/contract"
	"trireme/internal/localcluster"
)

// TestDrillTwoOfThreeAreDead kills two hosts. What needs a quorum ends in its own
// code, after the bounded wait; what does not goes on; and one host more is enough.
func TestDrillTwoOfThreeAreDead(t *testing.T) {
	beside(t)
	hold := 4 * time.Second
	if long() {
		hold = 15 * time.Second
	}
	c := newCluster(t)
	for _, h := range c.Hosts {
		c.must(h.Set("requests", "hold", hold.String()))
	}
	c.start()
	for i := range rounds(1, 3) {
		c.loseQuorum(c.Hosts[i%len(c.Hosts)], hold)
	}
	c.auditLogs()
	c.compareStores()
}

// loseQuorum leaves one host alive.
func (c *cluster) loseQuorum(alive *localcluster.Host, hold time.Duration) {
	c.t.Helper()
	light := standard()
	light.lanes, light.readers, light.pace = 12, 4, 20*time.Millisecond
	light.space, light.bound = "only-"+alive.Name, time.Second // what waits for longer is not what this drill is about
	w := startTraffic(c, light)
	docs := c.oneOfEachStripe(w)
	c.followed(alive, w.space, docs)
	w.awaitAcked(200)
	dead := slices.DeleteFunc(slices.Clone(c.Hosts), func(h *localcluster.Host) bool { return h == alive })
	for _, h := range dead { // the load goes on, so that something is on its way
		c.must(h.Kill())
	}
	asked := c.askAll(c.straight(alive), w.space, docs)
	began := time.Now()
	for _, q := range asked {
		code, text := q.doc.settle(c.t, q.question, time.Until(began.Add(hold+10*time.Second)))
		if strings.HasPrefix(text, "no answer") || code != contract.NoQuorum && code != contract.OutcomeUnknown {
			c.t.Errorf("%s without a quorum: want %d or %d, got %s", q.when, contract.NoQuorum, contract.OutcomeUnknown, text)
		}
	}
	took := time.Since(began)
	if took < hold/2 {
		c.t.Errorf("all was answered after %v, long before the hold of %v ends", took, hold)
	}
	w.stop()
	c.t.Logf("%s alone: %d requests answered within %v; meanwhile the load: %s", alive.Name, len(asked), took.Round(time.Millisecond), w.summary())
	c.localReads(alive, w.space, docs)
	c.onlyOutage(w)

	back := dead[0]
	c.must(back.Start())
	ctx, cancel := c.bounded()
	defer cancel()
	client := newAdapter(c.t, c.connect(alive.Name))
	for _, d := range docs { // no hand is needed
		c.must(c.Await(ctx, "a change of "+d.key, func(context.Context) error {
			seq, ok := w.get(client, d, whoTakes)
			if !ok || !w.patch(client, d, whoTakes, seq, fmt.Sprintf("again-%d", seq)) {
				return errors.New("not yet")
			}
			return nil
		}))
	}
	c.must(dead[1].Start())
	c.ready()
	v := w.judge(c)
	c.t.Logf("%s was alone: %s", alive.Name, v)
}

// oneOfEachStripe makes a document on every stripe.
func (c *cluster) oneOfEachStripe(w *traffic) []*ledger {
	c.t.Helper()
	l := layoutOf(c)
	var docs []*ledger
	for i, s := range l.Stripes {
		docs = append(docs, w.adopt(c, keyOn(w.space, l.PartitionsOf(s.Name)[0], i)))
	}
	return docs
}

// askAll asks a host everything that needs a quorum.
func (c *cluster) askAll(nc *nats.Conn, space string, docs []*ledger) []lateRequest {
	c.t.Helper()
	var asked []lateRequest
	for _, d := range docs {
		document := func(more ...any) map[string]any {
			m := map[string]any{"space": space, "key": d.key}
			for i := 0; i < len(more); i += 2 {
				m[more[i].(string)] = more[i+1]
			}
			return m
		}
		patch, err := d.askPatch(nc, contract.SubjectPrefix+contract.OpPatch, space, docInput{true, 2, "without-quorum"})
		c.must(err)
		get, err := d.askGet(nc, contract.SubjectPrefix+contract.OpGet, space)
		c.must(err)
		asked = append(asked, lateRequest{question: patch, doc: d, when: contract.OpPatch}, lateRequest{question: get, doc: d, when: contract.OpGet})
		for op, body := range map[string]any{
			contract.OpCompute: document("method", adapter.HeadPatch, "seq", 0),
			contract.OpHistory: document(),
			contract.OpDelete:  map[string]string{"space": space, "key": d.key + "-never-made"},
		} {
			q, err := ask(nc, contract.SubjectPrefix+op, body, "")
			c.must(err)
			asked = append(asked, lateRequest{question: q, doc: d, when: op})
		}
	}
	return asked
}

// followed waits until a host has the documents.
func (c *cluster) followed(h *localcluster.Host, space string, docs []*ledger) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	client := newAdapter(c.t, c.connect(h.Name))
	for _, d := range docs {
		c.must(c.Await(ctx, d.key+" at "+h.Name, func(ctx context.Context) error {
			_, err := client.Get(ctx, space, d.key, adapter.Local(), adapter.FromHost(h.Name))
			return err
		}))
	}
}

// localReads need no quorum, and say how old they may be.
func (c *cluster) localReads(alive *localcluster.Host, space string, docs []*ledger) {
	c.t.Helper()
	client := newAdapter(c.t, c.connect(alive.Name))
	for _, d := range docs {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		doc, err := client.Get(ctx, space, d.key, adapter.Local(), adapter.FromHost(alive.Name))
		cancel()
		if err != nil || doc.Behind < 0 || doc.Seq < 1 {
			c.t.Errorf("a local read of %s at %s: %+v, %v", d.key, alive.Name, doc, err)
		}
	}
}

// onlyOutage fails the drill if a client was told anything about its document that
// only an owner can know.
func (c *cluster) onlyOutage(w *traffic) {
	c.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range w.errors {
		if errors.Is(err, adapter.ErrNotFound) || errors.Is(err, adapter.ErrExists) {
			c.t.Errorf("during the outage a client was told: %v", err)
		}
	}
}
