package repair

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
)

// documents begins a stream beside the subscription, which goes on answering.
func (s *Server) documents(r micro.Request) {
	now := s.scene()
	reply := r.Reply()
	if reply == "" {
		return // nobody would hear it
	}
	asked, err := parseAsk[documentsAsk](r.Data())
	if err == nil {
		err = now.accept(&asked)
	}
	var from *buckets.Replica
	var stripe string
	if err == nil {
		from, stripe, err = now.holder(&asked)
	}
	var out *outflow
	if err == nil {
		out, err = s.begin(&asked, reply)
	}
	if err != nil {
		s.refuse(reply, refusalOf(err))
		return
	}
	if !s.enter() {
		s.forget(out)
		return
	}
	go func() {
		defer s.wait.Done()
		defer s.forget(out)
		s.stream(now, out, from, stripe, asked.Documents)
	}()
}

// holder is the copy of the stripe that carries every one of the documents.
func (n *scene) holder(a *documentsAsk) (*buckets.Replica, string, error) {
	var carries layout.Stripe
	for i, k := range a.Documents {
		s, _ := n.layout.StripeOf(layout.BucketOf(k.Space, k.Key)) // on a valid layout it is there
		if i > 0 && s.Name != carries.Name {
			return nil, "", refuse(CodeMalformed, "documents[%d] is of stripe %s, those before are of %s: ask for one stripe at a time", i, s.Name, carries.Name)
		}
		carries = s
	}
	r, err := n.healthy(carries, a.stripeAsked)
	if err == nil { // what is absent from a bucket that loses rows after this is told as damaged
		err = refuseSick(carries.Name, r.Losses(bucketsOf(a.Documents...)...))
	}
	return r, carries.Name, err
}

// retryPull is when to ask again for a stream that there was no room for.
const retryPull = 500 * time.Millisecond

// begin makes room for a stream.
func (s *Server) begin(a *documentsAsk, reply string) (*outflow, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := or(a.Pull, nuid.Next())
	switch {
	case s.closed:
		return nil, refuse(CodeNotNow, "this host is closing")
	case len(s.pulls) >= s.Limits.Pulls:
		return nil, &RefusedError{Code: CodeNotNow, Why: fmt.Sprintf("%d pulls are under way, no more are served at once", len(s.pulls)), Retry: retryPull}
	case s.pulls[name] != nil:
		return nil, refuse(CodeMalformed, "a pull of the name %q is under way", name)
	}
	window := windowOn(s.Conn, min(s.Limits.Window, or(a.Window, s.Limits.Window)))
	out := newOutflow(s, name, reply, window)
	s.pulls[name] = out
	s.counts.pulled.Add(1)
	return out, nil
}

func (s *Server) forget(out *outflow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out.cancel()
	delete(s.pulls, out.name)
}

// credit hands on what a peer tells of a stream. One that is over is no fault.
func (s *Server) credit(r micro.Request) {
	c, err := parseAsk[creditAsk](r.Data())
	if err != nil {
		s.refuse(r.Reply(), refusalOf(err))
		return
	}
	s.mu.Lock()
	out := s.pulls[c.Pull]
	s.mu.Unlock()
	if out != nil {
		out.hear(c)
	}
}

// errNoMore says that the peer wants no more of the stream.
var errNoMore = errors.New("the peer wants no more")

// stream sends the documents, one after another as of one moment.
func (s *Server) stream(now *scene, out *outflow, from *buckets.Replica, stripe string, keys []contract.Key) {
	err := s.send(now, out, from, stripe, keys)
	if err == nil || errors.Is(err, errNoMore) {
		return
	}
	if r := refusalOf(err); r.Code == CodeFailed {
		s.Logger.Warn("a pull failed", "stripe", stripe, "error", err)
	}
	if err := out.end(false, err); err != nil {
		s.Logger.Debug("a pull that failed cannot be ended", "stripe", stripe, "error", err)
	}
}

func (s *Server) send(now *scene, out *outflow, from *buckets.Replica, stripe string, keys []contract.Key) error {
	m, err := from.Moment()
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	defer m.Close()
	head := headTell{telling: now.telling(), sideTold: tellMoment(stripe, m), Documents: len(keys), Pull: out.name, Window: out.window}
	if err := out.head(head); err != nil {
		return err
	}
	r := reading{server: s, out: out, moment: m, keys: keys, until: time.Now().Add(s.Limits.PullTime)}
	return r.run()
}
