package drill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/adapter"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/localcluster"
)

// TestDrillOwnersAreFrozen stops an owner, lets it go on later, and shows it requests
// all the while: those sent just before, and those that wait in its sockets while
// others have taken over. Nothing that it says or does may contradict them.
func TestDrillOwnersAreFrozen(t *testing.T) {
	beside(t)
	freezes, times := []time.Duration{12 * time.Second}, rounds(1, 10)
	if long() {
		freezes = []time.Duration{5 * time.Second, 15 * time.Second, 60 * time.Second}
	}
	c := runningCluster(t)
	light := standard()
	light.lanes, light.readers, light.pace = 12, 6, 50*time.Millisecond
	w := startTraffic(c, light)
	w.awaitAcked(200)
	n, taken := 0, 0
	for _, d := range freezes {
		for range times {
			f := &freeze{cluster: c, traffic: w, n: n, length: d}
			if f.run() {
				taken++
			}
			n++
		}
	}
	w.stop()
	w.noErrors()
	v := w.conclude(c)
	t.Logf("%d freezes, %d takeovers: %s; %s", n, taken, w.summary(), v)
	if taken == 0 {
		t.Error("nobody took over: the drill proves nothing")
	}
}

// A freeze is one round.
type freeze struct {
	*cluster
	traffic *traffic
	n       int
	length  time.Duration

	partition layout.Partition
	doc       *ledger
	owner     *localcluster.Host
	late      []lateRequest
}

// A lateRequest is one that the frozen host has to answer.
type lateRequest struct {
	*question
	doc      *ledger
	when     string
	straight bool // by the subject that only the partition's owner hears
}

// The clients of a freeze's document, in its history.
const (
	whoLate = iota
	whoTakes
	whoLooks
)

// run tells whether another host has taken over.
func (f *freeze) run() (taken bool) {
	f.t.Helper()
	w := f.traffic
	all := layoutOf(f.cluster).Partitions
	f.partition = all[rand.IntN(len(all))]
	ctx, cancel := f.bounded()
	defer cancel()
	var err error
	f.owner, err = f.AwaitOwner(ctx, f.partition.ID.String())
	f.must(err)
	f.doc = w.adopt(f.cluster, keyOn(w.space, f.partition, f.n))
	nc := f.straight(f.owner)

	f.send(nc, "before", 2)
	f.must(f.owner.Freeze())
	over := time.Now().Add(f.length)
	f.send(nc, "frozen", 2)
	f.send(nc, "frozen-too", 3)
	head, taken := f.takeover(over)
	if taken { // what the frozen one is asked last
		f.send(nc, "taken", head)
	}
	wait(time.Until(over))
	f.must(f.owner.Thaw())
	f.settle(taken)
	nc.Close()
	f.ready()
	return taken
}

// send shows the host two patches and two reads, one of each by way of the subject
// that only the partition's owner hears.
func (f *freeze) send(nc *nats.Conn, when string, seq int32) {
	f.t.Helper()
	space := f.traffic.space
	for i, prefix := range []string{contract.SubjectPrefix, contract.SubjectPrefix + "p." + f.partition.ID.String() + "."} {
		in := docInput{true, seq, fmt.Sprintf("%s-%d", when, i)}
		patch, err := f.doc.askPatch(nc, prefix+contract.OpPatch, space, in)
		f.must(err)
		get, err := f.doc.askGet(nc, prefix+contract.OpGet, space)
		f.must(err)
		straight := i == 1
		f.late = append(f.late, lateRequest{patch, f.doc, when, straight}, lateRequest{get, f.doc, when, straight})
	}
}

// takeover waits until another host owns the partition, as long as the freeze lasts,
// and changes the document there beyond what the frozen one was asked.
func (f *freeze) takeover(over time.Time) (head int32, taken bool) {
	f.t.Helper()
	ctx, cancel := context.WithDeadline(context.Background(), over)
	defer cancel()
	var next *localcluster.Host
	err := localcluster.Await(ctx, "another owner", func(ctx context.Context) (err error) {
		next, err = f.Owner(ctx, f.partition.ID.String())
		return err
	})
	if err != nil {
		return 0, false
	}
	w := f.traffic
	nc := f.connect(next.Name)
	defer nc.Close()
	client := newAdapter(f.t, nc)
	head, ok := w.get(client, f.doc, whoTakes)
	for ok && head < 4 {
		if ok = w.patch(client, f.doc, whoTakes, head, fmt.Sprintf("other-%d", head)); ok {
			head++
		}
	}
	if !ok {
		f.t.Errorf("freeze %d: %s owns partition %v, and the document cannot be changed", f.n, next.Name, f.partition.ID)
	}
	_, ok = w.get(client, f.doc, whoLooks)
	return head, ok
}

// settle hears what the thawed host says. After a takeover it may acknowledge no
// patch that it was asked while it was frozen.
func (f *freeze) settle(taken bool) {
	f.t.Helper()
	deadline := time.Now().Add(40 * time.Second) // the hold, 5 s more, and a slow machine
	var told []string
	for _, q := range f.late {
		code, text := f.doc.settle(f.t, q.question, time.Until(deadline))
		kind := "get"
		if q.in.patch {
			kind = "patch " + itoa(int(q.in.seq))
		}
		told = append(told, fmt.Sprintf("%s %s: %s", q.when, kind, text))
		refused := slices.Contains(notHappened(), code)
		if q.straight && code == contract.OutcomeUnknown && !strings.HasPrefix(text, unanswered) {
			// By that subject the new owner may have heard it too, so nobody may promise. It
			// does not fit, though: the log must not have it.
			f.doc.refuse(q.in)
			refused = true
		}
		if taken && q.in.patch && q.when != "before" && !refused {
			f.t.Errorf("freeze %d of %s: %s a patch of seq %d, which is taken: %s", f.n, f.owner.Name, q.when, q.in.seq, text)
		}
	}
	f.t.Logf("freeze %d, %s for %v, taken over: %v; the late requests: %q", f.n, f.owner.Name, f.length, taken, told)
}

// notHappened are the codes that promise it.
func notHappened() []contract.Code {
	return []contract.Code{contract.HeadDiffers, contract.NoOwner, contract.NoQuorum, contract.Deposed, contract.Overloaded}
}

// adopt makes a document that the drill works on itself, and judges with the others.
func (w *traffic) adopt(c *cluster, key string) *ledger {
	c.t.Helper()
	d := newLedger(key, w.began)
	nc := c.connect()
	defer nc.Close()
	client := newAdapter(c.t, nc)
	ctx, cancel := context.WithTimeout(context.Background(), w.plan.bound)
	defer cancel()
	c.must(client.Initialize(ctx, w.space, key, first(), adapter.WithRequestID("first")))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.adopted = append(w.adopted, d)
	return d
}
