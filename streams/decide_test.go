package streams

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestStepAfter(t *testing.T) {
	for _, c := range []struct {
		err  error
		want step
	}{
		{nil, stepApply},
		{fmt.Errorf("x: %w", ErrFull), stepRefuse},
		{ErrTooLarge, stepRefuse},
		{&RefusedError{Expected: 1, Last: 2}, stepAgain},
		{ErrUndelivered, stepAgain},
		{fmt.Errorf("x: %w: %w", ErrUnknown, context.DeadlineExceeded), stepResolve},
		{context.Canceled, stepResolve},
		{fmt.Errorf("anything else"), stepResolve},
	} {
		if got := stepAfter(c.err); got != c.want {
			t.Errorf("after %v: step %d, want %d", c.err, got, c.want)
		}
	}
}

func TestFateOf(t *testing.T) {
	mine, other := []byte("mine"), []byte("other")
	for _, c := range []struct {
		seq  uint64
		got  []byte
		want fate
	}{
		{6, mine, fateOpen}, {7, mine, fateOpen}, {8, mine, fateStored}, {8, other, fateMissed}, {9, mine, fateMissed}, {9, other, fateMissed},
	} {
		if got := fateOf(7, mine, c.seq, c.got); got != c.want {
			t.Errorf("record %d %q: fate %d, want %d", c.seq, c.got, got, c.want)
		}
	}
}

func TestFits(t *testing.T) {
	cfg := &OwnerConfig{BatchBytes: 100, BatchProposals: 3}
	for _, c := range []struct {
		proposals, bytes, size int
		want                   bool
	}{
		{0, 0, 0, true},
		{0, 0, 1000, true},  // a large one goes alone
		{2, 0, 1000, true},  // or with reads
		{1, 1, 99, true},    // up to the limit
		{1, 1, 100, false},  // not over it
		{1, 1000, 1, false}, // nothing goes with a large one
		{1, 1000, 0, false},
		{3, 3, 1, false},
	} {
		if got := fits(c.proposals, c.bytes, c.size, cfg); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestTrimBelow(t *testing.T) {
	// A thousand records of a thousand bytes, 101 to 1100.
	st := LogState{First: 101, Last: 1100, Bytes: 1_000_000}
	for _, c := range []struct {
		name         string
		st           LogState
		floor        uint64
		keep, coarse int64
		pressed      bool
		want         uint64
	}{
		{"nothing there", LogState{First: 8, Last: 7}, 8, 0, 0, true, 0},
		{"nothing durable", st, 0, 0, 0, true, 0},
		{"nothing durable of it", st, 101, 0, 0, true, 0},
		{"pressed", st, 700, 1 << 30, 1 << 30, true, 700},
		{"pressed, floor beyond the end", st, 5000, 0, 0, true, 1101},
		{"all is to be kept", st, 1100, 1_000_000, 0, false, 0},
		{"a part is to be kept", st, 1100, 400_000, 0, false, 701},
		{"less is durable", st, 500, 400_000, 0, false, 500},
		{"too little to gain", st, 1100, 400_000, 600_001, false, 0},
		{"just enough to gain", st, 1100, 400_000, 600_000, false, 701},
		{"floor makes it too little", st, 111, 400_000, 600_000, false, 0},
	} {
		if got := trimBelow(c.st, c.floor, c.keep, c.coarse, c.pressed); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestTrimNeverTakesWhatIsNotDurable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := LogState{First: rapid.Uint64Range(1, math.MaxInt64).Draw(t, "first")}
		st.Last = st.First - 1 + rapid.Uint64Range(0, 1<<40).Draw(t, "records")
		st.Bytes = rapid.Int64Range(0, math.MaxInt64).Draw(t, "bytes")
		floor := rapid.Uint64().Draw(t, "floor")
		below := trimBelow(st, floor, rapid.Int64Min(0).Draw(t, "keep"), rapid.Int64Min(0).Draw(t, "coarse"), rapid.Bool().Draw(t, "pressed"))
		if below != 0 && (below > floor || below <= st.First || below > st.Last+1) {
			t.Fatalf("%+v with floor %d: trim below %d", st, floor, below)
		}
	})
}

func TestOver(t *testing.T) {
	for _, c := range []struct {
		used, more, bound int64
		want              bool
	}{{90, 0, 100, false}, {90, 1, 100, true}, {91, 0, 100, true}, {0, 91, 100, true}, {1 << 40, 0, 0, false}, {1 << 40, 0, -1, false}} {
		if got := over(refuseMark, c.used, c.more, c.bound); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestJoins(t *testing.T) {
	for _, c := range []struct {
		first, last, applied uint64
		want                 error
	}{
		{1, 0, 0, nil},
		{1, 5, 0, nil},
		{1, 5, 5, nil},
		{3, 5, 2, nil},
		{6, 5, 5, nil},
		{1, 5, 6, ErrBehindStore},
		{1, 0, 1, ErrBehindStore},
		{3, 5, 1, ErrTrimmed},
		{6, 5, 4, ErrTrimmed},
		{2, 5, 0, ErrTrimmed},
	} {
		err := joins(LogState{First: c.first, Last: c.last}, c.applied)
		if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
