package repair

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/repair/plan"
)

// A round compares the healthy stripes of this host with every member of each that can
// be asked: one question to each peer, and more only where roots differ.
type round struct {
	r      *Repairer
	notes  *notes
	dry    *plan.Plan // takes the operations instead of their being done; nil for none
	result RoundResult
}

// round does one. It fails when repair is paused, when the store fails, and when ctx
// ends; what a peer does wrong is in the result.
func (r *Repairer) round(ctx context.Context, scope Scope, dry *plan.Plan) (RoundResult, error) {
	if err := r.rounds.lock(ctx); err != nil {
		return RoundResult{}, err
	}
	defer r.rounds.unlock()
	r.runs(true)
	defer r.runs(false)
	d := &round{r: r, notes: newNotes(r), dry: dry, result: RoundResult{Began: time.Now(), Peers: []PeerResult{}}}
	var err error
	r.cpu.do(func() { err = d.run(ctx, scope) })
	d.notes.into(&d.result)
	d.result.TookMS = time.Since(d.result.Began).Milliseconds()
	if err != nil {
		d.result.Error = err.Error()
	}
	if dry == nil {
		r.ended(d.result)
	}
	return d.result, err
}

func (d *round) run(ctx context.Context, scope Scope) error {
	stripes, err := d.r.within(scope)
	if err != nil {
		return err
	}
	if err := d.r.throttle.paused(); err != nil && d.dry == nil {
		return err
	}
	if d.dry == nil {
		if err := d.r.quarantine(ctx); err != nil {
			return err
		}
	}
	if err := d.mend(ctx, stripes); err != nil {
		return err
	}
	asks := map[string][]*Stripe{}
	for i := range stripes {
		s := &stripes[i].Stripe
		if s.Sick != "" {
			d.notes.skip(Skipped{Stripe: s.Name, Why: "this host is sick in it and heals: " + s.Sick})
			continue
		}
		healthy := d.r.Host.Healthy(s.Name)
		for _, m := range s.Members {
			switch {
			case slices.Contains(healthy, m):
				asks[m] = append(asks[m], s)
			case m != d.r.Self:
				d.notes.skip(Skipped{Stripe: s.Name, Why: m + " is not alive, or sick in it"})
			}
		}
	}
	whole := map[string]bool{}
	for i := range stripes {
		whole[stripes[i].Name] = stripes[i].whole
	}
	peers := slices.Sorted(maps.Keys(asks))
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	for _, peer := range peers {
		if err := d.peer(ctx, peer, asks[peer], whole); err != nil {
			return err
		}
	}
	return nil
}

// peer compares stripes with one peer. What the peer does wrong ends that for the stripe
// that was being compared, or for all of them where it does not answer at all.
func (d *round) peer(ctx context.Context, peer string, stripes []*Stripe, whole map[string]bool) error {
	result := PeerResult{Host: peer}
	defer func() { d.result.Peers = append(d.result.Peers, result) }()
	names := make([]string, len(stripes))
	for i, s := range stripes {
		names[i] = s.Name
	}
	failed := func(stripe string, err error) error {
		if fatal(ctx, err) {
			return causeOf(ctx, err)
		}
		d.r.peerFailed(peer, stripe, err)
		result.Error = err.Error()
		d.notes.skip(Skipped{Stripe: stripe, Why: err.Error()})
		return nil
	}
	roots, err := d.r.Peers.Roots(ctx, peer, names...)
	if err != nil {
		return failed("", err)
	}
	for _, root := range roots {
		i := slices.Index(names, root.Stripe)
		if i < 0 {
			continue
		}
		if root.Sick != "" {
			d.notes.skip(Skipped{Stripe: root.Stripe, Why: peer + " is sick in it: " + root.Sick})
			continue
		}
		c := &comparison{look: look{r: d.r, stripe: stripes[i], peer: peer, plans: d.dry != nil, notes: d.notes}, dry: d.dry}
		equal, err := c.run(ctx, root, whole[root.Stripe])
		if err != nil {
			if err := failed(root.Stripe, err); err != nil {
				return err
			}
			continue
		}
		d.compared(root.Stripe, peer)
		result.Stripes++
		if equal {
			result.Equal++
		}
	}
	return nil
}

