package repair

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// A Want is a document to pull, and what the peer has said of it.
type Want struct {
	Key      contract.Key
	Position position.Position // zero: nothing is known of it
	Digest   digest.Digest     // at that position
}

// A Pulled is a document that came. It is what its own state says, and what was
// wanted: at the wanted position with the wanted digest, or at a later position.
type Pulled struct {
	Want Want
	Side plan.Side // the peer's, at the moment that the image is of
	Doc  plan.Doc
	// Image shares memory with the message in which it came, up to 0.5 MiB; who keeps it
	// for long keeps a copy.
	Image *buckets.Image
}

// Missed is a wanted document that did not come.
type Missed struct {
	Want    Want
	Side    plan.Side
	Damaged string // why the peer's copy counts for nothing; "": the peer has none
}

// Documents pulls documents of one stripe, in the order of wants, and calls visit for
// each as it comes. While visit works the peer waits: no more than [Peer.Window] is
// under way. A peer gives so many documents at once as it likes; the others are asked for
// again, so the sides may differ.
//
// An error of visit ends the pull and is returned as it is. What was handed to visit
// before an error is good, whatever the error.
func (p *Peer) Documents(ctx context.Context, host, stripe string, wants []Want, visit func(*Pulled) error) ([]Missed, error) {
	var missed []Missed
	for len(wants) > 0 {
		s := &pull{call: p.call(host), wants: wants[:asMany(wants)], visit: visit}
		err := s.run(ctx, stripe)
		missed = append(missed, s.missed...)
		if err != nil {
			return missed, err
		}
		wants = wants[s.came:]
	}
	return missed, nil
}

// asMany is how many documents fit into one request.
func asMany(wants []Want) int {
	const around = 32 // of JSON beside the names
	size := 0
	for i := range wants {
		size += around + jsonFactor*(len(wants[i].Key.Space)+len(wants[i].Key.Key))
		if i > 0 && (i == maxKeys || size > maxRequest/2) {
			return i
		}
	}
	return len(wants)
}

// jsonFactor bounds what a byte of a text may become in JSON: \u0000.
const jsonFactor = 6

// A pull is one stream of documents, seen from the side that asked for it.
type pull struct {
	*call
	wants  []Want
	visit  func(*Pulled) error
	missed []Missed
	came   int // items that came whole

	stripe stripeAsked
	name   string
	window int
	sub    *nats.Subscription
	items  assembler
	side   plan.Side
	number uint32        // of the frame that is next
	data   uint64        // bytes that came
	taken  atomic.Uint64 // of data, and worked on
	told   atomic.Uint64 // of taken, to the peer
}

// errPullEnded says that the stream is over.
var errPullEnded = errors.New("the stream is over")

func (s *pull) run(ctx context.Context, stripe string) error {
	var err error
	if s.stripe, err = s.call.stripe(stripe); err != nil {
		return err
	}
	s.window = windowOn(s.peer.Conn, or(s.peer.Window, defaultWindow))
	s.items.maxImage = or(s.peer.MaxImage, defaultMaxImage)
	if err := s.open(); err != nil {
		return fmt.Errorf("pull from %s: %w: %w", s.host, ErrUnreachable, err)
	}
	defer s.close()
	alive := s.stayAlive()
	defer alive()
	for {
		if err := s.next(ctx); errors.Is(err, errPullEnded) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// windowOn is a window that a connection bears. Servers close one that lets more wait
// than four of the largest messages, and what they are writing waits until the write is
// over, although the other side has taken much of it and lets more come: two windows.
func windowOn(nc *nats.Conn, want int) int {
	return max(min(want, int(nc.MaxPayload())), minWindow)
}

// open asks for the documents.
func (s *pull) open() error {
	nc := s.peer.Conn
	inbox := nc.NewRespInbox()
	s.name = inbox[len(inbox)-nuidLength:]
	var err error
	if s.sub, err = nc.SubscribeSync(inbox); err != nil {
		return err
	}
	// A peer that sends more than it may is cut short by the library.
	if err := s.sub.SetPendingLimits(-1, 2*s.window+maxAnswer); err != nil {
		return err
	}
	ask := documentsAsk{asking: s.asking(), stripeAsked: s.stripe, Documents: make([]contract.Key, len(s.wants)), Pull: s.name, Window: s.window}
	for i := range s.wants {
		ask.Documents[i] = s.wants[i].Key
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	return s.publish(&nats.Msg{Subject: Subject(s.host, EndpointDocuments), Reply: inbox, Data: body})
}

// nuidLength is how long the random end of an inbox is.
const nuidLength = 22

// close tells the peer that nothing more is wanted, in case it sends still. There is
// nobody left to tell of an error.
func (s *pull) close() {
	_ = s.sub.Unsubscribe()
	_ = s.credit(creditAsk{Stop: true})
}

func (s *pull) publish(m *nats.Msg) error {
	s.peer.sent.Add(uint64(m.Size()))
	return s.peer.Conn.PublishMsg(m)
}

func (s *pull) credit(c creditAsk) error {
	taken := s.taken.Load()
	for told := s.told.Load(); told < taken && !s.told.CompareAndSwap(told, taken); told = s.told.Load() {
	}
	c.asking, c.Pull, c.Taken = asking{Version: protocolVersion}, s.name, taken
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return s.publish(&nats.Msg{Subject: Subject(s.host, EndpointCredit), Data: body})
}

// stayAlive tells the peer now and then that this side is there, however long visit
// takes. What it returns ends that.
func (s *pull) stayAlive() (end func()) {
	tick := time.NewTicker(s.stall() / aliveFactor)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-tick.C:
				_ = s.credit(creditAsk{}) // one that is lost does no harm
			case <-stop:
				return
			}
		}
	}()
	return func() {
		tick.Stop()
		close(stop)
		<-stopped
	}
}

