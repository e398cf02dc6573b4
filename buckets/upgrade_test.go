package buckets

import (
	"encoding/binary"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/internal/contract"
	"trireme/internal/position"
)

// downgrade makes a store one that a program of version 1 has written. Every nth row
// of the table of tombstones stays, as after a crash in the middle of an upgrade.
func downgrade(t *testing.T, s *Store, nth int) (rows int) {
	t.Helper()
	for key := range dump(t, s) {
		if key[0] != tableTombstone {
			continue
		}
		if rows++; nth > 0 && rows%nth == 0 {
			continue
		}
		if err := s.db.Delete([]byte(key), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.Replica("s1", birth)
	if err != nil {
		t.Fatal(err)
	}
	was := r.Applied()
	row := position.Position{Birth: birth, Seq: was.Seq}.AppendBinary(nil)
	row = was.Epoch.AppendBinary(append(row, was.Chain[:]...))
	row = binary.BigEndian.AppendUint64(row, uint64(was.Time))
	for key, content := range map[string][]byte{string(rune(tableFormat)): {1}, string(r.key()): row} {
		rewrite(t, s, []byte(key), appendRow(nil, []byte(key), content)[len(key):])
	}
	return rows
}

func TestVersionOneIsUpgraded(t *testing.T) {
	t.Parallel()
	log := newLog()
	for i := range 300 { // the table takes more than one batch
		k := contract.Key{Space: strings.Repeat("long ", 1500), Key: strconv.Itoa(i)}
		log.batch(initial(k, update(0, 1, `{}`)))
		if i%2 == 0 {
			log.batch(withID(remove(k), "id"))
		}
	}
	want := openTemp(t, Options{})
	log.feed(t, want)
	for _, nth := range []int{0, 2} {
		fs := vfs.NewMem()
		s := open(t, fs, Options{})
		log.feed(t, s)
		if rows := downgrade(t, s, nth); rows != 150 {
			t.Fatalf("%d tombstones have a row, want 150", rows)
		}
		closed(t, s)
		s = open(t, fs, Options{})
		verified(t, s)
		log.batch() // writes how far the replica is in the new way
		log.feed(t, s)
		log.feed(t, want)
		sameStores(t, want, s)
		closed(t, s)
	}
}
