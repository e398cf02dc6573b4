package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	// The name of a program may hold spaces and parentheses.
	const text = "4321 (a ) (b) S 1 4321 4321 0 -1 4194560 9999 0 3 0 250 31 7 8 20 0 12 0 100 1 2 3\n"
	got, err := parseStat(text)
	if err != nil || got != 2810*time.Millisecond {
		t.Errorf("%v, %v: want 2.81s of 250 and 31 ticks", got, err)
	}
	for _, bad := range []string{"", "1 (x) S 1 2", strings.Replace(text, "250", "much", 1)} {
		if got, err := parseStat(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

func TestParseMachine(t *testing.T) {
	got, err := parseMachine("cpu  100 20 3 99999 8888 4 5 0 0 0\ncpu0 1 1 1 1 1 1 1\n")
	if err != nil || got != 1320*time.Millisecond {
		t.Errorf("%v, %v: want 1.32s, idle and waiting time left out", got, err)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8", "cpu a 2 3 4 5 6 7"} {
		if got, err := parseMachine(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

func TestParseIO(t *testing.T) {
	got, err := parseIO("rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n")
	if err != nil || got != 4096 {
		t.Errorf("%d, %v: want 4096", got, err)
	}
	for _, bad := range []string{"", "cancelled_write_bytes: 5\n", "write_bytes: x\n"} {
		if got, err := parseIO(bad); err == nil {
			t.Errorf("%q is %d", bad, got)
		}
	}
}

// What is parsed is what this system has.
func TestUsage(t *testing.T) {
	if inMemory("/proc") {
		t.Error("/proc counts as tmpfs")
	}
	u, err := usageOf("self")
	busy, err2 := machineBusy()
	if err != nil || err2 != nil || u.cpu < 0 || busy < u.cpu {
		t.Errorf("this process used %+v (%v), the machine %v (%v)", u, err, busy, err2)
	}
	if d := u.plus(u).minus(u); d != u {
		t.Errorf("%+v and itself less itself is %+v", u, d)
	}
}
