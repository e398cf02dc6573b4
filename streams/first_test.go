package streams

import (
	"errors"
	"testing"
)

// A log that is made anew for stores that have come to record 100 goes on at 101, and
// to a store that has less it is trimmed.
func TestLogGoesOn(t *testing.T) {
	cfg := testConfig()
	cfg.First = 101
	l := createLog(t, startServer(t), cfg)
	if l.First() != 101 {
		t.Errorf("the log began at %d", l.First())
	}
	if st, err := l.State(t.Context()); err != nil || st.First != 101 || st.Last != 100 || st.Records() != 0 {
		t.Fatalf("state %+v, %v; want it to begin at 101 and hold nothing", st, err)
	}
	for _, last := range []uint64{0, 99, 101} {
		if _, err := l.Append(t.Context(), last, []byte("wrong")); !errors.Is(err, ErrRefused) {
			t.Errorf("append after %d: %v, want it refused", last, err)
		}
	}
	if seq, err := l.Append(t.Context(), 100, []byte("next")); err != nil || seq != 101 {
		t.Fatalf("append after 100: %d, %v", seq, err)
	}
	st, err := l.State(t.Context())
	if err != nil || st.First != 101 || st.Last != 101 {
		t.Fatalf("state %+v, %v", st, err)
	}
	var trimmed *TrimmedError
	if err := l.Read(t.Context(), 100, 101, func(uint64, []byte) error { return nil }); !errors.As(err, &trimmed) || trimmed.First != 101 {
		t.Errorf("read from 100: %v, want it trimmed up to 101", err)
	}
}

// A log that stores are ahead of can be removed, and no other.
func TestRemove(t *testing.T) {
	cfg := testConfig()
	s := startServer(t)
	l := createLog(t, s, cfg)
	for i := range uint64(3) {
		if _, err := l.Append(t.Context(), i, []byte("record")); err != nil {
			t.Fatal(err)
		}
	}
	for _, before := range []uint64{0, 2, 3} {
		if err := Remove(t.Context(), l.nc, cfg, before); !errors.Is(err, ErrRefused) {
			t.Errorf("removed although it ends at 3, before %d: %v", before, err)
		}
	}
	if err := Remove(t.Context(), l.nc, cfg, 4); err != nil {
		t.Fatal(err)
	}
	if err := Remove(t.Context(), l.nc, cfg, 4); !errors.Is(err, ErrNoStream) {
		t.Errorf("removed twice: %v", err)
	}
}
