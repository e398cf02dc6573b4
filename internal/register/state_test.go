package register

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func born(t testing.TB, stripe string, number uint32, host string) *message {
	t.Helper()
	m, err := bornMessage(stripe, number, host, "h1 log", noon)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What counts, and what changes nothing.
func TestApply(t *testing.T) {
	layout := func(version uint64, text string) *message {
		return layoutMessage(version, "digest of "+text, []byte(text), "h1 log", noon)
	}
	spoilt := func(m *message, header, value string) *message { m.Header.Set(header, value); return m }
	var s State
	for i, c := range []struct {
		m       *message
		version uint64
		born    int
	}{
		{layout(2, "two"), 2, 0},
		{layout(2, "other two"), 2, 0},
		{layout(1, "one"), 2, 0},
		{born(t, "s1", 1, "h1"), 2, 1},
		{born(t, "s1", 2, "h2"), 2, 1},
		{born(t, "s2", 2, "h2"), 2, 2},
		{born(t, "s3", 0, "h2"), 2, 2},
		{born(t, "a.b", 1, "h2"), 2, 2},
		{&message{Subject: bornSubjects + "s4", Header: nats.Header{headerFormat: {"1"}}, Data: []byte("{")}, 2, 2},
		{&message{Subject: "trireme.cluster.other", Header: nats.Header{headerFormat: {"1"}}}, 2, 2},
		{&message{Subject: layoutSubject, Data: []byte("by hand")}, 2, 2},
		{spoilt(layout(9, "nine"), headerVersion, "x"), 2, 2},
		{spoilt(layout(9, "nine"), headerDigest, ""), 2, 2},
		{layout(9, ""), 2, 2},
		{layout(9, "nine"), 9, 2},
	} {
		if err := s.apply(uint64(i+1), c.m); err != nil || s.Version != c.version || len(s.Born) != c.born || s.Seq != uint64(i+1) {
			t.Fatalf("record %d: %+v, %v", i+1, s, err)
		}
	}
	want := State{Version: 9, Digest: "digest of nine", Layout: []byte("nine"), Seq: s.Seq, Born: map[string]Birth{"s1": {1, "h1", noon}, "s2": {2, "h2", noon}}}
	if !reflect.DeepEqual(s, want) {
		t.Fatalf("%+v, want %+v", s, want)
	}
	wantIs(t, s.apply(s.Seq+2, layout(10, "ten")), ErrLost)
	wantIs(t, s.apply(s.Seq+1, spoilt(layout(10, "ten"), headerFormat, "2")), ErrFormat)
	if !reflect.DeepEqual(s, want) {
		t.Fatalf("%+v, want %+v", s, want)
	}
	copied := s.clone()
	copied.Born["s9"] = Birth{}
	if len(s.Born) != 2 {
		t.Fatal("a copy shares its map")
	}
}

// A record by whatever name and time can be sent and is read again.
func TestNamesOfConnectionsAreMadePrintable(t *testing.T) {
	m := layoutMessage(1, "d", []byte("x"), "h1\r\nNats-Msg-Id: 1 ü", noon)
	if got := m.Header.Get(headerBy); got != "h1??Nats-Msg-Id: 1 ?" {
		t.Fatalf("%q", got)
	}
}

// No record stops a reader, but for one of a later format; and the same records
// make the same state.
func FuzzApply(f *testing.F) {
	f.Add(layoutSubject, "1", "7", "d", []byte("text"))
	f.Add(bornSubjects+"s1", "1", "", "", []byte(`{"birth":1,"host":"h1"}`))
	f.Add(bornSubjects, "", "0", " ", []byte(`{"birth":-1}`))
	f.Add("x", "2", "18446744073709551616", "\n", []byte{0})
	f.Fuzz(func(t *testing.T, subject, format, version, digest string, data []byte) {
		m := &message{Subject: subject, Data: data, Header: nats.Header{headerFormat: {format}, headerVersion: {version}, headerDigest: {digest}}}
		var a, b State
		errA, errB := a.apply(1, m), b.apply(1, m)
		if fmt.Sprint(errA) != fmt.Sprint(errB) || !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v, %v and %+v, %v", a, errA, b, errB)
		}
		if errA != nil && (!errors.Is(errA, ErrFormat) || !reflect.DeepEqual(a, State{})) {
			t.Fatalf("%+v, %v", a, errA)
		}
		if a.Version > 0 && checkLayout(a.Version, a.Digest, a.Layout) != nil {
			t.Fatalf("%+v", a)
		}
		for stripe, birth := range a.Born {
			if checkStripe(stripe) != nil || birth.Birth == 0 {
				t.Fatalf("%+v", a)
			}
		}
	})
}
