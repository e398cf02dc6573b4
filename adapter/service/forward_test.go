package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
	"trireme/internal/position"
)

func TestForward(t *testing.T) {
	w := newWorld(t)
	w.claim("h1", "s1")
	w.claim("h2", "s2")
	k := w.keyOn("s2", "k")
	w.want(w.send("h.h1.initialize", createBody(k)), 0)
	w.want(w.send("h.h3.initialize", createBody(k)), contract.Exists)
	w.want(w.send("h.h3.patch", patchBody(k, 2, `{"a":1}`), contract.HeaderRequestID, "one", contract.HeaderWriter, "w"), 0)
	w.want(w.send("h.h1.patch", patchBody(k, 2, `{"a":1}`), contract.HeaderRequestID, "one"), 0)
	w.want(w.send("h.h1.patch", patchBody(k, 2, `{"b":1}`), contract.HeaderRequestID, "two"), contract.HeadDiffers)
	got := w.want(w.send("h.h1.get", keyBody(k), contract.HeaderWriter, "reader"), 0)
	var doc contract.DocumentReply
	if err := json.Unmarshal(got.Data, &doc); err != nil || doc.Patch != `{"a":1}` || doc.Seq != 2 {
		t.Errorf("%s, %v", got.Data, err)
	}
	// What was loaded is known to the owner, and so is its closing.
	for _, want := range []int{1, 0} {
		got := w.want(w.send("h.h3.inventory", `{"scope":"writer"}`, contract.HeaderWriter, "reader"), 0)
		if n := bytes.Count(got.Data, []byte(`"key"`)); n != want {
			t.Errorf("the reader has loaded %s, want %d", got.Data, want)
		}
		w.want(w.send("h.h1.close", keyBody(k), contract.HeaderWriter, "reader"), 0)
	}
	// A local read is answered where it was asked.
	got = w.want(w.send("h.h1.get", fmt.Sprintf(`{"space":%q,"key":%q,"consistency":"local"}`, k.Space, k.Key)), contract.NotHere)
	if got.Header.Get(contract.HeaderBehind) != "" {
		t.Error("a refusal says how far behind it is")
	}
	// Who asks the owner's subject and reaches another is told so at once.
	w.want(w.send("p.00.get", keyBody(k)), contract.NoOwner)
	w.nothingLeft(t)
}

func TestLocateAcrossHosts(t *testing.T) {
	w := newWorld(t)
	w.claim("h2", "s2")
	for stripe, want := range map[string]string{
		"s2": `"stripe":"s2","owner":"h2","epoch":"2-1","members":["h1","h2","h3"],"adama":"adama-2"`,
		"s1": `"stripe":"s1","owner":"","epoch":"","members":["h1","h2","h3"],"adama":""`,
	} {
		for _, host := range w.names() {
			got := w.want(w.send("h."+host+".locate", keyBody(w.keyOn(stripe, "k"))), 0)
			if !strings.Contains(string(got.Data), want) {
				t.Errorf("%s says %s, want %s in it", host, got.Data, want)
			}
		}
	}
}

// While there is no owner, requests wait; when there is one, they go there.
func TestRequestsWaitForAnOwner(t *testing.T) {
	w := newWorld(t)
	k := w.keyOn("s1", "k")
	first := w.send("h.h3.initialize", createBody(k))
	var rest []*nats.Subscription
	for seq := 2; seq < 50; seq++ {
		rest = append(rest, w.send("h.h3.patch", patchBody(k, seq, `{}`)))
	}
	if n, _, _ := first.Pending(); n != 0 {
		t.Fatal("answered without an owner")
	}
	w.claim("h1", "s1")
	w.want(first, 0)
	for _, sub := range rest {
		w.want(sub, 0) // each finds the head that the one before has made: they are in order
	}
	// The host that keeps them may be the one that becomes the owner.
	w.hosts["h1"].seat("s1").depose()
	w.announce("s1", ownership{})
	again := w.send("h.h3.patch", patchBody(k, 50, `{}`))
	w.claim("h3", "s1")
	w.want(again, 0)
}

// A request that this host has taken and cannot commit any more goes on to the
// next owner.
func TestADeposedHostPassesOnWhatItHolds(t *testing.T) {
	w := newWorld(t)
	w.claim("h1", "s1")
	k := w.keyOn("s1", "k")
	seat := w.hosts["h1"].seat("s1")
	seat.held.Lock() // h1 stands still
	first := w.send("h.h1.initialize", createBody(k))
	second := w.send("h.h1.patch", patchBody(k, 2, `{"a":1}`))
	passed := w.send("h.h2.get", keyBody(k))
	w.claim("h3", "s1")
	seat.held.Unlock() // it still believes
	w.want(first, 0)
	w.want(second, 0)
	w.want(passed, contract.NotFound, 0)
	if e, ok := seat.Epoch(); ok {
		t.Errorf("h1 serves under %v", e)
	}
}

