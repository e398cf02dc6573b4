package buckets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/controls"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/internal/record"
)

// Applied says how far a replica has come in its stripe's log.
type Applied struct {
	Seq   uint64            // of the last record applied, 0 for none
	Chain digest.Chain      // of the log up to it
	Epoch position.Position // of the last claim up to it
	Time  int64             // the highest time in the log up to it, Unix milliseconds
	// Horizon: the tombstones of this log at or below it have been released.
	Horizon position.Position
}

// A Replica is the part of a store that belongs to one stripe. Records are
// applied one after another. Repair puts documents in between.
type Replica struct {
	store  *Store
	stripe string
	birth  uint32

	durable atomic.Uint64
	skipped atomic.Uint64

	mu      sync.Mutex // held while a record is applied, and while repair changes documents
	tx      tx
	missed  missed
	applied atomic.Pointer[Applied]
}

// Replica returns the replica of a stripe, with where it stands. A stripe's name
// goes with one birth number for as long as the store lives. It fails with
// [ErrLostReplica] when nobody can tell where it stands.
func (s *Store) Replica(stripe string, birth uint32) (*Replica, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replica(stripe, birth)
}

func (s *Store) replica(stripe string, birth uint32) (*Replica, error) {
	r := s.replicas[stripe]
	if r == nil {
		r = &Replica{store: s, stripe: stripe, birth: birth, tx: tx{
			store: s, buckets: map[layout.Bucket]BucketState{}, changed: map[contract.Key]struct{}{},
		}}
		r.missed = newMissed()
		r.tx.missed = &r.missed
		had, applied, err := r.load(s.db)
		if errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w: %w", ErrLostReplica, err)
		}
		if err != nil {
			return nil, fmt.Errorf("replica of stripe %s: %w", stripe, err)
		}
		r.birth = had
		r.applied.Store(&applied)
		r.missed.all(r.position())
		s.replicas[stripe] = r
	}
	if r.birth != birth {
		return nil, fmt.Errorf("stripe %s has birth %d in this store, %d in the layout: a stripe's birth never changes, give the new one another name", stripe, r.birth, birth)
	}
	return r, nil
}

// Applied tells how far the replica has come.
func (r *Replica) Applied() Applied { return *r.applied.Load() }

// Durable is the sequence up to which everything is safe from a crash of the
// machine. It counts from this start of the process: 0 until the first
// [Store.Checkpoint].
func (r *Replica) Durable() uint64 { return r.durable.Load() }

// Skipped counts records and changes that were not applied, since the start.
func (r *Replica) Skipped() uint64 { return r.skipped.Load() }

// Apply applies the record at a sequence. A record at or below what has been
// applied is left alone. An error means that the record was not applied and
// that the replica cannot go on: there is a gap, or the database fails. What is
// wrong with the record itself is no error: it is skipped, as on every replica,
// and told as an [Event].
func (r *Replica) Apply(seq uint64, body []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Applied()
	if seq <= now.Seq {
		return nil
	}
	if seq != now.Seq+1 {
		return fmt.Errorf("apply record %d of stripe %s: the store stands at %d, records between are missing", seq, r.stripe, now.Seq)
	}
	t := &r.tx
	t.begin(position.Position{Birth: r.birth, Seq: seq})
	defer t.batch.Close()
	next := Applied{Seq: seq, Chain: now.Chain.Next(body), Epoch: now.Epoch, Time: now.Time, Horizon: now.Horizon}
	if err := r.applyRecord(t, body, now, &next); err != nil {
		return fmt.Errorf("apply record %d of stripe %s: %w", seq, r.stripe, err)
	}
	key := r.key()
	if err := errors.Join(t.putBuckets(), t.put(key, next.encode(r.birth)), t.batch.Commit(pebble.NoSync)); err != nil {
		return fmt.Errorf("apply record %d of stripe %s: %w", seq, r.stripe, err)
	}
	r.store.digests.set(t.buckets)
	r.store.heads.put(t.heads)
	r.store.heads.forget(t.gone)
	r.skipped.Add(t.skipped)
	r.applied.Store(&next)
	return nil
}

// applyRecord checks the record against the log so far and applies its changes.
func (r *Replica) applyRecord(t *tx, body []byte, now Applied, next *Applied) error {
	rec, err := record.Parse(body)
	switch {
	case err != nil:
		t.skip(RecordSkipped, contract.Key{}, err)
		return nil
	case controls.Checks && rec.Prev != now.Chain:
		t.skip(RecordSkipped, contract.Key{}, fmt.Errorf("the record follows chain %v, the log has %v", rec.Prev, now.Chain))
		return nil
	case controls.Checks && rec.Kind != record.Claim && rec.Epoch != now.Epoch:
		t.skip(RecordSkipped, contract.Key{}, fmt.Errorf("the record is of epoch %v, the log is in %v", rec.Epoch, now.Epoch))
		return nil
	case rec.Kind == record.Release && (rec.Horizon.Birth != r.birth || !rec.Horizon.Less(t.pos)):
		t.skip(RecordSkipped, contract.Key{}, fmt.Errorf("the horizon %v is no place in the log before the release at %v", rec.Horizon, t.pos))
		return nil
	}
	next.Time = max(now.Time, rec.Time)
	t.time = next.Time
	switch rec.Kind {
	case record.Claim:
		next.Epoch = t.pos
	case record.Release:
		next.Horizon, err = t.release(now.Horizon, rec.Horizon)
	default:
		err = t.changes(rec.Changes)
	}
	return err
}

func (r *Replica) key() []byte { return append([]byte{tableStripe}, r.stripe...) }

func (a Applied) encode(birth uint32) []byte {
	b := position.Position{Birth: birth, Seq: a.Seq}.AppendBinary(nil)
	b = append(b, a.Chain[:]...)
	b = a.Epoch.AppendBinary(b)
	b = binary.BigEndian.AppendUint64(b, uint64(a.Time))
	return a.Horizon.AppendBinary(b)
}

// load reads where the replica stands; one that is not in the store stands at
// the beginning, with the birth of the layout.
func (r *Replica) load(from pebble.Reader) (birth uint32, a Applied, err error) {
	content, err := get(from, r.key())
	if err != nil {
		return 0, a, err
	}
	if content == nil {
		return r.birth, a, nil
	}
	const withoutHorizon = position.Size + len(a.Chain) + position.Size + 8 // how rows were before there were releases
	if len(content) != withoutHorizon && len(content) != withoutHorizon+position.Size {
		return 0, a, fmt.Errorf("stripe row of %d bytes: %w", len(content), ErrDamaged)
	}
	p, rest := position.FromBinary(content), content[position.Size:]
	a.Seq = p.Seq
	copy(a.Chain[:], rest)
	rest = rest[len(a.Chain):]
	a.Epoch = position.FromBinary(rest)
	a.Time = int64(binary.BigEndian.Uint64(rest[position.Size:]))
	if len(content) > withoutHorizon {
		a.Horizon = position.FromBinary(content[withoutHorizon:])
	}
	return p.Birth, a, nil
}
