package repair

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// Peers is how a [Repairer] asks other members; see [Peer] for what each method
// promises.
type Peers interface {
	Roots(ctx context.Context, host string, stripes ...string) ([]StripeRoot, error)
	Partitions(ctx context.Context, host, stripe string) (StripeRoot, error)
	Buckets(ctx context.Context, host, stripe string, partitions ...layout.PartitionID) (plan.Side, []plan.BucketState, error)
	Index(ctx context.Context, host string, b layout.Bucket) (plan.Side, []plan.Doc, error)
	Document(ctx context.Context, host string, k contract.Key) (Copy, error)
	Documents(ctx context.Context, host, stripe string, wants []Want, visit func(*Pulled) error) ([]Missed, error)
	Stand(ctx context.Context, host, stripe string) (Stand, error)
}

// errStore marks what this host's own store failed with: asking another peer is of no
// use.
var errStore = errors.New("the document store fails")

func ofStore(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errStore, err)
}

// A wanted is a document to pull, and why.
type wanted struct {
	Want
	reason Reason
	over   *digest.Digest // of the outvoted copy here, to be replaced at the same position
}

// A settled is what became of a wanted document.
type settled struct {
	wanted
	outcome buckets.Outcome // 0: it did not come
	bytes   int             // of its image
	why     string          // it did not come
}

// done tells whether nothing is left to do.
func (s *settled) done() bool { return s.outcome == buckets.Taken || s.outcome == buckets.Older }

// Bounds of what is put at once. An end of the process loses what has come and is not
// put: a list that gathers, one that waits, and one that is being put.
const (
	putBytes = 1 << 20 // of images, unless one alone is larger
	putCount = 128     // images
)

// A pulling is one stream of documents of a stripe from one peer into the store. What
// came is put while more comes.
type pulling struct {
	r      *Repairer
	stripe *Stripe
	from   string
	urgent bool              // a request waits: the rate is not waited for
	since  position.Position // nothing may come from before it
	wants  map[contract.Key]wanted
	told   func(settled) // of each document, in the order in which they came

	list  []*Pulled
	bytes int
}

// pull pulls documents and tells of each what became of it. Those that it does not tell
// of did not come, because of the error.
func (p *pulling) pull(ctx context.Context, wants []wanted, told func(settled)) error {
	p.wants, p.told = make(map[contract.Key]wanted, len(wants)), told
	list := make([]Want, len(wants))
	for i, w := range wants {
		list[i] = w.Want
		p.wants[w.Key] = w
	}
	return p.run(ctx, list)
}

func (p *pulling) run(ctx context.Context, wants []Want) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	watch := newWatch(p.r.Config.BucketTimeout, end)
	defer watch.stop()
	lists := make(chan []*Pulled, 1)
	var put error
	var wait sync.WaitGroup
	wait.Go(func() {
		for list := range lists {
			if put == nil {
				p.r.cpu.do(func() { put = p.put(list) })
			}
			if put != nil {
				end(put)
			}
		}
	})
	missed, err := p.r.Peers.Documents(ctx, p.from, p.stripe.Name, wants, func(d *Pulled) error {
		watch.stop() // the waits that follow are this host's own
		defer watch.start()
		return p.take(ctx, d, lists)
	})
	if len(p.list) > 0 {
		lists <- p.list // what came is good, whatever ended the pull
	}
	close(lists)
	wait.Wait()
	if put != nil {
		return put
	}
	for _, m := range missed {
		if w, ok := p.wants[m.Want.Key]; ok {
			p.told(settled{wanted: w, why: missedWhy(p.from, m)})
		}
	}
	if err != nil && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	return err
}

func missedWhy(from string, m Missed) string {
	if m.Damaged == "" {
		return from + " has no copy"
	}
	return fmt.Sprintf("the copy of %s is damaged: %s", from, m.Damaged)
}

