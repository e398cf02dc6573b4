package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/streams"
)

// A stripe is one log with the replica that it drives.
type stripe struct {
	layout.Stripe
	log     *streams.Log
	replica *buckets.Replica
	owner   *streams.Owner
}

// machine makes a replica what streams drives.
type machine struct{ *buckets.Replica }

func (m machine) Applied() streams.State { return streams.State(m.Replica.Applied()) }

// openStripe opens the replica and its log. A log that does not exist is made
// only for a store that has never applied anything: "stream not found" does not
// mean "no documents".
func (h *Host) openStripe(ctx context.Context, s layout.Stripe, boot string) (*stripe, error) {
	replica, err := h.store.Replica(s.Name, s.Birth)
	if err != nil {
		return nil, err
	}
	cfg := streams.Config{Stripe: s.Name, Birth: s.Birth, Replicas: s.Replicas, MaxBytes: h.logBound()}
	log, err := streams.Open(ctx, h.log, cfg)
	if errors.Is(err, streams.ErrNoStream) {
		if applied := replica.Applied().Seq; applied > 0 {
			return nil, fmt.Errorf("%w, but the store has applied its records up to %d: nothing was overwritten; "+
				"bring back the jetstream folder that belongs to this store, or start with an empty data directory", err, applied)
		}
		log, err = streams.Create(ctx, h.log, cfg)
	}
	if err != nil {
		return nil, err
	}
	owner, err := streams.NewOwner(log, machine{replica}, streams.OwnerConfig{
		Host: h.Config.Host, Boot: boot, Birth: s.Birth,
		Layout: func() int { return int(h.layout.Version) },
		// The service answers when the hold ends; the owner's own bound comes after
		// it and is the net below.
		Hold:      h.Config.Requests.Hold + 2*time.Second,
		KeepBytes: h.Config.Log.KeepBytes,
		Admit:     h.admit,
		Listener:  func(e streams.Event) { h.ownerEvent(s.Name, e) },
		Progress:  h.progress(s.Name),
		Logger:    h.Logger.With("stripe", s.Name),
	})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &stripe{Stripe: s, log: log, replica: replica, owner: owner}, nil
}

func (s *stripe) close(ctx context.Context) error {
	return errors.Join(s.owner.Close(ctx), s.log.Close())
}

// Submit queues a proposal at the stripe's owner.
func (s *stripe) Submit(p streams.Proposal, size int) error { return s.owner.Submit(p, size) }

// Epoch tells the claim under which this host serves the stripe.
func (s *stripe) Epoch() (position.Position, bool) {
	st := s.owner.Status()
	return st.Epoch, st.Phase == streams.Serving
}

// Behind is how many records the replica may lack.
func (s *stripe) Behind() uint64 {
	st := s.owner.Status()
	if applied := s.replica.Applied().Seq; st.Log.Last > applied {
		return st.Log.Last - applied
	}
	return 0
}

// logBound is the bound of a log that is made now.
func (h *Host) logBound() int64 {
	if n := h.Config.Log.MaxBytes; n > 0 {
		return n
	}
	const most, least = 1 << 30, 64 << 20
	disk, err := diskOf(h.Config.Data)
	if err != nil {
		return most
	}
	return min(most, max(least, int64(disk.free/4)))
}

// admit refuses changes while the disk is nearly full, and everything, claims and
// barriers too, when it is fuller still: JetStream and the store must never meet
// the end of it. nats-server keeps a write error until it is restarted.
func (h *Host) admit(bytes int) error {
	disk, err := diskOf(h.Config.Data)
	if err != nil {
		return contract.Errorf(contract.BufferFull, "the data directory: %v", err)
	}
	need := h.reserve + uint64(bytes)
	if bytes == 0 {
		need = h.reserve / 4
	}
	if disk.free < need {
		return contract.Errorf(contract.BufferFull, "the disk of the data directory has %d bytes free, %d are kept in reserve: make room", disk.free, h.reserve)
	}
	return nil
}

// progress tells of a long catch-up now and then.
func (h *Host) progress(stripe string) func(streams.Progress) {
	var last time.Time
	return func(p streams.Progress) {
		if now := time.Now(); now.Sub(last) > 2*time.Second {
			last = now
			h.Logger.Info("catching up with the log", slog.String("stripe", stripe),
				slog.Uint64("applied", p.Applied), slog.Uint64("last", p.Last), slog.Int64("bytes", p.Bytes))
		}
	}
}

// ownerEvent feeds the metrics, and notes that ownership may have changed. What
// the owner logs itself is not logged again. It runs on the owner's goroutines.
func (h *Host) ownerEvent(stripe string, e streams.Event) {
	switch e := e.(type) {
	case streams.Committed:
		h.metrics.Committed(stripe, e.Proposals, e.Changes, e.Bytes, e.Append, e.Apply)
		return
	case streams.Claimed:
		h.metrics.Claimed(stripe)
	case streams.Lost:
		h.metrics.Lost(stripe)
	case streams.Refused:
		h.metrics.Refused(stripe, e.Changes)
		h.Logger.Warn("changes refused", "stripe", stripe, "changes", e.Changes, "error", e.Err)
	case streams.Trimmed:
		h.metrics.Trimmed(stripe)
		h.Logger.Info("log trimmed", "stripe", stripe, "below", e.Below, "bytes", e.Log.Bytes)
	}
	select {
	case h.changed <- struct{}{}:
	default:
	}
}
