package host

import (
	"sync"
	"time"

	"trireme/internal/layout"
	"trireme/internal/members"
	"trireme/internal/position"
	"trireme/ops"
)

// peers is what this host has heard of all hosts, itself included. It is the
// directory by which the service forwards requests.
type peers struct {
	self  string
	began time.Time

	mu      sync.Mutex
	table   *members.Table
	changed chan struct{} // closed when an owner has changed, and made anew
}

func newPeers(self string, l layout.Layout, preferAfter time.Duration) *peers {
	table := members.New(self, l)
	table.PreferAfter = preferAfter.Milliseconds()
	return &peers{self: self, began: time.Now(), table: table, changed: make(chan struct{})}
}

// clock is the table's time.
func (p *peers) clock() int64 { return time.Since(p.began).Milliseconds() }

// ask gives a question to the table, which only one may do at a time.
func ask[T any](p *peers, question func(t *members.Table, now int64) T) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	return question(p.table, p.clock())
}

// hear takes a report in, and tells what is new by it.
func (p *peers) hear(r members.Report) members.News {
	p.mu.Lock()
	defer p.mu.Unlock()
	news := p.table.Hear(p.clock(), r)
	if len(news.Owners) > 0 {
		close(p.changed)
		p.changed = make(chan struct{})
	}
	return news
}

// reached is how far other members have applied a stripe's log, and who has.
func (p *peers) reached(stripe string, first uint64) (seq uint64, host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.Reached(p.clock(), stripe, first)
}

// answered tells whether the other members of a stripe have reported after a time of
// the clock.
func (p *peers) answered(stripe string, after int64) bool {
	return ask(p, func(t *members.Table, now int64) bool { return t.Answered(now, after, stripe) })
}

// moved tells the table how a hand-over ended.
func (p *peers) moved(m members.Move, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table.Moved(p.clock(), m, ok)
}

func (p *peers) setLayout(l layout.Layout) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table.SetLayout(l)
}

// Owner names the host that serves a stripe, as far as is known.
func (p *peers) Owner(stripe string) (host string, epoch position.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.Owner(p.clock(), stripe)
}

// Quorum tells whether enough members of a stripe live to commit.
func (p *peers) Quorum(stripe string) bool {
	return ask(p, func(t *members.Table, now int64) bool { return t.Quorum(now, stripe) })
}

// Changed is closed when an owner has changed since the call.
func (p *peers) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

// unfit says why a host cannot take a stripe over, "" when it can.
func (p *peers) unfit(host, stripe string) string {
	return ask(p, func(t *members.Table, now int64) string {
		for _, v := range t.Hosts(now) {
			if v.Name != host {
				continue
			}
			s, has := v.Report.Stripes[stripe]
			switch {
			case !v.Alive:
				return "it is not heard"
			case v.Report.Draining:
				return "it is draining"
			case !has:
				return "it has not opened the stripe yet"
			case s.Sick != "":
				return s.Sick
			}
			return ""
		}
		return "it is not in the layout"
	})
}

// hosts are those of the layout, as this host has heard of them.
func (p *peers) hosts(l layout.Layout) []ops.HostView {
	return ask(p, func(t *members.Table, now int64) []ops.HostView {
		views := make([]ops.HostView, 0, len(l.Hosts))
		for _, v := range t.Hosts(now) {
			host, ok := l.Host(v.Name)
			if !ok {
				continue
			}
			view := ops.HostView{
				Name: v.Name, Self: v.Name == p.self, Alive: v.Alive, HeardMS: -1,
				NATS: host.NATS, HTTP: host.HTTP, Adama: host.Adama,
			}
			if v.Heard {
				view.HeardMS, view.Version, view.Draining = v.Ago, v.Report.Version, v.Report.Draining
				view.Layout, view.LayoutDigest = v.Report.Layout.Version, v.Report.Layout.Digest
			}
			if view.Self {
				view.HeardMS = 0
			}
			views = append(views, view)
		}
		return views
	})
}
