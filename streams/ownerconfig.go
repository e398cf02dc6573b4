package streams

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// OwnerConfig says who owns and how. Zero values stand for the defaults.
type OwnerConfig struct {
	Host   string     // who claims; required
	Boot   string     // which run of the host's process claims; required
	Birth  uint32     // the stripe's birth number, from 1; required
	Layout func() int // the version of the layout that claims name; nil for 0

	// MayClaim says whether this host should own the stripe now, as when it
	// leads the stream. While it says no, the owner follows the log and claims
	// nothing; what it had was answered. nil for always. Asked between any two
	// records and by Poke, concurrently, so it must be quick.
	MayClaim func() bool

	// Reached is how far other members have told to have applied the log, and one
	// that has come so far. A log that ends before that has lost records: the owner
	// claims nothing, since it would write other ones in their place, and ends with
	// [ErrBehindStore] if that lasts for Grace. nil when there are no others. Asked
	// before each look at the log.
	Reached func() (seq uint64, host string)

	// Broadcast is called with each record that this owner has committed and
	// applied, claims included, in order, so that others hear of it: see
	// [Log.Publish]. It must be quick and must not change body. nil for nobody.
	Broadcast func(seq uint64, body []byte)
	// Tail has what other owners broadcast: see [Log.Tail]. It may lack records,
	// repeat and mix them up; what is missing is read from the log.
	Tail <-chan Record

	BatchBytes     int // changes in one record, in bytes, unless one alone is larger; 1 MiB
	BatchProposals int // proposals that share one record; 4096
	QueueProposals int // proposals that wait; 65536
	QueueBytes     int // their size; 256 MiB

	AppendTimeout time.Duration // after that the fate of an append is unknown; 3 s
	Hold          time.Duration // how long a proposal waits while nothing commits; 15 s
	Grace         time.Duration // how long to ask again when a log seems to be behind the store or gone, since a leader that was cut off answers too; 0, but want 25 s with replicas
	BackoffMin    time.Duration // first pause between two attempts to claim; 20 ms
	BackoffMax    time.Duration // last pause; 1 s
	PollEvery     time.Duration // pause between two looks at the log while MayClaim says no; 250 ms, with a Tail 5 s

	TrimEvery time.Duration // how often to look whether to trim; 5 s
	KeepBytes int64         // newest part of the log that is kept for people and late peers, about; 64 MiB, at most half of the log's bound
	// TrimFloor is the lowest sequence that must stay in the log. nil for the
	// machine's durable one. Called concurrently.
	TrimFloor func() uint64

	// Admit says whether so many bytes of changes may be written now, as when
	// the disk is nearly full; 0 stands for a record without changes, a claim or a
	// barrier, which should be refused later than changes are. Its error goes to
	// the proposals; nil for always.
	Admit func(bytes int) error

	Listener func(Event)    // told of everything, on the owner's goroutines; must be quick
	Progress func(Progress) // of catching up
	Logger   *slog.Logger   // nil for none
}

func (c OwnerConfig) withDefaults(m Machine) (OwnerConfig, error) {
	switch {
	case c.Host == "":
		return c, errors.New("owner: host is empty: a claim names who claims")
	case c.Boot == "":
		return c, errors.New("owner: boot is empty: a claim names the run that claims")
	case c.Birth == 0:
		return c, errors.New("owner: birth is 0: births count from 1")
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"batch bytes", int64(c.BatchBytes)},
		{"batch proposals", int64(c.BatchProposals)},
		{"queue proposals", int64(c.QueueProposals)},
		{"queue bytes", int64(c.QueueBytes)},
		{"append timeout", int64(c.AppendTimeout)},
		{"hold", int64(c.Hold)},
		{"grace", int64(c.Grace)},
		{"backoff min", int64(c.BackoffMin)},
		{"backoff max", int64(c.BackoffMax)},
		{"poll every", int64(c.PollEvery)},
		{"trim every", int64(c.TrimEvery)},
		{"keep bytes", c.KeepBytes},
	} {
		if n.value < 0 {
			return c, fmt.Errorf("owner: %s is %d, want 0 for the default or more", n.name, n.value)
		}
	}
	c.BatchBytes = cmp.Or(c.BatchBytes, 1<<20)
	c.BatchProposals = cmp.Or(c.BatchProposals, 4096)
	c.QueueProposals = cmp.Or(c.QueueProposals, 65536)
	c.QueueBytes = cmp.Or(c.QueueBytes, 256<<20)
	c.AppendTimeout = cmp.Or(c.AppendTimeout, 3*time.Second)
	c.Hold = cmp.Or(c.Hold, 15*time.Second)
	c.BackoffMin = cmp.Or(c.BackoffMin, 20*time.Millisecond)
	c.BackoffMax = max(cmp.Or(c.BackoffMax, time.Second), c.BackoffMin)
	if c.PollEvery == 0 && c.Tail != nil {
		c.PollEvery = 5 * time.Second
	}
	c.PollEvery = cmp.Or(c.PollEvery, 250*time.Millisecond)
	c.TrimEvery = cmp.Or(c.TrimEvery, 5*time.Second)
	c.KeepBytes = cmp.Or(c.KeepBytes, 64<<20)
	if c.Layout == nil {
		c.Layout = func() int { return 0 }
	}
	if c.MayClaim == nil {
		c.MayClaim = func() bool { return true }
	}
	if c.Reached == nil {
		c.Reached = func() (uint64, string) { return 0, "" }
	}
	if c.Broadcast == nil {
		c.Broadcast = func(uint64, []byte) {}
	}
	if c.TrimFloor == nil {
		c.TrimFloor = m.Durable
	}
	if c.Admit == nil {
		c.Admit = func(int) error { return nil }
	}
	if c.Listener == nil {
		c.Listener = func(Event) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
