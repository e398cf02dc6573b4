package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"trireme/ops"
	"trireme/repair"
)

func (a *app) repairStatusCommand() *cobra.Command {
	var f scopeFlags
	var watch bool
	c := &cobra.Command{
		Use: "status", Short: "Show how far repair is, what it found, and what it skipped and why",
		Long: `Show how far repair is on every host: the last round and what it found, what heals
and how far, what was skipped and why, the scrub, and what operators have begun.
--host shows one host with its partitions, their clean positions and the costs.

A partition's clean position is the furthest at which all of it was found equal to
another member's; LAG counts buckets that were written to while they were compared.

--watch follows what heals and what operators have begun, until it is over.`,
		Example: "  trireme repair status\n  trireme repair status --host h2\n  trireme repair status --watch",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := a.repairers(cmd, f.host)
			if err != nil {
				return err
			}
			defer r.watch.close()
			if watch {
				return a.watchRepair(cmd.Context(), r, f.host)
			}
			s := r.status(cmd.Context())
			if err := a.answer(s.view(), func(w io.Writer) { s.print(w, f.host != "") }); err != nil {
				return err
			}
			return degraded(len(r.away) > 0)
		},
	}
	f.hostFlag(c)
	c.Flags().BoolVar(&watch, "watch", false, "follow it until nothing heals any more")
	return c
}

// A repairStatus is what the hosts tell of repair at one moment.
type repairStatus struct {
	now   time.Time
	hosts []*hostStatus
	jobs  [][]ops.Job // of each host; what cannot be asked for is empty
	away  []awayHost
}

// status adds what operators have begun to what the hosts have told.
func (r *repairers) status(ctx context.Context) *repairStatus {
	s := &repairStatus{now: time.Now(), hosts: r.hosts, jobs: make([][]ops.Job, len(r.hosts)), away: r.away}
	ctx, cancel := context.WithTimeout(ctx, peerLimit)
	defer cancel()
	r.each(func(i int, h *hostStatus) error {
		if list, err := r.Jobs(ctx, h.Host); err == nil {
			s.jobs[i] = slices.DeleteFunc(list, func(j ops.Job) bool { return j.Ended != nil })
		}
		return nil
	})
	return s
}

// rawStatus is what a host's status has of repair, as it came.
type rawStatus struct {
	Repair json.RawMessage `json:"repair"`
	Cost   json.RawMessage `json:"repair_cost"`
}

// A repairView is what one host tells, as -o json tells it.
type repairView struct {
	Host   string          `json:"host"`
	Repair json.RawMessage `json:"repair"`      // as it came; null where nothing is repaired
	Cost   json.RawMessage `json:"repair_cost"` // likewise
	Jobs   []ops.Job       `json:"jobs"`        // that operators have begun and are under way
}

type repairStatusView struct {
	Hosts       []repairView `json:"hosts"`
	Unreachable []awayHost   `json:"unreachable"`
}

func (s *repairStatus) view() repairStatusView {
	v := repairStatusView{[]repairView{}, append([]awayHost{}, s.away...)}
	for i, h := range s.hosts {
		var raw rawStatus
		_ = json.Unmarshal(h.raw, &raw) // it was read before
		v.Hosts = append(v.Hosts, repairView{h.Host, raw.Repair, raw.Cost, append([]ops.Job{}, s.jobs[i]...)})
	}
	return v
}

