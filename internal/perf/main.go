// Command perf measures a single host and prints the tables of
// docs/performance.md as Markdown.
//
//	go run ./internal/perf            # everything; make bench runs this
//	go run ./internal/perf -only peers -time 5s
//
// Every process is its own: the daemon, a bare NATS server with the same sync
// settings, and the clients, which are this one. What is compared runs turn by
// turn in one run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

type settings struct {
	only     string
	duration time.Duration
	rounds   int
	entries  int
	docs     int
	dir      string
	program  string
}

func main() { os.Exit(run()) }

func run() int {
	var s settings
	flag.StringVar(&s.only, "only", "", "peers, replay or size; all when empty")
	flag.DurationVar(&s.duration, "time", 4*time.Second, "of each measurement")
	flag.IntVar(&s.rounds, "rounds", 3, "how often each is measured; the median is told")
	flag.IntVar(&s.entries, "entries", 1_000_000, "of the replay")
	flag.IntVar(&s.docs, "docs", 100_000, "of the size measurement, 20 entries each")
	raw := flag.String("raw-server", "", "serve bare JetStream in a directory (internal)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *raw != "" {
		return report(serveRaw(ctx, *raw))
	}
	return report(measure(ctx, s))
}

func report(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "perf:", err)
		return 1
	}
	return 0
}

func measure(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "trireme-perf-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s.dir = dir
	if s.program, err = build(ctx, dir); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context, settings) error
	}{{"peers", peers}, {"replay", replay}, {"size", size}} {
		if s.only == "" || s.only == part.name {
			if err := part.run(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", part.name, err)
			}
		}
	}
	return nil
}
