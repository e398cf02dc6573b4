package main

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"trireme/ops"
)

// A clusterStatus is what all hosts tell.
type clusterStatus struct {
	first *hostStatus   // the one that was asked first, and told of the others
	hosts []*hostStatus // in the order of the layout
	away  []awayHost
}

// An awayHost is a host of the layout that tells nothing.
type awayHost struct {
	Host  string `json:"host"`
	NATS  string `json:"nats"`
	HTTP  string `json:"http"`
	Error string `json:"error"`

	view ops.HostView
}

// cluster asks one host, and all that it knows of.
func (w *watcher) cluster(ctx context.Context) (*clusterStatus, error) {
	first, err := w.any(ctx)
	if err != nil {
		return nil, err
	}
	c := &clusterStatus{first: first}
	if len(first.Hosts) == 0 {
		c.hosts = []*hostStatus{first}
		return c, nil
	}
	told := make([]*hostStatus, len(first.Hosts))
	errs := make([]error, len(first.Hosts))
	var asked sync.WaitGroup
	for i, h := range first.Hosts {
		if h.Name == first.Host {
			told[i] = first
			continue
		}
		asked.Go(func() { told[i], errs[i] = w.peer(ctx, h) })
	}
	asked.Wait()
	for i, h := range first.Hosts {
		if told[i] != nil {
			c.hosts = append(c.hosts, told[i])
		} else {
			c.away = append(c.away, awayHost{Host: h.Name, NATS: h.NATS, HTTP: h.HTTP, Error: errs[i].Error(), view: h})
		}
	}
	return c, nil
}

func (c *clusterStatus) bad() bool {
	return len(c.away) > 0 || slices.ContainsFunc(c.hosts, (*hostStatus).bad)
}

// A clusterView is a cluster as -o json tells it.
type clusterView struct {
	Hosts       []json.RawMessage `json:"hosts"` // each host's status, as it came
	Unreachable []awayHost        `json:"unreachable"`
	Conditions  []toldCondition   `json:"conditions"` // of all hosts, each once
}

func (c *clusterStatus) view() clusterView {
	v := clusterView{Hosts: []json.RawMessage{}, Unreachable: []awayHost{}, Conditions: c.conditions()}
	for _, h := range c.hosts {
		v.Hosts = append(v.Hosts, h.raw)
	}
	v.Unreachable = append(v.Unreachable, c.away...)
	return v
}

// A toldCondition is a condition with the hosts that tell it.
type toldCondition struct {
	ops.Condition
	Hosts []string `json:"hosts"`
}

// conditions are those of all hosts. What several tell of the same stripe, member or
// host is told once, in the words of the one that is concerned if it speaks.
func (c *clusterStatus) conditions() []toldCondition {
	type about struct{ id, subject, host string }
	seen := map[about]*toldCondition{}
	all := []*toldCondition{}
	for _, h := range c.hosts {
		for _, x := range h.Conditions {
			if down := c.host(x.Subject); x.ID == "host-down" && down != nil && down.Held != nil {
				continue // it tells more of itself
			}
			key := about{x.ID, x.Subject, h.Host}
			if x.Scope == ops.ScopeCluster {
				key.host = ""
			}
			told := seen[key]
			if told == nil {
				told = &toldCondition{Condition: x}
				seen[key] = told
				all = append(all, told)
			} else if concerned(x.Subject) == h.Host {
				told.Condition = x
			}
			told.Hosts = append(told.Hosts, h.Host)
		}
	}
	slices.SortStableFunc(all, func(a, b *toldCondition) int {
		return cmp.Or(-cmp.Compare(flagged(a.Severity), flagged(b.Severity)), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Subject, b.Subject))
	})
	out := make([]toldCondition, 0, len(all))
	for _, x := range all {
		out = append(out, *x)
	}
	return out
}

// concerned is the host that a subject is about, "" for none: a host, or a member as
// "stripe/host".
func concerned(subject string) string {
	return subject[strings.LastIndexByte(subject, '/')+1:]
}

func flagged(s ops.Severity) int {
	if s == ops.Critical {
		return 1
	}
	return 0
}

// A stripeView is a stripe as all hosts together know it.
type stripeView struct {
	ops.Stripe // of its owner, or else of the first host that tells of it

	members []ops.MemberView // each from its own status, where it tells one
}

// owned returns the stripe of the host that owns it and can commit, nil when no host
// says so of itself.
func (c *clusterStatus) owned(name string) *ops.Stripe {
	var found *ops.Stripe
	for _, h := range c.hosts {
		if p := h.stripe(name); p != nil && p.Owner == h.Host && p.Served(h.Host) && p.Quorum() {
			found = p
		}
	}
	return found
}

func (s *hostStatus) stripe(name string) *ops.Stripe {
	for i := range s.Stripes {
		if s.Stripes[i].Name == name {
			return &s.Stripes[i]
		}
	}
	return nil
}

func (c *clusterStatus) host(name string) *hostStatus {
	for _, h := range c.hosts {
		if h.Host == name {
			return h
		}
	}
	return nil
}

// stripes are those of all hosts, in the order in which they are told.
func (c *clusterStatus) stripes() (all []stripeView) {
	seen := map[string]bool{}
	for _, h := range c.hosts {
		for i := range h.Stripes {
			p := &h.Stripes[i]
			if seen[p.Name] {
				continue
			}
			seen[p.Name] = true
			if owned := c.owned(p.Name); owned != nil {
				p = owned
			}
			all = append(all, stripeView{Stripe: *p, members: c.members(p)})
		}
	}
	return all
}

// members are those of a stripe, with what each tells of itself.
func (c *clusterStatus) members(p *ops.Stripe) []ops.MemberView {
	views := make([]ops.MemberView, 0, len(p.Members))
	for _, name := range p.Members {
		view, heard := p.Member(name)
		view.Host, view.Owner = name, name == p.Owner
		if h := c.host(name); h != nil {
			if own := h.stripe(p.Name); own != nil {
				view.Sick, view.LagRecords = own.Sick, own.LagRecords
			}
			view.Alive = view.Alive || !heard
		}
		views = append(views, view)
	}
	return views
}
