package repair

import (
	"cmp"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/repair/plan"
)

// A scene is what one request is answered from: the layout in force when it came.
type scene struct {
	source Source
	host   string
	layout layout.Layout
	digest string
	counts *serverCounts

	indexBytes int
}

func (s *Server) scene() *scene {
	now := &scene{source: s.Source, host: s.Host, counts: &s.counts, indexBytes: s.Limits.indexBytes}
	now.layout, now.digest = s.Source.Layout()
	return now
}

func (n *scene) telling() telling {
	return telling{Version: protocolVersion, Host: n.host, Layout: n.layout.Version, LayoutDigest: n.digest}
}

// An ask is the body of a request.
type ask interface {
	check() error
	by() *asking
}

func (a *asking) by() *asking { return a }

// answering makes a handler of a function that answers in one message. A request
// without a sender is one by hand, and is answered for the eye.
func answering[T any, P interface {
	*T
	ask
}](s *Server, answer func(now *scene, ask P) (any, error)) micro.HandlerFunc {
	return func(r micro.Request) {
		now := s.scene()
		asked, err := parseAsk[T](r.Data())
		if err == nil {
			err = now.accept(P(&asked))
		}
		var tell any
		if err == nil {
			tell, err = answer(now, P(&asked))
		}
		write := json.Marshal
		if P(&asked).by().From == "" {
			write = indented
		}
		s.answer(r, tell, write, err)
	}
}

func indented(v any) ([]byte, error) {
	body, err := json.MarshalIndent(v, "", "  ")
	return append(body, '\n'), err
}

// answer sends what was found, or why there is nothing. Whoever cannot be answered,
// as when the connection closes, asks again.
func (s *Server) answer(r micro.Request, tell any, write func(any) ([]byte, error), err error) {
	var body []byte
	if err == nil {
		body, err = write(tell)
	}
	if limit := s.Conn.MaxPayload(); err == nil && int64(len(body)) > min(limit, maxAnswer) {
		err = refuse(CodeTooLarge, "the answer has %d bytes: ask for less at once", len(body))
	}
	if err != nil {
		s.refuse(r.Reply(), refusalOf(err))
		return
	}
	s.counts.sent.Add(uint64(len(body)))
	_ = r.Respond(body) // the service's statistics count what fails
}

// refuse sends a refusal.
func (s *Server) refuse(to string, r *RefusedError) {
	s.counts.refused.Add(1)
	if r.Code == CodeFailed {
		s.Logger.Warn("a peer is not answered", "error", r.Why)
	}
	if to == "" {
		return
	}
	m := nats.NewMsg(to)
	r.write(m)
	s.counts.sent.Add(uint64(len(m.Data)))
	if err := s.Conn.PublishMsg(m); err != nil {
		s.Logger.Warn("a peer is not refused", "error", err)
	}
}

// accept refuses what this host cannot answer: bounds, and another layout. Who asks by
// hand need not name a layout.
func (n *scene) accept(a ask) error {
	if err := a.check(); err != nil {
		return err
	}
	by := a.by()
	if (by.Layout != 0 || by.LayoutDigest != "") && (by.Layout != n.layout.Version || by.LayoutDigest != n.digest) {
		return refuse(CodeLayout, "layout %d with digest %.64q is asked about, here layout %d with digest %s is in force",
			by.Layout, by.LayoutDigest, n.layout.Version, n.digest)
	}
	return nil
}

// stripe is this host's copy of the stripe that carries what is asked for.
func (n *scene) stripe(carries layout.Stripe, asked stripeAsked) (r *buckets.Replica, sick string, err error) {
	switch {
	case asked.Stripe != "" && asked.Stripe != carries.Name:
		return nil, "", refuse(CodeMalformed, "stripe %s carries that, not %q", carries.Name, asked.Stripe)
	case asked.Birth != 0 && asked.Birth != carries.Birth:
		return nil, "", refuse(CodeLayout, "stripe %s has birth %d here, not %d", carries.Name, carries.Birth, asked.Birth)
	}
	r, sick, ok := n.source.Stripe(carries.Name)
	if !ok {
		return nil, "", refuse(CodeNotFound, "this host has no copy of stripe %s", carries.Name)
	}
	return r, sick, nil
}

// healthy is the same, but a sick copy is refused.
func (n *scene) healthy(carries layout.Stripe, asked stripeAsked) (*buckets.Replica, error) {
	r, sick, err := n.stripe(carries, asked)
	if err == nil {
		err = refuseSick(carries.Name, sick)
	}
	return r, err
}

