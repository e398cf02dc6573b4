package main

import (
	"context"
	"io"
	"strings"
	"time"
)

// watchEvery is how often hosts are asked while somebody watches.
const watchEvery = time.Second

// watchRepair follows what heals, and what operators have begun, until it is over.
func (a *app) watchRepair(ctx context.Context, r *repairers, host string) error {
	p := a.progress()
	p.last = time.Time{} // the first one is told at once
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		s := r.status(ctx)
		at, over := s.watched()
		if over {
			p.end()
			if a.output == asJSON {
				return writeRecord(a.out, struct {
					Event string `json:"event"`
					repairStatusView
				}{"result", s.view()})
			}
			return a.answer(nil, func(w io.Writer) { s.print(w, host != "") })
		}
		p.at(at)
		select {
		case <-ctx.Done():
			p.end()
			return ctx.Err()
		case <-tick.C:
		}
		if err := r.look(ctx, host); err != nil && ctx.Err() == nil {
			p.end()
			return err
		}
	}
}

// watched sums up what heals, and says whether nothing does and nothing is under way.
func (s *repairStatus) watched() (at step, over bool) {
	var notes []string
	at.Doing, over = "healing", true
	for i, h := range s.hosts {
		if h.Repair != nil {
			for _, x := range h.Repair.Heals {
				at.Done, at.Of, over = at.Done+x.Verified, at.Of+x.Buckets, false
				notes = append(notes, joined(h.Host+"/"+x.Stripe+" "+string(x.Phase), left(x.ETA, s.now)))
			}
		}
		for _, j := range s.jobs[i] {
			over = false
			notes = append(notes, h.Host+" "+string(j.Kind))
		}
	}
	if at.Of == 0 {
		at.Doing = "working"
	}
	at.Note = strings.Join(notes, ", ")
	return at, over
}
