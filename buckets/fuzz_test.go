package buckets

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/record"
)

func drawName(t *rapid.T, label string) string {
	return string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 'a', 'b', 0xfe, 0xff}), 0, 5).Draw(t, label))
}

func TestNamesRoundTripInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := contract.Key{Space: drawName(t, "space"), Key: drawName(t, "key")}
		b := contract.Key{Space: drawName(t, "space"), Key: drawName(t, "key")}
		x, y := nameKey(tableName, a), nameKey(tableName, b)
		if got := bytes.Compare(x, y); got != a.Compare(b) {
			t.Fatalf("%q and %q are ordered %d, their rows %d", a, b, a.Compare(b), got)
		}
		if a != b && bytes.HasPrefix(y, x) {
			t.Fatalf("the row of %q begins that of %q", a, b)
		}
		got, rest, err := parseNames(append(x[1:], "rest"...))
		if err != nil || got != a || string(rest) != "rest" {
			t.Fatalf("%q is read as %q, %q, %v", a, got, rest, err)
		}
	})
}

func TestSeqsAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int32().Draw(t, "a"), rapid.Int32().Draw(t, "b")
		x, y := appendSeq(nil, a), appendSeq(nil, b)
		if a < b != (bytes.Compare(x, y) < 0) || parseSeq(x) != a {
			t.Fatalf("%d %x, %d %x", a, x, b, y)
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add([]byte("a\x00\x01b\x00\x01"))
	f.Add([]byte("a\x00\xff\x00\x01\x00\x01rest"))
	f.Add([]byte("a\x00\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, rest, err := parseNames(b)
		if err != nil {
			return
		}
		if got := append(appendName(appendName(nil, k.Space), k.Key), rest...); !bytes.Equal(got, b) {
			t.Fatalf("%q is read as %q and written as %q", b, k, got)
		}
	})
}

func FuzzEntry(f *testing.F) {
	c := withID(patch(testKey, update(2, 3, "{}")), "id")
	f.Add(appendEntry(nil, pos(7), &c, &c.Updates[0]))
	f.Add([]byte("cut"))
	f.Add(append(make([]byte, 12), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseEntry(b)
		if err != nil {
			return
		}
		origin := record.Change{ID: e.id, Writer: e.writer}
		if got := appendEntry(nil, e.position, &origin, &e.Update); !bytes.Equal(got, b) && len(got) == len(b) {
			t.Fatalf("%q is written as %q", b, got)
		}
	})
}

func FuzzIDRow(f *testing.F) {
	f.Add(idRow{position: pos(3), time: -1}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseIDRow(b); err == nil && !bytes.Equal(r.append(nil), b) {
			t.Fatalf("%x is written as %x", b, r.append(nil))
		}
	})
}

func FuzzBucketState(f *testing.F) {
	f.Add(BucketState{Position: pos(3)}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseBucketState(b); err == nil && !bytes.Equal(s.append(nil), b) {
			t.Fatalf("%x is written as %x", b, s.append(nil))
		}
	})
}
