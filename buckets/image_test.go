package buckets

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/document"
	"trireme/internal/position"
)

// damageStore has a document of every kind.
func damageStore(t *testing.T) *Store {
	s := openTemp(t, Options{HeadBytes: -1})
	damageLog().feed(t, s)
	return s
}

// TestImagesAreTheRows: an image has just the rows that a document has in the four
// tables, and the same whichever way it is read.
func TestImagesAreTheRows(t *testing.T) {
	s := damageStore(t)
	m := momentOf(t, s)
	defer m.Close()
	rows := dump(t, s)
	for _, k := range names {
		want := documentRows(k, rows)
		for key := range want {
			if strings.IndexByte(walkedTables, key[0]) < 0 {
				delete(want, key)
			}
		}
		p := placeOf(k)
		im := sent(t, m, k)
		var tables []byte
		err := im.rows(func(table byte, suffix, value []byte) error {
			key := string(p.row(table)) + string(suffix)
			if want[key] != string(value) {
				t.Errorf("%q: row %q is %q, want %q", k, key, value, want[key])
			}
			delete(want, key)
			tables = append(tables, table)
			return nil
		})
		if err != nil || len(want) > 0 || !slices.IsSorted(tables) {
			t.Errorf("%q: tables %q, %d rows are not in the image, %v", k, tables, len(want), err)
		}
		d, err := im.Check()
		if e, err2 := m.Document(k); err != nil || err2 != nil || d != e {
			t.Errorf("the image is of %+v, %v, the document %+v, %v", d, err, e, err2)
		}
		found := 0
		err = m.Images(p.bucket, contract.Key{}, func(other contract.Key, whole *Image, damaged error) error {
			if other == k && damaged == nil && bytes.Equal(whole.AppendBinary(nil), im.AppendBinary(nil)) {
				found++
			}
			return nil
		})
		if err != nil || found != 1 {
			t.Errorf("%q is %d times among the images of its bucket, %v", k, found, err)
		}
	}
	if _, err := m.Image(contract.Key{Space: "no", Key: "such"}); !errors.Is(err, ErrAbsent) {
		t.Errorf("absent: %v", err)
	}
}

// TestEveryBitOfAnImageCounts flips each: what is no image any more is refused,
// and what still is one fails its check.
func TestEveryBitOfAnImageCounts(t *testing.T) {
	s := damageStore(t)
	m := momentOf(t, s)
	defer m.Close()
	for _, k := range names {
		b := sent(t, m, k).AppendBinary(nil)
		for bit := range 8 * len(b) {
			im, err := ParseImage(flip(b, bit))
			if err != nil {
				continue
			}
			if _, err := im.Check(); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%q: bit %d of %d turned: %v", k, bit, 8*len(b), err)
			}
		}
		for n := range b {
			if _, err := ParseImage(b[:n]); err == nil {
				t.Fatalf("%q: cut to %d bytes it is read", k, n)
			}
		}
	}
}

// TestImageLacksNothing takes each row out of an image, and puts one in.
func TestImageLacksNothing(t *testing.T) {
	s := damageStore(t)
	m := momentOf(t, s)
	defer m.Close()
	for _, k := range names {
		im := sent(t, m, k)
		n := 0
		_ = im.rows(func(byte, []byte, []byte) error { n++; return nil })
		for without := 1; without < n; without++ {
			b, i := bytes.Clone(im.raw[:im.body]), 0
			_ = im.rows(func(table byte, suffix, value []byte) error {
				if i++; i != without+1 {
					b = appendText(appendText(append(b, table), suffix), value)
				}
				return nil
			})
			short, err := ParseImage(append(b, 0))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := short.Check(); !errors.Is(err, ErrDamaged) {
				t.Errorf("%q without row %d: %v", k, without+1, err)
			}
		}
		p := placeOf(k)
		key := p.base()
		b := appendText(appendText(append(bytes.Clone(im.raw[:len(im.raw)-1]), tableBase), ""), appendRow(nil, key, nil)[len(key):])
		if more, err := ParseImage(append(b, 0)); err == nil {
			if _, err := more.Check(); !errors.Is(err, ErrDamaged) {
				t.Errorf("%q with a base more: %v", k, err)
			}
		}
	}
}

// TestDamagedIsNeverSent damages every row of a document and asks for images.
func TestDamagedIsNeverSent(t *testing.T) {
	whole := dump(t, damageStore(t))
	for _, k := range names {
		for key := range documentRows(k, whole) {
			if strings.IndexByte(walkedTables, key[0]) < 0 {
				continue
			}
			s := damageStore(t)
			rewrite(t, s, []byte(key), flip([]byte(whole[key]), 9))
			m := momentOf(t, s)
			if _, err := m.Image(k); !errors.Is(err, ErrDamaged) {
				t.Errorf("row %q: image: %v", key, err)
			}
			if d, err := m.Document(k); err != nil || d.Damaged == "" || (key[0] == tableDocument) != d.Position.IsZero() {
				t.Errorf("row %q: document: %+v, %v", key, d, err)
			}
			listed := false
			for _, d := range indexOf(t, m, placeOf(k).bucket) {
				listed = listed || d.Key == k && d.Damaged != ""
			}
			if !listed {
				t.Errorf("row %q: it is not damaged in the index", key)
			}
			damaged, images := 0, 0
			err := m.Images(placeOf(k).bucket, contract.Key{}, func(other contract.Key, im *Image, err error) error {
				if errors.Is(err, ErrDamaged) && im == nil && other == k {
					damaged++
				} else if im != nil {
					images++
				}
				return nil
			})
			if err != nil || damaged != 1 || images != len(indexOf(t, m, placeOf(k).bucket))-1 {
				t.Errorf("row %q: %d damaged, %d images, %v", key, damaged, images, err)
			}
			m.Close()
		}
	}
}

