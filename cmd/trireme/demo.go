package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"trireme/internal/localcluster"
)

const demoLong = `Run three hosts on this machine, with a small load on them, and show what happens:
a line for every second, and one for everything else, like a new owner, a pause,
a host that has ended.

It prints how to kill, freeze and stop a host. One that has ended is started
again after 5 s. With --kill-every the demo kills a random host itself. Ctrl-C, or
the end of --duration, ends it all; then every document is read and compared with
what was acknowledged.

With --dir everything stays there: the layout, the hosts' configurations, logs and
data. The demo goes on with what it finds in it.

The exit code is 3 when an acknowledged change was lost, one was applied twice, a
read was stale, or a client was told of an error.`

// A demoPlan is what a demo does.
type demoPlan struct {
	dir       string
	killEvery time.Duration
	duration  time.Duration
	basePort  int
}

func (a *app) demoCommand() *cobra.Command {
	var p demoPlan
	c := &cobra.Command{
		Use: "demo", Short: "Run three hosts here, with a load on them, to be killed", Long: demoLong,
		Example: `  trireme demo
  trireme demo --kill-every 20s
  trireme demo --dir ./demo --duration 1m -o json`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case p.killEvery < 0 || p.killEvery > 0 && p.killEvery < time.Second:
				return usage("--kill-every %v: want 1s or more", p.killEvery)
			case p.duration < 0:
				return usage("--duration %v: want more than 0", p.duration)
			case p.basePort < 0 || p.basePort > 65_000:
				return usage("--base-port %d: want 1 to 65000", p.basePort)
			}
			return a.demo(cmd.Context(), p)
		},
	}
	f := c.Flags()
	f.StringVar(&p.dir, "dir", "", "`directory` of the hosts, which stays; a temporary one when it is not given")
	f.DurationVar(&p.killEvery, "kill-every", 0, "kill a random host so often")
	f.DurationVar(&p.duration, "duration", 0, "end after this time; without it, Ctrl-C ends the demo")
	f.IntVar(&p.basePort, "base-port", 0, "ports of a new cluster: NATS at `P`+1.., routes at P+101.., HTTP at P+201..; free ones when it is not given")
	return c
}

// demoLimit bounds the beginning and the end of a demo.
const demoLimit = 2 * time.Minute

// demo runs the hosts and the load until ctx ends or the time is over.
func (a *app) demo(ctx context.Context, p demoPlan) (err error) {
	if p.dir == "" {
		dir, err := os.MkdirTemp("", "trireme-demo-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }() // it is temporary
		p.dir = dir
	}
	cluster, err := demoCluster(ctx, p)
	if err != nil {
		return err
	}
	d := newDemo(a, cluster)
	defer func() {
		// Hosts end in order while there is time; nothing of theirs stays behind.
		if closed := d.close(); err == nil {
			err = closed
		}
	}()
	if err := d.start(ctx); err != nil {
		return err
	}
	if p.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.duration)
		defer cancel()
	}
	d.run(ctx, p.killEvery)
	summary, err := d.finish()
	if err != nil {
		return err
	}
	d.tell(summary)
	return degraded(!summary.well())
}

// demoCluster finds the cluster of a directory, or makes one.
func demoCluster(ctx context.Context, p demoPlan) (*localcluster.Cluster, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(p.dir, "h1.conf")); err == nil {
		return localcluster.Open(program, p.dir)
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, err
	}
	cluster, err := localcluster.New(ctx, localcluster.Config{Program: program, Dir: p.dir, BasePort: p.basePort})
	if err != nil {
		return nil, fmt.Errorf("make the hosts' files: %w", err)
	}
	return cluster, nil
}
