package drill

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/localcluster"
	"trireme/internal/position"
	"trireme/internal/record"
)

// endOfTime is past every position of a log that a drill writes.
const endOfTime = 1 << 40

// A harm changes documents in the store of a host that does not run.
type harm struct {
	c     *cluster
	store *buckets.Store
	of    layout.Layout
}

// harming opens the store of a host that does not run, has it changed, and closes it.
func (c *cluster) harming(h *localcluster.Host, change func(*harm)) {
	c.t.Helper()
	store, err := buckets.Open(filepath.Join(h.Data, "store"), buckets.Options{})
	c.must(err)
	change(&harm{c, store, layoutOf(c)})
	c.must(store.Close())
}

// replica is the one that carries a document, and its stripe.
func (x *harm) replica(k contract.Key) (*buckets.Replica, layout.Stripe) {
	x.c.t.Helper()
	b := layout.BucketOf(k.Space, k.Key)
	i := slices.IndexFunc(x.of.Partitions, func(p layout.Partition) bool { return p.Has(b) })
	for _, s := range x.of.Stripes {
		if s.Name == x.of.Partitions[i].Stripe {
			r, err := x.store.Replica(s.Name, s.Birth)
			x.c.must(err)
			return r, s
		}
	}
	x.c.t.Fatalf("nobody carries %v", k)
	return nil, layout.Stripe{}
}

// image is the document as the store has it.
func (x *harm) image(k contract.Key) *buckets.Image {
	x.c.t.Helper()
	r, _ := x.replica(k)
	im, err := imageOf(r, k)
	x.c.must(err)
	return im
}

func imageOf(r *buckets.Replica, k contract.Key) (*buckets.Image, error) {
	moment, err := r.Moment()
	if err != nil {
		return nil, err
	}
	defer moment.Close()
	return moment.Image(k)
}

// lose takes a document away, as if no change of it had ever been applied.
func (x *harm) lose(k contract.Key) {
	x.c.t.Helper()
	r, _ := x.replica(k)
	state, err := x.image(k).Check()
	x.c.must(err)
	if gone, err := r.Drop(k, state.Digest); err != nil || !gone {
		x.c.t.Fatalf("drop %v: %v, %v", k, gone, err)
	}
}

// replace replaces a document by another image of it: by an older one as if the changes
// since then had been skipped.
func (x *harm) replace(by *buckets.Image) {
	x.c.t.Helper()
	x.lose(by.Key)
	r, s := x.replica(by.Key)
	result, err := r.Put([]buckets.Put{{Image: by, AsOf: position.Position{Birth: s.Birth, Seq: endOfTime}}})
	if err != nil || result.Taken != 1 {
		x.c.t.Fatalf("put %v: %+v, %v", by.Key, result, err)
	}
}

// swapped is an image of a document whose last change has two updates on top of an older
// image: with these the other way round, and sound in itself.
func (x *harm) swapped(older *buckets.Image, one, two contract.Update) *buckets.Image {
	x.c.t.Helper()
	k := older.Key
	_, s := x.replica(k)
	is, err := x.image(k).Check()
	x.c.must(err)
	one.Redo, two.Redo = two.Redo, one.Redo
	im, err := applied(x.c.t.TempDir(), s, older, is.Position.Seq, record.Change{Verb: record.Patch, Key: k, Updates: []contract.Update{one, two}})
	x.c.must(err)
	return im
}

// applied is what becomes of an image by a change at a position, in a store of its own.
func applied(dir string, s layout.Stripe, older *buckets.Image, seq uint64, change record.Change) (*buckets.Image, error) {
	store, err := buckets.Open(filepath.Join(dir, "other"), buckets.Options{})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	r, err := store.Replica(s.Name, s.Birth)
	if err != nil {
		return nil, err
	}
	before, epoch := position.Position{Birth: s.Birth, Seq: seq - 1}, position.Position{Birth: s.Birth, Seq: 1}
	if err := r.Adopt(buckets.Applied{Seq: before.Seq, Epoch: epoch}); err != nil {
		return nil, err
	}
	if _, err := r.Put([]buckets.Put{{Image: older, AsOf: before}}); err != nil {
		return nil, err
	}
	var batch record.Builder
	batch.Add(&change)
	if err := r.Apply(seq, batch.Record(epoch, 1, digest.Chain{})); err != nil {
		return nil, err
	}
	im, err := imageOf(r, change.Key)
	if err != nil {
		return nil, err
	}
	if is, err := im.Check(); err != nil || is.Position.Seq != seq {
		return nil, errors.Join(err, fmt.Errorf("the change at %d was not applied: the document is at %v", seq, is.Position))
	}
	return im, nil
}

// rows has the rows of a host's store changed beneath everything that watches over them.
func (c *cluster) rows(h *localcluster.Host, change func(*pebble.DB) error) {
	c.t.Helper()
	db, err := pebble.Open(filepath.Join(h.Data, "store"), &pebble.Options{FormatMajorVersion: pebble.FormatNewest})
	c.must(err)
	c.must(errors.Join(change(db), db.Close()))
}

// The tables of docs/formats-disk.md whose rows begin with a document's bucket and names.
const (
	tableStates  = 'd'
	tableUpdates = 'e'
	tableIDs     = 'i'
	tableBases   = 's'
)

// rowsOf begins the keys of a document's rows in a table. The names hold no zero bytes.
func rowsOf(table byte, k contract.Key) []byte {
	key := binary.BigEndian.AppendUint16([]byte{table}, uint16(layout.BucketOf(k.Space, k.Key)))
	for _, name := range []string{k.Space, k.Key} {
		key = append(append(key, name...), 0, 1)
	}
	return key
}

// lastRow is the last row of a document in a table.
func lastRow(db *pebble.DB, table byte, k contract.Key) (key, value []byte, err error) {
	prefix := rowsOf(table, k)
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: append(bytes.Clone(prefix), 0xff)})
	if err != nil {
		return nil, nil, err
	}
	if it.Last() {
		key, value = bytes.Clone(it.Key()), bytes.Clone(it.Value())
	} else {
		err = fmt.Errorf("%v has no row in table %c", k, table)
	}
	return key, value, errors.Join(err, it.Close())
}

// rot flips a bit in the last update of a document.
func rot(db *pebble.DB, k contract.Key) error {
	key, value, err := lastRow(db, tableUpdates, k)
	if err != nil {
		return err
	}
	value[len(value)/2] ^= 4
	return db.Set(key, value, pebble.Sync)
}

// tear deletes the row of the last update of a document.
func tear(db *pebble.DB, k contract.Key) error {
	key, _, err := lastRow(db, tableUpdates, k)
	if err != nil {
		return err
	}
	return db.Delete(key, pebble.Sync)
}

// erase deletes all rows of a document but its name in the list of documents.
func erase(db *pebble.DB, k contract.Key) error {
	for _, table := range []byte{tableStates, tableUpdates, tableIDs, tableBases} {
		prefix := rowsOf(table, k)
		if err := db.DeleteRange(prefix, append(bytes.Clone(prefix), 0xff), pebble.Sync); err != nil {
			return err
		}
	}
	return nil
}
