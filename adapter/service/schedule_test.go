package service

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
)

// A writer appends marks to one document, as Adama does: it goes on from the head
// that it knows, asks again under the same id while it is not told, and reads the
// head anew when it differs.
type writer struct {
	w    *world
	name string
	key  contract.Key
	ids  bool // gives its requests ids
	rng  *rand.Rand
	all  *atomic.Int32 // how many marks of all writers are acknowledged

	acked, refused, unknown []string // marks
}

// anywhere is the subject of an operation at some host, or at any.
func (x *writer) anywhere(op string) string {
	if i := x.rng.IntN(4); i < 3 {
		return "h." + x.w.names()[i] + "." + op
	}
	return op
}

// ask asks once. Nobody answers for a host that has died.
func (x *writer) ask(op, body, id string) (*nats.Msg, error) {
	m := &nats.Msg{Subject: contract.SubjectPrefix + x.anywhere(op), Data: []byte(body), Header: nats.Header{}}
	if id != "" {
		m.Header[contract.HeaderRequestID] = []string{id}
	}
	ctx, cancel := context.WithTimeout(x.w.t.Context(), 3*time.Second)
	defer cancel()
	return x.w.client.RequestMsgWithContext(ctx, m)
}

// head reads the document's head, however long that takes.
func (x *writer) head() int {
	for {
		m, err := x.ask("get", keyBody(x.key), "")
		var doc contract.DocumentReply
		if err == nil && codeOf(m) == 0 && json.Unmarshal(m.Data, &doc) == nil {
			return int(doc.Seq)
		}
		if err == nil && !again(codeOf(m)) {
			x.w.t.Errorf("get: %s", m.Data)
			return 0
		}
	}
}

func again(c contract.Code) bool {
	return c == contract.NoOwner || c == contract.NoQuorum || c == contract.Deposed || c == contract.OutcomeUnknown
}

// append tries to append a mark, and keeps what it was told.
func (x *writer) append(mark string) {
	body := patchBody(x.key, x.head()+1, fmt.Sprintf(`{%q:1}`, mark))
	id := ""
	if x.ids {
		id = mark
	}
	maybe := false
	for range 20 {
		m, err := x.ask("patch", body, id)
		switch {
		case err != nil:
			maybe = true
		case codeOf(m) == 0:
			x.acked = append(x.acked, mark)
			x.all.Add(1)
			return
		case codeOf(m) == contract.OutcomeUnknown:
			maybe = true
		case !again(codeOf(m)):
			if maybe && id == "" {
				break
			}
			x.refused = append(x.refused, mark)
			return
		}
		if maybe && id == "" {
			break // another try would be another request
		}
	}
	if maybe {
		x.unknown = append(x.unknown, mark)
	} else {
		x.refused = append(x.refused, mark)
	}
}

// Writers on few documents, while owners die, are frozen, hand over and lose
// acknowledgements at random. The naive twin is the list of what each was told:
// what was acknowledged is in the log once, what was refused never, what is unknown
// at most once.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, func(s *Service) { s.Hold = 2 * time.Second })
	w.claim("h1", "s1")
	w.claim("h2", "s2")
	var writers []*writer
	var acked atomic.Int32
	for i, stripe := range []string{"s1", "s1", "s2"} {
		key := w.keyOn(stripe, fmt.Sprint("doc", i))
		w.want(w.send("initialize", createBody(key)), 0)
		for j := range 3 {
			writers = append(writers, &writer{w: w, name: fmt.Sprint(i, "-", j), key: key, ids: j > 0, all: &acked, rng: rand.New(rand.NewPCG(seed, uint64(10*i+j)))})
		}
	}
	stop := make(chan struct{})
	var wait sync.WaitGroup
	for _, x := range writers {
		wait.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					x.append(fmt.Sprint(x.name, "-", n))
				}
			}
		})
	}
	// A slow machine needs more of them until enough has happened.
	for n := 0; n < 25 || n < 500 && acked.Load() < 100; n++ {
		w.disturb(rng)
	}
	close(stop)
	wait.Wait()
	w.claim("h1", "s1", "s2")

	told := map[string]int{}
	for _, x := range writers {
		in := x.inLog(t)
		for mark, n := range in {
			if n > 1 {
				t.Errorf("%s is in the log %d times", mark, n)
			}
		}
		for _, mark := range x.acked {
			if in[mark] != 1 {
				t.Errorf("%s was acknowledged and is in the log %d times", mark, in[mark])
			}
		}
		for _, mark := range x.refused {
			if in[mark] != 0 {
				t.Errorf("%s was refused and is in the log", mark)
			}
		}
		told["acked"] += len(x.acked)
		told["refused"] += len(x.refused)
		told["unknown"] += len(x.unknown)
	}
	t.Log(told)
	if told["acked"] < 100 {
		t.Errorf("only %v", told)
	}
}

// inLog counts the marks in a document's log.
func (x *writer) inLog(t *testing.T) map[string]int {
	t.Helper()
	in := map[string]int{}
	from := 0
	for {
		ask := fmt.Sprintf(`{"space":%q,"key":%q,"from_seq":%d}`, x.key.Space, x.key.Key, from)
		m, err := x.ask("history", ask, "")
		for tries := 0; tries < 60 && (err != nil || again(codeOf(m))); tries++ { // of a slow machine
			m, err = x.ask("history", ask, "")
		}
		if err != nil || codeOf(m) != 0 {
			t.Fatalf("history: %v, %v", m, err)
		}
		var page contract.HistoryReply
		if err := json.Unmarshal(m.Data, &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			var redo map[string]int
			if err := json.Unmarshal([]byte(e.Redo), &redo); err != nil {
				t.Fatal(err)
			}
			for mark := range redo {
				in[mark]++
			}
			from = int(e.SeqEnd) + 1
		}
		if !page.More {
			return in
		}
	}
}

// disturb does one bad thing to the hosts, and lets the writers go on for a while. It
// tells whether a host was killed.
func (w *world) disturb(rng *rand.Rand) (killed bool) {
	stripe := []string{"s1", "s2"}[rng.IntN(2)]
	next := w.names()[rng.IntN(3)]
	old, _ := w.Owner(stripe)
	seat := w.hosts[old].seat(stripe)
	what := rng.IntN(5)
	switch what {
	case 0: // handed over
		seat.depose()
		w.claim(next, stripe)
	case 1: // taken over without its knowledge
		w.claim(next, stripe)
	case 2: // frozen meanwhile
		seat.held.Lock()
		if next != old {
			w.claim(next, stripe)
		}
		w.progress(1)
		seat.held.Unlock()
	case 3: // the acknowledgement is lost
		seat.lose(true)
		w.progress(2)
		seat.lose(false)
		w.claim(next, stripe)
	case 4: // killed, and back on its disk
		w.hosts[old].stop()
		for _, s := range []string{"s1", "s2"} {
			if owner, _ := w.Owner(s); owner == old {
				w.claim(w.other(old, rng), s)
			}
		}
		w.hosts[old].start()
	}
	w.progress(20)
	return what == 4
}

func (w *world) other(than string, rng *rand.Rand) string {
	for {
		if name := w.names()[rng.IntN(3)]; name != than {
			return name
		}
	}
}

// progress waits until the logs have grown, or cannot for a while.
func (w *world) progress(records int) {
	size := func() int { return len(w.logs["s1"].all()) + len(w.logs["s2"].all()) }
	want := size() + records
	limit := time.After(300 * time.Millisecond)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for size() < want {
		select {
		case <-limit:
			return
		case <-tick.C:
		}
	}
}
