package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"trireme/internal/localcluster"
	"trireme/internal/position"
)

// A demo is hosts, a load on them, and somebody who looks.
type demo struct {
	app     *app
	cluster *localcluster.Cluster
	load    *demoLoad
	began   time.Time // of the load; zero before it

	stop context.CancelFunc // of everything in the background
	wait sync.WaitGroup

	mu      sync.Mutex // guards what follows, and the output
	owners  map[string]demoOwner
	silent  map[string]bool // hosts that do not answer
	kills   int
	pauses  []time.Duration
	writing error // the first error of the output
}

// A demoOwner is who owns a stripe, and since which claim.
type demoOwner struct {
	host  string
	epoch position.Position
}

func newDemo(a *app, c *localcluster.Cluster) *demo {
	return &demo{app: a, cluster: c, owners: map[string]demoOwner{}, silent: map[string]bool{}, stop: func() {}}
}

// start starts the hosts, and the load when they serve.
func (d *demo) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	if err := errors.Join(d.cluster.Start(), d.cluster.AwaitReady(ctx)); err != nil {
		return err
	}
	d.tell(d.hosts())
	var err error
	d.load, err = newDemoLoad(ctx, d.cluster)
	return err
}

// run shows what happens until ctx ends.
func (d *demo) run(ctx context.Context, killEvery time.Duration) {
	d.began = time.Now()
	ctx, d.stop = context.WithCancel(ctx)
	for _, h := range d.cluster.Hosts {
		d.wait.Go(func() { d.watch(ctx, h) })
		d.wait.Go(func() { d.revive(ctx, h) })
	}
	d.load.start(ctx)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	kill := make(<-chan time.Time)
	if killEvery > 0 {
		every := time.NewTicker(killEvery)
		defer every.Stop()
		kill = every.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-second.C:
			d.second()
		case <-kill:
			d.kill(ctx)
		}
	}
}

// finish ends the load, has every host run again, and compares every document with
// what was acknowledged.
func (d *demo) finish() (*demoSummary, error) {
	d.stop()
	d.load.wait.Wait()
	d.wait.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), demoLimit)
	defer cancel()
	if err := errors.Join(d.cluster.Start(), d.cluster.AwaitReady(ctx)); err != nil {
		return nil, err
	}
	return d.summary(ctx)
}

// close ends the hosts in order, all at once.
func (d *demo) close() error {
	d.stop()
	d.wait.Wait()
	if d.load != nil {
		d.load.close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	var ends sync.WaitGroup
	for _, h := range d.cluster.Hosts {
		ends.Go(func() { _, _ = h.Terminate(ctx) }) // what does not end is killed below
	}
	ends.Wait()
	return errors.Join(d.cluster.Close(), d.writing)
}

// Between two looks at a host, and before one that has ended is started again.
const (
	demoLook   = 200 * time.Millisecond
	demoRevive = 5 * time.Second
)

// watch looks at a host and tells of owners that change.
func (d *demo) watch(ctx context.Context, h *localcluster.Host) {
	tick := time.NewTicker(demoLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s, err := h.Status(ctx)
		if ctx.Err() != nil {
			return
		}
		d.answers(h, err == nil)
		if err == nil {
			d.learn(s)
		}
	}
}

// answers tells of a host that lives and says nothing, or speaks again.
func (d *demo) answers(h *localcluster.Host, does bool) {
	d.mu.Lock()
	silent := !does && h.Running()
	changed := d.silent[h.Name] != silent
	d.silent[h.Name] = silent
	d.mu.Unlock()
	switch {
	case changed && silent:
		d.tell(&demoHost{Event: "silent", Host: h.Name, PID: h.Pid()})
	case changed && does:
		d.tell(&demoHost{Event: "answers", Host: h.Name, PID: h.Pid()})
	}
}

// learn takes in what a host says of the owners. The later claim counts.
func (d *demo) learn(s localcluster.Status) {
	var changes []*demoChange
	d.mu.Lock()
	for _, stripe := range s.Stripes {
		epoch, err := position.Parse(stripe.Epoch)
		before := d.owners[stripe.Name]
		if err != nil || stripe.Owner == "" || !before.epoch.Less(epoch) {
			continue
		}
		d.owners[stripe.Name] = demoOwner{stripe.Owner, epoch}
		if before.host != stripe.Owner {
			changes = append(changes, &demoChange{Event: "owner", Stripe: stripe.Name, From: before.host, To: stripe.Owner, Epoch: stripe.Epoch})
		}
	}
	d.mu.Unlock()
	for _, c := range changes {
		if c.From != "" {
			d.tell(c)
		}
	}
}

// revive starts a host again when it has ended.
func (d *demo) revive(ctx context.Context, h *localcluster.Host) {
	for {
		pid := h.Pid()
		select {
		case <-ctx.Done():
			return
		case <-h.Exited():
		}
		d.tell(&demoHost{Event: "ended", Host: h.Name, PID: pid})
		pause := time.NewTimer(demoRevive)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		if err := h.Start(); err != nil {
			d.tell(&demoHost{Event: "cannot start", Host: h.Name, Error: err.Error()})
			return
		}
		d.tell(&demoHost{Event: "started", Host: h.Name, PID: h.Pid()})
	}
}

// kill kills a random host when all of them are well: one at a time may be missing.
func (d *demo) kill(ctx context.Context) {
	for _, h := range d.cluster.Hosts {
		if err := h.Ready(ctx); err != nil {
			d.tell(&demoHost{Event: "spared", Host: h.Name, Error: oneLine(err.Error(), 100)})
			return
		}
	}
	h := d.cluster.Hosts[rand.IntN(len(d.cluster.Hosts))]
	d.mu.Lock()
	d.kills++
	d.mu.Unlock()
	d.tell(&demoHost{Event: "kill", Host: h.Name, PID: h.Pid()})
	if err := h.Kill(); err != nil {
		d.tell(&demoHost{Event: "cannot kill", Host: h.Name, Error: err.Error()})
	}
}