// The commit succeeds, the word of it is lost with the owner: who asks is told
// success, and it has happened once.
func TestALostAcknowledgement(t *testing.T) {
	for _, via := range []string{"h1", "h2"} {
		t.Run("asked at "+via, func(t *testing.T) {
			w := newWorld(t)
			w.claim("h1", "s1")
			k := w.keyOn("s1", "k")
			w.want(w.send("h.h1.initialize", createBody(k)), 0)
			seat := w.hosts["h1"].seat("s1")
			seat.lose(true)
			sub := w.send("h."+via+".patch", patchBody(k, 2, `{"a":1}`), contract.HeaderRequestID, "id")
			waitFor(t, "the commit", func() bool { return len(w.logs["s1"].all()) == 3 })
			w.claim("h3", "s1")
			w.want(sub, 0)
			w.want(w.send("h.h2.patch", patchBody(k, 3, `{"a":2}`)), 0)
		})
	}
}

// What was sent to a host that then said nothing is never told "no".
func TestTheEndOfTheHoldAcrossHosts(t *testing.T) {
	t.Parallel()
	const hold = 600 * time.Millisecond
	// However slow this machine is, a try that finds nobody ends with that.
	unhurried := newWorld(t, func(s *Service) { s.Hold, s.grace, s.quiet = hold, patience, patience })
	t.Run("no owner", func(t *testing.T) {
		unhurried.holdsEnd(t, contract.NoOwner, contract.NoOwner, contract.NoOwner)
	})
	t.Run("no quorum", func(t *testing.T) {
		unhurried.setQuorum(false)
		unhurried.holdsEnd(t, contract.NoQuorum, contract.NoQuorum, contract.NoQuorum)
	})
	t.Run("an owner that says nothing", func(t *testing.T) {
		w := newWorld(t, func(s *Service) { s.Hold = hold })
		sub, err := w.client.SubscribeSync(contract.SubjectPrefix + "p.*.*")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.client.Flush(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sub.Unsubscribe() }()
		w.announce("s1", ownership{"h3", position.Position{Birth: 1, Seq: 1}})
		w.holdsEnd(t, contract.OutcomeUnknown, contract.NoOwner, contract.NoOwner)
	})
}

// holdsEnd sends requests to hosts that are not the owner, wants these answers, and
// that nothing is left of the requests.
func (w *world) holdsEnd(t *testing.T, write, read, list contract.Code) {
	t.Helper()
	for sub, code := range map[*nats.Subscription]contract.Code{
		w.send("h.h2.initialize", createBody(w.keyOn("s1", "create"))):        write,
		w.send("h.h2.delete", keyBody(w.keyOn("s1", "delete"))):               write,
		w.send("h.h2.get", keyBody(w.keyOn("s1", "k"))):                       read,
		w.send("h.h2.close", keyBody(w.keyOn("s1", "close"))):                 read,
		w.send("inventory", `{"scope":"all"}`):                                list,
		w.send("deleting", `{}`):                                              list,
		w.send("inventory", `{"scope":"writer"}`, contract.HeaderWriter, "w"): list,
	} {
		w.want(sub, code)
	}
	w.nothingLeft(t)
}

// nothingLeft waits until nothing is left of any request: they leave AFTER the answer.
func (w *world) nothingLeft(t *testing.T) {
	t.Helper()
	for host, svc := range w.hosts {
		waitFor(t, "the end of all requests in flight at "+host, func() bool {
			n, _ := svc.service().InFlight()
			return n == 0
		})
		waitFor(t, "an empty router at "+host, func() bool { return svc.service().router.held() == 0 })
	}
}

// held counts what the router keeps.
func (t *router) held() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.asked)
	for _, at := range t.roads {
		for _, r := range at.parked {
			if r.trip.spot == parked {
				n++
			}
		}
	}
	return n
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-limit:
			t.Fatalf("%s has not come", what)
		case <-tick.C:
		}
	}
}

// A large reply passes through whole.
func TestForwardLarge(t *testing.T) {
	w := newWorld(t)
	w.claim("h1", "s1")
	k := w.keyOn("s1", "large")
	text := `{"a":"` + strings.Repeat("x", 600<<10) + `"}`
	w.want(w.send("h.h2.initialize", strings.Replace(createBody(k), `"redo":"{}"`, fmt.Sprintf(`"redo":%q`, text), 1)), 0)
	got := w.want(w.send("h.h3.get", keyBody(k)), 0)
	var doc contract.DocumentReply
	if err := json.Unmarshal(got.Data, &doc); err != nil || doc.Patch != text {
		t.Errorf("%d bytes, %v", len(got.Data), err)
	}
}
