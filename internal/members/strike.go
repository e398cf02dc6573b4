package members

// A strike is held against a host that lost a stripe, or failed to take it.
type strike struct {
	count int
	until int64 // not a place to move the stripe to before
}

// maxStrikes bounds the pause: 64 times PreferAfter, 32 minutes by default.
const maxStrikes = 6

// strike holds a failure against a host. Each one in a row doubles the pause until
// the stripe is moved there again; they are forgotten when as long a pause, and
// sixteen times PreferAfter, has passed without another.
func (t *Table) strike(now int64, at place) {
	s, ok := t.strikes[at]
	if ok && now >= s.until+t.pause(s.count)+16*t.PreferAfter {
		s.count = 0
	}
	s.count = min(s.count+1, maxStrikes)
	s.until = now + t.pause(s.count)
	t.strikes[at] = s
}

func (t *Table) pause(count int) int64 { return t.PreferAfter << count }

func (t *Table) barred(now int64, at place) bool {
	s, ok := t.strikes[at]
	return ok && now < s.until
}

// lost holds it against the owner of a stripe that another host has claimed it,
// unless it had let it go or wanted to own nothing.
func (t *Table) lost(now int64, name, to string) {
	s := t.stripes[name]
	h := t.hosts[s.owner]
	if s.owner == to || s.letGo || h == nil || h.report.Draining || h.report.Closing {
		return
	}
	t.strike(now, place{name, s.owner})
}
