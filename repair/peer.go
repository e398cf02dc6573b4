package repair

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/repair/plan"
)

// A Peer asks other hosts about their copies. Set the fields, then use it, from as
// many goroutines as needed; do not copy it. Answers are checked before anything of
// them is handed on. Errors match [ErrUnreachable], [ErrRefused], [ErrGarbage] or
// [ErrLayout], or are that of ctx.
type Peer struct {
	// Conn is in the account of the logs, or an operator's. It stays the caller's. One
	// that is for this alone keeps large answers away from what must not wait.
	Conn *nats.Conn
	// Self is the name of the host that asks, for people; empty for who is none.
	Self string
	// Layout is the layout in force here, and its digest. Peers that run another one are
	// not believed.
	Layout func() (l layout.Layout, digest string)
	// Timeout bounds one question and its answer. 5 s when zero.
	Timeout time.Duration
	// Stall is how long a stream of documents may stand still. 10 s when zero.
	Stall time.Duration
	// Window is how many bytes of documents may be under way in one stream. 4 MiB when
	// zero, 64 KiB at least.
	Window int
	// MaxImage bounds one document, in bytes of its image. 1 GiB when zero.
	MaxImage int

	sent, received atomic.Uint64
}

// PeerTraffic is what a [Peer] has sent and received, in bytes of messages: subjects,
// headers and bodies.
type PeerTraffic struct {
	Sent, Received uint64
}

// Traffic counts from the first question on.
func (p *Peer) Traffic() PeerTraffic {
	return PeerTraffic{Sent: p.sent.Load(), Received: p.received.Load()}
}

// StripeRoot is one stripe of a peer.
type StripeRoot struct {
	Stripe     string
	Sick       string          // why the peer must not be asked for it; then nothing else is set
	Side       plan.Side       // the peer's
	Root       plan.Root       // of every bucket of the stripe
	Partitions []PartitionRoot // only if they were asked for, in the order of their buckets
}

// PartitionRoot is one partition of a peer.
type PartitionRoot struct {
	Partition layout.PartitionID
	Root      plan.Root
}

// A Copy is one member's copy of a document.
type Copy struct {
	Side plan.Side // the member's
	// Sick is why the member's stripe is sick; "" when it is not. A sick member's copy
	// counts for nothing.
	Sick string
	// Doc has no Position where there is no copy, and says why in Damaged where the copy
	// fails its own check.
	Doc   plan.Doc
	Image int // bytes of its image, 0 where there is no good one
}

// Roots asks for the roots of stripes, all of the peer's when none is named. It is
// the first question of a round: one small message there and one back. Stripes that
// the peer has no copy of are not in the answer.
func (p *Peer) Roots(ctx context.Context, host string, stripes ...string) ([]StripeRoot, error) {
	c := p.call(host)
	var tell rootsTell
	if err := c.ask(ctx, EndpointRoots, rootsAsk{asking: c.asking(), Stripes: stripes}, &tell); err != nil {
		return nil, err
	}
	roots, err := tell.check(c.expected(), stripes, false)
	return roots, c.judge(EndpointRoots, err)
}

// Partitions asks for the roots of a stripe and of each of its partitions.
func (p *Peer) Partitions(ctx context.Context, host, stripe string) (StripeRoot, error) {
	c := p.call(host)
	var tell rootsTell
	if err := c.ask(ctx, EndpointRoots, rootsAsk{asking: c.asking(), Stripes: []string{stripe}, Partitions: true}, &tell); err != nil {
		return StripeRoot{}, err
	}
	roots, err := tell.check(c.expected(), []string{stripe}, true)
	switch {
	case err != nil:
		return StripeRoot{}, c.judge(EndpointRoots, err)
	case len(roots) == 0:
		return StripeRoot{}, &RefusedError{Host: host, Code: CodeNotFound, Why: "it has no copy of stripe " + stripe}
	case roots[0].Sick != "":
		return StripeRoot{}, &RefusedError{Host: host, Code: CodeSick, Why: roots[0].Sick}
	}
	return roots[0], nil
}

// A Stand is where a peer stands in the log of a stripe.
type Stand struct {
	buckets.Applied
	// Lost are the buckets that have lost rows there, in order. The peer tells nothing of
	// them.
	Lost []buckets.Range
}

// Stand asks where a peer stands in the log of a stripe.
func (p *Peer) Stand(ctx context.Context, host, stripe string) (Stand, error) {
	c := p.call(host)
	asked, err := c.stripe(stripe)
	if err != nil {
		return Stand{}, err
	}
	var tell standTell
	if err := c.ask(ctx, EndpointStand, standAsk{asking: c.asking(), stripeAsked: asked}, &tell); err != nil {
		return Stand{}, err
	}
	at, err := tell.check(c.expected(), asked)
	return at, c.judge(EndpointStand, err)
}

// Buckets asks for the state of each bucket of some partitions of one stripe, all as
// of one moment, in the order of the partitions asked for.
func (p *Peer) Buckets(ctx context.Context, host, stripe string, partitions ...layout.PartitionID) (plan.Side, []plan.BucketState, error) {
	c := p.call(host)
	asked, err := c.stripe(stripe)
	if err != nil {
		return plan.Side{}, nil, err
	}
	var tell bucketsTell
	ask := bucketsAsk{asking: c.asking(), stripeAsked: asked, Partitions: partitions}
	if err := c.ask(ctx, EndpointBuckets, ask, &tell); err != nil {
		return plan.Side{}, nil, err
	}
	side, states, err := tell.check(c.expected(), asked, partitions)
	return side, states, c.judge(EndpointBuckets, err)
}

// Index asks for the documents of a bucket, tombstones included, in the order of
// their names. Where it takes several answers, the side is that of the earliest.
func (p *Peer) Index(ctx context.Context, host string, b layout.Bucket) (plan.Side, []plan.Doc, error) {
	c := p.call(host)
	asked, err := c.stripeOf(b)
	if err != nil {
		return plan.Side{}, nil, err
	}
	var all []plan.Doc
	var first plan.Side
	for after := (*contract.Key)(nil); ; {
		var tell indexTell
		ask := indexAsk{asking: c.asking(), stripeAsked: asked, Bucket: b, After: after}
		if err := c.ask(ctx, EndpointIndex, ask, &tell); err != nil {
			return plan.Side{}, nil, err
		}
		side, docs, err := tell.check(c.expected(), asked, b, after)
		if err := c.judge(EndpointIndex, err); err != nil {
			return plan.Side{}, nil, err
		}
		if after == nil {
			first = side
		}
		all = append(all, docs...)
		if !tell.More {
			return first, all, nil
		}
		after = &all[len(all)-1].Key
	}
}

// Document asks for all that a peer knows of its copy of a document. The peer reads
// all of it from its disk and checks it.
func (p *Peer) Document(ctx context.Context, host string, k contract.Key) (Copy, error) {
	c := p.call(host)
	asked, err := c.stripeOf(layout.BucketOf(k.Space, k.Key))
	if err != nil {
		return Copy{}, err
	}
	var tell documentTell
	if err := c.ask(ctx, EndpointDocument, documentAsk{asking: c.asking(), stripeAsked: asked, Key: k}, &tell); err != nil {
		return Copy{}, err
	}
	found, err := tell.check(c.expected(), asked, k)
	return found, c.judge(EndpointDocument, err)
}
