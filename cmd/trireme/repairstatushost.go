package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"trireme/ops"
)

// printHost writes one host's partitions and costs.
func (s *repairStatus) printHost(w io.Writer, h *hostStatus) {
	r := h.Repair
	if r == nil {
		return
	}
	lines := [][]string{{"STRIPE", "PARTITION", "CLEAN UP TO", "EQUAL TO", "WHEN", "LAG"}}
	for i := range r.Stripes {
		c := &r.Stripes[i]
		if c.Sick != "" {
			lines = append(lines, []string{c.Stripe, "-", "sick: " + oneLine(c.Sick, 60), "-", "-", "-"})
			continue
		}
		for _, p := range c.Partitions {
			when := "never"
			if p.At != nil {
				when = about(s.now.Sub(*p.At)) + " ago"
			}
			lines = append(lines, []string{c.Stripe, p.Partition, orNone(p.Position), orNone(p.Against), when, fmt.Sprint(p.Lagging)})
		}
	}
	fmt.Fprintln(w)
	rows(w, lines)
	c := &r.Counters
	fmt.Fprintln(w)
	lines = [][]string{
		{"since the start", "rounds " + number(c.Rounds), "found " + foundText(c.Verdicts)},
		{"documents", "pulled " + pulledText(c.Pulled), fmt.Sprintf("dropped %d, undecided %d", c.Dropped, c.Undecided)},
	}
	if k := h.RepairCost; k != nil {
		for _, x := range []struct {
			name string
			cost ops.RepairCost
		}{{"cost, in all", k.All}, {"cost, healthy", k.Healthy}} {
			lines = append(lines, []string{
				x.name, fmt.Sprintf("rounds %d, sent %s, received %s", x.cost.Rounds, ops.Bytes(x.cost.Sent), ops.Bytes(x.cost.Received)),
				fmt.Sprintf("%d disk reads, %.2f s of CPU", x.cost.DiskReads, x.cost.CPUSeconds),
			})
		}
	}
	rows(w, lines)
}

// pulledText is what was pulled, by reason.
func pulledText(pulled map[string]uint64) string {
	var all []string
	for reason, n := range pulled {
		if n > 0 {
			all = append(all, fmt.Sprintf("%d for %s", n, reason))
		}
	}
	slices.Sort(all)
	return orNone(strings.Join(all, ", "))
}
