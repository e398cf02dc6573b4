package members

import (
	"maps"
	"slices"
)

// A HostView is a host as a status shows it.
type HostView struct {
	Name   string
	Member bool   // of the layout
	Alive  bool   //
	Heard  bool   // ever, since this host was started
	Ago    int64  // milliseconds since it was heard
	Report Report // its last one
}

// Hosts are the hosts of the layout in its order, and behind them others that have
// reported.
func (t *Table) Hosts(now int64) []HostView {
	views := make([]HostView, 0, len(t.layout.Hosts))
	listed := map[string]bool{}
	for _, h := range t.layout.Hosts {
		listed[h.Name] = true
		views = append(views, t.view(now, h.Name, true))
	}
	for _, name := range slices.Sorted(maps.Keys(t.hosts)) {
		if !listed[name] {
			views = append(views, t.view(now, name, false))
		}
	}
	return views
}

func (t *Table) view(now int64, name string, member bool) HostView {
	v := HostView{Name: name, Member: member, Alive: t.Alive(now, name)}
	if h := t.hosts[name]; h != nil {
		v.Heard, v.Ago, v.Report = true, now-h.heard, h.report
	}
	return v
}

// A Differing is a host that runs another layout than this one.
type Differing struct {
	Host   string
	Layout Layout
}

// LayoutsDiffer names the hosts that are alive and run another layout than this one
// has reported to run. It names none while this host has not reported.
func (t *Table) LayoutsDiffer(now int64) []Differing {
	var all []Differing
	for _, v := range t.Hosts(now) {
		if v.Alive && v.Heard && !t.sameLayout(v.Name) {
			all = append(all, Differing{v.Name, v.Report.Layout})
		}
	}
	return all
}

func (t *Table) sameLayout(name string) bool {
	own, other := t.hosts[t.self], t.hosts[name]
	return own == nil || other == nil || own.report.Layout == other.report.Layout
}
