package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"trireme/ops"
)

// print writes one host in detail.
func (s *hostStatus) print(w io.Writer) {
	fmt.Fprintf(w, "host %s: %s, up %s, trireme %s, layout %d\n", s.Host, s.state(), s.up(), s.Version, s.Layout)
	fmt.Fprintf(w, "NATS %s  HTTP %s\n", orNone(s.NATS), orNone(s.HTTP))
	if s.Cluster != "" {
		fmt.Fprintf(w, "cluster %s  disk %s  boot %d  pid %d  layout from %s\n", s.Cluster, orNone(s.DiskID), s.Boot, s.PID, orNone(s.LayoutSource))
	}
	told := make([]toldCondition, 0, len(s.Conditions))
	for _, c := range s.Conditions {
		told = append(told, toldCondition{Condition: c})
	}
	printConditions(w, told)
	if len(s.Hosts) > 0 {
		fmt.Fprintln(w)
		rows(w, s.hostRows())
	}
	if len(s.Stripes) > 0 {
		fmt.Fprintln(w)
		rows(w, s.stripeRows())
	}
	fmt.Fprintln(w)
	rows(w, [][]string{
		{"store", ops.Bytes(s.Store.DiskBytes) + " on disk", hitRatio(s.Store)},
		{"disk", ops.Bytes(s.Disk.Free) + " free of " + ops.Bytes(s.Disk.Total), "reserve " + ops.Bytes(s.Disk.Reserve)},
		{"requests", strconv.Itoa(s.Requests.InFlight) + " in flight", ops.Bytes(s.Requests.Bytes)},
	})
}

// printConditions writes conditions with their remedies; those of one kind that
// follow one another have it once.
func printConditions(w io.Writer, all []toldCondition) {
	for i, c := range all {
		if i == 0 || !c.like(&all[i-1]) {
			fmt.Fprintln(w)
		}
		by := ""
		if len(c.Hosts) > 0 {
			by = " (" + strings.Join(c.Hosts, ", ") + ")"
		}
		fmt.Fprintf(w, "%s %s%s: %s\n", strings.ToUpper(string(c.Severity)), c.ID, by, c.Text)
		if i == len(all)-1 || !c.like(&all[i+1]) {
			fmt.Fprintf(w, "  remedy: %s\n", c.Remedy)
		}
	}
}

func (c *toldCondition) like(o *toldCondition) bool { return c.ID == o.ID && c.Remedy == o.Remedy }

// state is the host's state in a word or two.
func (s *hostStatus) state() string {
	switch {
	case s.Held != nil || s.Phase == ops.PhaseHeld:
		return "held back"
	case s.Phase == ops.PhaseStarting || s.Phase == ops.PhaseClosing:
		return string(s.Phase)
	case !s.Ready:
		return "NOT READY"
	case s.Draining:
		return "drained"
	}
	return "ready"
}

func (s *hostStatus) up() string { return s.now.Sub(s.Started).Round(time.Second).String() }

// hostRows are the other hosts, as this one has heard of them.
func (s *hostStatus) hostRows() [][]string {
	lines := [][]string{{"HOST", "HEARD", "VERSION", "LAYOUT", "NATS", "HTTP", "ADAMA"}}
	for _, h := range s.Hosts {
		lines = append(lines, []string{h.Name, heard(&h), orNone(h.Version), versionOf(h.Layout), orNone(h.NATS), orNone(h.HTTP), orNone(h.Adama)})
	}
	return lines
}

func heard(h *ops.HostView) string {
	switch {
	case h.Self:
		return "itself"
	case h.HeardMS < 0:
		return "never"
	case h.Alive:
		return "yes"
	}
	return "not for " + (time.Duration(h.HeardMS) * time.Millisecond).Round(time.Second).String()
}

func versionOf(layout uint64) string {
	if layout == 0 {
		return "-"
	}
	return strconv.FormatUint(layout, 10)
}

func (s *hostStatus) stripeRows() [][]string {
	lines := [][]string{{"STRIPE", "OWNER", "PHASE", "PARTITIONS", "EPOCH", "APPLIED", "DURABLE", "LAG", "LOG", "LOG SIZE", "QUEUED"}}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for _, p := range s.Stripes {
		lines = append(lines, []string{
			p.Name, orNone(p.Owner), cmp.Or(p.Phase, "no member"), strconv.Itoa(p.Partitions), orNone(p.Epoch),
			number(p.Applied), number(p.Durable), number(p.LagRecords), number(p.LogFirst) + ".." + number(p.LogLast), logSize(&p), strconv.Itoa(p.Queued),
		})
	}
	return lines
}

func logSize(p *ops.Stripe) string {
	size := ops.Bytes(p.LogBytes)
	if p.LogMax > 0 {
		size += " of " + ops.Bytes(p.LogMax)
	}
	return size
}

func hitRatio(s ops.Store) string {
	all := s.Hits + s.Misses
	if all == 0 {
		return "cache not used yet"
	}
	return fmt.Sprintf("%.0f %% of %d merged reads from the cache", float64(s.Hits)*100/float64(all), all)
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
