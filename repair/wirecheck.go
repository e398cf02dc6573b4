package repair

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// expected is what every answer of a host must say of itself.
type expected struct {
	host   string
	layout *layout.Layout
	digest string
}

// parseTell reads the body of an answer. Fields that it does not know are left alone.
func parseTell(body []byte, tell any) error {
	if len(body) > maxAnswer {
		return fmt.Errorf("answer of %d bytes, at most %d are read", len(body), maxAnswer)
	}
	if err := json.Unmarshal(body, tell); err != nil {
		return fmt.Errorf("the answer is not understood: %w", err)
	}
	return nil
}

func (e *expected) told(t *telling) error {
	switch {
	case t.Version != protocolVersion:
		return fmt.Errorf("answer of version %d, this program reads version %d", t.Version, protocolVersion)
	case t.Host != e.host:
		return fmt.Errorf("the answer is that of host %q", t.Host)
	case t.Layout != e.layout.Version || t.LayoutDigest != e.digest:
		return fmt.Errorf("%w: version %d with digest %.64q, here version %d with digest %s is in force",
			ErrLayout, t.Layout, t.LayoutDigest, e.layout.Version, e.digest)
	}
	return nil
}

// side checks of which stripe an answer speaks.
func (e *expected) side(s *sideTold, asked stripeAsked) (plan.Side, error) {
	side := plan.Side{Host: e.host, Applied: position.Position(s.Applied), Horizon: position.Position(s.Horizon)}
	switch {
	case s.Stripe != asked.Stripe:
		return side, fmt.Errorf("the answer is about stripe %q, not %s", s.Stripe, asked.Stripe)
	case side.Applied.Birth != asked.Birth:
		return side, fmt.Errorf("%w: stripe %s has birth %d there, %d here", ErrLayout, asked.Stripe, side.Applied.Birth, asked.Birth)
	case side.Horizon.Birth > asked.Birth:
		return side, fmt.Errorf("horizon %v is of a later stripe than %s", side.Horizon, asked.Stripe)
	}
	return side, nil
}

// position checks where something in a stripe was changed last.
func (e *expected) position(p position.Position, side plan.Side) error {
	if p.Birth == 0 || p.Seq == 0 || p.Birth > side.Applied.Birth {
		return fmt.Errorf("position %v is none of a stripe of birth %d", p, side.Applied.Birth)
	}
	return nil
}

