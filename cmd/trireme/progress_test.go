package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// clocked is a progress under a clock that the test moves.
func clocked(output string, onTerminal bool) (p *progress, out, err *bytes.Buffer, tick func(time.Duration)) {
	out, err = new(bytes.Buffer), new(bytes.Buffer)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	p = &progress{app: &app{out: out, err: err, output: output}, terminal: onTerminal, now: func() time.Time { return now }, last: now}
	return p, out, err, func(d time.Duration) { now = now.Add(d) }
}

func TestProgress(t *testing.T) {
	half := step{Doing: "scrubbing", Done: 5, Of: 10, Note: "h1 is slow"}
	for _, c := range []struct {
		name     string
		output   string
		terminal bool
		every    time.Duration
		out, err string
	}{
		{"terminal", table, true, barEvery, "", "\rscrubbing [##########          ]  50 %  h1 is slow\r"},
		{"lines", table, false, lineEvery, "", "scrubbing: 50 %, h1 is slow\n"},
		{"records", asJSON, false, recordEvery, `{"event":"progress","doing":"scrubbing","done":5,"of":10,"note":"h1 is slow"}` + "\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, out, err, tick := clocked(c.output, c.terminal)
			tick(c.every - 1)
			if p.at(half); out.Len()+err.Len() > 0 {
				t.Errorf("too early: %q %q", out, err)
			}
			tick(1)
			p.at(half)
			p.at(half) // at once again
			if out.String() != c.out || err.String() != c.err {
				t.Errorf("%q %q, want %q %q", out, err, c.out, c.err)
			}
			p.end()
			if c.terminal && !strings.HasSuffix(err.String(), "\r") {
				t.Errorf("the terminal is left with %q", err)
			}
			if !c.terminal && err.String() != c.err {
				t.Errorf("%q", err)
			}
		})
	}
}

// A shorter bar leaves nothing of a longer one.
func TestProgressDrawsOver(t *testing.T) {
	p, _, err, tick := clocked(table, true)
	tick(barEvery)
	p.at(step{Doing: "verifying", Of: 1, Note: strings.Repeat("x", 200)})
	long := len(p.drawn)
	err.Reset()
	tick(barEvery)
	p.at(step{Doing: "verifying", Of: 1})
	if got := err.Len(); long > 118 || got < long {
		t.Errorf("%d drawn over %d", got, long)
	}
	if err.Reset(); p.drawn != "" {
		p.end()
	}
	if strings.Trim(err.String(), "\r ") != "" || p.drawn != "" {
		t.Errorf("the end leaves %q", err)
	}
}

func TestSteps(t *testing.T) {
	for _, c := range []struct {
		s    step
		want string
	}{
		{step{Doing: "d"}, "d [                    ]   0 %"},
		{step{Doing: "d", Done: 1, Of: 3}, "d [######              ]  33 %"},
		{step{Doing: "d", Done: 3, Of: 3}, "d [####################] 100 %"},
		{step{Doing: "d", Done: 9, Of: 3}, "d [####################] 300 %"},
	} {
		if got := c.s.bar(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.s, got, c.want)
		}
	}
	for d, want := range map[time.Duration]string{
		4 * time.Second: "4s", 61 * time.Second: "1m", 59 * time.Minute: "59m", 90 * time.Minute: "2h", 47 * time.Hour: "47h", 50 * time.Hour: "2 days",
	} {
		if got := about(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	now := time.Now()
	past := now.Add(-time.Second)
	if left(nil, now)+left(&past, now) != "" {
		t.Error("something is left of the past")
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]int64{
		"none": 0, "1": 1, "500KB": 500 << 10, "20MB": 20 << 20, "20mb": 20 << 20, "20MiB": 20 << 20, "20M": 20 << 20, "1GB": 1 << 30, "2TB": 2 << 40, "77B": 77,
	} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "MB", "1.5MB", "20 MB", "20MBB", "20BM", "20IB", "9999999TB", "99999999999999999999", "fast", "NONE"} {
		if got, err := parseRate(text); err == nil || !strings.Contains(err.Error(), "20MB") {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, text := range []string{"none", "20MB", "1", "5TiB", "-3K", "MB", "\xff", "9223372036854775807"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseRate(text)
		if n < 0 || err != nil && n != 0 || err == nil && n == 0 && text != "none" {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	})
}