// refuseSick refuses what is asked of a stripe if there is a reason.
func refuseSick(stripe, sick string) error {
	if sick == "" {
		return nil
	}
	return refuse(CodeSick, "stripe %s is sick: %s", stripe, sick)
}

// bucketsOf are the buckets of documents.
func bucketsOf(keys ...contract.Key) []buckets.Range {
	ranges := make([]buckets.Range, len(keys))
	for i, k := range keys {
		ranges[i] = oneBucket(layout.BucketOf(k.Space, k.Key))
	}
	return ranges
}

// oneBucket is the range of one.
func oneBucket(b layout.Bucket) buckets.Range { return buckets.Range{First: b, Last: b} }

func (n *scene) roots(a *rootsAsk) (any, error) {
	tell := rootsTell{telling: n.telling(), Stripes: []rootTold{}}
	names := a.Stripes
	if len(names) == 0 {
		for _, s := range n.layout.Stripes {
			names = append(names, s.Name)
		}
	}
	for _, name := range names {
		r, sick, ok := n.source.Stripe(name)
		if _, known := n.layout.Stripe(name); !known || !ok {
			continue
		}
		sick = cmp.Or(sick, r.Losses(buckets.RangesOf(n.layout.PartitionsOf(name))...))
		told := rootTold{sideTold: sideTold{Stripe: name}, Sick: clip(sick, maxRefusalText)}
		if sick == "" {
			told = n.root(r, name, a.Partitions)
		}
		tell.Stripes = append(tell.Stripes, told)
	}
	return tell, nil
}

// root is the root of a stripe and, if wanted, of each of its partitions, all of one
// moment.
func (n *scene) root(r *buckets.Replica, stripe string, partitions bool) rootTold {
	parts := n.layout.PartitionsOf(stripe)
	ranges := buckets.RangesOf(parts)
	survey := r.Survey(ranges)
	states := statesOf(&survey, ranges)
	root := plan.RootOf(states)
	told := rootTold{sideTold: tellSide(stripe, &survey), Root: wireDigest(root.Digest), Position: wirePosition(root.Position)}
	for i, g := range ranges {
		size := int(g.Last) - int(g.First) + 1
		if partitions {
			root := plan.RootOf(states[:size])
			told.Partitions = append(told.Partitions, partitionTold{parts[i].ID, wirePosition(root.Position), wireDigest(root.Digest)})
		}
		states = states[size:]
	}
	return told
}

// statesOf are the buckets of a survey, as plans see them.
func statesOf(s *buckets.Survey, ranges []buckets.Range) []plan.BucketState {
	states := make([]plan.BucketState, 0, len(s.Buckets))
	for _, g := range ranges {
		for b := int(g.First); b <= int(g.Last); b++ {
			kept := &s.Buckets[len(states)]
			states = append(states, plan.BucketState{Bucket: layout.Bucket(b), Digest: kept.Digest, Position: kept.Position})
		}
	}
	return states
}

func tellSide(stripe string, s *buckets.Survey) sideTold {
	return sideTold{Stripe: stripe, Applied: wirePosition(s.Position), Horizon: wirePosition(s.Horizon)}
}

func (n *scene) stand(a *standAsk) (any, error) {
	carries, ok := n.layout.Stripe(a.Stripe)
	if !ok {
		return nil, refuse(CodeNotFound, "layout %d has no stripe %q", n.layout.Version, a.Stripe)
	}
	r, err := n.healthy(carries, a.stripeAsked)
	if err != nil {
		return nil, err
	}
	survey := r.Survey(nil)
	at := &survey.Applied
	tell := standTell{telling: n.telling(), sideTold: tellSide(carries.Name, &survey), Chain: at.Chain.String(), Epoch: wirePosition(at.Epoch), Time: at.Time}
	for _, b := range r.Incomplete(buckets.RangesOf(n.layout.PartitionsOf(carries.Name))...) {
		if n := len(tell.Lost); n > 0 && tell.Lost[n-1][1]+1 == b {
			tell.Lost[n-1][1] = b
		} else {
			tell.Lost = append(tell.Lost, [2]layout.Bucket{b, b})
		}
	}
	return tell, nil
}