func (s *repairStatus) print(w io.Writer, detail bool) {
	lines := [][]string{{"HOST", "STATE", "LAST ROUND", "FOUND", "VERIFIED", "LAG", "PULLED", "DAMAGED", "RATE", "SCRUB"}}
	for _, h := range s.hosts {
		lines = append(lines, s.row(h))
	}
	rows(w, lines)
	for _, h := range s.hosts {
		if h.Repair == nil {
			continue
		}
		for i := range h.Repair.Heals {
			fmt.Fprintf(w, "\n%s\n", s.heal(h, &h.Repair.Heals[i]))
		}
	}
	for i, h := range s.hosts {
		for _, j := range s.jobs[i] {
			fmt.Fprintf(w, "\n%s: %s was begun %s ago: %s\n", h.Host, j.Kind, about(s.now.Sub(j.Began)), j.Request)
		}
		if h.Repair != nil && h.Repair.Round.Last != nil && len(h.Repair.Round.Last.Skipped) > 0 {
			fmt.Fprintln(w)
			printSkipped(w, h.Host, h.Repair.Round.Last.Skipped)
		}
	}
	if detail {
		for _, h := range s.hosts {
			s.printHost(w, h)
		}
	}
	for _, h := range s.away {
		fmt.Fprintf(w, "\n%s\n", h.Error)
	}
}

// row is a host in a line.
func (s *repairStatus) row(h *hostStatus) []string {
	r := h.Repair
	if r == nil {
		return []string{h.Host, "repairs nothing", "-", "-", "-", "-", "-", "-", "-", "-"}
	}
	last, found := "none yet", "-"
	if l := r.Round.Last; l != nil {
		last, found = about(s.now.Sub(l.Began))+" ago", foundText(l.Verdicts)
	}
	pulled := uint64(0)
	for _, n := range r.Counters.Pulled {
		pulled += n
	}
	verified, all, lag := 0, 0, 0
	for i := range r.Stripes {
		verified, all = verified+r.Stripes[i].Verified, all+r.Stripes[i].Buckets
		for _, p := range r.Stripes[i].Partitions {
			lag += p.Lagging
		}
	}
	return []string{
		h.Host, s.state(r), last, found, fmt.Sprintf("%d of %d", verified, all), fmt.Sprint(lag),
		plenty(pulled, "docs", r.Counters.BytesPulled), fmt.Sprint(r.Damaged), rateWord(r.Rate), s.scrub(r),
	}
}

func rateWord(rate int64) string {
	if rate == 0 {
		return "none"
	}
	return ops.Bytes(rate) + "/s"
}

func (s *repairStatus) state(r *repair.Status) string {
	switch {
	case r.Paused != nil:
		return "paused until " + r.Paused.UTC().Format("2006-01-02 15:04:05Z")
	case len(r.Heals) > 0:
		return "heals " + many(len(r.Heals), "stripe")
	case r.Round.Running:
		return "compares"
	case r.Round.Next != nil:
		return "next in " + about(max(0, r.Round.Next.Sub(s.now)))
	}
	return "waits"
}

// scrub is how far the slow re-read is.
func (s *repairStatus) scrub(r *repair.Status) string {
	p := r.Scrub.Pass
	ended := "never ended"
	if r.Scrub.LastEnded != nil {
		ended = "last ended " + about(s.now.Sub(*r.Scrub.LastEnded)) + " ago"
	}
	if p.Buckets == 0 {
		return ended
	}
	return joined(fmt.Sprintf("%d %%", 100*p.Read/p.Buckets), left(p.ETA, s.now), ended)
}

// heal is a healing with its bar.
func (s *repairStatus) heal(h *hostStatus, x *repair.Heal) string {
	text := fmt.Sprintf("%s heals stripe %s: %s", h.Host, x.Stripe, x.Sick)
	if x.Phase == repair.HealWaiting {
		return text + "\n  it waits" + orText(": ", x.Why)
	}
	at := step{Doing: "  from " + x.Peer, Done: x.Verified, Of: x.Buckets}
	at.Note = joined(fmt.Sprintf("%d of %d buckets", x.Verified, x.Buckets), plenty(x.Documents, "docs pulled", x.Bytes), left(x.ETA, s.now))
	text += "\n" + at.bar()
	if x.Why != "" {
		text += fmt.Sprintf("\n  try %d; the last one ended with: %s", x.Tries, oneLine(x.Why, 200))
	}
	return text
}

// orText puts something before a text that may be empty.
func orText(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
