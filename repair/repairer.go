package repair

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// A Host is what a [Repairer] needs to know of the daemon around it. Its methods are
// called from several goroutines and answer from memory, [Host.Healed] excepted.
type Host interface {
	// Stripes are the stripes that this host is a member of and has a replica of, those
	// included whose log is not open.
	Stripes() []Stripe
	// Healthy names the other members of a stripe that are alive and not sick there,
	// the owner first while one of them owns it.
	Healthy(stripe string) []string
	// Healed is called when the replica of a sick stripe stands at a position of a
	// healthy member and every bucket is equal to that member's. The host opens the log
	// from there and takes the stripe for healthy. An error means that it is not: the
	// healing is done again, at once where the error is [ErrLogPassed].
	Healed(ctx context.Context, stripe string, at buckets.Applied) error
}

// A Stripe is what this host keeps of one.
type Stripe struct {
	Name       string
	Members    []string           // every host of it, this one too
	Partitions []layout.Partition // that it carries, in the order of their buckets
	Replica    *buckets.Replica
	// Sick is why the log alone cannot bring this replica up to date; "" when it can.
	// A sick stripe is healed, one stripe after another, and is not part of rounds.
	Sick string
}

// A Scope is what a run looks at. The zero value is everything.
type Scope struct {
	Stripe    string              `json:"stripe,omitempty"`    // "" for every stripe
	Partition *layout.PartitionID `json:"partition,omitempty"` // nil for every partition
}

// A Repairer compares the replicas of one host with those of other members and makes
// them equal. Set the fields, then Start; it starts once. Its methods may be called
// from several goroutines.
type Repairer struct {
	Self   string         // the name of this host; required
	Store  *buckets.Store // required
	Host   Host           // required
	Config Config
	// Dir is where repair.json is kept: positions, progress, rate and pause. Nothing is
	// kept when it is empty.
	Dir      string
	Listener func(Event)  // told of everything, on the Repairer's goroutines; must be quick; nil for nobody
	Logger   *slog.Logger // nil for none

	stop context.CancelFunc
	wait sync.WaitGroup
}

// Start reads what was kept and begins: a round every [Config.Interval], the healing
// of sick stripes, the slow scrub. It fails when the fields are not valid or repair.json
// cannot be read. What was begun goes on until Close, whatever becomes of ctx.
func (r *Repairer) Start(ctx context.Context) error {
	_, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	return nil
}

// Close ends everything and waits for it. What was pulled stays.
func (r *Repairer) Close() error {
	if r.stop != nil {
		r.stop()
	}
	r.wait.Wait()
	return nil
}

// Look has the Repairer look soon whether a stripe has become sick.
func (r *Repairer) Look() {}

// Clean is the position of a stripe up to which this host has compared every bucket of
// it equal with another member; zero while it has not. It never lies above what the
// replica has applied. It is what a member reports for the release of tombstones.
func (r *Repairer) Clean(string) position.Position { return position.Position{} }

// Mend fetches a document that this host cannot read from a healthy member, for a
// request that waits: bounded by ctx and by [Config.MendTimeout]. nil means that the
// copy is whole now, or that most members say the document is deleted. Requests for one
// document share one fetch. A pause does not keep it from working.
func (r *Repairer) Mend(context.Context, contract.Key) error { return nil }

// Run does a round now over a part of the stripes, and repairs what it finds. It fails
// while repair is paused, with [ErrPaused], and for a scope that this host has nothing of.
func (r *Repairer) Run(context.Context, Scope) (RoundResult, error) { return RoundResult{}, nil }

// Scrub re-reads a part of the store now, and has repaired what is damaged. progress,
// unless nil, is called as it goes on.
func (r *Repairer) Scrub(_ context.Context, _ Scope, progress func(ScrubProgress)) (ScrubResult, error) {
	return ScrubResult{}, nil
}

// Pause stops rounds, healing and scrubbing for a time, at the next bucket. A pause ends
// by itself, also when the host was restarted meanwhile; a second one replaces the first.
// It is refused unless 0 < d <= 7 days.
func (r *Repairer) Pause(time.Duration) error { return nil }

// Resume ends a pause.
func (r *Repairer) Resume() error { return nil }

// SetRate bounds what is pulled, in bytes of images a second; 0 for no bound. It holds
// over restarts.
func (r *Repairer) SetRate(int64) error { return nil }

// Status is what the Repairer is doing and has found.
func (r *Repairer) Status() Status { return Status{} }
