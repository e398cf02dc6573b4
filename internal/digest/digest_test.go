package digest

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSumIsOrderFreeAndUndone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "texts")
		var forward, backward Digest
		for _, b := range texts {
			forward = forward.Add(Of(b))
		}
		slices.Reverse(texts)
		for _, b := range texts {
			backward = backward.Add(Of(b))
		}
		if forward != backward {
			t.Fatal("the sum depends on the order")
		}
		for _, b := range texts {
			forward = forward.Sub(Of(b))
		}
		if !forward.IsZero() {
			t.Fatal("subtracting what was added leaves something")
		}
	})
}

// The values are part of the formats: a change of key or hash must show here.
func TestPublishedValues(t *testing.T) {
	chain := Chain{}.Next([]byte("first")).Next([]byte("second"))
	for _, c := range []struct{ name, got, want string }{
		{"digest", Of([]byte("abc")).String(), wantDigest},
		{"chain", chain.String(), wantChain},
		{"fingerprint", fmt.Sprintf("%x", Fingerprint([]byte("abc"))), wantFingerprint},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got, c.want)
		}
	}
	if got := Checksum([]byte("abc")); got != wantChecksum {
		t.Errorf("checksum %#x, want %#x", got, uint64(wantChecksum))
	}
	back, err := ParseChain(chain.String())
	if err != nil || back != chain {
		t.Errorf("ParseChain: %v, %v", back, err)
	}
	for _, s := range []string{"", "00", chain.String() + "0", "G" + chain.String()[1:], "AB" + chain.String()[2:]} {
		if _, err := ParseChain(s); err == nil {
			t.Errorf("ParseChain(%q) took it", s)
		}
	}
}

const (
	wantDigest      = "26cac7d14ba7174fe9b6e2088f0d73f36681211e94ad70aaa3e98248cd7ef49a"
	wantFingerprint = "a51801d3294e362bf4a5dcfefe20d05a"
	wantChain       = "b1301519c08315eceb30234ba4ff86fa"
	wantChecksum    = 0x460d94bcaecf1b5e
)
