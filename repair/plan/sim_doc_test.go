package plan

import (
	"fmt"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// The simulation has one stripe of a few documents.
const (
	simKeys    = 6
	simBuckets = 3
	simMembers = 3
)

// A key is one of the documents, a bucket holds two of them, and the first partition two
// buckets.
type simKey int

func (k simKey) name() contract.Key { return contract.Key{Space: "s", Key: fmt.Sprintf("k%d", int(k))} }

func (k simKey) bucket() layout.Bucket { return layout.Bucket(int(k) * simBuckets / simKeys) }

func keyNamed(n contract.Key) simKey { return simKey(n.Key[1] - '0') }

func partitionOf(b layout.Bucket) layout.PartitionID { return layout.PartitionID(b / 2) }

func simPartitions() []layout.PartitionID { return []layout.PartitionID{0, 1} }

func bucketsOf(p layout.PartitionID) []layout.Bucket {
	if p == 0 {
		return []layout.Bucket{0, 1}
	}
	return []layout.Bucket{2}
}

func keysOf(b layout.Bucket) []simKey { return []simKey{2 * simKey(b), 2*simKey(b) + 1} }

func seq(n uint64) position.Position {
	if n == 0 {
		return position.Position{}
	}
	return position.Position{Birth: 1, Seq: n}
}

// A simDoc is the naive twin of a document's state. The zero value is one that never was.
type simDoc struct {
	pos, inc     uint64
	head         int32
	live, marked bool
	chain        digest.Digest
	base         uint64        // position of the snapshot or recover below the updates
	ids          digest.Digest // sum of the request ids that it remembers
}

func (d simDoc) tombstone() bool { return d.pos > 0 && !d.live }

func (d simDoc) digest(k simKey) digest.Digest {
	if d.pos == 0 {
		return digest.Digest{}
	}
	return digest.Of(fmt.Appendf(nil, "%d %+v", k, d))
}

// A simVerb is what a change does.
type simVerb int

const (
	simInit simVerb = iota
	simPatch
	simSnapshot
	simRecover
	simMark
	simAbort
	simDelete
	simVerbs
)

// A simRecord is one record of the log: a change, a release of tombstones, or a claim.
type simRecord struct {
	release uint64 // the horizon, 0 for none
	claim   bool

	key  simKey
	verb simVerb
	seq  int32 // seq_begin of a patch, seq of a snapshot or recover
	end  int32 // seq_end
	id   bool
}

// refuses reports whether the state refuses the change.
func (d simDoc) refuses(r *simRecord) bool {
	readable := d.live && !d.marked
	switch r.verb {
	case simInit:
		return d.live
	case simPatch:
		return !readable || r.seq != d.head+1
	case simSnapshot:
		return !readable || r.seq > d.head
	case simRecover:
		return !readable
	}
	return false
}

// noEffect reports whether the change changes nothing but the request ids.
func (d simDoc) noEffect(r *simRecord) bool {
	switch r.verb {
	case simMark:
		return !d.live || d.marked
	case simAbort:
		return !d.live || !d.marked
	case simDelete:
		return !d.live
	}
	return false
}

// after is the document after a change at p, which it does not refuse.
func (d simDoc) after(r *simRecord, p uint64) simDoc {
	if d.noEffect(r) && !r.id {
		return d
	}
	switch r.verb {
	case simInit:
		d = simDoc{inc: p, live: true, head: r.end, ids: d.ids}
		d.chain = link(d.chain, p)
	case simPatch:
		d.head, d.chain = r.end, link(d.chain, p)
	case simSnapshot:
		d.base = p
	case simRecover:
		d = simDoc{inc: p, live: true, head: r.seq, base: p, ids: d.ids}
	case simMark:
		d.marked = d.marked || d.live
	case simAbort:
		d.marked = false
	case simDelete:
		if d.live {
			d = simDoc{ids: d.ids}
		}
	}
	if r.id {
		d.ids = d.ids.Add(digest.Of(fmt.Appendf(nil, "id %d", p)))
	}
	d.pos = p
	return d
}

func link(chain digest.Digest, p uint64) digest.Digest {
	return digest.Of(fmt.Appendf(chain[:], "%d", p))
}

// A world is every document at one position of the log, as it ought to be.
type world struct {
	docs    [simKeys]simDoc
	horizon uint64
}

func (w world) after(r *simRecord, p uint64) world {
	switch {
	case r.claim:
	case r.release > 0:
		for k := range w.docs {
			if d := &w.docs[k]; d.tombstone() && d.pos <= r.release {
				*d = simDoc{}
			}
		}
		w.horizon = max(w.horizon, r.release)
	case !w.docs[r.key].refuses(r):
		w.docs[r.key] = w.docs[r.key].after(r, p)
	}
	return w
}
