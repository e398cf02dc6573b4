package buckets

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
)

// A Put asks for one document to be replaced by an image.
type Put struct {
	Image *Image
	// AsOf is the position of the peer's [Moment] that the image is from: the
	// image lacks no change up to it.
	AsOf position.Position
	// Over, when not nil, is the digest of a copy that was outvoted: it is replaced
	// although it is whole and at the image's position, or beyond it by a change that
	// the peer, which was past that change too, has not made.
	Over *digest.Digest
}

// An Outcome says what became of a [Put].
type Outcome uint8

// The outcomes.
const (
	// Taken: the image is the document now.
	Taken Outcome = iota + 1
	// Older: the local copy is whole and as new as the image, or newer.
	Older
	// TooOld: the local copy lacks changes, or has lost some, that the image may
	// lack too; or the image is of a tombstone that has been released here. Fetch an
	// image of a later moment.
	TooOld
	// Moved: the local copy is whole, at the image's position, of another digest,
	// and not the one that was to be replaced. Compare and decide again.
	Moved
)

var outcomeNames = [...]string{Taken: "taken", Older: "older", TooOld: "too old", Moved: "moved"}

func (o Outcome) String() string { return outcomeNames[o] }

// A PutResult says what became of every Put, in their order.
type PutResult struct {
	Outcomes []Outcome
	Taken    int
	Bytes    int64 // of the images taken, as encoded
	// Later is a position of which all images that are TooOld would be late
	// enough; zero without any.
	Later position.Position
}

// Put replaces documents by images, in one batch that is there in whole or not
// at all. A document moves forward only, or away from a copy that was outvoted, or
// at the same position from one that fails its own check. It may move beyond where
// the replica stands: the log passes it. An image that fails its check is an
// error, and so is a document that is in the list twice; nothing is put then.
// What was put is durable with the next [Store.Checkpoint] or [Replica.Adopt].
//
// Lists of about 1 MiB go fastest. Records wait while a list is put.
func (r *Replica) Put(list []Put) (PutResult, error) {
	size := 0
	for i := range list {
		if err := list[i].check(); err != nil {
			return PutResult{}, err
		}
		size += list[i].Image.batchSize()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.changing(size)
	defer c.close()
	result := PutResult{Outcomes: make([]Outcome, len(list))}
	for i := range list {
		outcome, err := r.put(c, &list[i])
		if err != nil {
			return PutResult{}, fmt.Errorf("put document %q in space %q: %w", list[i].Image.Key.Key, list[i].Image.Key.Space, err)
		}
		switch result.Outcomes[i] = outcome; outcome {
		case Taken:
			result.Taken++
			result.Bytes += int64(list[i].Image.Size())
		case TooOld:
			result.Later = r.position()
		}
	}
	if err := c.commit(); err != nil {
		return PutResult{}, fmt.Errorf("put %d documents: %w", len(list), err)
	}
	return result, nil
}

// batchSize is about what the image takes in a batch.
func (im *Image) batchSize() int {
	const rows, each = 5, 16 // beside the updates and ids: state, base, lists, bucket
	names := 2 + len(im.Key.Space) + len(im.Key.Key) + 4
	return len(im.raw) + (im.count+rows)*(names+each)
}

// check looks at what is asked for without the store.
func (p *Put) check() error {
	state, err := p.Image.Check()
	if err == nil && p.AsOf.Less(state.Position) {
		err = fmt.Errorf("image of document %q in space %q: it was changed at %v, so it is not of a moment at %v", state.Key.Key, state.Key.Space, state.Position, p.AsOf)
	}
	return err
}

// put decides about one document and takes the image over if it should.
func (r *Replica) put(c *changing, p *Put) (Outcome, error) {
	at := placeOf(p.Image.Key)
	if _, twice := c.done[p.Image.Key]; twice {
		return 0, errPutTwice
	}
	local, err := c.local(&at)
	if err != nil {
		return 0, err
	}
	outcome, err := r.outcome(&at, p, &local)
	if err != nil || outcome != Taken {
		if outcome == Older {
			r.store.damages.clear(at.key)
			delete(r.missed.suspects, at.key)
		}
		return outcome, err
	}
	return Taken, c.replace(&at, &local, p.Image)
}

var errPutTwice = errors.New("it is in the list twice: put its images one after another")

// outcome compares the local copy with the image.
func (r *Replica) outcome(at *place, p *Put, local *localCopy) (Outcome, error) {
	image := p.Image.state
	ahead := local.damaged == nil && local.state.Position.Less(image.Position)
	if ahead && r.complete(at, p, local) {
		return Taken, nil
	}
	if err := r.judge(at, local); err != nil {
		return 0, err
	}
	outvoted := p.Over != nil && *p.Over == local.digest && !p.AsOf.Less(local.state.Position)
	behind := image.Position.Less(local.state.Position)
	switch {
	case local.damaged == nil && (behind && !outvoted || image.Digest == local.digest):
		return Older, nil
	case behind && !outvoted || !r.complete(at, p, local):
		return TooOld, nil
	case local.damaged == nil && !ahead && !outvoted:
		return Moved, nil
	}
	return Taken, nil
}

// complete reports whether the image has everything that the log has of the
// document up to where the replica stands. What the copy has not got from the log
// decides how late the image must be.
func (r *Replica) complete(at *place, p *Put, local *localCopy) bool {
	image := p.Image.state
	if !image.Live && covers(r.horizon(), image.Position) {
		return false
	}
	// The replica has passed a change that the copy does not have: it has missed or
	// lost it.
	local.lost = local.state.Position.Less(image.Position) && !r.position().Less(image.Position)
	needs := r.missed.until(at.key)
	if local.lost || local.damaged != nil {
		needs = r.missed.needs(at.key, r.position())
	}
	return !p.AsOf.Less(needs)
}

// judge reads a local copy whole, to know whether it may stay as it is.
func (r *Replica) judge(at *place, local *localCopy) error {
	if local.damaged != nil {
		return nil //nolint:nilerr // it is known not to be whole
	}
	state, err := whole(r.store.db, at)
	if err == nil {
		err = listed(r.store.db, at, &state)
	}
	if errors.Is(err, ErrDamaged) {
		local.damaged = err
		return nil
	}
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	return err
}

// Drop removes every row of a document, if its digest is still the given one,
// and reports whether it was. It is for documents whose members have decided
// that they are deleted. The zero digest stands for a copy whose state is missing
// or cannot be read.
func (r *Replica) Drop(k contract.Key, over digest.Digest) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.changing(0)
	defer c.close()
	at := placeOf(k)
	local, err := c.local(&at)
	if err == nil && local.digest != over {
		return false, nil
	}
	if err == nil {
		err = errors.Join(c.remove(&at, &local), c.commit())
	}
	if err != nil {
		return false, fmt.Errorf("drop document %q in space %q: %w", k.Key, k.Space, err)
	}
	return true, nil
}