// aliveFactor is how many signs of life there are in the time in which one must come.
const aliveFactor = 4

func (s *pull) stall() time.Duration { return or(s.peer.Stall, defaultStall) }

// next takes the next frame in. It returns errPullEnded behind the last one.
func (s *pull) next(ctx context.Context) error {
	m, err := s.receive(ctx)
	if err != nil {
		return fmt.Errorf("pull from %s: %w", s.host, err)
	}
	return s.hear(m)
}

// hear works on one message of the peer's.
func (s *pull) hear(m *nats.Msg) error {
	if s.number == 0 {
		if err := s.refused(m); err != nil {
			return fmt.Errorf("pull: %w", err)
		}
	}
	f, err := parseFrame(m.Data)
	if err != nil {
		return s.judge(EndpointDocuments, err)
	}
	if f.number > s.number {
		return fmt.Errorf("pull from %s: %w: frame %d came where %d was due: some were lost on the way", s.host, ErrUnreachable, f.number, s.number)
	}
	if err := s.fits(f); err != nil {
		return s.judge(EndpointDocuments, err)
	}
	s.number++
	switch f.kind {
	case frameHead:
		return s.judge(EndpointDocuments, s.head(f.body))
	case frameEnd:
		return s.end(f.body)
	default:
		return s.take(f.body)
	}
}

func (s *pull) receive(ctx context.Context) (*nats.Msg, error) {
	limited, cancel := context.WithTimeout(ctx, s.stall())
	defer cancel()
	m, err := s.sub.NextMsgWithContext(limited)
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		return nil, fmt.Errorf("%w: more came than was asked for", ErrGarbage)
	case err != nil:
		return nil, unanswered(ctx, err)
	}
	s.peer.received.Add(uint64(m.Size()))
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, nats.ErrNoResponders)
	}
	return m, nil
}

// fits tells whether a frame may come now.
func (s *pull) fits(f frame) error {
	switch {
	case f.number < s.number:
		return fmt.Errorf("frame %d came again, or after frame %d", f.number, s.number-1)
	case (f.kind == frameHead) != (f.number == 0):
		return fmt.Errorf("frame %d is of kind %c", f.number, f.kind)
	case f.kind == frameData && len(f.body) > s.window:
		return fmt.Errorf("frame of %d bytes, %d were asked for at once", len(f.body), s.window)
	case f.kind != frameData && len(f.body) > maxAnswer:
		return fmt.Errorf("frame of kind %c has %d bytes", f.kind, len(f.body))
	}
	return nil
}

func (s *pull) head(body []byte) error {
	var tell headTell
	if err := parseTell(body, &tell); err != nil {
		return err
	}
	e := s.expected()
	if err := e.told(&tell.telling); err != nil {
		return err
	}
	var err error
	if s.side, err = e.side(&tell.sideTold, s.stripe); err != nil {
		return err
	}
	if tell.Documents != len(s.wants) || tell.Pull != s.name {
		return fmt.Errorf("the stream is of %d documents under the name %q, not of %d as %s", tell.Documents, clip(tell.Pull, nuidLength), len(s.wants), s.name)
	}
	if tell.Window < 1 || tell.Window > s.window {
		return fmt.Errorf("the stream has a window of %d bytes, %d were asked for", tell.Window, s.window)
	}
	s.window = tell.Window
	return nil
}

