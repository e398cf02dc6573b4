package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// A hostSignal is something that a host is told by a signal.
type hostSignal struct {
	name   string
	signal syscall.Signal
	says   string
}

func hostSignals() []hostSignal {
	return []hostSignal{
		{"reload", syscall.SIGHUP, "reads its layout again"},
		{"drain", drainSignal, "gives its stripes away and takes none, until `trireme drain --undo` or a restart"},
		{"quit", syscall.SIGTERM, "hands its stripes over, answers what it holds, and ends"},
	}
}

func (a *app) signalCommand() *cobra.Command {
	var file, at string
	c := &cobra.Command{
		Use: "signal NAME", Short: "Signal the host of this machine",
		Long:    signalLong(),
		Example: "  trireme signal reload\n  trireme signal drain --config /etc/trireme/trireme.conf\n  docker exec h1 trireme signal quit",
		Args:    arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			all := hostSignals()
			i := slices.IndexFunc(all, func(s hostSignal) bool { return s.name == args[0] })
			if i < 0 {
				return usage("%q is not a signal: want reload, drain or quit", args[0])
			}
			address, err := httpOf(file, at)
			if err != nil {
				return err
			}
			return a.signal(cmd.Context(), address, all[i])
		},
	}
	hostFlags(c, &file, &at)
	return c
}

func signalLong() string {
	var b strings.Builder
	b.WriteString("Signal the host of this machine, where there is no shell and no kill, as in a\ncontainer. It asks the host over HTTP for its process. A host that is signalled\n\n")
	var lines [][]string
	for _, s := range hostSignals() {
		lines = append(lines, []string{"  " + s.name, s.says})
	}
	rows(&b, lines)
	b.WriteString("\nIt does not wait until that is done.")
	return b.String()
}

// A signalView is a signal that was sent.
type signalView struct {
	Host   string `json:"host"`
	PID    int    `json:"pid"`
	Signal string `json:"signal"`
}

func (a *app) signal(ctx context.Context, at string, s hostSignal) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	status, err := httpStatus(ctx, at)
	if err != nil {
		return &failure{exit: exitUnreachable, err: err}
	}
	if err := servesHere(status.PID); err != nil {
		return &failure{exit: exitRefused, hint: "run it where the host runs; of a container: docker exec NAME trireme signal " + s.name, err: err}
	}
	if err := syscall.Kill(status.PID, s.signal); err != nil {
		return fmt.Errorf("signal process %d: %w", status.PID, err)
	}
	v := &signalView{Host: status.Host, PID: status.PID, Signal: s.name}
	return a.answer(v, func(w io.Writer) { fmt.Fprintf(w, "host %s, process %d: %s\n", v.Host, v.PID, v.Signal) })
}

// servesHere makes sure that a process is a host of this machine. What answers over
// HTTP may be in a container or on another machine, where its number means another
// process. Without /proc nobody can tell, and only 1 is refused.
func servesHere(pid int) error {
	if pid <= 0 {
		return fmt.Errorf("the host does not tell its process")
	}
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		if pid == 1 {
			return fmt.Errorf("process 1 of this machine cannot be told to be a host")
		}
		return nil
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return fmt.Errorf("the host says that it is process %d, which is not on this machine: %w", pid, err)
	}
	args := strings.Split(string(bytes.TrimRight(raw, "\x00")), "\x00")
	if filepath.Base(args[0]) != filepath.Base(os.Args[0]) || !slices.Contains(args[1:], "serve") {
		return fmt.Errorf("the host says that it is process %d, which is %s on this machine", pid, args[0])
	}
	return nil
}