// mendsAtOnce bounds the known damage that one round works on, so that what cannot be
// mended does not keep it from comparing.
const mendsAtOnce = 4096

// mend fetches the documents that are known to be damaged, in any order.
func (d *round) mend(ctx context.Context, stripes []scoped) error {
	damaged := d.r.Store.Damaged()
	rand.Shuffle(len(damaged), func(i, j int) { damaged[i], damaged[j] = damaged[j], damaged[i] })
	for _, damage := range damaged[:min(mendsAtOnce, len(damaged))] {
		b := layout.BucketOf(damage.Key.Space, damage.Key.Key)
		s := stripeWith(stripes, b)
		if s == nil || s.Sick != "" {
			continue
		}
		if err := d.mendOne(ctx, s, damage.Key); err != nil {
			if fatal(ctx, err) {
				return causeOf(ctx, err)
			}
			d.notes.skip(Skipped{Stripe: s.Name, Bucket: b.String(), Space: damage.Key.Space, Key: damage.Key.Key, Why: err.Error()})
			continue
		}
		d.notes.mended()
	}
	return nil
}

// mendOne mends one of them, or plans to.
func (d *round) mendOne(ctx context.Context, s *Stripe, k contract.Key) error {
	if d.dry == nil {
		_, err := d.r.mendOne(ctx, s, k, ForCorruption, false)
		return err
	}
	f, decision, err := d.r.whole(ctx, s, k)
	b := layout.BucketOf(k.Space, k.Key)
	switch {
	case err != nil:
		return err
	case decision.Action == plan.Pull, decision.Action == plan.Drop:
		d.dry.Ops = append(d.dry.Ops, opOf(s.Name, b, k, &f, &decision))
	case decision.Action == plan.Undecided:
		d.dry.Undecided = append(d.dry.Undecided, plan.Open{Stripe: s.Name, Bucket: b, Key: k, Rule: decision.Rule, Asks: decision.Asks})
	}
	return nil
}

// compared notes in a plan that a stripe was compared with a peer.
func (d *round) compared(stripe, peer string) {
	if d.dry == nil {
		return
	}
	for i := range d.dry.Stripes {
		if seen := &d.dry.Stripes[i]; seen.Stripe == stripe {
			seen.Peers = append(seen.Peers, peer)
		}
	}
}

// runs notes whether a round runs.
func (r *Repairer) runs(running bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = running
}

// A scoped is a stripe, or the part of it that a scope leaves.
type scoped struct {
	Stripe
	whole bool
}

// within are this host's stripes, as far as they are in a scope.
func (r *Repairer) within(scope Scope) ([]scoped, error) {
	all := r.Host.Stripes()
	r.clean.follow(all)
	var some []scoped
	for _, s := range all {
		if scope.Stripe != "" && s.Name != scope.Stripe {
			continue
		}
		whole := true
		if scope.Partition != nil {
			s.Partitions = slices.DeleteFunc(slices.Clone(s.Partitions), func(p layout.Partition) bool { return p.ID != *scope.Partition })
			whole = false
		}
		if len(s.Partitions) > 0 {
			some = append(some, scoped{s, whole})
		}
	}
	if len(some) == 0 && scope != (Scope{}) {
		return nil, fmt.Errorf("%w: %v", ErrNothingHere, scope)
	}
	return some, nil
}

func stripeWith(stripes []scoped, b layout.Bucket) *Stripe {
	for i := range stripes {
		if slices.ContainsFunc(stripes[i].Partitions, func(p layout.Partition) bool { return p.Has(b) }) {
			return &stripes[i].Stripe
		}
	}
	return nil
}

// String names a scope as people do.
func (s Scope) String() string {
	switch {
	case s.Partition != nil && s.Stripe != "":
		return fmt.Sprintf("partition %v of stripe %s", *s.Partition, s.Stripe)
	case s.Partition != nil:
		return fmt.Sprintf("partition %v", *s.Partition)
	case s.Stripe != "":
		return "stripe " + s.Stripe
	}
	return "everything"
}
