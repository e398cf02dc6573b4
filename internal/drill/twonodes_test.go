package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"trireme/adapter"
	"trireme/internal/layout"
	"trireme/internal/merge"
)

// TestDrillTwoNodes has two Adama nodes, each at a host of its own, write one document
// as the runtime does: each keeps a copy, and when the head differs brings the copy up
// to date with HeadPatch and tries again. The owner is killed in between.
func TestDrillTwoNodes(t *testing.T) {
	beside(t)
	c := runningCluster(t)
	w := startTraffic(c, quiet())
	all := layoutOf(c).Partitions
	for i := range rounds(1, 5) {
		c.twoNodes(w, all[(i*13)%len(all)], i)
	}
	w.stop()
	w.noErrors()
	v := w.conclude(c)
	t.Logf("%s; %s", w.summary(), v)
}

// nodeChanges is how many changes a node makes in a round.
const nodeChanges = 400

func (c *cluster) twoNodes(w *traffic, p layout.Partition, n int) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	owner, err := c.AwaitOwner(ctx, p.ID.String())
	c.must(err)
	d := w.adopt(c, keyOn(w.space, p, n))
	var nodes []*node
	for i, h := range c.Hosts {
		if h != owner { // the nodes' own hosts live
			nodes = append(nodes, &node{traffic: w, doc: d, name: fmt.Sprintf("n%d", i), client: newAdapter(c.t, c.connect(h.Name))})
		}
	}
	half := make(chan struct{})
	reached := sync.OnceFunc(func() { close(half) })
	var wg sync.WaitGroup
	for _, node := range nodes {
		wg.Go(func() {
			defer reached()
			node.work(reached)
		})
	}
	<-half
	c.must(owner.Kill())
	wait(time.Second)
	c.must(owner.Start())
	wg.Wait()
	for _, node := range nodes {
		node.converges()
	}
	c.ready()
	c.interleaved(w, d, nodes)
}

// A node keeps a copy of the document as the runtime does.
type node struct {
	traffic *traffic
	doc     *ledger
	name    string
	client  *adapter.Client

	seq     int32
	copy    []byte
	made    int // changes of its own, in the copy
	differs int // how often its head was another
}

// work makes changes. It says when it is half-way.
func (n *node) work(half func()) {
	w := n.traffic
	if !n.load() {
		return
	}
	for i := range nodeChanges {
		if i == nodeChanges/2 {
			half()
		}
		think := time.NewTimer(rand.N(4 * time.Millisecond)) // so that the other one has its turns
		<-think.C
		for tries := 0; !n.change(i); tries++ {
			if tries == 1000 || !n.follow() {
				w.fault(fmt.Errorf("node %s gives up change %d of %s", n.name, i, n.doc.key))
				return
			}
		}
	}
}

func (n *node) load() bool {
	ctx, cancel := context.WithTimeout(context.Background(), n.traffic.plan.bound)
	defer cancel()
	doc, err := n.client.Get(ctx, n.traffic.space, n.doc.key)
	if err != nil {
		n.traffic.fault(err)
		return false
	}
	n.seq, n.copy = doc.Seq, []byte(doc.Patch)
	return true
}

// change appends to the copy's head, and to the copy when it is committed.
func (n *node) change(i int) bool {
	w := n.traffic
	in := docInput{true, n.seq + 1, fmt.Sprintf("%s-%d", n.name, i)}
	ctx, cancel := context.WithTimeout(context.Background(), w.plan.bound)
	defer cancel()
	u := change(in)
	u.Redo = fmt.Sprintf(`{"last":%q,%q:%d}`, in.id, n.name, i+1)
	called := n.doc.now()
	err := n.client.Patch(ctx, w.space, n.doc.key, []adapter.Update{u}, adapter.WithRequestID(in.id))
	switch {
	case err == nil:
		n.doc.success(in)
		n.doc.add(whoLate, in, called, docOutput{result: success})
		n.apply([]byte(u.Redo), in.seq)
		n.made++
		return true
	case errors.Is(err, adapter.ErrHeadDiffers):
		n.differs++
		n.doc.add(whoLate, in, called, docOutput{result: headDiffers})
	default:
		w.fault(err)
	}
	return false
}

// follow brings the copy up to date, as the contract says that a node does.
func (n *node) follow() bool {
	ctx, cancel := context.WithTimeout(context.Background(), n.traffic.plan.bound)
	defer cancel()
	patch, err := n.client.Compute(ctx, n.traffic.space, n.doc.key, adapter.HeadPatch, n.seq)
	if errors.Is(err, adapter.ErrNothingToPatch) {
		n.traffic.fault(fmt.Errorf("the head differs from %d, and there is nothing to patch", n.seq))
		return false
	}
	if err != nil {
		n.traffic.fault(err)
		return false
	}
	n.apply([]byte(patch.Patch), patch.Seq)
	return true
}

func (n *node) apply(patch []byte, seq int32) {
	next, err := merge.Fold(n.copy, patch)
	if err != nil {
		n.traffic.fault(err)
		return
	}
	n.copy, n.seq = next, seq
}

// converges brings the copy up to date and compares it with the document.
func (n *node) converges() {
	t := n.traffic.t
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), n.traffic.plan.bound)
	defer cancel()
	doc, err := n.client.Get(ctx, n.traffic.space, n.doc.key)
	if err != nil {
		t.Fatal(err)
	}
	if n.seq != doc.Seq && !n.follow() {
		t.Fatalf("node %s cannot go from %d to %d: %v", n.name, n.seq, doc.Seq, n.traffic.faults())
	}
	if got, want := fields(t, n.copy), fields(t, []byte(doc.Patch)); n.seq != doc.Seq || got != want {
		t.Errorf("node %s has %s at %d, the document is %s at %d", n.name, got, n.seq, want, doc.Seq)
	}
}

// fields prints JSON with its keys in order.
func fields(t testing.TB, text []byte) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	sorted, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(sorted)
}

// interleaved checks that the log has every change of both, each node's in its order,
// and nothing else.
func (c *cluster) interleaved(w *traffic, d *ledger, nodes []*node) {
	c.t.Helper()
	next := map[string]int{}
	head, entries, turns := int32(0), 0, 0
	before := ""
	for page, err := range nodes[0].client.History(c.t.Context(), adapter.HistoryRequest{Space: w.space, Key: d.key}) {
		c.must(err)
		for _, e := range page.Entries {
			if entries++; entries > 1 && e.SeqBegin != head+1 {
				c.t.Errorf("entry %s begins at %d, the one before ends at %d", e.RequestID, e.SeqBegin, head)
			}
			head = e.SeqEnd
			for _, n := range nodes {
				if e.RequestID == fmt.Sprintf("%s-%d", n.name, next[n.name]) {
					next[n.name]++
					if before != n.name {
						turns++
					}
					before = n.name
				}
			}
		}
	}
	for _, n := range nodes {
		if next[n.name] != nodeChanges || n.made != nodeChanges {
			c.t.Errorf("node %s has made %d changes, the log has %d in its order, want %d", n.name, n.made, next[n.name], nodeChanges)
		}
	}
	if want := len(nodes)*nodeChanges + 1; entries != want || head != int32(want) {
		c.t.Errorf("the log has %d entries up to %d, want %d", entries, head, want)
	}
	c.t.Logf("%s: %d entries, %d turns, the head was another %d and %d times", d.key, entries, turns, nodes[0].differs, nodes[1].differs)
}