// TestCheckLooksAtTheState gives a document states that are whole rows but are not
// those of its other rows, or of any document.
func TestCheckLooksAtTheState(t *testing.T) {
	s := damageStore(t)
	m := momentOf(t, s)
	defer m.Close()
	for name, change := range map[string]func(s *document.State){
		"as it is":            func(*document.State) {},
		"damaged":             func(s *document.State) { s.Damaged = true },
		"without a position":  func(s *document.State) { s.Position = position.Position{} },
		"marked but not live": func(s *document.State) { s.Live, s.Marked = false, true },
		"another chain":       func(s *document.State) { s.ChainEnd[0]++ },
		"another beginning":   func(s *document.State) { s.ChainStart[0]++ },
		"one redo more":       func(s *document.State) { s.Redos.Count++ },
		"one undo less":       func(s *document.State) { s.Undos.Count-- },
		"another floor":       func(s *document.State) { s.Undos.Floor++ },
		"no base":             func(s *document.State) { s.Base = document.Base{} },
		"another base":        func(s *document.State) { s.Base.Digest[0]++ },
		"one id more":         func(s *document.State) { s.IDs.Count++ },
		"another id":          func(s *document.State) { s.IDs.Sum[0]++ },
	} {
		p := placeOf(names[1])
		state, _, err := loadState(s.db, &p)
		if err != nil {
			t.Fatal(err)
		}
		change(&state)
		var b imageBuilder
		_ = sent(t, m, names[1]).rows(func(table byte, suffix, value []byte) error {
			if table == tableDocument {
				key := p.state()
				b.begin(names[1], appendRow(nil, key, state.AppendBinary(nil))[len(key):])
			} else {
				b.row(table, suffix, value)
			}
			return nil
		})
		im, err := ParseImage(b.end(DocState{}).AppendBinary(nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := im.Check(); errors.Is(err, ErrDamaged) == (name == "as it is") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIndexInPages goes through buckets that have several documents.
func TestIndexInPages(t *testing.T) {
	s := openTemp(t, Options{})
	log := newLog()
	b := placeOf(testKey).bucket
	want := []contract.Key{testKey}
	for i := 0; len(want) < 5; i++ {
		if k := benchKey(i); placeOf(k).bucket == b {
			want = append(want, k)
		}
	}
	slices.SortFunc(want, contract.Key.Compare)
	for _, k := range want {
		log.batch(initial(k, update(0, 1, `{}`)))
	}
	log.feed(t, s)
	m := momentOf(t, s)
	defer m.Close()
	log.batch(remove(want[0]))
	log.feed(t, s)
	for limit := 1; limit < 7; limit++ {
		var got []contract.Key
		for after, more := (contract.Key{}), true; more; {
			var page []DocState
			var err error
			if page, more, err = m.Index(b, after, limit); err != nil {
				t.Fatal(err)
			}
			for _, d := range page {
				if after = d.Key; !d.Live || d.Head != 1 || d.Position.IsZero() || d.Digest == (digest.Digest{}) {
					t.Errorf("%+v", d)
				}
				got = append(got, d.Key)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v, want %v", limit, got, want)
		}
	}
	var rest []contract.Key
	if err := m.Images(b, want[1], func(k contract.Key, _ *Image, err error) error {
		rest = append(rest, k)
		return err
	}); err != nil || !slices.Equal(rest, want[2:]) {
		t.Errorf("images after %v: %v, %v", want[1], rest, err)
	}
}

// TestImageBytes holds the encoding to what was published.
func TestImageBytes(t *testing.T) {
	s := damageStore(t)
	m := momentOf(t, s)
	defer m.Close()
	const file = "testdata/image.hex"
	published, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(published)), ""))
	if err != nil {
		t.Fatal(err)
	}
	if got := sent(t, m, names[1]).AppendBinary(nil); !bytes.Equal(got, want) {
		t.Errorf("%s is not what is written now:\n%x", file, got)
	}
}

func FuzzParseImage(f *testing.F) {
	s := open(f, vfs.NewMem(), Options{HeadBytes: -1})
	damageLog().feed(f, s)
	m := momentOf(f, s)
	for _, k := range names {
		f.Add(sent(f, m, k).AppendBinary(nil))
	}
	m.Close()
	closed(f, s)
	f.Add([]byte{imageVersion, 0, 0, tableDocument, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		im, err := ParseImage(b)
		if err != nil {
			return
		}
		if got := im.AppendBinary(nil); !bytes.Equal(got, b) || im.Size() != len(b) {
			t.Fatalf("%x is written as %x", b, got)
		}
		d, err := im.Check()
		if err == nil && (d.Position.IsZero() || d.Key != im.Key || d.Damaged != "") {
			t.Fatalf("checked: %+v", d)
		}
		again, err2 := im.Check()
		if again != d || !errors.Is(err2, err) {
			t.Fatal("the second check says something else")
		}
	})
}
