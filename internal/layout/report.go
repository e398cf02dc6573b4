package layout

// A Report says what a layout asks of each host, and what happens to its load when
// one of them dies.
type Report struct {
	Hosts  []HostReport `json:"hosts"`
	Deaths []Death      `json:"deaths"` // of each host in turn; empty for a single host
}

// HostReport is what one host has to do while all are well.
type HostReport struct {
	Host       string `json:"host"`
	Meshes     int    `json:"meshes"`     // stripes that it is a member of
	Leads      int    `json:"leads"`      // stripes that it is the preferred owner of
	Partitions int    `json:"partitions"` // that these stripes carry
}

// A Death is what each survivor owns after the death of one host, when every stripe
// has gone to the next host of its order.
type Death struct {
	Host      string `json:"host"`
	Survivors []Load `json:"survivors"`
	Lost      int    `json:"lost"` // partitions that nobody can serve until it is back
}

// A Load is how many partitions a host owns.
type Load struct {
	Host       string `json:"host"`
	Partitions int    `json:"partitions"`
}

// NewReport counts. The layout is valid.
func NewReport(l Layout) Report {
	carried := make(map[string]int)
	for _, p := range l.Partitions {
		carried[p.Stripe]++
	}
	r := Report{Hosts: []HostReport{}, Deaths: []Death{}}
	for _, h := range l.Hosts {
		row := HostReport{Host: h.Name}
		for _, s := range l.StripesOn(h.Name) {
			row.Meshes++
			if s.Hosts[0] == h.Name {
				row.Leads++
				row.Partitions += carried[s.Name]
			}
		}
		r.Hosts = append(r.Hosts, row)
	}
	if len(l.Hosts) > 1 {
		for _, h := range l.Hosts {
			r.Deaths = append(r.Deaths, l.death(h.Name, carried))
		}
	}
	return r
}

func (l Layout) death(dead string, carried map[string]int) Death {
	d := Death{Host: dead, Survivors: []Load{}}
	owns := make(map[string]int)
	for _, s := range l.Stripes {
		if owner := s.ownerWithout(dead); owner != "" {
			owns[owner] += carried[s.Name]
		} else {
			d.Lost += carried[s.Name]
		}
	}
	for _, h := range l.Hosts {
		if h.Name != dead {
			d.Survivors = append(d.Survivors, Load{h.Name, owns[h.Name]})
		}
	}
	return d
}

// ownerWithout is the first of a stripe's order but one, "" when that one was alone.
func (s Stripe) ownerWithout(dead string) string {
	for _, h := range s.Hosts {
		if h != dead {
			return h
		}
	}
	return ""
}
