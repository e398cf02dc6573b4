package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor time in /proc, on every Linux.
const tick = 10 * time.Millisecond

// usage is what processes have used so far.
type usage struct {
	cpu     time.Duration // user and system
	written int64         // bytes sent to the disk
}

func (u usage) plus(v usage) usage  { return usage{u.cpu + v.cpu, u.written + v.written} }
func (u usage) minus(v usage) usage { return usage{u.cpu - v.cpu, u.written - v.written} }

// usageOf reads what a process has used: a number, or "self".
func usageOf(pid string) (usage, error) {
	stat, err1 := os.ReadFile("/proc/" + pid + "/stat")
	io, err2 := os.ReadFile("/proc/" + pid + "/io")
	if err := errors.Join(err1, err2); err != nil {
		return usage{}, err
	}
	cpu, err1 := parseStat(string(stat))
	written, err2 := parseIO(string(io))
	return usage{cpu, written}, errors.Join(err1, err2)
}

// machineBusy is how long the machine's processors have worked, for whomever.
func machineBusy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseMachine(string(text))
}

// parseStat reads user and system time from /proc/PID/stat. The name of the
// program, in parentheses, may hold anything.
func parseStat(text string) (time.Duration, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const user, system = 11, 12
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/PID/stat: %q has %d fields after the name: want more than %d", text, len(fields), system)
	}
	return ticks(fields[user], fields[system])
}

// parseMachine adds up the first line of /proc/stat: user, nice, system, (idle,
// iowait,) irq, softirq.
func parseMachine(text string) (time.Duration, error) {
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line)
	if len(f) < 8 || f[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat: its first line is %q: want cpu and seven numbers or more", line)
	}
	return ticks(f[1], f[2], f[3], f[6], f[7])
}

func ticks(fields ...string) (total time.Duration, err error) {
	for _, field := range fields {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(n) * tick
	}
	return total, nil
}

// parseIO reads what went to the disk from /proc/PID/io.
func parseIO(text string) (int64, error) {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, "write_bytes:"); found {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/PID/io: %q has no write_bytes", text)
}
