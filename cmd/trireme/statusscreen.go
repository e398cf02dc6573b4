package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"trireme/ops"
)

// print writes the cluster on one screen; a host that stands alone in detail.
func (c *clusterStatus) print(w io.Writer) {
	if len(c.hosts) == 1 && len(c.away) == 0 {
		c.first.print(w)
		return
	}
	stripes := c.stripes()
	served := 0
	for i := range stripes {
		if p := &stripes[i]; c.owned(p.Name) != nil {
			served++
		}
	}
	fmt.Fprintf(w, "cluster %s: %d of %d hosts answer, %d of %d stripes are served\n\n",
		orNone(c.first.Cluster), len(c.hosts), len(c.hosts)+len(c.away), served, len(stripes))
	rows(w, c.hostRows(stripes))
	fmt.Fprintln(w)
	rows(w, stripeTable(stripes))
	conditions := c.conditions()
	if len(conditions) == 0 && len(c.away) == 0 {
		fmt.Fprintln(w, "\nno conditions")
	}
	printConditions(w, conditions)
	for _, h := range c.away {
		fmt.Fprintf(w, "\n%s\n", h.Error)
	}
}

// hostRows has a line for each host of the layout.
func (c *clusterStatus) hostRows(stripes []stripeView) [][]string {
	lines := [][]string{{"HOST", "STATE", "VERSION", "LAYOUT", "UP", "OWNS", "LAG", "NATS", "HTTP"}}
	owns := map[string]int{}
	for i := range stripes {
		owns[stripes[i].Owner]++
	}
	for _, told := range c.first.Hosts {
		if h := c.host(told.Name); h != nil {
			lines = append(lines, []string{
				h.Host, h.state(), h.Version, versionOf(h.Layout), h.up(), strconv.Itoa(owns[h.Host]), h.lag(), orNone(told.NATS), orNone(told.HTTP),
			})
			continue
		}
		state := "unreachable"
		if !told.Alive {
			state = "down"
		}
		lines = append(lines, []string{told.Name, state, orNone(told.Version), versionOf(told.Layout), "-", strconv.Itoa(owns[told.Name]), "-", orNone(told.NATS), orNone(told.HTTP)})
	}
	return lines
}

// lag is the largest one of the host's stripes.
func (s *hostStatus) lag() string {
	var worst ops.Stripe
	for _, p := range s.Stripes {
		if p.LagRecords > worst.LagRecords {
			worst = p
		}
	}
	if worst.LagRecords == 0 {
		return "none"
	}
	return fmt.Sprintf("%d records, %s", worst.LagRecords, short(time.Duration(worst.LagMS)*time.Millisecond))
}

func stripeTable(stripes []stripeView) [][]string {
	lines := [][]string{{"STRIPE", "OWNER", "PREFERRED", "EPOCH", "PARTITIONS", "MEMBERS", "LOG"}}
	for _, p := range stripes {
		preferred := "-"
		if len(p.Members) > 0 {
			preferred = p.Members[0]
		}
		members := make([]string, 0, len(p.members))
		for _, m := range p.members {
			members = append(members, memberText(&m))
		}
		lines = append(lines, []string{p.Name, orNone(p.Owner), preferred, orNone(p.Epoch), strconv.Itoa(p.Partitions), strings.Join(members, ", "), logSize(&p.Stripe)})
	}
	return lines
}

// memberText is a member with what is wrong with it.
func memberText(m *ops.MemberView) string {
	switch {
	case !m.Alive:
		return m.Host + " (down)"
	case m.Sick != "":
		return m.Host + " (sick)"
	case m.LagRecords > 0:
		return fmt.Sprintf("%s (-%d)", m.Host, m.LagRecords)
	}
	return m.Host
}