// take works on data, and lets the peer send as much again.
func (s *pull) take(body []byte) error {
	if s.data += uint64(len(body)); s.data > s.told.Load()+uint64(s.window) {
		return s.judge(EndpointDocuments, fmt.Errorf("%d bytes came, where %d were allowed", s.data, s.told.Load()+uint64(s.window)))
	}
	if err := s.items.feed(body, s.item); err != nil {
		if v, ok := errors.AsType[*visitError](err); ok {
			return v.err
		}
		return s.judge(EndpointDocuments, err)
	}
	if taken := s.taken.Add(uint64(len(body))); taken-s.told.Load() >= uint64(s.window)/aliveFactor {
		if err := s.credit(creditAsk{}); err != nil {
			return fmt.Errorf("pull from %s: %w: %w", s.host, ErrUnreachable, err)
		}
	}
	return nil
}

// A visitError is an error of the caller's, on its way back.
type visitError struct{ err error }

func (v *visitError) Error() string { return v.err.Error() }

// item takes what came for the next document.
func (s *pull) item(kind itemKind, content []byte) error {
	if s.came == len(s.wants) {
		return fmt.Errorf("more came than the %d documents that were asked for", len(s.wants))
	}
	want := s.wants[s.came]
	s.came++
	switch kind {
	case itemAbsent:
		s.missed = append(s.missed, Missed{Want: want, Side: s.side})
	case itemDamaged:
		s.missed = append(s.missed, Missed{Want: want, Side: s.side, Damaged: or(clip(string(content), maxDamageText), "damaged")})
	case itemImage:
		p, err := s.checked(want, content)
		if err != nil {
			return fmt.Errorf("document %q in space %q: %w", want.Key.Key, want.Key.Space, err)
		}
		if err := s.visit(p); err != nil {
			return &visitError{err}
		}
	}
	return nil
}

// checked reads an image and wants it to be what its state says, and what the peer said
// before.
func (s *pull) checked(want Want, content []byte) (*Pulled, error) {
	im, err := buckets.ParseImage(content)
	if err != nil {
		return nil, err
	}
	state, err := im.Check()
	if err != nil {
		return nil, err
	}
	switch e := s.expected(); {
	case state.Key != want.Key:
		return nil, fmt.Errorf("the image is of document %q in space %q", state.Key.Key, state.Key.Space)
	case state.Damaged != "":
		return nil, fmt.Errorf("the image says of itself: %s", state.Damaged)
	case state.Position.Less(want.Position):
		return nil, fmt.Errorf("the image is at %v, the peer said %v before", state.Position, want.Position)
	case state.Position == want.Position && state.Digest != want.Digest:
		return nil, fmt.Errorf("the image at %v has digest %v, the peer said %v before", state.Position, state.Digest, want.Digest)
	default:
		if err := e.position(state.Position, s.side); err != nil {
			return nil, err
		}
	}
	return &Pulled{Want: want, Side: s.side, Doc: docOf(&state), Image: im}, nil
}

// end looks at whether all has come.
func (s *pull) end(body []byte) error {
	var tell endTell
	if err := parseTell(body, &tell); err != nil {
		return s.judge(EndpointDocuments, err)
	}
	if tell.Refusal != nil {
		r := &RefusedError{Host: s.host}
		r.take(tell.Refusal)
		return fmt.Errorf("pull: %w", r)
	}
	var fault error
	switch {
	case tell.Items != s.came || tell.Data != s.data:
		fault = fmt.Errorf("the stream has %d documents in %d bytes, %d in %d came", tell.Items, tell.Data, s.came, s.data)
	case !s.items.between():
		fault = errors.New("the stream ends within a document")
	case !tell.More && s.came < len(s.wants):
		fault = fmt.Errorf("the stream ends after %d of %d documents", s.came, len(s.wants))
	case tell.More && s.came == 0:
		fault = errors.New("the stream ends before the first document")
	}
	if fault != nil {
		return s.judge(EndpointDocuments, fault)
	}
	return errPullEnded
}
