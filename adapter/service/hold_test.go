package service

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/goleak"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/position"
	"trireme/internal/record"
	"trireme/streams"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A puppet is a committer whose every step the test makes.
type puppet struct {
	mu        sync.Mutex
	proposals []streams.Proposal
	came      chan struct{}
}

func (p *puppet) Submit(q streams.Proposal, _ int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proposals = append(p.proposals, q)
	p.came <- struct{}{}
	return nil
}

func (p *puppet) Epoch() (position.Position, bool) { return position.Position{Birth: 1, Seq: 1}, true }
func (p *puppet) Behind() uint64                   { return 0 }

// take waits for the next proposal.
func (p *puppet) take(t *testing.T) streams.Proposal {
	t.Helper()
	select {
	case <-p.came:
	case <-time.After(20 * time.Second):
		t.Fatal("no proposal came")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.proposals[0]
	p.proposals = p.proposals[1:]
	return q
}

// A stage is a service on an empty store, with a puppet in place of the owner.
type stage struct {
	t      *testing.T
	svc    *Service
	puppet *puppet
	client *nats.Conn
}

func newStage(t *testing.T, change func(*Service)) *stage {
	t.Helper()
	ns, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	connect := func() *nats.Conn {
		nc, err := nats.Connect("", nats.InProcessServer(ns))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	store, err := buckets.Open(t.TempDir(), buckets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &stage{t: t, puppet: &puppet{came: make(chan struct{}, 100)}, client: connect()}
	s.svc = &Service{
		Conn: connect(), Store: store, Host: "h1", Layout: singleLayout,
		Committer: func(string) Committer { return s.puppet }, Hold: time.Minute,
	}
	change(s.svc)
	if err := s.svc.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) close(limit time.Duration) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	_ = s.svc.Close(ctx) // what it says of ctx is not what is tested
}

// ask sends a request and returns where its answers come.
func (s *stage) ask(op, body string) *nats.Subscription { return s.askAs("", op, body) }

// apply puts the creation of document "there" into the store, under an id.
func (s *stage) apply(t *testing.T, id string) {
	t.Helper()
	r, err := s.svc.Store.Replica("s1", 1)
	if err != nil {
		t.Fatal(err)
	}
	claim := record.AppendClaim(nil, &record.Record{Kind: record.Claim, Host: "h1", Boot: "b"})
	c, err := initializeChange([]byte(strings.Replace(create, `"k"`, `"there"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	c.ID = id
	var b record.Builder
	b.Add(c)
	if err := r.Apply(1, claim); err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(2, b.Record(position.Position{Birth: 1, Seq: 1}, 0, r.Applied().Chain)); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) askAs(id, op, body string) *nats.Subscription {
	s.t.Helper()
	sub, err := s.client.SubscribeSync(s.client.NewInbox())
	if err != nil {
		s.t.Fatal(err)
	}
	m := &nats.Msg{Subject: contract.SubjectPrefix + op, Reply: sub.Subject, Data: []byte(body)}
	if id != "" {
		m.Header = nats.Header{contract.HeaderRequestID: {id}}
	}
	if err := s.client.PublishMsg(m); err != nil {
		s.t.Fatal(err)
	}
	return sub
}

func (s *stage) code(sub *nats.Subscription) contract.Code {
	s.t.Helper()
	m, err := sub.NextMsg(20 * time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	if m.Header == nil {
		return 0
	}
	n, err := strconv.Atoi(m.Header.Get(micro.ErrorCodeHeader))
	if err != nil {
		s.t.Fatal(err)
	}
	return contract.Code(n)
}

const create = `{"space":"s","key":"k","patch":{"seq_begin":0,"seq_end":1,"redo":"{}","undo":"{}"}}`

// endHolds ends the hold of all requests that have been taken.
func (s *stage) endHolds() { s.svc.flight.expire(time.Now().Add(time.Hour)) }

// taken waits until so many requests have been taken.
func (s *stage) taken(n int) {
	s.t.Helper()
	waitFor(s.t, fmt.Sprint(n, " requests in flight"), func() bool {
		count, _ := s.svc.InFlight()
		return count == n
	})
}

func TestTheHoldEndsByItself(t *testing.T) {
	s := newStage(t, func(s *Service) { s.Hold = 300 * time.Millisecond })
	defer s.close(time.Second)
	sub := s.ask("initialize", create)
	p := s.puppet.take(t)
	if got := s.code(sub); got != contract.NoQuorum {
		t.Errorf("answered %d, want %d", got, contract.NoQuorum)
	}
	var b record.Builder
	if p.Prepare(&b) || b.Len() != 0 {
		t.Error("the request goes into the log after it was told that it did not")
	}
}

func TestTheHoldsEndTellsWhatIsTrue(t *testing.T) {
	s := newStage(t, func(*Service) {})
	defer s.close(time.Second)

	t.Run("never handed to the log", func(t *testing.T) {
		sub := s.ask("initialize", create)
		p := s.puppet.take(t)
		s.endHolds()
		if got := s.code(sub); got != contract.NoQuorum {
			t.Errorf("answered %d, want %d", got, contract.NoQuorum)
		}
		var b record.Builder
		if p.Prepare(&b) || b.Len() != 0 {
			t.Error("the request goes into the log after it was told that it did not")
		}
	})
	t.Run("handed to the log, no word of it", func(t *testing.T) {
		sub := s.ask("initialize", create)
		p := s.puppet.take(t)
		var b record.Builder
		if !p.Prepare(&b) || b.Len() != 1 {
			t.Fatal("the request does not go into the log")
		}
		s.endHolds()
		if got := s.code(sub); got != contract.OutcomeUnknown {
			t.Errorf("answered %d, want %d", got, contract.OutcomeUnknown)
		}
		p.Done(nil)
		if err := s.client.Flush(); err != nil {
			t.Fatal(err)
		}
		if n, _, err := sub.Pending(); err != nil || n != 0 {
			t.Errorf("%d more answers, %v", n, err)
		}
	})
	t.Run("behind its first try, which has been handed to the log", func(t *testing.T) {
		first, resend := s.askAs("id-1", "initialize", create), s.askAs("id-1", "initialize", create)
		p := s.puppet.take(t)
		if !p.Prepare(&record.Builder{}) {
			t.Fatal("the request does not go into the log")
		}
		s.taken(2)
		s.endHolds()
		for _, sub := range []*nats.Subscription{first, resend} {
			if got := s.code(sub); got != contract.OutcomeUnknown {
				t.Errorf("answered %d, want %d", got, contract.OutcomeUnknown)
			}
		}
		p.Done(nil)
	})
	t.Run("a resend of what is in the log", func(t *testing.T) {
		s.apply(t, "id-2")
		sub := s.askAs("id-2", "initialize", strings.Replace(create, `"k"`, `"there"`, 1))
		p := s.puppet.take(t)
		var b record.Builder
		if !p.Prepare(&b) || b.Len() != 0 {
			t.Fatal("the resend goes into the log again")
		}
		s.endHolds()
		if got := s.code(sub); got != contract.OutcomeUnknown {
			t.Errorf("answered %d, want %d: it has happened", got, contract.OutcomeUnknown)
		}
		p.Done(nil)
	})
	t.Run("a read", func(t *testing.T) {
		sub := s.ask("get", `{"space":"s","key":"k"}`)
		p := s.puppet.take(t)
		var b record.Builder
		if !p.Prepare(&b) || b.Len() != 0 {
			t.Fatal("a read adds something")
		}
		s.endHolds()
		if got := s.code(sub); got != contract.NoQuorum {
			t.Errorf("answered %d, want %d", got, contract.NoQuorum)
		}
		p.Done(nil)
	})
	t.Run("behind another on its key", func(t *testing.T) {
		first, second := s.ask("initialize", create), s.ask("get", `{"space":"s","key":"k"}`)
		p := s.puppet.take(t)
		s.taken(2)
		s.endHolds()
		for _, sub := range []*nats.Subscription{first, second} {
			if got := s.code(sub); got != contract.NoQuorum {
				t.Errorf("answered %d, want %d", got, contract.NoQuorum)
			}
		}
		if p.Prepare(&record.Builder{}) {
			t.Error("an answered request goes on")
		}
	})
	if n, _ := s.svc.InFlight(); n != 0 {
		t.Errorf("%d requests are still in flight", n)
	}
}

// What is still being decoded when its hold ends is answered when it is known whose
// resend it is.
func TestTheHoldEndsBeforeARequestIsDecoded(t *testing.T) {
	s := newStage(t, func(*Service) {})
	defer s.close(time.Second)
	first := s.askAs("id-1", "initialize", create)
	p := s.puppet.take(t)
	if !p.Prepare(&record.Builder{}) {
		t.Fatal("the request does not go into the log")
	}
	op, entered, proceed := s.svc.ops["initialize"], make(chan struct{}), make(chan struct{})
	parse := op.parse
	op.parse = func(s *Service, r *request) error {
		close(entered)
		<-proceed
		return parse(s, r)
	}
	resend := s.askAs("id-1", "initialize", create)
	<-entered
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.endHolds()
	}()
	if got := s.code(first); got != contract.OutcomeUnknown {
		t.Errorf("answered %d, want %d", got, contract.OutcomeUnknown)
	}
	close(proceed)
	<-ended
	if got := s.code(resend); got != contract.OutcomeUnknown {
		t.Errorf("the resend was answered %d, want %d: the first may be in the log", got, contract.OutcomeUnknown)
	}
	p.Done(nil)
}

// A refusal is told only after a commit has confirmed that this host was still
// the owner when it looked.
func TestARefusalWaitsForTheCommit(t *testing.T) {
	s := newStage(t, func(*Service) {})
	defer s.close(time.Second)
	sub := s.ask("get", `{"space":"s","key":"none"}`)
	p := s.puppet.take(t)
	if !p.Prepare(&record.Builder{}) {
		t.Fatal("dropped")
	}
	if err := s.client.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := sub.Pending(); n != 0 {
		t.Fatal("answered before the commit")
	}
	p.Done(contract.Errorf(contract.Deposed, "somebody else owns it"))
	if got := s.code(sub); got != contract.Deposed {
		t.Errorf("answered %d, want %d: absence was not confirmed", got, contract.Deposed)
	}
}

func TestOverload(t *testing.T) {
	s := newStage(t, func(s *Service) { s.MaxInFlight = 2 })
	one, two := s.ask("get", `{"space":"s","key":"1"}`), s.ask("get", `{"space":"s","key":"2"}`)
	p, q := s.puppet.take(t), s.puppet.take(t)
	if got := s.code(s.ask("get", `{"space":"s","key":"3"}`)); got != contract.Overloaded {
		t.Errorf("the third got %d, want %d", got, contract.Overloaded)
	}
	for _, x := range []streams.Proposal{p, q} {
		x.Prepare(&record.Builder{})
		x.Done(nil)
	}
	for _, sub := range []*nats.Subscription{one, two} {
		if got := s.code(sub); got != contract.NotFound {
			t.Errorf("answered %d, want %d", got, contract.NotFound)
		}
	}
	s.taken(0) // they count until after their answers
	// Closing answers what is left, and takes nothing more.
	left := s.ask("get", `{"space":"s","key":"4"}`)
	p = s.puppet.take(t)
	s.close(50 * time.Millisecond)
	if got := s.code(left); got != contract.NoQuorum {
		t.Errorf("what was left at the end got %d, want %d", got, contract.NoQuorum)
	}
	p.Done(contract.Errorf(contract.NoOwner, "closing"))
	if _, err := s.client.Request(contract.SubjectPrefix+"get", []byte(`{"space":"s","key":"5"}`), 20*time.Second); err == nil {
		t.Error("a closed service answers")
	}
}
