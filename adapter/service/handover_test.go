package service

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
)

// Changes of one key, sent one after another to one host without waiting, take
// effect in that order, though the owner changes in between and acknowledgements
// are lost: each fits only on the one before.
func TestOrderDuringAHandOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.claim("h1", "s1")
	k := w.keyOn("s1", "k")
	w.want(w.send("h.h3.initialize", createBody(k)), 0)
	var subs []*nats.Subscription
	for seq := 2; seq < 400; seq++ {
		subs = append(subs, w.send("h.h3.patch", patchBody(k, seq, `{}`), contract.HeaderRequestID, fmt.Sprint("id-", seq)))
	}
	for i, next := range []string{"h2", "h3", "h1", "h3", "h2"} {
		owner, _ := w.Owner("s1")
		seat := w.hosts[owner].seat("s1")
		w.progress(5)
		switch i % 3 {
		case 0:
			seat.depose()
		case 1:
			seat.lose(true)
			w.progress(1)
		}
		w.claim(next, "s1")
	}
	for _, sub := range subs {
		w.want(sub, 0)
	}
}

// Whatever arrives while a stripe is taken and released is answered, by the
// service or by the server.
func TestReleaseLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.claim("h1", "s1")
	k := w.keyOn("s1", "k")
	p, _ := w.hosts["h1"].service().partition(k)
	inbox := w.client.NewInbox()
	answers := make(chan *nats.Msg, 1<<16)
	if _, err := w.client.ChanSubscribe(inbox, answers); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for range 50 {
		for range 40 {
			if err := w.client.PublishRequest(contract.SubjectPrefix+"p."+p.ID.String()+".get", inbox, []byte(keyBody(k))); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		w.hosts["h1"].seat("s1").depose()
		w.claim("h1", "s1")
	}
	limit := time.After(patience)
	for range sent {
		select {
		case <-answers:
		case <-limit:
			t.Fatalf("%d of %d requests are answered", sent-len(answers), sent)
		}
	}
}

// The same for a host that shuts down in good order.
func TestCloseLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.claim("h1", "s1")
	w.claim("h2", "s2")
	k := w.keyOn("s1", "k")
	inbox := w.client.NewInbox()
	answers := make(chan *nats.Msg, 1<<16)
	if _, err := w.client.ChanSubscribe(inbox, answers); err != nil {
		t.Fatal(err)
	}
	const sent = 500
	for i := range sent {
		op := []string{"get", "h.h3.get", "h.h3.inventory"}[i%3]
		if err := w.client.PublishRequest(contract.SubjectPrefix+op, inbox, []byte(keyBody(k))); err != nil {
			t.Fatal(err)
		}
		if i == sent/2 {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				if err := w.hosts["h3"].service().Close(ctx); err != nil {
					t.Error(err)
				}
			}()
		}
	}
	codes := map[string]int{}
	limit := time.After(patience)
	for range sent {
		select {
		case m := <-answers:
			codes[fmt.Sprint(codeOf(m), m.Header.Get("Status"))]++
		case <-limit:
			t.Fatalf("only %v of %d requests are answered", codes, sent)
		}
	}
	t.Log(codes)
}

// While both the old and the new owner listen, the old one's answer, which comes
// first, does not hide the new one's.
func TestTheOldOwnerDoesNotSpeakForTheNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *Service) { s.ajar = time.Hour })
	w.claim("h1", "s1")
	k := w.keyOn("s1", "k")
	w.want(w.send("h.h3.initialize", createBody(k)), 0)
	w.hosts["h1"].seat("s1").depose()
	w.claim("h2", "s1")
	for seq := 2; seq < 40; seq++ {
		w.want(w.send("h.h3.patch", patchBody(k, seq, `{}`), contract.HeaderRequestID, fmt.Sprint("id-", seq)), 0)
		w.want(w.send("h.h3.get", keyBody(k)), 0)
	}
}

// A host that has just lost a stripe hears what it passes on itself, and does not
// keep that behind the request that waits for it.
func TestAHostTurnsItsOwnCopyAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *Service) { s.ajar = time.Hour })
	w.claim("h1", "s1")
	k := w.keyOn("s1", "k")
	w.want(w.send("h.h1.initialize", createBody(k)), 0)
	w.hosts["h1"].seat("s1").depose()
	late := w.send("h.h1.patch", patchBody(k, 2, `{}`), contract.HeaderRequestID, "late")
	p, _ := w.hosts["h1"].service().partition(k)
	copied := w.send("p."+p.ID.String()+".patch", patchBody(k, 2, `{}`), contract.HeaderRequestID, "late")
	w.want(copied, contract.OutcomeUnknown) // though the first holds the lane
	w.claim("h2", "s1")
	w.want(late, 0)
}
