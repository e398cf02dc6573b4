package service

import (
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/internal/contract"
)

func TestHear(t *testing.T) {
	const late, early = true, false
	nobody := &nats.Msg{Header: nats.Header{"Status": {"503"}}}
	for _, test := range []struct {
		name    string
		m       *nats.Msg
		ending  bool
		unknown bool
		want    hearing
	}{
		{"success", &nats.Msg{Data: []byte(`{}`)}, early, false, final},
		{"a local read", &nats.Msg{Data: []byte(`{}`), Header: nats.Header{contract.HeaderBehind: {"1"}}}, early, false, final},
		{"nobody there", nobody, early, false, nothing},
		{"nobody there at the end", nobody, late, true, nothing},
		{"unreadable", &nats.Msg{Data: []byte(`{}`), Header: nats.Header{micro.ErrorCodeHeader: {"x"}}}, early, false, doubt},
	} {
		if _, got := hear(test.m, test.ending, test.unknown); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	// In the order: early, early after an unknown try, late, late after an unknown try.
	again := map[contract.Code][4]hearing{
		contract.NoOwner:        {doubt, doubt, doubt, doubt},
		contract.Deposed:        {doubt, doubt, doubt, doubt},
		contract.NoQuorum:       {nothing, nothing, final, nothing},
		contract.OutcomeUnknown: {doubt, doubt, final, final},
	}
	for _, x := range contract.Codes() {
		want := again[x.Code] // final for all others: they are decisions, or nothing that another try mends
		m := &nats.Msg{Data: []byte(`{}`), Header: nats.Header{micro.ErrorCodeHeader: {strconv.Itoa(int(x.Code))}}}
		for i, when := range [][2]bool{{early, false}, {early, true}, {late, false}, {late, true}} {
			if code, got := hear(m, when[0], when[1]); code != x.Code || got != want[i] {
				t.Errorf("%d, ending %v, unknown %v: %v, want %v", x.Code, when[0], when[1], got, want[i])
			}
		}
	}
}

func TestReadSubject(t *testing.T) {
	for subject, want := range map[string]struct {
		op   string
		came way
	}{
		"adama.v1.get":          {"get", toAny},
		"adama.v1.h.h1.patch":   {"patch", toHost},
		"adama.v1.p.07.history": {"history", toOwner},
	} {
		if op, came := readSubject(subject); op != want.op || came != want.came {
			t.Errorf("%s: %s, %v", subject, op, came)
		}
	}
}

// A resend that waited behind a request whose outcome was never told is not told
// "no" either.
func TestAResendInheritsDoubt(t *testing.T) {
	l := newLanes()
	first, resend, other := newLaneRequest(l, "k", true), newLaneRequest(l, "k", true), newLaneRequest(l, "k", true)
	first.id, resend.id, other.id = "a", "a", "b"
	for _, r := range []*laneRequest{first, resend, other} {
		l.enter(&r.request)
	}
	first.open.Store(true)
	l.leave(&first.request)
	if !resend.unknown || resend.phase.Load() != appended {
		t.Error("the resend counts as one that has not happened")
	}
	if other.unknown || other.phase.Load() != waiting {
		t.Error("another request counts as one that may have happened")
	}
}
