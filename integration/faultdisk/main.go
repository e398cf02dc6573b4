// Command faultdisk is a disk that fails when it is told to. It serves MOUNT by FUSE as
// a pass-through of the directory BACKING, on Linux, as root:
//
//	faultdisk BACKING MOUNT
//
// It says "ready", then takes commands as lines on its standard input and answers each
// with one line. When its input ends it unmounts and ends.
//
//	lose [SEED]                      cut the power: what was not made durable is undone
//	slow DURATION                    let every write and fsync take so much longer; 0 ends it
//	fail read|write|fsync [PATH] [N] let the next N calls on matching paths end with EIO
//	full [PATH]                      let what needs room on matching paths end with ENOSPC
//	heal, room                       end all failures; end the lack of room
//	stat                             tell the counters, as JSON
//
// PATH is a regular expression on the path below MOUNT. README.md says what a power cut
// takes and what it leaves.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run serves until its input or ctx ends. It answers on stdout, and says on stderr why
// it cannot.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) != 2 {
		fmt.Fprintln(stderr, "usage: faultdisk BACKING MOUNT")
		return 2
	}
	m, err := mount(args[0], args[1])
	if err != nil {
		fmt.Fprintln(stderr, "faultdisk:", err)
		return 1
	}
	fmt.Fprintln(stdout, "ready")
	m.obey(ctx, stdin, stdout)
	if err := m.close(); err != nil {
		fmt.Fprintln(stderr, "faultdisk:", err)
		return 1
	}
	return 0
}
