// Command peers measures three hosts of Trireme beside their peers, turn by turn
// in one run on one machine: etcd, three members; and bare JetStream, three
// servers with as many streams as Trireme has stripes. Each writes to disk before
// it acknowledges, on a majority.
//
//	make bench-peers
//	make bench-peers PEERSFLAGS='--clients 64,256 --turn 10s --turns 5'
//	cd integration/peers && go run . --only etcd -o json
//
// README.md beside this says what is sent, what is measured and how to read it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run prints the answer on stdout and all the rest on stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends this at once, and the servers with it
	s, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "peers:", err)
		return 2
	}
	r, err := compare(ctx, s, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "peers:", err)
	}
	if r != nil && len(r.Rows) > 0 {
		if err := r.write(stdout, s.output); err != nil {
			fmt.Fprintln(stderr, "peers:", err)
			return 1
		}
	}
	if err != nil {
		return 1
	}
	return 0
}
