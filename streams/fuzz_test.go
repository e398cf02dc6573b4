package streams

import (
	"errors"
	"testing"
)

// Whatever an answer to an append says, it means stored only when it names the
// stream and the place, and always one of the known ends.
func FuzzOutcome(f *testing.F) {
	for _, s := range []string{
		`{"stream":"trireme-s1","seq":8}`,
		`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 9"}}`,
		`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"trireme-s1","seq":8}`,
		`{}`, ``, `null`, `[]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		seq, err := outcome("trireme-s1", 7, answer)
		if err == nil {
			if seq != 8 {
				t.Fatalf("stored at %d", seq)
			}
			return
		}
		for _, end := range []error{ErrRefused, ErrFull, ErrTooLarge, ErrUnknown} {
			if errors.Is(err, end) {
				return
			}
		}
		t.Fatalf("%v is no end of an append", err)
	})
}
