package record

import (
	"bytes"
	"testing"

	"trireme/internal/contract"
)

// Whatever Parse takes is what this package writes: the same bytes again.
func FuzzParse(f *testing.F) {
	for _, s := range samples() {
		f.Add(encode(&s.record))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := Parse(body)
		if err != nil {
			return
		}
		if again := encode(&r); !bytes.Equal(again, body) {
			t.Errorf("%q\n reads as %+v\nwritten %q", body, r, again)
		}
	})
}

func FuzzUpdate(f *testing.F) {
	for _, s := range samples() {
		for _, c := range s.record.Changes {
			for i := range c.Updates {
				f.Add(string(AppendUpdate(nil, &c.Updates[i])))
			}
		}
	}
	f.Add(string(AppendUpdate(nil, &contract.Update{})))
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseUpdate(s)
		if err != nil {
			return
		}
		if again := string(AppendUpdate(nil, &u)); again != s {
			t.Errorf("%q\n reads as %+v\nwritten %q", s, u, again)
		}
		if n := UpdateSize(&u); n != len(s) {
			t.Errorf("%q: UpdateSize %d, want %d", s, n, len(s))
		}
	})
}
