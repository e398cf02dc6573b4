package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/adapter"
	"trireme/internal/contract"
)

func TestExitOf(t *testing.T) {
	call := func(tries int, err error) error { return &adapter.CallError{Op: "get", Tries: tries, Err: err} }
	for _, c := range []struct {
		err  error
		want exitCode
	}{
		{errors.New("torn cable"), exitFailed},
		{usage("no"), exitUsage},
		{fmt.Errorf("wrapped: %w", hint(usage("no"), "so")), exitUsage},
		{call(1, adapter.ErrNotFound), exitRefused},
		{call(1, adapter.ErrMalformed), exitRefused},
		{call(0, adapter.ErrMalformed), exitUsage}, // it was not sent
		{call(0, adapter.ErrTooLarge), exitUsage},
		{call(9, adapter.ErrNoQuorum), exitUnreachable},
		{call(9, adapter.ErrBufferFull), exitRefused},
		{call(9, fmt.Errorf("%w: %w", adapter.ErrOutcomeUnknown, nats.ErrNoResponders)), exitFailed},
		{call(9, nats.ErrNoResponders), exitUnreachable},
		{hint(call(1, adapter.ErrExists), "patch it"), exitRefused},
	} {
		if got := exitOf(c.err); got != c.want {
			t.Errorf("exitOf(%v) is %d, want %d", c.err, got, c.want)
		}
	}
}

// What could happen again is told with the id that makes it happen once.
func TestUnknownOutcomeNamesItsRequest(t *testing.T) {
	v := view(&adapter.CallError{Op: "patch", RequestID: "r7", Err: adapter.ErrOutcomeUnknown}, exitFailed)
	if v.Code != contract.OutcomeUnknown || !strings.Contains(v.Hint, "--request-id r7") {
		t.Errorf("%+v", v)
	}
}

func TestAsked(t *testing.T) {
	for args, want := range map[string]string{
		"":                           table,
		"doc get -o json":            asJSON,
		"--output json doc":          asJSON,
		"-o=json":                    asJSON,
		"-ojson":                     asJSON,
		"--output=json":              asJSON,
		"-o table":                   table,
		"doc get -o":                 table,
		"doc put a b -- -o json":     table,
		"doc put a b --request json": table,
	} {
		if got := asked(strings.Fields(args)); got != want {
			t.Errorf("asked(%q) is %q, want %q", args, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	for _, c := range [][2]string{
		{"plain", "plain"},
		{"a\nb\x00c\x1b[31m", "a b c [31m"},
		{"12345678901", "1234567..."},
		{"äöüäöüäöüä", "äöüäöüäöüä"},
	} {
		if got := oneLine(c[0], 10); got != c[1] {
			t.Errorf("oneLine(%q) is %q, want %q", c[0], got, c[1])
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       "0 us",
		999 * time.Microsecond:  "999 us",
		1500 * time.Microsecond: "1.50 ms",
		2500 * time.Millisecond: "2.50 s",
	} {
		if got := short(d); got != want {
			t.Errorf("short(%v) is %q, want %q", d, got, want)
		}
	}
}

func TestBenchPlan(t *testing.T) {
	p := benchPlan{clients: 33, size: 256, op: benchPatch, took: time.Second}
	if err := p.settle(); err != nil || p.conns != 3 || p.docs != 33 {
		t.Errorf("settled to %+v, %v", p, err)
	}
	for _, size := range []int{minPatch, 256} {
		if got := payload(size, 107); len(got) != size || !strings.HasPrefix(got, `{"v07":"`) {
			t.Errorf("payload(%d) is %q", size, got)
		}
	}
}
