package position

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func anyPosition(t *rapid.T, label string) Position {
	return Position{
		Birth: rapid.Uint32Range(0, 3).Draw(t, label+" birth"),
		Seq:   rapid.Uint64().Draw(t, label+" seq"),
	}
}

func TestTextAndBytesKeepIdentityAndOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := anyPosition(t, "p"), anyPosition(t, "q")
		back, err := Parse(p.String())
		if err != nil || back != p {
			t.Fatalf("Parse(%q) = %v, %v", p.String(), back, err)
		}
		if got := FromBinary(p.AppendBinary(nil)); got != p {
			t.Fatalf("binary form of %v reads back as %v", p, got)
		}
		if got := bytes.Compare(p.AppendBinary(nil), q.AppendBinary(nil)); got != p.Compare(q) {
			t.Fatalf("bytes order %d, positions order %d, for %v and %v", got, p.Compare(q), p, q)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{"", "-", "1", "1-", "-1", "01-1", "1-01", "+1-1", "1--1", "4294967296-1", "1-18446744073709551616", "1-1 ", "a-b"} {
		if p, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", s, p)
		}
	}
}
