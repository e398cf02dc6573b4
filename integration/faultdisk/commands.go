package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// obey answers each line of input, "ok" or "error: ", until the input or ctx ends.
func (m *mounted) obey(ctx context.Context, stdin io.Reader, stdout io.Writer) {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(stdin); in.Scan(); {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case line, more := <-lines:
			if !more {
				return
			}
			answer, err := m.do(strings.Fields(line))
			if err != nil {
				answer = "error: " + strings.ReplaceAll(err.Error(), "\n", "; ")
			}
			fmt.Fprintln(stdout, answer)
		}
	}
}

// do carries out one command.
func (m *mounted) do(words []string) (answer string, err error) {
	d := m.disk
	if len(words) == 0 {
		return "", fmt.Errorf("no command; write one of lose, slow, fail, full, heal, room, stat")
	}
	args := words[1:]
	switch words[0] {
	case "lose":
		keep, err := parseKeeper(args)
		if err == nil {
			err = m.lose(keep)
		}
		return "ok", err
	case "slow":
		return "ok", d.faults.setSlow(args)
	case "fail":
		return "ok", d.faults.addFailure(args)
	case "full":
		return "ok", d.faults.setFull(args)
	case "heal":
		d.faults.heal()
		return "ok", nil
	case "room":
		d.faults.room()
		return "ok", nil
	case "stat":
		text, err := json.Marshal(d.stat())
		return string(text), err
	}
	return "", fmt.Errorf("unknown command %q; write one of lose, slow, fail, full, heal, room, stat", words[0])
}

// parseKeeper reads the arguments of lose.
func parseKeeper(args []string) (keeper, error) {
	switch len(args) {
	case 0:
		return nothing{}, nil
	case 1:
		seed, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("seed %q: %w; write a number", args[0], err)
		}
		return some{rand.New(rand.NewPCG(seed, seed))}, nil
	}
	return nil, fmt.Errorf("lose takes one seed, not %d words", len(args))
}

func (f *faults) setSlow(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("slow takes a duration, such as 100ms, or 0")
	}
	by, err := time.ParseDuration(args[0])
	if err != nil || by < 0 {
		return fmt.Errorf("slow %q: write a duration such as 100ms, or 0", args[0])
	}
	f.slowBy(by)
	return nil
}

func (f *faults) addFailure(args []string) error {
	if len(args) == 0 || len(args) > 3 {
		return fmt.Errorf("fail takes read, write or fsync, then perhaps a path and a number")
	}
	r := rule{call: call(args[0]), errno: syscall.EIO, left: forever}
	if r.call != read && r.call != write && r.call != fsync {
		return fmt.Errorf("fail %q: write read, write or fsync", args[0])
	}
	args = args[1:]
	if n := len(args); n > 0 {
		if left, err := strconv.Atoi(args[n-1]); err == nil {
			r.left, args = left, args[:n-1]
		}
	}
	var err error
	if r.path, err = pattern(args); err != nil {
		return err
	}
	f.add(r)
	return nil
}

func (f *faults) setFull(args []string) error {
	path, err := pattern(args)
	if err != nil {
		return err
	}
	f.add(rule{call: grow, path: path, errno: syscall.ENOSPC, left: forever})
	return nil
}

// pattern is what paths must match; without arguments every path does.
func pattern(args []string) (*regexp.Regexp, error) {
	if len(args) > 1 {
		return nil, fmt.Errorf("one path is a pattern, not %q", args)
	}
	return regexp.Compile(strings.Join(args, ""))
}
