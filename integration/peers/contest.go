package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A contestant is a kind of cluster, and the ways in which it is asked.
type contestant struct {
	name  string
	start func(ctx context.Context, e *environment, c *cluster) error
	ways  []way
}

// A way is what a client of a contestant does, again and again.
type way struct {
	name    string
	connect func(ctx context.Context, c *cluster, s *settings) (*fleet, error)
}

// environment is what all contestants share.
type environment struct {
	settings *settings
	dir      string
	programs programs
}

func contestants(s *settings) (list []contestant) {
	for _, stripes := range s.stripes {
		if s.has(familyTrireme) {
			list = append(list, triremeContestant(stripes))
		}
	}
	if s.has(familyEtcd) {
		list = append(list, etcdContestant())
	}
	for _, stripes := range s.stripes {
		if s.has(familyJetStream) {
			list = append(list, jetStreamContestant(stripes))
		}
	}
	return list
}

// compare runs all contestants, turn by turn: each turn starts a cluster anew,
// alone on the machine, and measures it with every number of clients. What was
// measured before an error is returned with it.
func compare(ctx context.Context, s settings, progress io.Writer) (*report, error) {
	dir, err := s.workDir()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	e := &environment{settings: &s, dir: dir}
	if e.programs, err = buildPrograms(ctx, &s, dir, progress); err != nil {
		return nil, err
	}
	list := contestants(&s)
	r := newReport(&s)
	for turn := range s.turns {
		for i := range list {
			fmt.Fprintf(progress, "turn %d of %d: %s\n", turn+1, s.turns, list[i].name)
			if err := r.play(ctx, e, &list[i], progress); err != nil {
				return r, fmt.Errorf("%s: %w", list[i].name, err)
			}
		}
	}
	return r, nil
}

// play is one contestant's turn.
func (r *report) play(ctx context.Context, e *environment, c *contestant, progress io.Writer) (err error) {
	servers, err := newCluster(e.dir, strings.ReplaceAll(c.name, "/", "-"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.stop()) }()
	began := time.Now()
	if err := c.start(ctx, e, servers); err != nil {
		return err
	}
	fmt.Fprintf(progress, "  ready after %.1f s\n", time.Since(began).Seconds())
	fleets := make([]*fleet, len(c.ways))
	for i, w := range c.ways {
		if fleets[i], err = w.connect(ctx, servers, e.settings); err != nil {
			return fmt.Errorf("%s: connect: %w", w.name, err)
		}
		defer fleets[i].close()
	}
	for _, clients := range e.settings.clients {
		for i, w := range c.ways {
			m := measurement{settings: e.settings, servers: servers, fleet: fleets[i], clients: clients, name: w.name}
			reading, err := m.run(ctx)
			if err != nil {
				return fmt.Errorf("%s with %d clients: %w", w.name, clients, errors.Join(err, servers.alive()))
			}
			fmt.Fprintf(progress, "  %-24s %4d clients %8.0f/s  p50 %v\n", w.name, clients, reading.PerSecond, micros(reading.P50))
			r.add(w.name, clients, reading)
		}
	}
	return nil
}