func (t *rootsTell) check(e expected, asked []string, partitions bool) ([]StripeRoot, error) {
	if err := e.told(&t.telling); err != nil {
		return nil, err
	}
	roots := make([]StripeRoot, 0, len(t.Stripes))
	for i := range t.Stripes {
		told := &t.Stripes[i]
		s, ok := e.layout.Stripe(told.Stripe)
		switch {
		case !ok || len(asked) > 0 && !slices.Contains(asked, told.Stripe):
			return nil, fmt.Errorf("the answer is about stripe %q, which was not asked for", told.Stripe)
		case slices.ContainsFunc(roots, func(r StripeRoot) bool { return r.Stripe == told.Stripe }):
			return nil, fmt.Errorf("the answer tells of stripe %s twice", told.Stripe)
		case told.Sick != "":
			roots = append(roots, StripeRoot{Stripe: s.Name, Sick: clip(told.Sick, maxRefusalText)})
			continue
		}
		root, err := told.check(&e, s, partitions)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	return roots, nil
}

func (t *rootTold) check(e *expected, s layout.Stripe, partitions bool) (StripeRoot, error) {
	side, err := e.side(&t.sideTold, stripeAsked{s.Name, s.Birth})
	if err != nil {
		return StripeRoot{}, err
	}
	root := StripeRoot{Stripe: s.Name, Side: side, Root: plan.Root{Digest: digest.Digest(t.Root), Position: position.Position(t.Position)}}
	if root.Root.Position.Birth > s.Birth {
		return StripeRoot{}, fmt.Errorf("position %v of stripe %s is of a later stripe", root.Root.Position, s.Name)
	}
	if !partitions {
		return root, nil
	}
	wanted := e.layout.PartitionsOf(s.Name)
	if len(t.Partitions) != len(wanted) {
		return StripeRoot{}, fmt.Errorf("the answer has %d partitions of stripe %s, which has %d", len(t.Partitions), s.Name, len(wanted))
	}
	for i, p := range wanted {
		told := &t.Partitions[i]
		if told.Partition != p.ID {
			return StripeRoot{}, fmt.Errorf("the answer has partition %v where %v of stripe %s belongs", told.Partition, p.ID, s.Name)
		}
		root.Partitions = append(root.Partitions, PartitionRoot{p.ID, plan.Root{Digest: digest.Digest(told.Root), Position: position.Position(told.Position)}})
	}
	return root, nil
}

func (t *standTell) check(e expected, asked stripeAsked) (Stand, error) {
	if err := e.told(&t.telling); err != nil {
		return Stand{}, err
	}
	side, err := e.side(&t.sideTold, asked)
	if err != nil {
		return Stand{}, err
	}
	chain, err := digest.ParseChain(t.Chain)
	a := buckets.Applied{Seq: side.Applied.Seq, Chain: chain, Epoch: position.Position(t.Epoch), Time: t.Time, Horizon: side.Horizon}
	switch {
	case err != nil:
		return Stand{}, err
	case side.Applied.Less(a.Epoch):
		return Stand{}, fmt.Errorf("epoch %v comes after %v", a.Epoch, side.Applied)
	case a.Seq == 0 && a != buckets.Applied{}, a.Time < 0:
		return Stand{}, fmt.Errorf("the log up to %v has epoch %v, chain %v and time %d", side.Applied, a.Epoch, a.Chain, a.Time)
	}
	lost, err := t.lost()
	return Stand{a, lost}, err
}

// lost are the buckets that a peer tells nothing of.
func (t *standTell) lost() (list []buckets.Range, err error) {
	next := 0
	for _, g := range t.Lost {
		if int(g[0]) < next || g[1] < g[0] || g[1] >= layout.Buckets {
			return nil, fmt.Errorf("lost buckets %v do not come in order", t.Lost)
		}
		next = int(g[1]) + 1
		list = append(list, buckets.Range{First: g[0], Last: g[1]})
	}
	return list, nil
}

func (t *bucketsTell) check(e expected, asked stripeAsked, partitions []layout.PartitionID) (plan.Side, []plan.BucketState, error) {
	if err := e.told(&t.telling); err != nil {
		return plan.Side{}, nil, err
	}
	side, err := e.side(&t.sideTold, asked)
	if err != nil {
		return plan.Side{}, nil, err
	}
	ranges, err := rangesOf(e.layout, asked.Stripe, partitions)
	if err != nil {
		return plan.Side{}, nil, err
	}
	states := make([]plan.BucketState, 0, bucketsIn(ranges))
	told := t.Buckets
	for _, r := range ranges {
		for b := r.First; ; b++ {
			state := plan.BucketState{Bucket: b}
			if len(told) > 0 && told[0].Bucket == b {
				state.Digest, state.Position = digest.Digest(told[0].Digest), position.Position(told[0].Position)
				if err := e.position(state.Position, side); err != nil {
					return plan.Side{}, nil, fmt.Errorf("bucket %v: %w", b, err)
				}
				told = told[1:]
			}
			states = append(states, state)
			if b == r.Last {
				break
			}
		}
	}
	if len(told) > 0 {
		return plan.Side{}, nil, fmt.Errorf("bucket %v was not asked for, or is not in its place", told[0].Bucket)
	}
	return side, states, nil
}

// rangesOf are the buckets of partitions, all of which must be of the stripe.
func rangesOf(l *layout.Layout, stripe string, partitions []layout.PartitionID) ([]buckets.Range, error) {
	ranges := make([]buckets.Range, 0, len(partitions))
	for i, id := range partitions {
		p, ok := l.Partition(id)
		switch {
		case !ok:
			return nil, fmt.Errorf("layout %d has no partition %v", l.Version, id)
		case p.Stripe != stripe:
			return nil, fmt.Errorf("partition %v is on stripe %s, not %s", id, p.Stripe, stripe)
		case slices.Contains(partitions[:i], id):
			return nil, fmt.Errorf("partition %v is there twice", id)
		}
		ranges = append(ranges, buckets.Range{First: p.First, Last: p.Last})
	}
	return ranges, nil
}

func bucketsIn(ranges []buckets.Range) (n int) {
	for _, r := range ranges {
		n += int(r.Last) - int(r.First) + 1
	}
	return n
}

func (t *indexTell) check(e expected, asked stripeAsked, b layout.Bucket, after *contract.Key) (plan.Side, []plan.Doc, error) {
	if err := e.told(&t.telling); err != nil {
		return plan.Side{}, nil, err
	}
	side, err := e.side(&t.sideTold, asked)
	switch {
	case err != nil:
		return plan.Side{}, nil, err
	case t.Bucket != b:
		return plan.Side{}, nil, fmt.Errorf("the answer is about bucket %v, not %v", t.Bucket, b)
	case t.More && len(t.Documents) == 0:
		return plan.Side{}, nil, errors.New("the answer has no documents, but says that there are more")
	case len(t.Documents) > maxIndex:
		return plan.Side{}, nil, fmt.Errorf("the answer has %d documents, at most %d are read", len(t.Documents), maxIndex)
	}
	docs := make([]plan.Doc, len(t.Documents))
	for i := range t.Documents {
		d := &t.Documents[i]
		if after != nil && after.Compare(d.Key) >= 0 {
			return plan.Side{}, nil, fmt.Errorf("document %q in space %q is not in its place", d.Key.Key, d.Space)
		}
		if err := d.check(&e, side, b); err != nil {
			return plan.Side{}, nil, fmt.Errorf("document %q in space %q: %w", d.Key.Key, d.Space, err)
		}
		docs[i], after = d.doc(), &d.Key
	}
	return side, docs, nil
}

// check looks at what is said of a document that is there.
func (d *docTold) check(e *expected, side plan.Side, b layout.Bucket) error {
	if at := layout.BucketOf(d.Space, d.Key.Key); at != b {
		return fmt.Errorf("it belongs into bucket %v, not %v", at, b)
	}
	d.Damaged = clip(d.Damaged, maxDamageText)
	if d.Damaged != "" {
		return nil // nothing else need be right
	}
	if position.Position(d.Incarnation).Compare(position.Position(d.Position)) > 0 {
		return fmt.Errorf("it is at %v, and of a later incarnation %v", position.Position(d.Position), position.Position(d.Incarnation))
	}
	return e.position(position.Position(d.Position), side)
}

func (t *documentTell) check(e expected, asked stripeAsked, k contract.Key) (Copy, error) {
	if err := e.told(&t.telling); err != nil {
		return Copy{}, err
	}
	side, err := e.side(&t.sideTold, asked)
	b := layout.BucketOf(k.Space, k.Key)
	switch {
	case err != nil:
		return Copy{}, err
	case t.Key != k || t.Bucket != b:
		return Copy{}, fmt.Errorf("the answer is about document %q in space %q and bucket %v", t.Key.Key, t.Space, t.Bucket)
	case (t.Checked == checkedDamaged) != (t.Damaged != ""), !slices.Contains([]string{checkedOK, checkedDamaged, checkedAbsent}, t.Checked):
		return Copy{}, fmt.Errorf("its check says %q, and of its damage %q", t.Checked, t.Damaged)
	case t.Checked == checkedAbsent:
		return Copy{Side: side, Sick: clip(t.Sick, maxRefusalText), Doc: plan.Doc{Key: k}}, nil
	}
	if err := t.docTold.check(&e, side, b); err != nil {
		return Copy{}, err
	}
	return Copy{Side: side, Sick: clip(t.Sick, maxRefusalText), Doc: t.doc(), Image: max(0, t.Image)}, nil
}

// clip cuts a text to so many bytes at most.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}