// Adopt sets where the replica stands, once its documents are those of a member
// that stood there: durably, and with everything put before. It moves forward
// only. Tombstones that were released there, and are still here, go.
func (r *Replica) Adopt(a Applied) error {
	r.store.checkpoint.Lock() // so that Durable never moves down
	defer r.store.checkpoint.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Applied()
	switch {
	case a == now:
	case a.Seq <= now.Seq:
		return fmt.Errorf("stripe %s: the replica stands at record %d and cannot go to %d: it moves forward only", r.stripe, now.Seq, a.Seq)
	case a.Epoch.Seq > a.Seq || a.Epoch.Birth != r.birth && !a.Epoch.IsZero():
		return fmt.Errorf("stripe %s: epoch %v does not belong to record %d of birth %d", r.stripe, a.Epoch, a.Seq, r.birth)
	case !a.Horizon.IsZero() && (a.Horizon.Birth != r.birth || a.Horizon.Seq >= a.Seq):
		return fmt.Errorf("stripe %s: horizon %v does not belong to record %d of birth %d", r.stripe, a.Horizon, a.Seq, r.birth)
	}
	if a.Horizon.Less(now.Horizon) { // what was released here stays released
		a.Horizon = now.Horizon
	}
	if err := r.shed(a.Horizon, position.Position{Birth: r.birth, Seq: a.Seq}); err != nil {
		return fmt.Errorf("stripe %s: adopt horizon %v: %w", r.stripe, a.Horizon, err)
	}
	key := r.key()
	row := appendRow(nil, key, a.encode(r.birth))
	if err := r.store.db.Set(key, row[len(key):], pebble.Sync); err != nil {
		return fmt.Errorf("stripe %s: adopt record %d: %w", r.stripe, a.Seq, err)
	}
	r.applied.Store(&a)
	r.durable.Store(a.Seq)
	// No document has followed the records between one by one.
	r.missed.all(r.position())
	return nil
}
