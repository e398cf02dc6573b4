package ops

import "fmt"

// clusterDeclarations are the conditions that hosts tell of one another.
func clusterDeclarations() []declaration {
	return []declaration{
		{
			id: "host-down", severity: Warning, scope: ScopeCluster, find: eachHost(hostDown),
			remedy: "see whether the machine and its trireme run, and read its log; stripes go on while a majority of their members lives, so take no other host down before it is back",
		},
		{
			id: "draining", severity: Warning, scope: ScopeCluster, find: draining,
			remedy: "`trireme drain HOST --undo` when the work on it is done: until then it owns nothing, and others carry its part",
		},
		{
			id: "layout-differs", severity: Warning, scope: ScopeCluster, find: eachHost(layoutDiffers),
			remedy: "wait for the next poll; if it lasts, see that all hosts read the same layout, and what the other one says of it in `trireme status`",
		},
	}
}

// eachHost asks of the other hosts one by one.
func eachHost(find func(*Status, HostView) string) func(*Status) []finding {
	return func(s *Status) (found []finding) {
		for _, h := range s.Hosts {
			if h.Self || !s.takesPart() {
				continue
			}
			if text := find(s, h); text != "" {
				found = append(found, finding{subject: h.Name, text: text})
			}
		}
		return found
	}
}

func hostDown(_ *Status, h HostView) string {
	switch {
	case h.Alive:
		return ""
	case h.HeardMS < 0:
		return fmt.Sprintf("host %s was not heard since this host started; its status is at http://%s/status if it runs", h.Name, h.HTTP)
	}
	return fmt.Sprintf("host %s was not heard for %s; its status is at http://%s/status if it runs", h.Name, span(h.HeardMS), h.HTTP)
}

func draining(s *Status) (found []finding) {
	text := func(host string) string {
		return "host " + host + " is drained: it gives its stripes away and takes none"
	}
	if s.Draining {
		found = append(found, finding{subject: s.Host, text: text(s.Host)})
	}
	for _, h := range s.Hosts {
		if h.Draining && !h.Self && h.Alive {
			found = append(found, finding{subject: h.Name, text: text(h.Name)})
		}
	}
	return found
}

func layoutDiffers(s *Status, h HostView) string {
	switch {
	case !h.Alive || h.Layout == 0:
		return ""
	case h.Layout != s.Layout:
		return fmt.Sprintf("host %s runs layout %d, this one %d", h.Name, h.Layout, s.Layout)
	case h.LayoutDigest != s.LayoutDigest:
		return fmt.Sprintf("host %s runs another layout of version %d: its digest is %s, that of this one %s", h.Name, h.Layout, h.LayoutDigest, s.LayoutDigest)
	}
	return ""
}
