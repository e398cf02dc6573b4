package hint

import (
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/layout"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.IntRange(0, layout.Buckets-1).Draw(t, "first")
		p := layout.Partition{
			ID:    layout.PartitionID(rapid.Uint32().Draw(t, "id")),
			First: layout.Bucket(first),
			Last:  layout.Bucket(rapid.IntRange(first, layout.Buckets-1).Draw(t, "last")),
		}
		if got, err := Parse(Format(p)); err != nil || got != p {
			t.Fatalf("%v became %v, %v", p, got, err)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{
		"", "07", "07 ", "7 1-2", "07 1", "07 2-1", "07 -1-2", "07 1-16384", "07 1-99999", "07 01-2", "07  1-2", "07 1-2 ", "x 1-2", "07 a-b",
	} {
		if p, err := Parse(s); err == nil {
			t.Errorf("%q is read as %v", s, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("07 1792-2047")
	f.Add("123 0-16383")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := Parse(s); err == nil && Format(p) != s {
			t.Errorf("%q is read as %v", s, p)
		}
	})
}