func (n *scene) buckets(a *bucketsAsk) (any, error) {
	first, ok := n.layout.Partition(a.Partitions[0])
	if !ok {
		return nil, refuse(CodeMalformed, "layout %d has no partition %v", n.layout.Version, a.Partitions[0])
	}
	carries, _ := n.layout.Stripe(first.Stripe) // on a valid layout it is there
	ranges, err := rangesOf(&n.layout, carries.Name, a.Partitions)
	if err != nil {
		return nil, refuse(CodeMalformed, "%v", err)
	}
	r, err := n.healthy(carries, a.stripeAsked)
	if err != nil {
		return nil, err
	}
	before := r.Losses(ranges...)
	survey := r.Survey(ranges)
	if err := refuseSick(carries.Name, cmp.Or(before, r.Losses(ranges...))); err != nil { // rows may go while it is taken
		return nil, err
	}
	tell := bucketsTell{telling: n.telling(), sideTold: tellSide(carries.Name, &survey), Buckets: []bucketTold{}}
	for _, b := range statesOf(&survey, ranges) {
		if !b.Position.IsZero() || !b.Digest.IsZero() {
			tell.Buckets = append(tell.Buckets, bucketTold{b.Bucket, wirePosition(b.Position), wireDigest(b.Digest)})
		}
	}
	return tell, nil
}

func (n *scene) index(a *indexAsk) (any, error) {
	carries, _ := n.layout.StripeOf(a.Bucket) // on a valid layout it is there
	r, err := n.healthy(carries, a.stripeAsked)
	if err != nil {
		return nil, err
	}
	m, err := r.Moment()
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	defer m.Close()
	if err := refuseSick(carries.Name, m.Losses(oneBucket(a.Bucket))); err != nil {
		return nil, err
	}
	var after contract.Key
	if a.After != nil {
		after = *a.After
	}
	n.counts.reads.Add(1)
	docs, more, err := m.Index(a.Bucket, after, or(a.Limit, maxIndex))
	if err != nil {
		return nil, fmt.Errorf("read bucket %v: %w", a.Bucket, err)
	}
	tell := indexTell{telling: n.telling(), sideTold: tellMoment(carries.Name, m), Bucket: a.Bucket, Documents: []docTold{}, More: more}
	size := 0
	for i := range docs {
		size += indexRow + jsonFactor*(len(docs[i].Key.Space)+len(docs[i].Key.Key)+len(docs[i].Damaged))
		if len(tell.Documents) > 0 && size > n.indexBytes {
			tell.More = true
			break
		}
		if !nameable(docs[i].Key) {
			continue
		}
		tell.Documents = append(tell.Documents, tellDoc(&docs[i]))
	}
	return tell, nil
}

// indexRow bounds what a document takes in an index beside its texts.
const indexRow = 512

func tellMoment(stripe string, m *buckets.Moment) sideTold {
	return sideTold{Stripe: stripe, Applied: wirePosition(m.Position()), Horizon: wirePosition(m.Horizon())}
}

func (n *scene) document(a *documentAsk) (any, error) {
	b := layout.BucketOf(a.Space, a.Key.Key)
	carries, _ := n.layout.StripeOf(b) // on a valid layout it is there
	r, sick, err := n.stripe(carries, a.stripeAsked)
	if err != nil {
		return nil, err
	}
	m, err := r.Moment()
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	defer m.Close()
	sick = cmp.Or(sick, m.Losses(oneBucket(b)))
	n.counts.reads.Add(1)
	state, size, err := examine(m, a.Key)
	if err != nil {
		return nil, fmt.Errorf("read document %q in space %q: %w", a.Key.Key, a.Space, err)
	}
	tell := documentTell{
		telling: n.telling(), sideTold: tellMoment(carries.Name, m), Sick: clip(sick, maxRefusalText),
		Bucket: b, docTold: tellDoc(&state), Checked: checkedOK, Image: size,
	}
	switch {
	case state.Damaged != "":
		tell.Checked = checkedDamaged
	case state.Position.IsZero():
		tell.Checked = checkedAbsent
	}
	return tell, nil
}

// examine reads all of a document and checks it. A good one has a size.
func examine(m *buckets.Moment, k contract.Key) (state buckets.DocState, size int, err error) {
	if state, err = m.Document(k); err != nil || state.Damaged != "" || state.Position.IsZero() {
		state.Key = k
		return state, 0, err
	}
	im, err := m.Image(k)
	if err != nil {
		return state, 0, err
	}
	return state, im.Size(), nil
}

// nameable reports whether a document can be told of: a name that is no text is damage.
func nameable(k contract.Key) bool { return utf8.ValidString(k.Space) && utf8.ValidString(k.Key) }
