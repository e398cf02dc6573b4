package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// A cluster is the servers of one contestant.
type cluster struct {
	dir       string
	processes []*process
	addresses []string // where clients connect, host:port
	pprof     []string // host:port of each server's profiles
}

// start adds a server.
func (c *cluster) start(name, program string, args ...string) error {
	p, err := startProcess(c.dir, name, program, args...)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	c.processes = append(c.processes, p)
	return nil
}

// stop ends all servers and removes their data.
func (c *cluster) stop() error {
	for _, p := range c.processes {
		p.terminate()
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	var errs []error
	for _, p := range c.processes {
		errs = append(errs, p.wait(limit.C))
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// alive fails when a server has ended.
func (c *cluster) alive() error {
	for _, p := range c.processes {
		select {
		case <-p.ended:
			return p.fault()
		default:
		}
	}
	return nil
}

func (c *cluster) usage() (total usage, err error) {
	for _, p := range c.processes {
		u, err := p.usage()
		if err != nil {
			return total, errors.Join(err, c.alive())
		}
		total = total.plus(u)
	}
	return total, nil
}

// startLimit bounds the start of a cluster: an election of JetStream takes 4 to 9 s,
// and there may be 64 streams.
const startLimit = 3 * time.Minute

// await asks again and again until ready says nil, a server has ended, or the
// start has taken too long.
func (c *cluster) await(ctx context.Context, what string, ready func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		try, end := context.WithTimeout(ctx, 2*time.Second)
		err := ready(try)
		end()
		if err == nil {
			return nil
		}
		if err := c.alive(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; the last try: %w", what, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// awaitURLs waits until all URLs answer 200 in one round.
func (c *cluster) awaitURLs(ctx context.Context, what string, urls []string) error {
	return c.await(ctx, what, func(ctx context.Context) error {
		for _, url := range urls {
			if err := answers(ctx, url); err != nil {
				return err
			}
		}
		return nil
	})
}

// answers fails unless a URL answers 200.
func answers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, reply.Status)
	}
	return nil
}

// newCluster makes an empty cluster with a directory of its own.
func newCluster(dir, name string) (*cluster, error) {
	c := &cluster{dir: filepath.Join(dir, name)}
	if err := os.RemoveAll(c.dir); err != nil {
		return nil, err
	}
	return c, os.MkdirAll(c.dir, 0o755)
}