// take checks a document and adds it to the list, which goes on when it is long enough.
func (p *pulling) take(ctx context.Context, d *Pulled, lists chan<- []*Pulled) error {
	if err := p.check(d); err != nil {
		return err
	}
	size := d.Image.Size()
	if p.urgent {
		p.r.throttle.charge(size)
	} else if err := p.r.throttle.take(ctx, size); err != nil {
		return err
	}
	p.list, p.bytes = append(p.list, d), p.bytes+size
	if p.bytes < putBytes && len(p.list) < putCount {
		return nil
	}
	select {
	case lists <- p.list:
		p.list, p.bytes = nil, 0
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// check refuses what was not asked for, and what is not what was told of it. A
// document may well be beyond what its member has applied: an image brought it there.
func (p *pulling) check(d *Pulled) error {
	w, ok := p.wants[d.Doc.Key]
	if !ok || d.Image.Key != w.Key {
		return lied(p.from, "document %q in space %q was not asked for", d.Doc.Key.Key, d.Doc.Key.Space)
	}
	state, err := d.Image.Check()
	switch {
	case err != nil:
		return lied(p.from, "document %q in space %q: %w", w.Key.Key, w.Key.Space, err)
	case state.Position.Less(w.Position), state.Position == w.Position && state.Digest != w.Digest:
		return lied(p.from, "document %q in space %q is at %v with digest %v, told was %v with %v",
			w.Key.Key, w.Key.Space, state.Position, state.Digest, w.Position, w.Digest)
	}
	return nil
}

func lied(host, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %w", host, ErrGarbage, fmt.Errorf(format, args...))
}

// put puts a list into the store.
func (p *pulling) put(list []*Pulled) error {
	floor := later(p.since, p.r.clean.floor(p.stripe.Name))
	puts, from := make([]buckets.Put, 0, len(list)), make([]*Pulled, 0, len(list))
	for _, d := range list {
		w := p.wants[d.Doc.Key]
		// A document may be ahead of what its member has applied, and has then all that
		// there is up to where it stands.
		asOf := later(d.Side.Applied, d.Doc.Position)
		if asOf.Less(floor) {
			p.told(settled{wanted: w, outcome: buckets.TooOld, why: notTaken(buckets.TooOld)})
			continue
		}
		over := w.over
		if d.Doc.Position != w.Position || d.Doc.Digest != w.Digest {
			over = nil // it is not the copy that was voted for
		}
		puts, from = append(puts, buckets.Put{Image: d.Image, AsOf: asOf, Over: over}), append(from, d)
	}
	result, err := p.stripe.Replica.Put(puts)
	if err != nil {
		return ofStore(err)
	}
	for i, d := range from {
		w := p.wants[d.Doc.Key]
		outcome, why := result.Outcomes[i], notTaken(result.Outcomes[i])
		switch {
		case outcome == buckets.Taken:
			p.r.count.taken(w.reason, d.Image.Size())
			p.repaired(w, d)
		case outcome == buckets.Older && w.over != nil:
			outcome, why = buckets.Moved, "the copy here is whole and newer than the one that most members have, or has changed meanwhile"
		}
		p.told(settled{wanted: w, outcome: outcome, bytes: d.Image.Size(), why: why})
	}
	return nil
}

func later(p, q position.Position) position.Position {
	if p.Less(q) {
		return q
	}
	return p
}

// repaired tells of a document that was replaced; of the many of a sick stripe their
// number is told.
func (p *pulling) repaired(w wanted, d *Pulled) {
	if w.reason == ForHeal {
		return
	}
	p.r.tell(Repaired{
		Stripe: p.stripe.Name, Key: w.Key, Reason: w.reason, From: p.from,
		Position: d.Doc.Position, Digest: d.Doc.Digest, Bytes: d.Image.Size(),
	})
}

func notTaken(o buckets.Outcome) string {
	switch o {
	case buckets.TooOld:
		return "the copy here lacks changes that the peer has not applied yet either"
	case buckets.Moved:
		return "the document has changed meanwhile"
	}
	return ""
}

// A watch ends a piece of work that makes no progress.
type watch struct {
	timer *time.Timer
	after time.Duration
}

func newWatch(after time.Duration, end context.CancelCauseFunc) *watch {
	return &watch{after: after, timer: time.AfterFunc(after, func() {
		end(fmt.Errorf("%w: nothing came for %v", ErrUnreachable, after))
	})}
}

func (w *watch) stop()  { w.timer.Stop() }
func (w *watch) start() { w.timer.Reset(w.after) }
