package members

import (
	"maps"
	"slices"

	"trireme/internal/position"
)

// News is what a report has changed.
type News struct {
	Taken    bool    // the report counts; not when it is older than what is known
	Rival    bool    // not taken: another disk calls itself by the name of a host that is alive
	Appeared bool    // the host is heard for the first time, or again after it was dead, or after a restart
	Closed   bool    // the host has said that it closes
	Owners   []Owned // what changed hands, by the name of the stripe
}

// Owned is a stripe whose owner changed. Host is "" when the owner has let it go.
type Owned struct {
	Stripe string
	Host   string
	Epoch  position.Position
}

// Hear takes a report in, and tells what is new. A report of an earlier boot, or
// that a later one of the same boot has overtaken, changes nothing.
func (t *Table) Hear(now int64, r Report) News {
	t.resume(now)
	known := t.hosts[r.Host]
	wasAlive := known != nil && t.Alive(now, r.Host)
	switch {
	case known == nil:
		known = &host{}
		t.hosts[r.Host] = known
	case known.report.Disk == r.Disk && r.olderThan(&known.report):
		return News{}
	case known.report.Disk != r.Disk && wasAlive && r.Boot <= known.report.Boot:
		return News{Rival: true}
	}
	news := News{Taken: true}
	restarted := wasAlive && (known.report.Disk != r.Disk || known.report.Boot != r.Boot)
	if !wasAlive || restarted {
		known.since = now
		news.Appeared = !r.Closing
	}
	news.Closed = r.Closing && !known.report.Closing
	before := known.report
	known.report, known.heard = r, now
	news.Owners = t.noteOwners(now, before, r)
	t.judge(now)
	return news
}

// resume begins to listen, at first and again after nothing was heard for long, not
// even the host's own reports: then it was this host that stood still, and that the
// others were not heard says nothing of them.
func (t *Table) resume(now int64) {
	if t.heard < 0 || now-t.heard > DeadAfter {
		t.listening = now
		clear(t.well)
	}
	t.heard = now
}

// noteOwners compares what a host owned with what it owns now.
func (t *Table) noteOwners(now int64, before, after Report) (news []Owned) {
	names := map[string]bool{}
	for name := range before.Stripes {
		names[name] = true
	}
	for name := range after.Stripes {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s := t.stripes[name]
		if s == nil {
			s = &stripe{}
			t.stripes[name] = s
		}
		epoch, owns := epochOf(after.Stripes[name])
		switch {
		case owns && s.epoch.Less(epoch):
			t.lost(now, name, after.Host)
			s.owner, s.since, s.epoch, s.letGo = after.Host, now, epoch, false
			news = append(news, Owned{name, after.Host, epoch})
		case owns && s.owner == after.Host && s.epoch == epoch:
			s.letGo = false
			if was, owned := epochOf(before.Stripes[name]); !owned || was != epoch {
				news = append(news, Owned{name, after.Host, epoch}) // a late report had taken it away
			}
		case s.owner == after.Host:
			if was, owned := epochOf(before.Stripes[name]); owned && was == s.epoch {
				s.letGo = before.Boot == after.Boot || before.Draining || before.Closing
				news = append(news, Owned{name, "", s.epoch})
			}
		}
		if o := after.Stripes[name].Owner; owns && s.owner == after.Host && s.epoch == epoch {
			s.first, s.last, s.bytes = o.First, o.Last, o.Bytes
			s.history.add(now, o.Last)
		}
	}
	return news
}
